"""Sample grids: input | output | target, a row a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageDraw

from tfpix2pix.data.images import as_picture, from_signed

CAPTIONS = ("input", "output", "target")
CAPTION_HEIGHT_PX = 16
GAP_PX = 4


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
    height, width = rows[0][0].shape[:2]
    canvas = Image.new("RGB", (3 * width + 2 * GAP_PX, CAPTION_HEIGHT_PX + len(rows) * (height + GAP_PX)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, caption in enumerate(CAPTIONS):
        left = column * (width + GAP_PX)
        draw.text((left + 2, 2), caption, fill="black")
        for row, images in enumerate(rows):
            canvas.paste(Image.fromarray(images[column]), (left, CAPTION_HEIGHT_PX + row * (height + GAP_PX)))
    return np.asarray(canvas)
