"""Losses of one training in every precision on real pairs, against float32's, and what another seed makes of them.

    python benchmarks/precision.py [--data ../shared/data/facades] [--out runs/precision] [--steps 500] [--set k=v …]

Prints for each loss the largest difference to the float32 run, relative, of means over 100 steps.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.console import Console

import tfpix2pix as p2p

SMALL = (
    "data.image_size_px=64", "generator.base_filters=16", "discriminator.base_filters=16",
    "discriminator.receptive_field_px=34", "training.validation_images=0", "training.sample_every_steps=100000",
)  # fmt: skip
RUNS = {
    "float32": ("training.precision=float32",),
    "bfloat16": ("training.precision=bfloat16",),
    "float16": ("training.precision=float16",),
    "float32, another seed": ("training.precision=float32", "seed=1"),
}
LOSSES = ("g/l1", "g/gan", "d/real", "d/fake")
WINDOW_STEPS = 100


def windows(run_dir: Path) -> dict[str, np.ndarray]:
    """Means of each loss over `WINDOW_STEPS`."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "g/l1" in line]
    each = WINDOW_STEPS // lines[0]["step"]
    whole = len(lines) // each * each
    return {name: np.reshape([line[name] for line in lines[:whole]], (-1, each)).mean(axis=1) for name in LOSSES}


def largest_difference(run: Path, reference: Path) -> dict[str, float]:
    """Per loss: the largest relative difference of a window."""
    a, b = windows(run), windows(reference)
    return {name: float(np.max(np.abs(a[name] - b[name]) / b[name])) for name in LOSSES}


def train(name: str, data: Path, out: Path, settings: tuple[str, ...]) -> Path:
    run_dir = out / name.replace(", ", "-").replace(" ", "-")
    with (out / f"{run_dir.name}.log").open("w") as log:
        p2p.train(
            "facades", data=data, run_dir=run_dir, fresh=True, console=Console(file=log),
            overrides=(*SMALL, *RUNS[name], *settings),
        )  # fmt: skip
    return run_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "facades")
    parser.add_argument("--out", type=Path, default=Path("runs/precision"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    settings = (f"training.steps={options.steps}", *options.set)
    runs = {name: train(name, options.data, options.out, settings) for name in RUNS}
    found = {name: largest_difference(run, runs["float32"]) for name, run in runs.items() if name != "float32"}
    print(f"| against float32 | {' | '.join(LOSSES)} |\n|---|{'---|' * len(LOSSES)}")
    for name, differences in found.items():
        print(f"| {name} | {' | '.join(f'{differences[loss]:.1%}' for loss in LOSSES)} |")
    (options.out / "precision.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
