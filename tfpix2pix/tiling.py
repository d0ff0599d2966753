"""Padding by reflection and translation by overlapping tiles, for engines of a fixed size and images beyond memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfpix2pix.errors import UserError

OVERLAP = 8  # a tile overlaps its neighbours by this part of its side, unless a call says otherwise


def reflected_indices(length, total, arange=np.arange, minimum=np.minimum, maximum=np.maximum):
    """Indices of an axis of `length` reflected about its ends to `total`, centred; the edge itself is not repeated.

    The form of `np.pad(mode="reflect")`, for any `length` of at least 1 and in NumPy or, with its functions,
    TensorFlow.
    """
    period = maximum(2 * (length - 1), 1)
    steps = (arange(total) - (total - length) // 2) % period
    return minimum(steps, period - steps)


def translate_tiles(
    run: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    size_px: int | tuple[int, int],
    overlap_px: int | None = None,
    *,
    blend: bool = True,
    encode: Callable[[np.ndarray], np.ndarray] = lambda tile: tile,
    decode: Callable[[np.ndarray], np.ndarray] = lambda band: band,
) -> np.ndarray:
    """`run` over overlapping tiles of an image (H, W, C), feathered: blended by a raised cosine where they overlap.

    `size_px` is the side of tiles, or their height and width; `overlap_px` None: an eighth of the longer.

    Without `blend` each pixel is that of the tile it lies deepest in: class indices have no mean. An image smaller
    than a tile is reflected to it.

    Beside the image and its translation there is never more than a band of tiles in memory, so both may be 8 bits a
    value: `encode` makes of a tile what `run` takes, (1, size_px, size_px, C) in and out; `decode` of rows
    (h, W, C') that are done what the translation is to be.

    Raises:
        UserError: tiles that overlap by more than half.
    """
    height, width = image.shape[:2]
    tall, wide = (size_px, size_px) if isinstance(size_px, int) else size_px
    overlap_px = max(tall, wide) // OVERLAP if overlap_px is None else overlap_px
    if not 0 <= overlap_px <= max(tall, wide) // 2:
        raise UserError(
            f"Tiles must overlap by half their side at most. Received {overlap_px} px of {max(tall, wide)}. Lower the "
            f"overlap, or enlarge the tiles."
        )
    rows = reflected_indices(height, max(height, tall))
    columns = reflected_indices(width, max(width, wide))
    tops, lefts = _starts(len(rows), tall, overlap_px), _starts(len(columns), wide, overlap_px)
    row_shares, column_shares = _shares(tops, tall, overlap_px, blend), _shares(lefts, wide, overlap_px, blend)
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
    """Height and width of tiles of an image, for what takes any size: a side that is shorter is not reflected."""
    return min(tile_px, height), min(tile_px, width)


def _starts(length: int, size_px: int, overlap_px: int) -> list[int]:
    """Evenly spaced starts of tiles that cover `length` and overlap by at least `overlap_px`."""
    if length <= size_px:
        return [0]
    count = -(-(length - overlap_px) // (size_px - overlap_px))
    return [round(index * (length - size_px) / (count - 1)) for index in range(count)]


def _shares(starts: list[int], size_px: int, overlap_px: int, blend: bool) -> list[np.ndarray]:
    """For the tile of every start its share of each position along one axis; those of a position add up to 1."""
    ramp = np.minimum(np.arange(1, size_px + 1), np.arange(size_px, 0, -1))
    ramp = np.sin(np.pi / 2 * np.minimum(ramp / (overlap_px + 1), 1.0)) ** 2  # little of a tile's rim, which sees least
    weights = np.zeros((len(starts), starts[-1] + size_px))
    for weight, start in zip(weights, starts, strict=True):
        weight[start : start + size_px] = ramp
    if blend:
        weights /= weights.sum(axis=0)
    else:
        weights = np.arange(len(starts))[:, np.newaxis] == weights.argmax(axis=0)
    return [weight[start : start + size_px].astype(np.float32) for weight, start in zip(weights, starts, strict=True)]
