"""Padding by reflection and translation by overlapping tiles, for engines of a fixed size and images beyond memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def reflected_indices(length, total, arange=np.arange, minimum=np.minimum, maximum=np.maximum):
    """Indices of an axis of `length` reflected about its ends to `total`, centred; the edge itself is not repeated.

    The form of `np.pad(mode="reflect")`, for any `length` of at least 1 and in NumPy or, with its functions,
    TensorFlow.
    """
    period = maximum(2 * (length - 1), 1)
    steps = (arange(total) - (total - length) // 2) % period
    return minimum(steps, period - steps)


def translate_tiles(
    run: Callable[[np.ndarray], np.ndarray], image: np.ndarray, size_px: int, overlap_px: int, *, blend: bool = True
) -> np.ndarray:
    """`run` over overlapping square tiles of an image (H, W, C), blended linearly where they overlap.

    Without `blend` each pixel is that of the tile it lies deepest in: class indices have no mean.

    An image smaller than a tile is reflected to it. `run` takes and gives float32 (1, size_px, size_px, channels).
    """
    height, width = image.shape[:2]
    rows = reflected_indices(height, max(height, size_px))
    columns = reflected_indices(width, max(width, size_px))
    padded = image[rows][:, columns]
    ramp = np.minimum(np.arange(1, size_px + 1), np.arange(size_px, 0, -1))
    ramp = np.minimum(ramp / (overlap_px + 1), 1.0).astype(np.float32)
    weight = (ramp[:, np.newaxis] * ramp)[..., np.newaxis]  # (size, size, 1)
    total = weights = None
    for top in _starts(len(rows), size_px, overlap_px):
        for left in _starts(len(columns), size_px, overlap_px):
            place = np.s_[top : top + size_px, left : left + size_px]
            tile = run(padded[place][np.newaxis])[0]
            if total is None:
                total = np.zeros((*padded.shape[:2], tile.shape[-1]), np.float32)
                weights = np.zeros((*padded.shape[:2], 1), np.float32)
            if blend:
                total[place] += tile * weight
                weights[place] += weight
            else:
                deeper = weight > weights[place]
                total[place] = np.where(deeper, tile, total[place])
                weights[place] = np.maximum(weight, weights[place])
    above, before = (len(rows) - height) // 2, (len(columns) - width) // 2
    inside = np.s_[above : above + height, before : before + width]
    return total[inside] / weights[inside] if blend else total[inside]


def _starts(length: int, size_px: int, overlap_px: int) -> list[int]:
    """Evenly spaced starts of tiles that cover `length` and overlap by at least `overlap_px`."""
    if length <= size_px:
        return [0]
    count = -(-(length - overlap_px) // (size_px - overlap_px))
    return [round(index * (length - size_px) / (count - 1)) for index in range(count)]
