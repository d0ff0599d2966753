"""How cost grows: step time and memory against image size, batch and width; the first step against listed files."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from performance.turns import HERE, turn

STEPS = 3
AXES = {
    "size": ("--size", (128, 256, 512, 1024)),
    "batch": ("--batch", (1, 2, 4, 8, 16)),
    "width": ("--base-filters", (8, 16, 32, 64)),
}
FILES = (100, 1_000, 10_000, 100_000, 1_000_000)


def measure(axis: str, precision: str) -> list[dict]:
    """A row a point of an axis: our step, all else at 256 px, batch 1, 64 filters."""
    flag, points = AXES[axis]
    rows = []
    for point in points:
        command = [sys.executable, HERE / "step.py", flag, str(point), "--precision", precision, "--steps", str(STEPS)]
        rows.append({"point": point, **turn(command)})
        print(axis, rows[-1], file=sys.stderr, flush=True)
    return rows


def first_step(photograph: Path) -> list[dict]:
    """A row a number of files: hard links to one combined image, listed, checked and trained one step on."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "pairs", "train")
        data.mkdir(parents=True)
        one, made = Path(folder) / f"one{photograph.suffix}", 0
        shutil.copyfile(photograph, one)
        for count in FILES:
            for number in range(made, count):
                # A file has so many links at the most: a new copy every 10,000.
                if number % 10_000 == 0:
                    one = Path(folder) / f"one-{number}{photograph.suffix}"
                    shutil.copyfile(photograph, one)
                os.link(one, data / f"{number:07d}{photograph.suffix}")
            made = count
            small = ["data.image_size_px=64", "generator.base_filters=8", "discriminator.base_filters=8"]
            flags = [part for override in small for part in ("--set", override)]
            command = [sys.executable, HERE / "startup.py", "--data", data.parent, *flags]
            rows.append({"point": count, **turn(command)})
            print("files", rows[-1], file=sys.stderr, flush=True)
    return rows
