"""Contestants in turns, each turn a process of its own: what it printed, and what memory it took at its peak."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
Figures = dict[str, float]


class Failed(RuntimeError):
    """A contestant that printed no figures."""


def turn(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Figures:
    """Runs a command that prints one JSON line last; its figures, and `peak_mb`, its largest resident memory.

    To be called by a small process: the system counts a child's peak from its parent's size at the fork.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=out, stderr=err, text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        lines = out.read().strip().splitlines()
        if process.returncode or not lines:
            raise Failed(f"{' '.join(map(str, command))} ended with {process.returncode}: {err.read()[-2000:]}")
    return {**json.loads(lines[-1]), "peak_mb": usage.ru_maxrss / 1e3}


def in_turns(contestants: Mapping[str, Sequence[str | Path]], rounds: int) -> dict[str, list[Figures]]:
    """Every contestant once a round, in the same order, so that a slow minute of the machine slows all of them."""
    figures: dict[str, list[Figures]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, command in contestants.items():
            figures[name].append(turn(command))
            print(f"round {number + 1} of {rounds}, {name}: {figures[name][-1]}", file=sys.stderr, flush=True)
    return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(slower: Sequence[Figures], faster: Sequence[Figures], key: str) -> dict[str, float]:
    """How many times as fast the second is as the first: of each round, then the median and the range."""
    return spread([one[key] / other[key] for one, other in zip(slower, faster, strict=True)])
