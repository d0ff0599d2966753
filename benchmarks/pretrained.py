"""Makes the model `openmoji` that comes with the package: trains a small generator, and packs its run directory.

python benchmarks/pretrained.py

The newest weights are kept in 16 bits, without what only a training needs. A second call goes on where the first was
interrupted. OUT/evaluation/ has the figures of the model as it is shipped.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from comparisons import command
from PIL import Image

from tfpix2pix.config.card import FILE_NAME
from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.request import Request
from tfpix2pix.files import whole_directory
from tfpix2pix.runs.directory import CONFIG, RunDirectory
from tfpix2pix.runs.load import part_of
from tfpix2pix.runs.pretrained import DRAWINGS, FOLDER, PRETRAINED
from tfpix2pix.training.checkpoints import Checkpoints
from tfpix2pix.training.samples import picture

NAME = "openmoji"
SETTINGS = {
    "data.openmoji_set": "faces_animals_food",
    "generator.base_filters": 16,
    "generator.max_filters_factor": 6,
    "discriminator.base_filters": 32,
    "discriminator.max_filters_factor": 8,
    "training.sample_every_steps": 1_000,
    "training.checkpoint_every_steps": 1_000,
    "name": NAME,
}
SHOWN = PRETRAINED[NAME].drawings
METRICS = "l1,psnr,ssim,ms_ssim,sharpness,lab_intersection,swd"
NOTICE = """The weights of this model and the drawings beside them come from OpenMoji – the open-source emoji and icon
project. License: CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/). https://openmoji.org

`python benchmarks/pretrained.py` makes this folder.
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/pretrained"), help="folder of the training and its evaluation"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER / NAME, help="folder of the model")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    run = options.out / "run"
    train(run, options.steps)
    ship(run, options.folder)
    command(
        [
            "evaluate",
            options.folder,
            "--metrics",
            METRICS,
            "--shown",
            50,
            "--out",
            options.out / "evaluation",
            "--overwrite",
        ],
        options.out / "evaluation.log",
    )


def train(run: Path, steps: int) -> None:
    """Trains the run to its end, or goes on with it."""
    settings = {**SETTINGS, "training.steps": steps}
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    begun = RunDirectory(run).is_run()
    command(["train", "openmoji", "--run", run, *(["--resume"] if begun else []), *changes], run.with_suffix(".log"))


def ship(run: Path, folder: Path) -> None:
    """Writes a run's newest translator as a model of the package: weights in 16 bits, its card, drawings, a notice."""
    trained = RunDirectory(run)
    part = part_of(trained.config(), None)
    step, state = Checkpoints(trained.checkpoints).load([part])
    if folder.is_dir():
        shutil.rmtree(folder)
    with whole_directory(folder) as written:
        for name in (CONFIG, FILE_NAME):
            shutil.copy(run / name, written / name)
        halves = {part: {name: value.astype(np.float16) for name, value in state[part].items()}}
        Checkpoints(RunDirectory(written).checkpoints).save(step, halves)
        (written / "NOTICE.md").write_text(NOTICE)
        (written / DRAWINGS).mkdir()
        for name, drawing in drawings(run).items():
            drawing.save(written / DRAWINGS / f"{name}.png", optimize=True)


def drawings(run: Path) -> dict[str, Image.Image]:
    """Returns some held-out inputs by name, gray, 8 bits."""
    examples = open_subject(Request(run)).examples
    at = {name: index for index, name in enumerate(examples.names)}
    return {name: Image.fromarray(picture(examples[at[name]].input)).convert("L") for name in SHOWN}


if __name__ == "__main__":
    main()
