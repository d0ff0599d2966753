"""Tiles as parts of the whole image, and as images of their own, beside the translation of the whole image.

    python benchmarks/seams.py RUN...                      trained networks, on held-out inputs of their data
    python benchmarks/seams.py --untrained                 U-Net and residual networks, batch and instance norm
    python benchmarks/seams.py --stages                    share of the time that does not depend on the noise

A trained network translates a square of 16 held-out inputs side by side, mirrored so that they join, and one of them
enlarged to the same size. A network that is not trained translates a photograph of scikit-image, with kernels four
times as large as they are drawn, so that its translation varies as that of a trained one. Differences are in levels of
255. Times are those of the second of two translations, over that of the whole image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tfpix2pix.inference import TILE_AS

SIDE_PX, BLOCKS, LARGER = 1024, 4, 4
TILES = ((256, 32), (256, 64), (256, 128), (512, 64), (512, 128))  # side and overlap, px
HEAD = "| network | image | tile, px | overlap, px | tiles | mean difference | 99 in 100 below | largest | time |"


def trained(run: Path) -> Iterator[tuple[str, dict, np.ndarray]]:
    """Yields the name of each image, the translators by `TILE_AS`, and the image (H, W, C)."""
    from tfpix2pix.data.images import enlarged
    from tfpix2pix.runs.directory import RunDirectory
    from tfpix2pix.runs.export import inputs_of
    from tfpix2pix.runs.load import load

    translators = {tile_as: load(run, tile_as=tile_as) for tile_as in TILE_AS}
    config = RunDirectory(run).config()
    inputs = [image[0] for image in inputs_of(config, "val", None, BLOCKS**2)]
    rows = [
        np.concatenate([inputs[row * BLOCKS + n][:: (-1) ** row, :: (-1) ** n] for n in range(BLOCKS)], axis=1)
        for row in range(BLOCKS)
    ]
    yield "16 inputs", translators, np.concatenate(rows)
    pixels = np.rint((inputs[0] + 1.0) * 127.5).astype(np.uint8)
    yield "1 enlarged", translators, enlarged(pixels, SIDE_PX // len(pixels)) / np.float32(127.5) - 1


def untrained() -> Iterator[tuple[str, dict, np.ndarray]]:
    """Yields the same for networks that are not trained."""
    from skimage import data

    from tfpix2pix.config import Config
    from tfpix2pix.config.card import ModelCard
    from tfpix2pix.data.images import enlarged
    from tfpix2pix.inference.seams import WholeTiler
    from tfpix2pix.inference.translator import Translator
    from tfpix2pix.inference.view import KerasEngine
    from tfpix2pix.models.noise import noise_size
    from tfpix2pix.runs.networks import build_generator

    for kind in ("unet", "resnet"):
        for norm in ("batch", "instance"):
            generator = {"kind": kind, "norm": norm, "base_filters": 16}
            config = Config.model_validate({"data": {"image_size_px": 256}, "generator": generator})
            network = build_generator(config, seed=0, input_size_px="any")
            for variable in network.trainable_variables:
                if "kernel" in variable.path:
                    variable.assign(variable * LARGER)
            engine = KerasEngine(network, ModelCard.of(config, 0, noise_size=noise_size(network)))
            tiler = WholeTiler(network, config.data.encoding)
            translators = {"whole": Translator(engine, lambda tiler=tiler: tiler), "alone": Translator(engine)}
            for factor in (1, 2):  # 512 and 1024 px
                photograph = enlarged(data.astronaut(), factor) / np.float32(127.5) - 1
                yield f"{kind}, {norm}", translators, photograph


def stages() -> None:
    """Prints the share of the time up to the inner part of a network, and the time, for the networks of `untrained`."""
    from tfpix2pix.inference.seams import _Work

    def measured(method: Callable) -> Callable:
        def run(work: _Work, *arguments: str) -> object:
            start = time.perf_counter()
            result = method(work, *arguments)
            if arguments[:1] == () or arguments[0] in work.network.norms_before:
                seconds.append(time.perf_counter() - start)
            return result

        return run

    seconds: list[float] = []
    _Work._measure, _Work._entries = measured(_Work._measure), measured(_Work._entries)
    print("| network | image | tile, px | up to the inner part | time, s |\n|---|---|---|---|---|")
    for name, translators, image in untrained():
        for tile_px in (256, 512) if len(image) == SIDE_PX and name.endswith("batch") else ():
            translators["whole"](image, tile_px=tile_px)
            seconds.clear()
            _, total = timed(translators["whole"], image, tile_px=tile_px)
            print(
                f"| {name} | {len(image)} px | {tile_px} | {sum(seconds) / 2 / total:.0%} | {total:.1f} |", flush=True
            )


def report(name: str, what: str, translators: dict, image: np.ndarray) -> None:
    """Prints a line for each size of tiles and way of tiling."""
    whole, whole_s = timed(translators["alone"], image)
    for tile_px, overlap_px in TILES:
        if tile_px >= min(image.shape[:2]):
            continue
        for tile_as, translator in translators.items():
            options = {"tile_px": tile_px, "overlap_px": overlap_px}
            tiled, tiled_s = timed(translator, image, **options)
            levels = np.abs(tiled - whole) * 127.5
            print(
                f"| {name} | {what} | {tile_px} | {overlap_px} | {tile_as} | {levels.mean():.2f} "
                f"| {np.quantile(levels, 0.99):.1f} | {levels.max():.0f} | {tiled_s / whole_s:.1f} |",
                flush=True,
            )


def timed(translator: Callable[..., np.ndarray], *arguments: np.ndarray, **options: int) -> tuple[np.ndarray, float]:
    """Returns a translation and the seconds that it takes when nothing is traced any more."""
    translator(*arguments, **options)
    start = time.perf_counter()
    return translator(*arguments, **options), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--stages", action="store_true")
    given = parser.parse_args()
    if given.stages:
        stages()
        return
    print(HEAD + "\n" + "|---" * (HEAD.count("|") - 1) + "|")
    for run in given.runs:
        for what, translators, image in trained(run):
            report(run.name, what, translators, image)
    for name, translators, image in untrained() if given.untrained else ():
        report(name, f"photograph, {len(image)} px", translators, image)


if __name__ == "__main__":
    main()
