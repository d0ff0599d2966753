"""A strip of held-out pairs: input above output, side by side, at full size; with several runs, an output row a run.

python benchmarks/strip.py runs/openmoji --names 1F34E 1F43B --out docs/images/openmoji-strip.png

`--names` chooses pairs by name; without, `--count` of them at even distances. `--targets` adds them as the last row.
With `--steps` the rows are a run's own samples after these steps, and the pairs those of its samples:

python benchmarks/strip.py runs/openmoji --steps 500 2000 4500 --side 128 --out docs/images/openmoji-steps.png
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.request import Request
from tfpix2pix.training.samples import CAPTION_HEIGHT_PX, GAP_PX, picture, picture_grid


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, one row of outputs each")
    parser.add_argument("--data", help="folder of the pairs, where the run's is elsewhere")
    parser.add_argument("--split", default="val")
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--steps", type=int, nargs="+", help="rows: the samples of the run after these steps")
    parser.add_argument("--side", type=int, help="of a picture, px, if not its own")
    parser.add_argument("--size", help="size to translate at, px, or own, that of the files; else that of training")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--outputs-only", action="store_true", help="leave the inputs out, which may not be passed on")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(arguments)


def rows_of(options: argparse.Namespace) -> list[list[np.ndarray]]:
    rows, shown = [], []
    for run in options.runs:
        examples = open_subject(Request(run, data=options.data, split=options.split, size=options.size)).examples
        shown = chosen(examples, options.names, options.count)
        if not rows and not options.outputs_only:
            rows.append([each.input for each in shown])
        rows.append([each.translation for each in shown])
    if options.targets:
        rows.append([each.target for each in shown])
    return rows


def chosen(examples: Sequence, names: Sequence[str] | None, count: int) -> list:
    if not names:
        return [examples[int(i)] for i in np.linspace(0, len(examples) - 1, count)]
    at = {name: i for i, name in enumerate(examples.names)}
    if unknown := [name for name in names if name not in at]:
        raise SystemExit(f"--names must be held-out pairs. Received {', '.join(unknown)}. There are {', '.join(at)}.")
    return [examples[at[name]] for name in names]


def sampled(run: Path, steps: Sequence[int], targets: bool) -> list[list[np.ndarray]]:
    """Cuts the rows out of the sample grids of a run, which are input, output and target side by side."""
    rows = []
    for step in steps:
        grid = np.asarray(Image.open(run / "samples" / f"step-{step:06d}.png"))
        side = (grid.shape[1] - 2 * GAP_PX) // 3
        tops = range(CAPTION_HEIGHT_PX, grid.shape[0], side + GAP_PX)
        inputs, outputs, ends = (
            [grid[top : top + side, left : left + side] for top in tops]
            for left in (column * (side + GAP_PX) for column in range(3))
        )
        rows += [outputs] if rows else [inputs, outputs]
    return [*rows, ends] if targets else rows


def main(options: argparse.Namespace) -> None:
    if options.steps:
        rows = sampled(options.runs[0], options.steps, options.targets)
    else:
        rows = [[picture(image) for image in row] for row in rows_of(options)]
    size = options.side and (options.side, options.side)
    made = Image.fromarray(picture_grid(rows, captions=[""] * len(rows[0]), size=size))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    made.save(options.out, optimize=True)
    print(f"{options.out}, {made.width}×{made.height}")


if __name__ == "__main__":
    main(parse())
