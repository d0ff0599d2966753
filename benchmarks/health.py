"""What the health monitor finds, made to happen on real pairs: at which step each is found, and its curves.

    python benchmarks/health.py [--data ../shared/data/facades] [--out runs/health] [--only collapsed healthy …]

A table of what was found when, and `<out>/<name>.png` of each run's curves (those of docs/health.md). `healthy` is
the same training without a fault, in float32 and bfloat16, and must be found to have nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.console import Console

import tfpix2pix as p2p
from tfpix2pix.errors import RunError

SMALL = (
    "data.image_size_px=64", "generator.base_filters=16", "discriminator.base_filters=16",
    "discriminator.receptive_field_px=34", "training.validate_every_steps=250", "training.validation_images=50",
    "training.checkpoint_every_steps=500", "training.steps=1000", "training.precision=float32",
)  # fmt: skip
PROVOKED = {  # name of the finding: what provokes it
    "healthy": (),
    "healthy_bfloat16": ("training.precision=bfloat16",),
    "not_finite": (
        "objective.gan_loss=lsgan", "generator.norm=none", "discriminator.norm=none", "training.learning_rate=3",
    ),
    "d_always_right": (
        "objective={name: l1+cgan, weights: {gan: 0.001}}", "discriminator.base_filters=64", "training.steps=1800",
    ),
    "d_always_wrong": (
        "objective={name: l1+cgan, label_smoothing: 0.4}", "discriminator.base_filters=1",
        "discriminator.receptive_field_px=1",
    ),
    "d_memorises": ("data.jitter_ratio=1", "data.mirror=false"),
    "collapsed": ("discriminator.norm=none", "training.learning_rate=0.05"),
    "dead_bottleneck": ("generator.bottleneck_norm=true",),
    "overfitting": (
        "objective={name: l1, gan_loss: none}", "training.learning_rate=0.001", "data.jitter_ratio=1",
        "data.mirror=false", "training.steps=2000", "training.validate_every_steps=200",
    ),
}  # fmt: skip
FEW_PAIRS = {"d_memorises": 8, "overfitting": 8}  # training pairs, where there shall be few


def data_of(name: str, data: Path, out: Path) -> Path:
    """The data, or links to a few of its training pairs and all others."""
    if name not in FEW_PAIRS:
        return data
    few = out / f"{name}-data"
    for split, count in (("train", FEW_PAIRS[name]), ("val", None)):
        (few / split).mkdir(parents=True, exist_ok=True)
        for file in sorted((data / split).iterdir())[:count]:
            link = few / split / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    return few


def provoke(name: str, data: Path, out: Path) -> list[tuple[int, str, str]]:
    """(step, name, text) of what was found in a run of `PROVOKED`."""
    run_dir = out / name
    with (out / f"{name}.log").open("w") as log:
        try:
            p2p.train(
                "facades", data=data_of(name, data, out), run_dir=run_dir, fresh=True, console=Console(file=log),
                overrides=(*SMALL, *PROVOKED[name]),
            )  # fmt: skip
        except RunError as error:
            print(f"{name}: {error}")
    shutil.copy(run_dir / "training_curves.png", out / f"{name}.png")
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["finding"], line["text"]) for line in lines if "finding" in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "facades")
    parser.add_argument("--out", type=Path, default=Path("runs/health"))
    parser.add_argument("--only", nargs="*", choices=PROVOKED, default=list(PROVOKED))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = {name: provoke(name, options.data, options.out) for name in options.only}
    print("| provoked | found at step | finding |\n|---|---|---|")
    for name, findings in found.items():
        for step, finding, text in findings or [("", "nothing", "")]:
            print(f"| {name} | {step} | {finding} {text} |")
    (options.out / "health.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
