"""Measures whether the spread of an image's variants says how far they are from the target."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tfpix2pix.metrics.example import Example, mean_over_pixels
from tfpix2pix.metrics.variants import MeansOverImages

LEVELS = (50, 80, 90, 95)  # %, of the central intervals


class Calibration(MeansOverImages):
    """Measures the share of pixels whose target lies inside the central 50, 80, 90 and 95 % interval of the variants.
    A calibrated model has these shares. Lower shares: it is too sure.

    The interval is `mean ± quantile(K) · deviation` of the K variants of a pixel and channel. The deviation divides by
    K − 1. The quantile is that of a new draw beside K draws of one normal distribution: Student's t with K − 1 degrees
    of freedom times √(1 + 1/K). It tends to the normal quantile as K grows. With that itself a calibrated model of 4
    variants would seem too sure: 82 % in place of 95.
    """

    @staticmethod
    def of(example: Example) -> dict[str, float]:
        shares = coverage(example.variants, example.target, example.weight)
        return {f"calibration_{level}": share for level, share in shares.items()}


class CalibrationGap(Calibration):
    """Measures the mean absolute difference between the shares of `Calibration` and their levels, 0 to 1. Lower is
    better."""

    name = "calibration_gap"

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        shares = super().update(example, weights)
        return {self.name: float(_gap([shares[f"calibration_{level}"] for level in LEVELS]))}

    def result(self) -> dict[str, np.ndarray]:
        shares = super().result()
        return {self.name: _gap([shares[f"calibration_{level}"] for level in LEVELS])} if shares else {}


def _gap(shares: list) -> np.ndarray:
    """Returns the mean distance of shares, one a level, from their levels."""
    return np.mean([np.abs(share - level / 100) for share, level in zip(shares, LEVELS, strict=True)], axis=0)


def coverage(variants: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> dict[int, float]:
    """Returns, for each level, the share of values of `target` (H, W, C) inside the interval of `variants`
    (K, H, W, C). Pixels count by `weight` (H, W, 1)."""
    variants = np.asarray(variants, np.float64)
    off, deviation = np.abs(variants.mean(axis=0) - target), variants.std(axis=0, ddof=1)
    inside = {level: off <= quantile(level, len(variants)) * deviation for level in LEVELS}
    return {level: mean_over_pixels(values, weight) for level, values in inside.items()}


def quantile(level: int, count: int) -> float:
    """Returns how many sample deviations from the mean of `count` normal draws hold `level` % of all further draws."""
    return float(stats.t.ppf(0.5 + level / 200, count - 1)) * np.sqrt(1 + 1 / count)
