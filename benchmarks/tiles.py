"""Translation in tiles that are images of their own beside translation of the whole image: how far apart, and the
memory of a very large one. `seams.py` measures tiles that are parts of the whole image.

    python benchmarks/tiles.py RUN [--blocks 4]          differences, `statistics` image and moving
    python benchmarks/tiles.py RUN --memory 8192         peak memory of `translate --tile 512 --overlap 64`, in MB,
                                                         with `--tile-as alone`, or `whole` if that is given

The image of the first is a square of `blocks`² held-out inputs side by side, reflected at their borders so that they
join: something that differs from place to place, as large photographs do.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tfpix2pix.inference import ALONE, TILE_AS

CHOICES = ((256, 32), (256, 64), (256, 128), (512, 64), (512, 128), (512, 256))  # tile and overlap, px


def differences(run: Path, blocks: int) -> None:
    """Prints, in levels of 255, the mean and the largest difference."""
    from tfpix2pix.inference.translator import Translator
    from tfpix2pix.inference.view import KerasEngine
    from tfpix2pix.runs.directory import RunDirectory
    from tfpix2pix.runs.export import inputs_of
    from tfpix2pix.runs.load import run_engine
    from tfpix2pix.runs.networks import build_generator

    directory = RunDirectory(run)
    config = directory.config()
    inputs = [image[0] for image in inputs_of(config, "val", None, blocks**2)]
    rows = []
    for row in range(blocks):
        line = [inputs[row * blocks + column][:: (-1) ** row, :: (-1) ** column] for column in range(blocks)]
        rows.append(np.concatenate(line, axis=1))
    image = np.concatenate(rows, axis=0)
    print(f"{image.shape[0]}x{image.shape[1]} px")
    print(
        "| statistics | tile, px | overlap, px | mean difference | 99 in 100 pixels below | largest |\n"
        "|---|---|---|---|---|---|"
    )
    trained = run_engine(directory)
    for statistics in ("image", "moving"):
        changed = config.model_copy(
            update={"inference": config.inference.model_copy(update={"statistics": statistics})}
        )
        generator = build_generator(changed, seed=None, input_size_px="any")
        generator.set_weights(trained.generator.get_weights())
        translator = Translator(KerasEngine(generator, trained.card))
        whole = translator(image, size="own")
        for tile_px, overlap_px in CHOICES:
            if tile_px < min(image.shape[:2]):
                tiled = translator(image, tile_px=tile_px, overlap_px=overlap_px)
                levels = np.abs(tiled - whole) * 127.5
                print(
                    f"| {statistics} | {tile_px} | {overlap_px} | {levels.mean():.1f} "
                    f"| {np.quantile(levels, 0.99):.0f} | {levels.max():.0f} |"
                )


def peak_memory_mb(run: Path, side_px: int, tile_as: str) -> float:
    """Of a process that translates a PNG of this side in tiles, from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Image.linear_gradient("L").resize((side_px, side_px))
        picture.convert("RGB").save(Path(folder) / "large.png", compress_level=1)
        del picture
        command = [
            sys.executable, "-m", "tfpix2pix", "translate", str(run), f"{folder}/large.png", "--out", f"{folder}/out",
            "--tile", "512", "--overlap", "64", "--tile-as", tile_as,
        ]  # fmt: skip
        subprocess.run(command, check=True)
        with Image.open(Path(folder) / "out" / "large.png") as made:
            assert made.size == (side_px, side_px)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--memory", type=int, metavar="SIDE_PX")
    parser.add_argument("--tile-as", choices=TILE_AS, default=ALONE)
    given = parser.parse_args()
    if given.memory:
        print(f"{peak_memory_mb(given.run, given.memory, given.tile_as):.0f} MB")
    else:
        differences(given.run, given.blocks)


if __name__ == "__main__":
    main()
