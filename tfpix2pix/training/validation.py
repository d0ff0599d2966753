"""Held-out figures over time: which were the best, and whether they still get better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfpix2pix.evaluation import METRICS


class Best:
    """The best score so far of a metric (a row of `METRICS`) and how many measurements ago it was.

    Args:
        known: `state()` of a run that is resumed.
    """

    def __init__(self, metric: str, known: Mapping[str, Any] | None = None) -> None:
        row, known = METRICS[metric], known or {}
        self.name, self.higher = row.score, row.higher_is_better
        self.value: float | None = known.get("value")
        self.worse: int = known.get("worse", 0)  # measurements since

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to know: JSON."""
        return {"value": self.value, "worse": self.worse}

    def see(self, values: Mapping[str, float]) -> bool:
        """Takes one measurement; whether it is the best so far. One without this score is none."""
        value = values.get(self.name)
        if value is None or math.isnan(value):
            return False
        if self.value is None or (value > self.value if self.higher else value < self.value):
            self.value, self.worse = value, 0
            return True
        self.worse += 1
        return False
