"""Measures the two views of a pair: the displacement of its sides, the step between them, the texture of each.

Displacement is the peak of a correlation of edges. Edges are used and not pixels, because the two sides need not look
alike. Each edge is measured relative to those around it, so that a black border does not outweigh a window, and edges
in x and in y are separate. The correlation is whitened in part, between cross-correlation, which periodic facades blur,
and phase correlation, which rough label edges scatter. Source: Kuglin and Hines, "The phase correlation image alignment
method", 1975.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image

LARGEST_PX = 32  # largest displacement that is searched, px of a view; at most a quarter of the view
SMALLEST_PX = 16  # least height and width of a view; smaller ones show no displacement
AROUND_PX = 8  # side of the cells whose mean gradient an edge is relative to
SOFT_LEVELS = 4  # gradients well below this are noise
WHITENING = 0.75  # 0: cross-correlation; 1: phase correlation
NEAR_PX = 2  # sides count as aligned if the peak is this near to zero
LEAST_MARGIN = 2.5  # of the peak above all values near zero: over twice the margin of clean pairs
LEAST_PEAK = 6.0  # height: noise has up to 5.2, 95 % of real pairs 7.4 or more

REACH_PX = 7  # around a pixel: the distance of a JPEG block's noise from its edge
FAINT_LEVELS = 12  # less contrast counts as flat
MIDDLE = (0.15, 0.6)  # fractions of the contrast around: less is flat or JPEG noise, more is the edge itself
STRIP_PX = 16  # columns on either side of the middle that its step is compared with
FEWEST_COLUMNS = 8  # steps to compare with; smaller views show nothing
LEAST_SPREAD_LEVELS = 8  # standard deviation of the columns beside the middle; white margins have 0
MOST_STEP = 0.8  # typical step between columns, in standard deviations; noise has 1.1 or more, grass 0.75
SET_PAIRS = 8  # fewest pairs whose sum is searched for a displacement of the set


class Peak(NamedTuple):
    """Holds the highest correlation: the target is displaced by `right` and `down` px of the view from the input."""

    right: int
    down: int
    margin: float  # above the highest value within NEAR_PX of zero, in standard deviations of the surface
    height: float  # above the median, in standard deviations of the surface away from the peak

    @property
    def distance(self) -> int:
        return max(abs(self.right), abs(self.down))


@dataclass
class Surfaces:
    """Sums the correlation surfaces of all pairs, separately for each size of surface."""

    sums: dict[int, np.ndarray] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, correlation: np.ndarray) -> None:
        size = len(correlation)
        self.sums[size] = self.sums.get(size, 0) + correlation
        self.counts[size] = self.counts.get(size, 0) + 1

    def peak(self) -> Peak | None:
        """Returns the peak of the sum for the most frequent size, or None if fewer than SET_PAIRS pairs have it."""
        size = max(self.counts, key=self.counts.get, default=0)
        return peak_of(normal(self.sums[size])) if self.counts.get(size, 0) >= SET_PAIRS else None


def edges(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measures edges across and down of uint8 (H, W, 3): float32 (H, W), gradients relative to those around, mean 0."""
    height, width = view.shape[:2]
    small = (max(1, width // AROUND_PX), max(1, height // AROUND_PX))
    planes = np.ascontiguousarray(np.moveaxis(view, -1, 0), np.int16)  # channels first: five times as fast
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    both = []
    for steps in (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]):
        gradient = np.abs(steps, out=steps).max(axis=0).astype(np.float32)
        cells = Image.fromarray(gradient).resize(small, Image.Resampling.BOX)
        around = np.asarray(cells.resize((width, height), Image.Resampling.BILINEAR))
        edge = gradient / (gradient + around + SOFT_LEVELS)
        both.append(edge - edge.mean())
    return tuple(both)


def surface(image: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """Correlates two views of one size for every displacement: float32 (2R+1, 2R+1), row down + R, column right + R.

    Returns None for views smaller than SMALLEST_PX.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_PX:
        return None
    reach = min(LARGEST_PX, min(height, width) // 4)
    return normal(boxed(correlated(image, target, reach + 1))).astype(np.float32)


def correlated(image: np.ndarray, target: np.ndarray, reach: int) -> np.ndarray:
    """Correlates as `surface`, without a scale and each value for one displacement: (2 reach + 1, 2 reach + 1)."""
    height, width = image.shape[:2]
    shape, spectrum = (height + reach - 1, width + reach - 1), 0.0  # padded: but for a px, nothing wraps round
    for a, b in zip(edges(image), edges(target), strict=True):
        cross = np.conj(np.fft.rfft2(a, shape)) * np.fft.rfft2(b, shape)
        size = np.abs(cross)
        mean = size.mean() + 1e-12
        spectrum = spectrum + cross * ((size / mean + 1e-3) ** -WHITENING / mean)
    rows = np.fft.irfft2(spectrum, shape)
    return np.roll(rows, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]


def boxed(values: np.ndarray) -> np.ndarray:
    """Sums 3 x 3 values each, of (H, W) to (H - 2, W - 2): a displacement need not be of whole pixels."""
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    return rows[:-2] + rows[1:-1] + rows[2:]


def normal(values: np.ndarray) -> np.ndarray:
    """Scales values to median 0 and standard deviation 1. Equal values become 0."""
    values = values - np.median(values)
    deviation = values.std()
    return values / deviation if deviation > 0 else values


def peak_of(correlation: np.ndarray) -> Peak:
    """Returns the peak of a surface that `normal` has scaled."""
    reach = len(correlation) // 2
    down, right = np.unravel_index(correlation.argmax(), correlation.shape)
    best, near = correlation[down, right], slice(max(0, reach - NEAR_PX), reach + NEAR_PX + 1)
    away = np.ones(correlation.shape, bool)
    away[max(0, down - 4) : down + 5, max(0, right - 4) : right + 5] = False
    noise = correlation[away].std() if away.any() else 0.0
    height = float(best / noise) if noise > 0 else 0.0
    return Peak(int(right) - reach, int(down) - reach, float(best - correlation[near, near].max()), height)


def step_across(left: np.ndarray, right: np.ndarray) -> float | None:
    """Returns the step from the last column of `left` to the first of `right`, in large steps between columns there.

    Views are uint8 (H, W, 3). A large step is the third largest, so that the edges of JPEG blocks, of which one often
    lies in the middle, count for little. Returns None if the columns say nothing: they are flat, as white margins are,
    or noise. Of the others, at most 1.5 have 92 % or more of photographs (of facades, of shoes, scikit-image's) at JPEG
    quality 75, 71 % or more at 30, 15 % or fewer of photographs beside their gray or blurred copies, and no facades.
    Pairs of edges2shoes and OpenMoji have white margins. Measured by benchmarks/recognition.py.
    """
    strip = np.concatenate([left[:, -STRIP_PX:], right[:, :STRIP_PX]], axis=1).astype(np.float32)
    middle = min(STRIP_PX, left.shape[1]) - 1
    steps = np.abs(np.diff(strip, axis=1)).max(axis=-1).mean(axis=0)
    others = np.sort(np.delete(steps, middle))
    spread = float(min(strip[:, column].std(axis=0).max() for column in (middle, middle + 1)))
    if len(others) < FEWEST_COLUMNS or spread < LEAST_SPREAD_LEVELS or np.median(others) > MOST_STEP * spread:
        return None
    return (float(steps[middle]) + 1) / (float(others[-3]) + 1)  # + 1 level: rounding


def texture(view: np.ndarray) -> float:
    """Returns the fraction of pixels of uint8 (H, W, 3) with medium contrast, which is high in photographs only.

    Contrast is that of 3 x 3 pixels, relative to the largest within REACH_PX. A drawing is flat or an edge. Between
    the two it has only JPEG noise, which is weak beside its edge. Unlike the number of colours or the fraction of flat
    pixels, this separates the two sides in each of 500 facades and 100 pairs of edges2shoes, whose photographs have
    white grounds. After JPEG compression at quality 50, 1 in 100 differs by less than CLEAR and none by -0.002 or less.
    """
    planes = np.ascontiguousarray(np.moveaxis(view, -1, 0))
    contrast = (_largest(planes, 1) - ~_largest(~planes, 1)).max(axis=0)
    around = _largest(contrast, REACH_PX)
    share = contrast / np.maximum(around, 1)
    return float(((around > FAINT_LEVELS) & (share > MIDDLE[0]) & (share < MIDDLE[1])).mean())


def _largest(values: np.ndarray, reach: int) -> np.ndarray:
    """Returns for (…, H, W) the largest value within `reach` rows and columns, computed by doubling."""
    size = 2 * reach + 1
    values = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(reach, reach)] * 2, mode="edge")
    for rest in ((), (slice(None),)):  # along rows, along columns
        done = 1
        while done < size:
            step = min(done, size - done)
            values = np.maximum(*(values[(..., part, *rest)] for part in (slice(None, -step), slice(step, None))))
            done += step
    return values
