"""Measures errors in the unit of the targets (`data.target_unit`), such as HU, over all pixels of all images.

If the targets have parts (`data.targets`), each with a unit has values of its own.
"""

from __future__ import annotations

import numpy as np

from tfpix2pix.metrics.example import Example, Setting, Unit
from tfpix2pix.metrics.images import ratio

# Sums over pixels and channels, by weight: of the error d, and of the translation x and the target y on [-1, 1].
SUMS = ("count", "error", "absolute", "squared", "x", "y", "xx", "yy", "xy")


class OverPixels:
    """Accumulates sums over the pixels of all images, from which `of` computes the values of each unit."""

    def __init__(self, setting: Setting) -> None:
        self.units = setting.units
        self.sums: np.ndarray | float = 0.0  # (1 + replicates, units, sums)

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        sums = np.stack([sums_of(example, unit) for unit in self.units])
        self.sums = self.sums + weights[:, np.newaxis, np.newaxis] * sums
        return {name: float(value[0]) for name, value in self._values(sums[np.newaxis]).items()}

    def result(self) -> dict[str, np.ndarray]:
        return self._values(self.sums) if np.ndim(self.sums) else {}

    def _values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        values = {}
        for place, unit in enumerate(self.units):
            of_unit = self.of(dict(zip(SUMS, sums[:, place].T, strict=True)), unit.step)
            values |= {unit.of(name): value for name, value in of_unit.items() if np.isfinite(value[0])}
        return values

    @staticmethod
    def of(sums: dict[str, np.ndarray], scale: float) -> dict[str, np.ndarray]:
        raise NotImplementedError


def sums_of(example: Example, unit: Unit) -> np.ndarray:
    """Returns the `SUMS` of one image over the channels that have a unit, float64."""
    x, y = unit.channels_of(example)
    weight = np.ones((*x.shape[:2], 1)) if example.weight is None else np.asarray(example.weight, np.float64)
    error = x - y
    terms = (np.ones_like(x), error, np.abs(error), error * error, x, y, x * x, y * y, x * y)
    return np.array([np.sum(term * weight) for term in terms])


class Errors(OverPixels):
    """Measures MAE and RMSE in the unit of the targets. Lower is better."""

    @staticmethod
    def of(sums: dict[str, np.ndarray], scale: float) -> dict[str, np.ndarray]:
        squared = ratio(sums["squared"], sums["count"])
        return {"unit_mae": scale * ratio(sums["absolute"], sums["count"]), "unit_rmse": scale * np.sqrt(squared)}


class Bias(OverPixels):
    """Measures the mean of translation minus target in the unit of the targets: 0 is best."""

    @staticmethod
    def of(sums: dict[str, np.ndarray], scale: float) -> dict[str, np.ndarray]:
        return {"unit_bias": scale * ratio(sums["error"], sums["count"])}


class Correlation(OverPixels):
    """Measures Pearson's r of translation and target, and R² = 1 - Σ(x - y)² / Σ(y - mean y)². Higher is better."""

    @staticmethod
    def of(sums: dict[str, np.ndarray], scale: float) -> dict[str, np.ndarray]:
        count = sums["count"]
        mean_x, mean_y = ratio(sums["x"], count), ratio(sums["y"], count)
        with np.errstate(invalid="ignore"):
            var_x, var_y = ratio(sums["xx"], count) - mean_x**2, ratio(sums["yy"], count) - mean_y**2
            covariance = ratio(sums["xy"], count) - mean_x * mean_y
            r = ratio(covariance, np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0)))
        return {"pearson_r": np.clip(r, -1, 1), "r2": 1 - ratio(ratio(sums["squared"], count), np.maximum(var_y, 0))}
