"""Writes TIFF files: an image at once, or one larger than memory as its rows come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

TILE_PX = 512  # side of the tiles of large files
COLORS = 256  # of a colour map


def write_tiff(file: IO[bytes], image: np.ndarray, palette: Sequence[int] | None = None, **options: Any) -> None:
    """Writes (H, W, C) of any type without compression.

    Args:
        file: open file.
        image: image to write.
        palette: colours of label maps, R, G, B of class 0, of class 1, …
        options: further arguments of tifffile, such as `TiffMetadata.options` returns.
    """
    import tifffile

    plain = image[..., 0] if image.shape[-1] == 1 else image
    tifffile.imwrite(file, plain, **_pixels(image.shape, image.dtype, palette), **options)


def write_tiled(
    path: Path,
    bands: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    palette: Sequence[int] | None = None,
    **options: Any,
) -> None:
    """Writes an image (H, W, C) as a BigTIFF in tiles, with Deflate, as its rows come.

    Args:
        bands: rows (h, W, C) from the top. Memory holds one row of tiles of them.
        palette: as for `write_tiff`, as `options`.
    """
    import tifffile

    height, width, channels = shape
    tiles = _tiles(bands, shape, dtype)
    plain = (height, width) if channels == 1 else shape
    with tifffile.TiffWriter(path, bigtiff=True, ome=False) as tiff:
        tiff.write(
            (tile[..., 0] if channels == 1 else tile for tile in tiles), shape=plain, dtype=dtype,
            tile=(TILE_PX, TILE_PX), compression="zlib", maxworkers=1, **_pixels(shape, dtype, palette),
            **options,
        )  # fmt: skip


def _pixels(shape: tuple[int, ...], dtype: np.dtype, palette: Sequence[int] | None) -> dict[str, Any]:
    """Returns the arguments with which tifffile writes what pixels mean."""
    channels = shape[-1]
    if palette is not None and channels == 1 and dtype == np.uint8:
        colors = np.zeros((COLORS, 3), np.uint16)
        colors[: len(palette) // 3] = np.reshape(palette, (-1, 3))
        return {"photometric": "palette", "colormap": colors.T * np.uint16(257)}
    rgb = channels in (3, 4) and dtype.kind == "u"
    return {"photometric": "rgb" if rgb else "minisblack", "planarconfig": "contig"}


def _tiles(bands: Iterable[np.ndarray], shape: tuple[int, int, int], dtype: np.dtype) -> Iterator[np.ndarray]:
    """Yields the tiles of an image, row by row, from its rows. Those at the rim are padded with 0."""
    height, width, channels = shape
    row = np.zeros((TILE_PX, -(-width // TILE_PX) * TILE_PX, channels), dtype)
    filled = top = 0
    for band in bands:
        while len(band):
            part = band[: min(TILE_PX - filled, len(band))]
            row[filled : filled + len(part), :width] = part
            filled, top, band = filled + len(part), top + len(part), band[len(part) :]
            if filled == TILE_PX or top == height:
                row[filled:] = 0
                for left in range(0, row.shape[1], TILE_PX):
                    yield row[:, left : left + TILE_PX].copy()
                filled = 0
