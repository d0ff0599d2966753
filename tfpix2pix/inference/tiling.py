"""Translates images by overlapping tiles, for engines of a fixed size and for images that exceed the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfpix2pix.data.images import reflected_indices
from tfpix2pix.errors import UserError
from tfpix2pix.size import Size, SizePx

OVERLAP = 8  # default: tiles overlap by their side divided by this
WIDE_OVERLAP = 4  # the same for tiles that are translated as parts of the whole image


class Readable(Protocol):
    """An image (H, W, C) of which parts are read: an array, or `data.regions.Regions`."""

    shape: tuple[int, int, int]
    dtype: np.dtype

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray: ...


def translate_tiles(
    run: Callable[[np.ndarray], np.ndarray],
    image: Readable,
    size_px: SizePx,
    overlap_px: int | None = None,
    *,
    blend: bool | Sequence[bool] = True,
    encode: Callable[[np.ndarray], np.ndarray] = lambda tile: tile,
    decode: Callable[[np.ndarray], np.ndarray] = lambda band: band,
) -> np.ndarray:
    """Translates overlapping tiles of an image (H, W, C), and blends their overlaps by a raised cosine.

    An image smaller than a tile is reflected to its size. Memory holds the image, its translation and one band of
    tiles, so image and translation may have 8 bits a value. `tile_bands` yields the translation in bands.

    Args:
        run: translates a tile, (1, height, width, C) to (1, height, width, C').
        image: image to translate.
        size_px: side of the tiles, or their height and width.
        overlap_px: least overlap of tiles; None: an eighth of their height and of their width.
        blend: False takes each pixel from the tile with the farthest rim, because class indices have no mean. One for
            all channels of the translation, or for each.
        encode: turns a tile of the image into the values that `run` takes.
        decode: turns finished rows (h, W, C') into the values of the translation.

    Raises:
        UserError: the tiles overlap by more than half.
    """
    options = {"blend": blend, "encode": encode, "decode": decode}
    return joined(tile_bands(run, image, size_px, overlap_px, **options), image.shape[0])


def tile_bands(
    run: Callable[[np.ndarray], np.ndarray],
    image: Readable,
    size_px: SizePx,
    overlap_px: int | None = None,
    **options: Any,
) -> Iterator[np.ndarray]:
    """Yields the result of `translate_tiles` in bands of finished rows from the top, as `blended_bands` does. Memory
    holds one band of tiles. The arguments are those of `translate_tiles`."""
    grid = Grid.of(*image.shape[:2], size_px, overlap_px)
    return blended_bands(lambda place, tile: run(tile), image, grid, **options)


class Place(NamedTuple):
    """Holds where a tile lies: its first row and column in the padded image, and the part of it that no other tile
    owns, in the tile's own pixels."""

    top: int
    left: int
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True)
class Grid:
    """Holds where the tiles of an image lie, which is padded by reflection first.

    Attributes:
        length: height and width of the image.
        rows: row of the image for each row of the padded image.
        columns: the same for columns.
        size: height and width of the tiles.
        tops: first rows of the tiles, in rising order.
        lefts: first columns.
        overlap: least overlap of rows and of columns, over which weights rise.
    """

    length: Size
    rows: np.ndarray
    columns: np.ndarray
    size: Size
    tops: list[int]
    lefts: list[int]
    overlap: tuple[int, int]

    @classmethod
    def of(cls, height: int, width: int, size_px: SizePx, overlap_px: int | None = None) -> Grid:
        """Returns evenly spaced tiles. An image smaller than a tile is padded to its size.

        Raises:
            UserError: the tiles overlap by more than half.
        """
        tall, wide = Size.of(size_px)
        _check_overlap(overlap_px, (height, width), (tall, wide))
        down, across = (side // OVERLAP if overlap_px is None else overlap_px for side in (tall, wide))
        rows = reflected_indices(height, max(height, tall))
        columns = reflected_indices(width, max(width, wide))
        tops, lefts = _starts(len(rows), tall, down), _starts(len(columns), wide, across)
        return cls(Size(height, width), rows, columns, Size(tall, wide), tops, lefts, (down, across))

    @classmethod
    def aligned(cls, length: Size, padded: Size, size_px: SizePx, overlap_px: int | None, step_px: int) -> Grid:
        """Returns tiles of an image that is padded to `padded`. Their sides and places are multiples of `step_px`.

        Args:
            size_px: most height and width of the tiles. Less than `step_px` counts as that.
            overlap_px: least overlap; None: a quarter of the tiles' height and width.

        Raises:
            UserError: the tiles overlap by more than half.
        """
        _check_overlap(overlap_px, length, Size.of(size_px))
        sides, starts, overlaps = [], [], []
        for total, most in zip(padded, Size.of(size_px), strict=True):
            side = min(max(most // step_px, 1) * step_px, total)
            least = side // WIDE_OVERLAP if overlap_px is None else min(overlap_px, side // 2)
            step = max((side - least) // step_px, 1) * step_px
            sides.append(side)
            starts.append([*range(0, total - side, step), total - side])
            overlaps.append(side - step)
        indices = (reflected_indices(old, new) for old, new in zip(length, padded, strict=True))
        return cls(length, *indices, Size(*sides), *starts, tuple(overlaps))

    @property
    def padded(self) -> Size:
        """Returns the size of the padded image."""
        return Size(len(self.rows), len(self.columns))

    @property
    def places(self) -> list[list[Place]]:
        """Returns the places of the tiles, row by row. Each pixel of the padded image is owned by one tile."""
        rows, columns = _owned(self.tops, self.size.height), _owned(self.lefts, self.size.width)
        return [
            [Place(top, left, own, across) for left, across in zip(self.lefts, columns, strict=True)]
            for top, own in zip(self.tops, rows, strict=True)
        ]

    def cut(self, image: Readable, place: Place) -> np.ndarray:
        """Returns the tile of an image (H, W, C) at a place."""
        tall, wide = self.size
        rows, columns = self.rows[place.top : place.top + tall], self.columns[place.left : place.left + wide]
        top, left = rows.min(), columns.min()
        part = image[top : rows.max() + 1, left : columns.max() + 1]
        return part[np.ix_(rows - top, columns - left)]


def joined(bands: Iterable[np.ndarray], height: int) -> np.ndarray:
    """Returns the image (height, W, C) of the bands of `blended_bands`."""
    result, top = None, 0
    for band in bands:
        if len(band) == height:
            return band
        if result is None:
            result = np.empty((height, *band.shape[1:]), band.dtype)
        result[top : top + len(band)] = band
        top += len(band)
    return result


def blended_bands(
    run: Callable[[Place, np.ndarray], np.ndarray],
    image: Readable,
    grid: Grid,
    *,
    blend: bool | Sequence[bool] = True,
    encode: Callable[[np.ndarray], np.ndarray] = lambda tile: tile,
    decode: Callable[[np.ndarray], np.ndarray] = lambda band: band,
) -> Iterator[np.ndarray]:
    """Translates the tiles of a grid by `run`, which gets their places too, and blends them. Other arguments are those
    of `translate_tiles`.

    Yields:
        Finished rows (h, W, C') from the top. They may change when the next ones are computed.
    """
    (height, width), (tall, wide), (down, across) = grid.length, grid.size, grid.overlap
    row_shares = _shares_by_channel(grid.tops, tall, down, blend)
    column_shares = _shares_by_channel(grid.lefts, wide, across, blend)
    above, before = (len(grid.rows) - height) // 2, (len(grid.columns) - width) // 2
    band = None
    for places, row_share, next_top in zip(grid.places, row_shares, [*grid.tops[1:], len(grid.rows)], strict=True):
        top = places[0].top
        for place, column_share in zip(places, column_shares, strict=True):
            translation = run(place, encode(grid.cut(image, place))[np.newaxis])[0]
            if band is None:
                band = np.zeros((tall, len(grid.columns), translation.shape[-1]), np.float32)
            band[:, place.left : place.left + wide] += translation * (row_share[:, np.newaxis] * column_share)
        done = decode(band[max(above - top, 0) : min(next_top, above + height) - top, before : before + width])
        if len(done):
            yield done
        step = next_top - top  # rows below are unfinished: the next tiles add to them
        band[: tall - step] = band[step:]
        band[tall - step :] = 0.0


def fitting_tile(tile_px: int, height: int, width: int) -> tuple[int, int]:
    """Returns height and width of tiles for an engine of any size. They fit in the image, so no tile is reflected."""
    return min(tile_px, height), min(tile_px, width)


def _check_overlap(overlap_px: int | None, length: tuple[int, int], size: tuple[int, int]) -> None:
    shortest = min((side for side, total in zip(size, length, strict=True) if total > side), default=max(size))
    if overlap_px is not None and not 0 <= overlap_px <= shortest // 2:
        raise UserError(
            f"Tiles must overlap by half their side at most. Received {overlap_px} px of {shortest}. Lower the "
            f"overlap, or enlarge the tiles."
        )


def _owned(starts: list[int], size_px: int) -> list[tuple[int, int]]:
    """Returns the part of every tile that it owns along one axis: up to the middles of its overlaps."""
    middles = [(start + size_px + after) // 2 for start, after in pairwise(starts)]
    edges = [0, *middles, starts[-1] + size_px]
    return [(edges[index] - start, edges[index + 1] - start) for index, start in enumerate(starts)]


def _starts(length: int, size_px: int, overlap_px: int) -> list[int]:
    """Returns evenly spaced starts of tiles that cover `length` and overlap by at least `overlap_px`."""
    if length <= size_px:
        return [0]
    count = -(-(length - overlap_px) // (size_px - overlap_px))
    return [round(index * (length - size_px) / (count - 1)) for index in range(count)]


def _shares_by_channel(
    starts: list[int], size_px: int, overlap_px: int, blend: bool | Sequence[bool]
) -> list[np.ndarray]:
    """Returns the `_shares` of every tile for each channel: (size_px, C), or (size_px, 1) if all are treated alike."""
    blends = [blend] if isinstance(blend, bool) else list(blend)
    blends = blends if len(set(blends)) > 1 else blends[:1]
    of_channels = [_shares(starts, size_px, overlap_px, is_blended) for is_blended in blends]
    return [np.stack(shares, axis=-1) for shares in zip(*of_channels, strict=True)]


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
