"""Sample grids: input | output | target, a row a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageDraw

from tfpix2pix.data.images import from_signed, match_channels

CAPTIONS = ("input", "output", "target")
CAPTION_HEIGHT_PX = 16
GAP_PX = 4


def sample_grid(translate: Callable, pairs: Iterable[tuple]) -> np.ndarray:
    """The grid of some pairs (input, target), each float32 (1, H, W, C) in [-1, 1]: (height, width, 3) uint8."""
    rows = []
    for image, target in pairs:
        images = (np.asarray(image)[0], np.asarray(translate(image))[0], np.asarray(target)[0])
        rows.append([_rgb(from_signed(each)) for each in images])
    height, width = rows[0][0].shape[:2]
    canvas = Image.new("RGB", (3 * width + 2 * GAP_PX, CAPTION_HEIGHT_PX + len(rows) * (height + GAP_PX)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, caption in enumerate(CAPTIONS):
        left = column * (width + GAP_PX)
        draw.text((left + 2, 2), caption, fill="black")
        for row, images in enumerate(rows):
            canvas.paste(Image.fromarray(images[column]), (left, CAPTION_HEIGHT_PX + row * (height + GAP_PX)))
    return np.asarray(canvas)


def _rgb(image: np.ndarray) -> np.ndarray:
    """What of an image a picture can show: gray and RGB as they are, else the first channel."""
    return match_channels(image if image.shape[-1] in (1, 2, 3, 4) else image[..., :1], 3)
