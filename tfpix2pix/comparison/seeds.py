"""Another training of the same variant gives another model: how far a mean over a few of them might be off.

The bootstrap over images knows nothing of it, and resampling the seeds themselves would promise too much: of 3 members
3 drawn with replacement lie between the least and the greatest, where the true mean is in 75 of 100 groups. So the mean
over seeds is taken to be off by Student's t times its standard error (Welch's t for the difference of two means), added
to the replicates over images. Simulated with normal seeds, 40 images and seed-by-image interaction, the 95 % intervals
cover the truth in so many of 100 (tests/comparison/test_seeds.py holds the case of 3):

| | seeds drawn again | the same, spread times √(k / (k − 1)) | t |
|---|---|---|---|
| mean over 2, 3, 5 seeds that differ much | 49, 77, 83 | 58, 82, 87 | 95, 95, 94 |
| mean over 2, 3, 5 seeds that differ as images make figures vary | 82, 89, 92 | 86, 91, 93 | 98, 97, 96 |
| difference of two such means, 2, 3, 5 seeds each | 69, 82, 87 | 82, 89, 90 | 97, 96, 96 |

Where seeds hardly differ it is too wide (a difference covers 99 of 100): what seeds and images have to do with each
other counts twice, among the images and among the seeds. The price is width where seeds are few, and 2 say next to
nothing: t of 1 degree of freedom reaches 12.7 standard errors, of 2 4.3, of 4 2.8.

Seeds of two variants are not paired: nothing but the number has a training of one in common with one of the other. (Two
uses of the same trainings, with noise and without, would be; their difference has a wider interval than need be.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfpix2pix.evaluation.bootstrap import interval

GRID = 20_001


@dataclass(frozen=True)
class Spread:
    """Of a mean over seeds: its standard error, and the degrees of freedom that this was estimated with."""

    error: float = 0.0
    degrees: float = math.inf

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of the figures of single trainings, (k,); 0 of fewer than two, which say nothing of others."""
        if len(values) < 2:
            return cls()
        return cls(float(np.std(values, ddof=1)) / math.sqrt(len(values)), len(values) - 1)

    def with_(self, other: Spread) -> Spread:
        """Of the difference of two means. Source: Welch, "The generalization of Student's problem when several
        different population variances are involved", 1947 (the Welch-Satterthwaite equation)."""
        error = math.hypot(self.error, other.error)
        if not error:
            return Spread()
        shares = (self.error / error) ** 2, (other.error / error) ** 2
        return Spread(error, 1 / (shares[0] ** 2 / self.degrees + shares[1] ** 2 / other.degrees))

    def added_to(self, replicates: np.ndarray) -> np.ndarray:
        """(1 + replicates,) over images -> the same over images and seeds; the figure, which is first, stays.

        Quantiles of t in a fixed random order, not draws: their mean is 0 and their tails are exact.
        """
        if not self.error or replicates.size < 2:
            return replicates
        drawn = np.random.default_rng(0).permutation(t_quantiles(self.degrees, replicates.size - 1))
        return np.concatenate([replicates[:1], replicates[1:] + self.error * drawn])


def t_quantiles(degrees: float, count: int) -> np.ndarray:
    """(count,): Student's t at the levels (i + 1/2) / count.

    t = √ν tan θ, where θ in (−π/2, π/2) has a density as cos^(ν − 1).
    """
    edges = np.linspace(-math.pi / 2, math.pi / 2, GRID)
    mass = np.cos((edges[1:] + edges[:-1]) / 2) ** (degrees - 1)
    below = np.concatenate([[0.0], np.cumsum(mass) / mass.sum()])
    return math.sqrt(degrees) * np.tan(np.interp((np.arange(count) + 0.5) / count, below, edges))


def limits(values: np.ndarray, spread: Spread, images: int) -> tuple[float, float] | tuple[None, None]:
    """The 95 % interval, over images and seeds, of a figure (1 + replicates,) or of a difference of two; None where
    there is none: of one image, which says nothing of others, and without replicates."""
    found = interval(spread.added_to(values)) if images > 1 else None
    return found or (None, None)
