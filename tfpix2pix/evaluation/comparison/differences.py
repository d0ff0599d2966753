"""Computes paired differences between two evaluations. The difficulty of an image, common to both, cancels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfpix2pix.evaluation.comparison.evaluations import Evaluated
from tfpix2pix.evaluation.comparison.seeds import Spread, limits

BETTER, WORSE, OPEN, NONE = "better", "worse", "open", ""

# `better` of a metric -> distance of its values from the best value
COSTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "lower": lambda values: values,
    "higher": lambda values: -values,
    "near 1": lambda values: np.abs(values - 1),
}


@dataclass(frozen=True)
class Difference:
    """Holds a metric of an evaluation minus that of the baseline."""

    value: float
    low: float | None
    """Lower end of the 95 % interval over images, which are the same for both, and over seeds. None if there is no
    interval."""
    high: float | None
    verdict: str
    """`better` or `worse` than the baseline if the interval leaves out 0, `open` if it includes 0. `` without an
    interval, or if neither more nor less is better. A metric that is better near 1 is judged by its distance from 1."""
    wins: float | None
    """Share of the images with this metric in both evaluations on which it is better. None if there are no such images,
    or if neither more nor less is better. A mean over seeds is judged by the mean of each image."""
    losses: float | None
    """Share of the same images on which it is worse. On the rest both are equal."""


def difference(evaluated: Evaluated, baseline: Evaluated, metric: str) -> Difference:
    """Returns the difference of a metric that both evaluations have."""
    values = _pair(evaluated, baseline, metric)
    low, high = limits(values[0] - values[1], _spread(evaluated, baseline, metric), evaluated.drawn)
    wins, losses = _shares(evaluated, baseline, metric)
    value = float(values[0][0] - values[1][0])
    return Difference(value, low, high, verdict(evaluated, baseline, metric), wins, losses)


def verdict(evaluated: Evaluated, other: Evaluated, metric: str, *, over_seeds: bool = True) -> str:
    """Returns `better`, `worse` or `open`, by the paired interval of their difference, or `` without an interval.

    `over_seeds=False` takes the interval over images alone.
    """
    cost = COSTS.get(evaluated.figures[metric].better)
    if cost is None:
        return NONE
    values = [cost(replicates) for replicates in _pair(evaluated, other, metric)]
    spread = _spread(evaluated, other, metric) if over_seeds else Spread()
    low, high = limits(values[0] - values[1], spread, evaluated.drawn)
    if low is None:
        return NONE
    return BETTER if high < 0 else WORSE if low > 0 else OPEN


def cost_of(evaluated: Evaluated, metric: str) -> float | None:
    """Returns the distance of a metric from the best value.

    None if neither more nor less is better, or if the metric is not a number.
    """
    cost = COSTS.get(evaluated.figures[metric].better)
    value = None if cost is None else float(cost(evaluated.replicates[metric][0]))
    return None if value is None or np.isnan(value) else value


def _pair(evaluated: Evaluated, other: Evaluated, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns values and replicates of both, or only the values if one evaluation has no replicates."""
    values, others = evaluated.replicates[metric], other.replicates[metric]
    count = min(values.size, others.size)
    return values[:count], others[:count]


def _spread(evaluated: Evaluated, other: Evaluated, metric: str) -> Spread:
    return evaluated.spread(metric).with_(other.spread(metric))


def _shares(evaluated: Evaluated, other: Evaluated, metric: str) -> tuple[float, float] | tuple[None, None]:
    cost = COSTS.get(evaluated.figures[metric].better)
    if cost is None or metric not in evaluated.rows or metric not in other.rows:
        return None, None
    more = cost(evaluated.rows[metric]) - cost(other.rows[metric])
    more = more[np.isfinite(more)]
    return (float(np.mean(more < 0)), float(np.mean(more > 0))) if more.size else (None, None)
