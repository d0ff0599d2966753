"""Grids of pictures: input | output | target, a row a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfpix2pix.data.images import as_picture, from_signed

CAPTIONS = ("input", "output", "target")
CAPTION_HEIGHT_PX = 16
GAP_PX = 4
COLUMN_GAP_PX = 24  # between rows side by side


def picture(image: np.ndarray) -> np.ndarray:
    """float (H, W, C) in [-1, 1] -> uint8 (H, W, 3)."""
    return as_picture(from_signed(image))


def sample_grid(
    translate: Callable, pairs: Iterable[tuple], pictures: tuple[Callable, Callable] = (picture, picture)
) -> np.ndarray:
    """The grid of some pairs (input, target), each float32 (1, H, W, C) in [-1, 1]: (height, width, 3) uint8.

    `pictures` make what is to be seen of an input and of a target or translation.
    """
    of_input, of_target = pictures
    rows = []
    for image, target in pairs:
        translation, target = (of_target(np.asarray(each)[0]) for each in (translate(image), target))
        rows.append([of_input(np.asarray(image)[0]), translation, target])
    return picture_grid(rows, CAPTIONS)


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], *, size: tuple[int, int] | None = None,
    columns: int = 1,
) -> np.ndarray:  # fmt: skip
    """Rows of pictures, uint8 (H, W, 3) each, below their captions: uint8 (height, width, 3), white between them.

    Every picture is brought to `size`, width and height in px; None: that of the first. `columns` of rows stand side by
    side, so that many fit a screen.
    """
    (width, height), of = size or rows[0][0].shape[1::-1], len(captions)
    lines = -(-len(rows) // columns)
    columns = -(-len(rows) // lines)
    block = of * width + (of - 1) * GAP_PX  # of one column
    whole = (columns * (block + COLUMN_GAP_PX) - COLUMN_GAP_PX, CAPTION_HEIGHT_PX + lines * (height + GAP_PX))
    canvas = Image.new("RGB", whole, "white")
    draw = ImageDraw.Draw(canvas)
    for place, pictures in enumerate(rows):
        column, line = divmod(place, lines)
        for number, (caption, shown) in enumerate(zip(captions, pictures, strict=True)):
            left = column * (block + COLUMN_GAP_PX) + number * (width + GAP_PX)
            if line == 0:
                draw.text((left + 2, 2), caption, fill="black")
            one = Image.fromarray(shown)
            one = one if one.size == (width, height) else one.resize((width, height), Image.Resampling.LANCZOS)
            canvas.paste(one, (left, CAPTION_HEIGHT_PX + line * (height + GAP_PX)))
    return np.asarray(canvas)
