"""Intervals: how far a figure might be from what it is, had other images of the same kind been held out.

The bootstrap, streaming: in place of drawing n of n images again and again, every replicate counts each image a number
of times drawn from Poisson(1), as it passes (Chamandy et al., "Estimating uncertainty for massive data streams", 2012).
Memory does not grow with the images, and figures that are no means (histograms, confusion matrices) have intervals too.
The numbers depend on the seed and the image's name alone, so that of two models scored on the same images replicate r
has seen the same ones: the difference of replicates is the replicate of the difference.
"""

from __future__ import annotations

import hashlib

import numpy as np

REPLICATES = 1_000
COVERED = 0.95


class Resampling:
    """The weights of images in `replicates` resamplings, a function of (seed, name).

    Args:
        replicates: 0 for figures without intervals.
    """

    def __init__(self, replicates: int = REPLICATES, seed: int = 0) -> None:
        self.replicates, self.seed = replicates, seed

    def weights(self, name: str) -> np.ndarray:
        """float (1 + replicates,): 1 for the figure itself, then how often each replicate counts the image."""
        if not self.replicates:
            return np.ones(1)
        key = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()[:16]
        drawn = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).poisson(1, self.replicates)
        return np.concatenate([np.ones(1), drawn])


def interval(values: np.ndarray, covered: float = COVERED) -> tuple[float, float] | None:
    """(1 + replicates,), the figure first -> the percentile interval of its replicates, moved so that they have their
    middle at the figure; None where it has no replicates.

    Of means they have it there anyway. Figures that compare distributions (an intersection of histograms) are worse in
    every resampling, which draws fewer different images: unmoved, the interval could leave the figure itself out.
    A replicate that happened to draw no image is NaN, and left out.
    """
    figure, replicates = values[0], values[1:][np.isfinite(values[1:])]
    if replicates.size < 2 or not np.isfinite(figure):
        return None
    low, high = np.quantile(replicates - replicates.mean() + figure, [(1 - covered) / 2, (1 + covered) / 2])
    return float(low), float(high)
