"""Held-out figures over time: which were the best, and whether they still get better.

What is known is read from metrics.jsonl, so that a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfpix2pix.evaluation import METRICS


class Best:
    """The best score so far of a metric (a row of `METRICS`) and how many measurements ago it was."""

    def __init__(self, metric: str) -> None:
        row = METRICS[metric]
        self.name, self.higher = row.score, row.higher_is_better
        self.value: float | None = None
        self.worse = 0  # measurements since

    def see(self, values: Mapping[str, float]) -> bool:
        """Takes one measurement; whether it is the best so far. One without this score is none."""
        value = values.get(self.name)
        if value is None:
            return False
        if self.value is None or (value > self.value if self.higher else value < self.value):
            self.value, self.worse = value, 0
            return True
        self.worse += 1
        return False

    def see_all(self, lines: Sequence[Mapping[str, float]]) -> None:
        """Takes the measurements of metrics.jsonl (`val/…`), but for that of the untrained generator."""
        for line in lines:
            if line["step"] > 0:
                self.see({name.removeprefix("val/"): value for name, value in line.items() if name.startswith("val/")})
