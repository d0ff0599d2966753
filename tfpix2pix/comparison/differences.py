"""Differences between two evaluations, paired: what makes an image hard for both drops out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfpix2pix.comparison.evaluations import Evaluated
from tfpix2pix.comparison.seeds import Spread, limits

BETTER, WORSE, OPEN, NONE = "better", "worse", "open", ""

# How far values are from what would be best, by what is better.
COSTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "lower": lambda values: values,
    "higher": lambda values: -values,
    "near 1": lambda values: np.abs(values - 1),
}


@dataclass(frozen=True)
class Difference:
    """One figure of an evaluation minus that of the baseline."""

    value: float
    low: float | None
    """With `high` the 95 % interval over images, the same for both, and over seeds; None where it has none."""
    high: float | None
    verdict: str
    """`better` or `worse` than the baseline, where the interval says so; `open`: neither; `` where there is no interval
    or nothing is better. Of a figure that is better near 1 it is of the distances from 1."""
    wins: float | None
    """The share of images, of those where both have the figure, in which it is better; None where they do not, or
    nothing is better. Of means over seeds, by the image's mean."""
    losses: float | None
    """In which it is worse; the rest are equal."""


def difference(one: Evaluated, baseline: Evaluated, figure: str) -> Difference:
    """Of a figure that both have."""
    values = _pair(one, baseline, figure)
    low, high = limits(values[0] - values[1], _spread(one, baseline, figure), len(one.images))
    wins, losses = _shares(one, baseline, figure)
    value = float(values[0][0] - values[1][0])
    return Difference(value, low, high, verdict(one, baseline, figure), wins, losses)


def verdict(one: Evaluated, other: Evaluated, figure: str) -> str:
    """`better`, `worse` or `open`, by whether the paired interval of how much better one is holds 0; `` without one."""
    cost = COSTS.get(one.figures[figure]["better"])
    if cost is None:
        return NONE
    values = [cost(each) for each in _pair(one, other, figure)]
    low, high = limits(values[0] - values[1], _spread(one, other, figure), len(one.images))
    if low is None:
        return NONE
    return BETTER if high < 0 else WORSE if low > 0 else OPEN


def cost_of(evaluated: Evaluated, figure: str) -> float | None:
    """How far its figure is from what would be best; None where nothing is, or it is no number."""
    cost = COSTS.get(evaluated.figures[figure]["better"])
    value = None if cost is None else float(cost(evaluated.replicates[figure][0]))
    return None if value is None or np.isnan(value) else value


def _pair(one: Evaluated, other: Evaluated, figure: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and replicates of both; the values alone where one has no replicates."""
    values = one.replicates[figure], other.replicates[figure]
    count = min(each.size for each in values)
    return values[0][:count], values[1][:count]


def _spread(one: Evaluated, other: Evaluated, figure: str) -> Spread:
    return one.spread(figure).with_(other.spread(figure))


def _shares(one: Evaluated, other: Evaluated, figure: str) -> tuple[float, float] | tuple[None, None]:
    cost = COSTS.get(one.figures[figure]["better"])
    if cost is None or figure not in one.rows or figure not in other.rows:
        return None, None
    more = cost(one.rows[figure]) - cost(other.rows[figure])
    more = more[np.isfinite(more)]
    return (float(np.mean(more < 0)), float(np.mean(more > 0))) if more.size else (None, None)
