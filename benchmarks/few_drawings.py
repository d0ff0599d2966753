"""Trains `own` and `own_drawings` on a few drawings of OpenMoji, for equally many steps, and compares them.

    python benchmarks/few_drawings.py [--pairs 12] [--steps 769] [--out runs/few]

The drawings are of things that the model `openmoji` has not seen: neither faces, animals, plants nor food. 24 others
are held out. The line `openmoji` is that model as it comes. Finished runs are taken as they are.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from comparisons import command
from PIL import Image

from tfpix2pix.data.openmoji import Library
from tfpix2pix.runs.directory import RunDirectory

HELD_OUT, SIZE_PX = 24, 286
SHOWN = ("l1", "ssim", "sharpness", "lab_intersection_a", "lab_intersection_b")


def unseen(library: Library, pairs: int) -> list[str]:
    """Returns `pairs` + HELD_OUT drawings that the package's model has not seen, one of a group of near-twins."""
    seen, groups = library.groups("faces_animals_food"), library.groups("drawings")
    chosen: dict[str, str] = {}
    for name in random.Random(0).sample(sorted(groups.keys() - seen.keys()), 5 * pairs):
        chosen.setdefault(groups[name], name)
    return list(chosen.values())[: pairs + HELD_OUT]


def write_pairs(folder: Path, pairs: int) -> None:
    """Writes `pairs` drawings to `train/`, and HELD_OUT others to `val/`."""
    library = Library.installed()
    for index, name in enumerate(unseen(library, pairs)):
        for side, image in zip(("drawing", "coloured"), library.draw(name, SIZE_PX), strict=True):
            path = folder / ("train" if index < pairs else "val") / side / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=769)
    parser.add_argument("--out", type=Path, default=Path("runs/few"))
    options = parser.parse_args(arguments)
    pairs, rows = options.out / f"pairs-{options.pairs}", {}
    write_pairs(pairs, options.pairs)
    for preset in ("own", "own_drawings"):
        run = RunDirectory(options.out / f"{preset}-{options.pairs}-{options.steps}")
        if run.card() is None:
            settings = [f"training.steps={options.steps}", f"training.validation_images={HELD_OUT}"]
            settings += ["training.validate_every_steps=250"]
            words = [word for setting in settings for word in ("--set", setting)]
            command(["train", preset, "--data", pairs, "--run", run.path, *words], run.path.with_suffix(".log"))
        metrics = run.card().metrics
        rows |= {"openmoji": metrics["untrained"]} if preset == "own_drawings" else {}
        rows[f"{preset}, {options.pairs} pairs, {options.steps} steps"] = metrics["trained"]
    print(json.dumps({name: {key: round(row[key], 3) for key in SHOWN} for name, row in rows.items()}, indent=1))


if __name__ == "__main__":
    main()
