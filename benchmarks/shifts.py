"""How well the shift of a pair is measured (data/doctor/shifts.py), on real pairs and on unrelated sides.

    python benchmarks/shifts.py data/facades data/edges2shoes openmoji [--pairs 100]

DATA is as for benchmarks/recognition.py. Of each pair, the middle is taken as the input, and the target beside it by a
known shift. Counted are the pairs whose shift is clear, and of these those that are measured exactly and to 1 px, and
those that count as not shifted. The last row of each set has targets of other pairs: every clear one is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from recognition import Pair, pairs_of

from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor.shifts import displacement

SHIFTS = ((0, 0), (1, 0), (0, 2), (-5, 3), (13, -11))  # px down and right
ROOM_PX = 16  # around the middle


def shifted(pair: Pair, down: int, right: int) -> Pair:
    """Returns the middles of both sides, that of the target moved, with what lies there and no repeated border."""
    image, target = pair
    rows, columns = (slice(ROOM_PX - move, side - ROOM_PX - move) for side, move in zip(
        target.shape, (down, right), strict=False
    ))  # fmt: skip
    return image[ROOM_PX:-ROOM_PX, ROOM_PX:-ROOM_PX], target[rows, columns]


def row(pairs: Sequence[Pair], down: int, right: int) -> str:
    """Measures all pairs at one shift and returns the columns of the table."""
    found = [displacement(shifted(pair, down, right)).shift for pair in pairs]
    clear = [shift for shift in found if shift is not None]
    off_px = np.array([max(abs(shift.down - down), abs(shift.right - right)) for shift in clear], int)
    none = sum(shift.distance_px == 0 for shift in clear)
    return f"{len(pairs)} | {len(clear)} | {(off_px == 0).sum()} | {(off_px <= 1).sum()} | {none}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--pairs", type=int, default=100)
    given = parser.parse_args()
    print("| data | px down, right | pairs | clear | exact | to 1 px | not shifted |\n|---|---|---|---|---|---|---|")
    for data in given.data:
        name = data if data in SOURCES else Path(data).name
        pairs = pairs_of(data, given.pairs)
        for down, right in SHIFTS:
            print(f"| {name} | {down}, {right} | {row(pairs, down, right)} |", flush=True)
        others = [(image, pairs[place - 1][1]) for place, (image, _) in enumerate(pairs)]
        others = [pair for pair in others if pair[0].shape == pair[1].shape]
        print(f"| {name} | unrelated | {row(others, 0, 0)} |", flush=True)


if __name__ == "__main__":
    main()
