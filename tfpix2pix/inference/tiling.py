"""Translates images by overlapping tiles, for engines of a fixed size and for images that exceed the memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfpix2pix.data.images import reflected_indices
from tfpix2pix.errors import UserError
from tfpix2pix.size import Size, SizePx

OVERLAP = 8  # default: tiles overlap by their side divided by this


def translate_tiles(
    run: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    size_px: SizePx,
    overlap_px: int | None = None,
    *,
    blend: bool = True,
    encode: Callable[[np.ndarray], np.ndarray] = lambda tile: tile,
    decode: Callable[[np.ndarray], np.ndarray] = lambda band: band,
) -> np.ndarray:
    """Translates overlapping tiles of an image (H, W, C), and blends their overlaps by a raised cosine.

    An image smaller than a tile is reflected to its size. Memory holds the image, its translation and one band of
    tiles, so image and translation may have 8 bits a value.

    Args:
        run: translates a tile, (1, height, width, C) to (1, height, width, C').
        image: image to translate.
        size_px: side of the tiles, or their height and width.
        overlap_px: least overlap of tiles; None: an eighth of their height and of their width.
        blend: False takes each pixel from the tile with the farthest rim, because class indices have no mean.
        encode: turns a tile of the image into the values that `run` takes.
        decode: turns finished rows (h, W, C') into the values of the translation.

    Raises:
        UserError: the tiles overlap by more than half.
    """
    height, width = image.shape[:2]
    tall, wide = Size.of(size_px)
    shortest = min((side for side, length in ((tall, height), (wide, width)) if length > side), default=max(tall, wide))
    if overlap_px is not None and not 0 <= overlap_px <= shortest // 2:
        raise UserError(
            f"Tiles must overlap by half their side at most. Received {overlap_px} px of {shortest}. Lower the "
            f"overlap, or enlarge the tiles."
        )
    down, across = (side // OVERLAP if overlap_px is None else overlap_px for side in (tall, wide))
    rows = reflected_indices(height, max(height, tall))
    columns = reflected_indices(width, max(width, wide))
    tops, lefts = _starts(len(rows), tall, down), _starts(len(columns), wide, across)
    row_shares, column_shares = _shares(tops, tall, down, blend), _shares(lefts, wide, across, blend)
    above, before = (len(rows) - height) // 2, (len(columns) - width) // 2
    result = band = None
    for top, row_share, next_top in zip(tops, row_shares, [*tops[1:], len(rows)], strict=True):
        for left, column_share in zip(lefts, column_shares, strict=True):
            tile = image[np.ix_(rows[top : top + tall], columns[left : left + wide])]
            translation = run(encode(tile)[np.newaxis])[0]
            if band is None:
                band = np.zeros((tall, len(columns), translation.shape[-1]), np.float32)
            band[:, left : left + wide] += translation * (row_share[:, np.newaxis] * column_share)[..., np.newaxis]
        done = decode(band[max(above - top, 0) : min(next_top, above + height) - top, before : before + width])
        if result is None:
            result = np.empty((height, width, done.shape[-1]), done.dtype)
        begin = max(top - above, 0)
        result[begin : begin + len(done)] = done
        step = next_top - top  # rows below are unfinished: the next tiles add to them
        band[: tall - step] = band[step:]
        band[tall - step :] = 0.0
    return result


def fitting_tile(tile_px: int, height: int, width: int) -> tuple[int, int]:
    """Returns height and width of tiles for an engine of any size. They fit in the image, so no tile is reflected."""
    return min(tile_px, height), min(tile_px, width)


def _starts(length: int, size_px: int, overlap_px: int) -> list[int]:
    """Returns evenly spaced starts of tiles that cover `length` and overlap by at least `overlap_px`."""
    if length <= size_px:
        return [0]
    count = -(-(length - overlap_px) // (size_px - overlap_px))
    return [round(index * (length - size_px) / (count - 1)) for index in range(count)]


def _shares(starts: list[int], size_px: int, overlap_px: int, blend: bool) -> list[np.ndarray]:
    """Returns the share of every tile in each position along one axis. The shares of a position add up to 1."""
    ramp = np.minimum(np.arange(1, size_px + 1), np.arange(size_px, 0, -1))
    # The rim of a tile has the least context, so it gets the least weight.
    ramp = np.sin(np.pi / 2 * np.minimum(ramp / (overlap_px + 1), 1.0)) ** 2
    weights = np.zeros((len(starts), starts[-1] + size_px))
    for weight, start in zip(weights, starts, strict=True):
        weight[start : start + size_px] = ramp
    if blend:
        weights /= weights.sum(axis=0)
    else:
        weights = np.arange(len(starts))[:, np.newaxis] == weights.argmax(axis=0)
    return [weight[start : start + size_px].astype(np.float32) for weight, start in zip(weights, starts, strict=True)]
