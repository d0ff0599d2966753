"""Counts the pixels of translations by their targets' values, for the plots that people who measure put into papers.

A scatter plot of all pixels is a histogram of translation and target. A Bland-Altman plot is one of their difference
and their mean (Bland & Altman, "Statistical methods for assessing agreement between two methods of clinical
measurement", 1986). Both are over all pixels and channels of all images, by weight, in memory that does not grow with
the images; only groups, such as patients, have three sums each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfpix2pix.data.groups import names_shown
from tfpix2pix.metrics.example import Example, Unit
from tfpix2pix.metrics.units import SUMS, Correlation, sums_of

BINS = 128  # of translation, target and their mean, over the range of the targets
DIFFERENCE_BINS = 4096  # of translation minus target, over ± the width of that range, so that small errors have several
BEYOND = 1 + 1e-5  # on [-1, 1]; what rounding adds to the ends is not beyond the range
LIMITS = 1.96  # standard deviations: 95 % of normal differences lie within


class Agreement:
    """Accumulates the histograms and sums of translations and targets. Values beyond the range count in the last bins.

    Attributes:
        scatter: weight of pixels, float64 (BINS, BINS), by target and translation.
        differences: the same, float64 (BINS, DIFFERENCE_BINS), by the mean of both and translation minus target.
        outside: weight of the pixels of which translation or target lies beyond the range.
        weighted: pixels have weights, by which they count.
        groups: group -> its `metrics.units.SUMS`, for examples that have one.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.scatter = np.zeros((BINS, BINS))
        self.differences = np.zeros((BINS, DIFFERENCE_BINS))
        self.sums = np.zeros(len(SUMS))
        self.outside = 0.0
        self.weighted = False
        self.groups: dict[str, np.ndarray] = {}

    def update(self, example: Example) -> None:
        """Counts the pixels of an example that has a target."""
        x, y = self.unit.channels_of(example)
        self.weighted = self.weighted or example.weight is not None
        weight = np.ones((1, 1, 1)) if example.weight is None else np.asarray(example.weight, np.float64)
        weight = np.broadcast_to(weight, x.shape).ravel()
        self.scatter += _histogram(_bins(y, 1, BINS), _bins(x, 1, BINS), weight, self.scatter.shape)
        mean, difference = _bins((x + y) / 2, 1, BINS), _bins(x - y, 2, DIFFERENCE_BINS)
        self.differences += _histogram(mean, difference, weight, self.differences.shape)
        self.outside += float(weight[(np.maximum(np.abs(x), np.abs(y)) > BEYOND).ravel()].sum())
        sums = sums_of(example, self.unit)
        self.sums += sums
        if example.group:
            self.groups[example.group] = self.groups.get(example.group, 0.0) + sums

    @property
    def edges(self) -> np.ndarray:
        """Returns the edges of the bins of a value in the unit, (BINS + 1,)."""
        return np.linspace(self.unit.low, self.unit.high, BINS + 1)

    @property
    def difference_edges(self) -> np.ndarray:
        """Returns the edges of the bins of a difference in the unit, (DIFFERENCE_BINS + 1,)."""
        width = self.unit.high - self.unit.low
        return np.linspace(-width, width, DIFFERENCE_BINS + 1)

    @property
    def count(self) -> float:
        """Returns the weight of all pixels and channels."""
        return float(self.sums[SUMS.index("count")])

    def mean_difference(self) -> float:
        """Returns the mean of translation minus target over pixels, in the unit."""
        return self._mean("error") * self.unit.step

    def deviation(self) -> float:
        """Returns the standard deviation of translation minus target over pixels, in the unit."""
        return float(np.sqrt(max(self._mean("squared") - self._mean("error") ** 2, 0.0))) * self.unit.step

    def limits(self) -> tuple[float, float]:
        """Returns the limits of agreement in the unit: the mean difference ± 1.96 standard deviations."""
        middle, reach = self.mean_difference(), LIMITS * self.deviation()
        return middle - reach, middle + reach

    def correlation(self) -> dict[str, float]:
        """Returns `pearson_r` and `r2` over all pixels. They are not finite if all targets have one value."""
        values = Correlation.of(dict(zip(SUMS, self.sums[:, np.newaxis], strict=True)), 1.0)
        return {name: float(value[0]) for name, value in values.items()}

    def group_points(self) -> dict[str, tuple[float, float]]:
        """Returns group -> the means over its pixels of (translation + target) / 2 and of translation minus target, in
        the unit. Groups without a pixel that counts are left out."""
        points, shown = {}, names_shown(self.groups)
        for group, values in sorted(self.groups.items()):
            of = dict(zip(SUMS, values, strict=True))
            if of["count"]:
                middle = (of["x"] + of["y"]) / (2 * of["count"])
                points[shown[group]] = (
                    self.unit.low + (middle + 1) * self.unit.step,
                    of["error"] / of["count"] * self.unit.step,
                )
        return points

    def write(self, path: Path) -> None:
        """Writes the histograms with their edges, the limits of agreement and the points of groups as an .npz file."""
        points = self.group_points()
        low, high = self.limits()
        np.savez_compressed(
            path, unit=self.unit.name, scatter=self.scatter, bland_altman=self.differences, edges=self.edges,
            difference_edges=self.difference_edges, mean_difference=self.mean_difference(), sd=self.deviation(),
            limits_of_agreement=[low, high], groups=np.array([_printable(name) for name in points], np.str_),
            group_points=np.reshape(list(points.values()), (-1, 2)),
        )  # fmt: skip

    def _mean(self, name: str) -> float:
        return float(self.sums[SUMS.index(name)]) / self.count


def _bins(values: np.ndarray, most: float, count: int) -> np.ndarray:
    """Returns the index of the bin of every value, int64 (N,), of `count` equal bins over [-most, most]."""
    indices = np.floor((values.ravel() + most) * (count / (2 * most)))
    return np.clip(indices, 0, count - 1).astype(np.int64)


def _histogram(rows: np.ndarray, columns: np.ndarray, weight: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns the sums of `weight` (N,) by bins, float64 of a shape."""
    flat = np.bincount(rows * shape[1] + columns, weight, shape[0] * shape[1])
    return flat.reshape(shape)


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()  # a file name may be no UTF-8, and NumPy's text must be
