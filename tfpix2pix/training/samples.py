"""Draws grids of pictures: input | output | target, a row for each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfpix2pix.data.images import as_picture
from tfpix2pix.data.ranges import from_signed
from tfpix2pix.data.weights import dimmed

CAPTIONS = ("input", "output", "target")
CAPTION_HEIGHT_PX = 16
GAP_PX = 4
COLUMN_GAP_PX = 24


def picture(image: np.ndarray) -> np.ndarray:
    """Converts an image, float (H, W, C) in [-1, 1], to uint8 (H, W, 3)."""
    return as_picture(from_signed(image))


def labelled(picture: np.ndarray, text: str) -> np.ndarray:
    """Returns a picture, uint8 (H, W, 3), with a text on white in its lower left corner."""
    if not text:
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    place = (2, image.height - CAPTION_HEIGHT_PX + 2)
    draw.rectangle(draw.textbbox(place, text), fill="white", outline="white", width=1)
    draw.text(place, text, fill="black")
    return np.asarray(image)


def sample_grid(
    translate: Callable,
    pairs: Iterable[tuple],
    pictures: tuple[Callable, Callable] = (picture, picture),
    caption: Callable[[np.ndarray], str] = lambda image: "",
) -> np.ndarray:
    """Returns the grid of pairs (input, target), each float32 (1, H, W, C) in [-1, 1]: uint8 (height, width, 3).

    `pictures` convert an input, and a target or translation, to pictures. If a pair has the weights of its pixels, the
    translation and the target are `dimmed`. `caption` returns a text that is written into the picture of an input.
    """
    of_input, of_target = pictures
    rows = []
    for image, target, *weight in pairs:
        weights = [np.asarray(batch)[0] for batch in weight]
        shown = [dimmed(of_target(np.asarray(batch)[0]), *weights) for batch in (translate(image), target)]
        image = np.asarray(image)[0]
        rows.append([labelled(of_input(image), caption(image)), *shown])
    return picture_grid(rows, CAPTIONS)


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], *, size: tuple[int, int] | None = None,
    columns: int = 1,
) -> np.ndarray:  # fmt: skip
    """Returns rows of pictures below their captions, on white: uint8 (height, width, 3).

    Args:
        rows: pictures, uint8 (H, W, 3).
        captions: one for each picture of a row.
        size: width and height, px, to which every picture is resized; None: those of the first picture.
        columns: number of blocks of rows side by side.
    """
    (width, height), per_row = size or rows[0][0].shape[1::-1], len(captions)
    lines = -(-len(rows) // columns)
    columns = -(-len(rows) // lines)
    block = per_row * width + (per_row - 1) * GAP_PX  # width of a column
    whole = (columns * (block + COLUMN_GAP_PX) - COLUMN_GAP_PX, CAPTION_HEIGHT_PX + lines * (height + GAP_PX))
    canvas = Image.new("RGB", whole, "white")
    draw = ImageDraw.Draw(canvas)
    for index, pictures in enumerate(rows):
        column, line = divmod(index, lines)
        for number, (caption, picture_) in enumerate(zip(captions, pictures, strict=True)):
            left = column * (block + COLUMN_GAP_PX) + number * (width + GAP_PX)
            if line == 0:
                draw.text((left + 2, 2), caption, fill="black")
            image = Image.fromarray(picture_)
            image = image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)
            canvas.paste(image, (left, CAPTION_HEIGHT_PX + line * (height + GAP_PX)))
    return np.asarray(canvas)
