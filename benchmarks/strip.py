"""A strip of held-out pairs: input above output, side by side, at full size; with several runs, an output row a run.

python benchmarks/strip.py runs/openmoji --names 1F34E 1F43B --out docs/images/openmoji-strip.png

`--names` chooses pairs by name; without, `--count` of them at even distances. `--targets` adds them as the last row.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from tfpix2pix.examples.opening import open_examples
from tfpix2pix.examples.request import Request
from tfpix2pix.training.samples import picture, picture_grid


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, one row of outputs each")
    parser.add_argument("--data", help="folder of the pairs, where the run's is elsewhere")
    parser.add_argument("--split", default="val")
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(arguments)


def rows_of(options: argparse.Namespace) -> list[list[np.ndarray]]:
    rows, shown = [], []
    for run in options.runs:
        examples = open_examples(Request(run, data=options.data, split=options.split))
        shown = chosen(examples, options.names, options.count)
        if not rows:
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


def main(options: argparse.Namespace) -> None:
    rows = [[picture(image) for image in row] for row in rows_of(options)]
    made = Image.fromarray(picture_grid(rows, captions=[""] * len(rows[0])))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    made.save(options.out, optimize=True)
    print(f"{options.out}, {made.width}×{made.height}")


if __name__ == "__main__":
    main(parse())
