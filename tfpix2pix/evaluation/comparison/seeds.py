"""Computes how far a mean over a few trainings may be off, because another seed gives another model.

The bootstrap over images does not measure this. Resampling the seeds themselves would give intervals that are too
narrow: 3 members drawn from 3 with replacement have their mean between the least and the greatest, where the true mean
lies in only 75 of 100 groups. So the mean over seeds is taken to be off by Student's t times its standard error
(Welch's t for the difference of two means), which is added to the replicates over images. This table says in how many
of 100 simulations the 95 % intervals cover the truth, with normal seeds, 40 images and seed-by-image interaction
(tests/evaluation/comparison/test_seeds.py checks the case of 3):

| | seeds drawn again | the same, spread times √(k / (k − 1)) | t |
|---|---|---|---|
| mean over 2, 3, 5 seeds that differ much | 49, 77, 83 | 58, 82, 87 | 95, 95, 94 |
| mean over 2, 3, 5 seeds that differ as much as images make metrics vary | 82, 89, 92 | 86, 91, 93 | 98, 97, 96 |
| difference of two such means, 2, 3, 5 seeds each | 69, 82, 87 | 82, 89, 90 | 97, 96, 96 |

If seeds hardly differ, the interval is too wide (that of a difference covers 99 of 100), because the interaction of
seeds and images counts twice: among the images and among the seeds. Few seeds give wide intervals, and 2 tell next to
nothing: t reaches 12.7 standard errors with 1 degree of freedom, 4.3 with 2, and 2.8 with 4.

Seeds of two variants are not paired: trainings of both with one seed have only the number in common. (Two uses of the
same trainings, with noise and without, would be paired. Their difference has a wider interval than necessary.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.bootstrap import interval


@dataclass(frozen=True)
class Spread:
    """Holds the standard error of a mean over seeds, and the degrees of freedom of its estimate."""

    error: float = 0.0
    degrees: float = math.inf

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Returns the spread of a mean over the values of single trainings, (k,). It is 0 for fewer than two values."""
        if len(values) < 2:
            return cls()
        return cls(float(np.std(values, ddof=1)) / math.sqrt(len(values)), len(values) - 1)

    def with_(self, other: Spread) -> Spread:
        """Returns the spread of the difference of two means.

        Source: Welch, "The generalization of Student's problem when several different population variances are
        involved", 1947 (the Welch-Satterthwaite equation).
        """
        error = math.hypot(self.error, other.error)
        if not error:
            return Spread()
        shares = (self.error / error) ** 2, (other.error / error) ** 2
        return Spread(error, 1 / (shares[0] ** 2 / self.degrees + shares[1] ** 2 / other.degrees))

    def added_to(self, replicates: np.ndarray) -> np.ndarray:
        """Returns replicates over images and seeds, from a value and its replicates over images, (1 + replicates,).

        The value itself stays. The spread is added as quantiles of t in a fixed random order, not as draws, so that its
        mean is 0 and its tails are exact.
        """
        if not self.error or replicates.size < 2:
            return replicates
        drawn = np.random.default_rng(0).permutation(t_quantiles(self.degrees, replicates.size - 1))
        return np.concatenate([replicates[:1], replicates[1:] + self.error * drawn])


def t_quantiles(degrees: float, count: int) -> np.ndarray:
    """Returns the quantiles of Student's t at the levels (i + 1/2) / count, (count,)."""
    from scipy.stats import t as student  # takes half a second, and few comparisons are of seeds

    return student.ppf((np.arange(count) + 0.5) / count, degrees)


def limits(values: np.ndarray, spread: Spread, drawn: int) -> tuple[float, float] | tuple[None, None]:
    """Returns the 95 % interval over images and seeds of a metric, or of a difference of two, (1 + replicates,).

    (None, None) without replicates, and if `drawn`, the number of images or groups that were resampled, is 1: one says
    nothing about others.
    """
    ends = interval(spread.added_to(values)) if drawn > 1 else None
    return ends or (None, None)


def bounded(metric: str, low: float | None, high: float | None) -> tuple[float, float] | tuple[None, None]:
    """Returns an interval of a value of a row of `METRICS`, cut at the values that are possible.

    A difference of two values has no such bounds. A row that this version does not know has none either.
    """
    row = METRICS.get(metric)
    if row is None or low is None or high is None:
        return low, high
    return row.bounded(low), row.bounded(high)
