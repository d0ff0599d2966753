"""Computes intervals: how much a metric might change if other images of the same kind had been held out.

The bootstrap is streaming. Instead of drawing n of n images repeatedly, every replicate counts each image k times, with
k drawn from Poisson(1), as it passes (Chamandy et al., "Estimating uncertainty for massive data streams", 2012). Memory
does not grow with the images, and metrics that are not means (histograms, confusion matrices) have intervals too. The
counts depend only on the seed and the image's name. So if two models are scored on the same images, replicate r counts
the same images for both: the difference of replicates is the replicate of the difference.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tfpix2pix.files import as_bytes

REPLICATES = 1_000
COVERED = 0.95


class Resampling:
    """Draws the weights of images in `replicates` resamplings, as a function of (seed, name).

    Args:
        replicates: number of resamplings; 0 for metrics without intervals.
    """

    def __init__(self, replicates: int = REPLICATES, seed: int = 0) -> None:
        self.replicates, self.seed = replicates, seed

    def weights(self, name: str) -> np.ndarray:
        """Returns float (1 + replicates,): 1 for the metric itself, then how often each replicate counts the image."""
        if not self.replicates:
            return np.ones(1)
        key = hashlib.sha256(as_bytes(f"{self.seed}/{name}")).digest()[:16]
        drawn = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).poisson(1, self.replicates)
        return np.concatenate([np.ones(1), drawn])


def interval(values: np.ndarray, covered: float = COVERED) -> tuple[float, float] | None:
    """Returns the percentile interval of a metric's replicates, centred on its value, or None without replicates.

    `values` are (1 + replicates,), the value first. The replicates are shifted so that their mean is the value. For
    means that changes nothing. Metrics that compare distributions (an intersection of histograms) are worse in every
    resampling, which has fewer different images, so an interval that is not shifted could exclude the value itself.
    A replicate that drew no image is NaN and is left out.
    """
    value, replicates = values[0], values[1:][np.isfinite(values[1:])]
    if replicates.size < 2 or not np.isfinite(value):
        return None
    low, high = np.quantile(replicates - replicates.mean() + value, [(1 - covered) / 2, (1 + covered) / 2])
    return float(low), float(high)
