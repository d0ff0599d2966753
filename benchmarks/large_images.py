"""Memory and time of `translate` for an image larger than memory, and whether the translation keeps its metadata.

    python benchmarks/large_images.py RUN                                 20,000x20,000 px, tiles as the whole image
    python benchmarks/large_images.py RUN --side 3000 --tile-as alone

It makes a tiled OME-TIFF of 8-bit RGB with a pyramid, a resolution and a pixel size, translates it by the command
line in a process of its own, and reads the result by region. The peak is that of the process, which starts no others.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfpix2pix.data.regions import open_regions
from tfpix2pix.data.tiff_metadata import TiffMetadata
from tfpix2pix.inference import TILE_AS, WHOLE

TILE_PX = 512
PIXEL_UM = 0.25


def tiles(side_px: int) -> Iterator[np.ndarray]:
    """Yields tiles of a picture: waves in three colours with a little noise, brighter from place to place."""
    rng, steps = np.random.default_rng(0), np.arange(TILE_PX)
    waves = [np.sin(steps[:, np.newaxis] / (40 + 13 * band)) + np.sin(steps / (20 + 7 * band)) for band in range(3)]
    tile = (np.stack(waves, axis=-1) * 40 + 128 + rng.integers(-2, 3, (TILE_PX, TILE_PX, 3))).astype(np.uint8)
    for number in range((-(-side_px // TILE_PX)) ** 2):
        yield tile - np.uint8(number * 7 % 40)


def write(path: Path, side_px: int) -> None:
    """Writes the OME-TIFF, a row of tiles in memory at a time."""
    import tifffile

    options = {"photometric": "rgb", "tile": (TILE_PX, TILE_PX), "compression": "zlib", "dtype": np.uint8}
    options |= {"compressionargs": {"level": 1}}
    options |= {"resolution": (1e4 / PIXEL_UM, 1e4 / PIXEL_UM), "resolutionunit": 3, "maxworkers": 1}
    size = {f"PhysicalSize{axis}": PIXEL_UM for axis in "XY"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
        shape = (side_px, side_px, 3)
        tiff.write(tiles(side_px), shape=shape, subifds=1, metadata={"axes": "YXS", **size}, **options)
        half = -(-side_px // 2)
        tiff.write(tiles(half), shape=(half, half, 3), subfiletype=1, **options)


def translated(run: Path, image: Path, out: Path, tile_as: str, tile_px: int) -> tuple[float, float]:
    """Translates a file by the command line. Returns the peak memory of its process, MB, and its time, s."""
    command = [
        sys.executable, "-m", "tfpix2pix", "translate", str(run), str(image), "--out", str(out), "--tile", str(tile_px),
        "--tile-as", tile_as, "--format", "tiff",
    ]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3, time.perf_counter() - start


def what_differs(image: Path, translation: Path) -> list[str]:
    """Returns the metadata that the translation does not share with its image, by tifffile."""
    import tifffile

    with tifffile.TiffFile(image) as before, tifffile.TiffFile(translation) as after:
        page = after.pages[0]
        checks = {
            "BigTIFF": after.is_bigtiff,
            "tiles": page.is_tiled,
            "OME": after.is_ome and f'PhysicalSizeX="{PIXEL_UM}"' in after.ome_metadata,
            "axes": after.series[0].axes == before.series[0].axes,
            "shape": after.series[0].shape == before.series[0].shape,
            "resolution": page.tags[282].value == before.pages[0].tags[282].value,
            "unit": page.tags[296].value == before.pages[0].tags[296].value,
        }
    kept = TiffMetadata.of(image).resolution == TiffMetadata.of(translation).resolution
    return [name for name, same in {**checks, "read again": kept}.items() if not same]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--side", type=int, default=20_000, metavar="PX")
    parser.add_argument("--tile", type=int, default=TILE_PX, metavar="PX")
    parser.add_argument("--tile-as", choices=TILE_AS, default=WHOLE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image, out = Path(folder) / "large.ome.tif", Path(folder) / "out"
        write(image, given.side)
        peak_mb, seconds = translated(given.run, image, out, given.tile_as, given.tile)
        translation = out / image.name
        different = what_differs(image, translation)
        with open_regions(translation) as result:
            corner = result[-TILE_PX:, -TILE_PX:]
        metadata = f"without {', '.join(different)}" if different else "the same"
        print(
            f"{given.side}x{given.side} px, {given.side**2 * 3 / 1e6:.0f} MB decoded, tiles {given.tile_as}: "
            f"{peak_mb:.0f} MB at the peak, {seconds:.0f} s, metadata {metadata}, last tile {corner.mean():.0f} of 255"
        )


if __name__ == "__main__":
    main()
