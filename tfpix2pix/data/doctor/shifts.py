"""Measures by how many px of its files the target of a pair is shifted against its input.

A view of at most VIEW_PX shows where the target lies. Then the pair is looked at again, each time at twice the size up
to its own, moved by what is known so far: in the windows in which both sides have most edges, the peak is searched
near by. If it is not clear at a size, as of blurred pictures, the shift is known to a px of the size before.

What it finds on real pairs: docs/doctor.md, measured by benchmarks/shifts.py.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tfpix2pix.data.doctor.measure import (
    LEAST_MARGIN,
    LEAST_PEAK,
    NEAR_PX,
    SMALLEST_PX,
    Peak,
    boxed,
    correlated,
    normal,
    peak_of,
    surface,
)
from tfpix2pix.data.images import as_picture
from tfpix2pix.data.ranges import from_signed, to_signed

VIEW_PX = 256  # largest side of a view
WINDOW_PX, MOST_WINDOWS = 256, 4
REACH_PX = 16  # displacements that a window is correlated for
SEARCHED_PX = 3  # of them, those that are searched
LEAST_FINE_PEAK = 5.0  # height in the windows; wrong ones have up to 4.6
OVERLAP_PX = 2  # beyond NEAR_PX: there, sums of 3 x 3 values have some in common with those that are near
AROUND_PEAK_PX = 4  # not counted as the noise around a peak
OUTERMOST = (0.1, 99.9)  # percentiles of values that become black and white
FAR_PX = 2  # a shift by more is counted in reports

Views = tuple[np.ndarray, np.ndarray]  # pictures of a pair's sides: both uint8 (H, W, 3)


class Shift(NamedTuple):
    """Holds where the target lies: its content is `down` and `right` px of the input's file from the input's."""

    down: int
    right: int
    strength: float  # height of the peak in the view, in standard deviations (`Peak.height`)

    @property
    def distance_px(self) -> int:
        """Returns the larger of both displacements."""
        return max(abs(self.down), abs(self.right))


class Displacement(NamedTuple):
    """Holds how the sides of a pair correlate."""

    correlation: np.ndarray  # of the views, for every displacement (`measure.surface`)
    peak: Peak  # of it
    shift: Shift | None  # None: no clear peak


@dataclass(frozen=True)
class ShiftReport:
    """Summarizes the shifts of all pairs that were looked at."""

    pairs: tuple[tuple[str, str, Shift], ...]  # split, name and shift of each pair with a clear one
    unclear: int  # number of pairs without

    @property
    def median_px(self) -> float:
        return statistics.median(shift.distance_px for _, _, shift in self.pairs)

    @property
    def largest_px(self) -> int:
        return max(shift.distance_px for _, _, shift in self.pairs)

    @property
    def far(self) -> list[tuple[str, str, Shift]]:
        """Returns the pairs that are shifted by more than FAR_PX, the largest shift first."""
        far = [pair for pair in self.pairs if pair[2].distance_px > FAR_PX]
        return sorted(far, key=lambda pair: -pair[2].distance_px)

    @property
    def summary(self) -> str:
        """Returns the shifts in one line."""
        measured = f"{len(self.pairs)} of {len(self.pairs) + self.unclear} pairs measured"
        if not self.pairs:
            return measured
        return (
            f"{measured}, median {self.median_px:g} px, largest {self.largest_px} px, {len(self.far)} by more than "
            f"{FAR_PX} px"
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns a dictionary for JSON. Each of its `pairs` has `split`, `name`, `dy` (down), `dx` (right) and
        `strength`."""
        rows = [
            {"split": split, "name": name, "dy": shift.down, "dx": shift.right, "strength": round(shift.strength, 1)}
            for split, name, shift in self.pairs
        ]
        known = {"median_px": self.median_px, "largest_px": self.largest_px} if rows else {}
        return {"measured": len(rows), "unclear": self.unclear, **known, "over_2_px": len(self.far), "pairs": rows}


def comparable(image: np.ndarray, picture: np.ndarray, is_numbers: bool) -> np.ndarray:
    """Returns the picture of a side in which edges are looked for.

    It is its usual `picture`, but that an image of more than 8 bits has the contrast of its own values: 12 bits in 16
    would be black.

    Args:
        image: (H, W, C), as files hold it.
        picture: uint8 (H, W, 3).
        is_numbers: its values are classes or instances, or several files.
    """
    if is_numbers or image.dtype == np.uint8:
        return picture
    step = max(1, min(image.shape[:2]) // VIEW_PX)
    low, high = np.percentile(image[::step, ::step], OUTERMOST)
    return as_picture(from_signed(to_signed(image, (float(low), float(high) if high > low else float(low) + 1.0))))


def common_size(pictures: Views) -> tuple[int, int]:
    """Returns the smaller height and the smaller width of two pictures."""
    return tuple(min(picture.shape[axis] for picture in pictures) for axis in (0, 1))


def as_views(pictures: Views, most_px: float = VIEW_PX) -> Views:
    """Returns pictures at their common size, or smaller, so that no side is larger than `most_px`."""
    height, width = common_size(pictures)
    shrink = max(1.0, max(height, width) / most_px)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    return tuple(
        picture
        if picture.shape[1::-1] == size
        else np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
        for picture in pictures
    )


def displacement(pictures: Views) -> Displacement | None:
    """Measures the displacement of a pair's sides, pictures at their own sizes. Returns None if they are too small.

    If the sizes differ, they are compared at the smaller height and width, and the shift is in px of the input.
    """
    height, width = common_size(pictures)
    shrink = max(1.0, max(height, width) / VIEW_PX)
    views = as_views(pictures)
    correlation = surface(*views)
    if correlation is None:
        return None
    peak = peak_of(correlation)
    near = peak.distance <= NEAR_PX + OVERLAP_PX
    if peak.height < LEAST_PEAK or (not near and peak.margin < LEAST_MARGIN):
        return Displacement(correlation, peak, None)
    scale = _scale(height, width, views)
    at, margin = (peak.down * scale[0], peak.right * scale[1]), peak.margin
    while True:
        scale = _scale(height, width, views)
        finer = _searched(views, round(at[0] / scale[0]), round(at[1] / scale[1]))
        if finer is None:
            break
        at, margin = (finer.down * scale[0], finer.right * scale[1]), max(margin, finer.margin)
        if shrink == 1:
            break
        shrink = max(1.0, shrink / 2)
        views = as_views(pictures, max(height, width) / shrink)
    if margin < LEAST_MARGIN and peak.distance > NEAR_PX:
        return Displacement(correlation, peak, None)
    if margin < LEAST_MARGIN:  # the peak cannot be told from that of aligned sides
        at = (0, 0)
    of_input = [pictures[0].shape[axis] / side for axis, side in enumerate((height, width))]
    down, right = (round(value * times) for value, times in zip(at, of_input, strict=True))
    return Displacement(correlation, peak, Shift(down, right, peak.height))


def common_area(height: int, width: int, down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Returns the rows and columns of the input, and those of the target, that show the same if it is shifted so."""
    top, left = max(0, -down), max(0, -right)
    rows, columns = height - abs(down), width - abs(right)
    return tuple((slice(y, y + rows), slice(x, x + columns)) for y, x in ((top, left), (top + down, left + right)))


def _scale(height: int, width: int, views: Views) -> tuple[float, float]:
    """Returns the px of a (height, width) in a px of its views."""
    return height / views[0].shape[0], width / views[0].shape[1]


class _Finer(NamedTuple):
    down: float
    right: float
    margin: float  # above the value of no displacement, in standard deviations; 0 if that is out of reach


def _searched(views: Views, down: int, right: int) -> _Finer | None:
    """Searches the peak within SEARCHED_PX of a displacement, in windows. Returns None if it is not clear."""
    height, width = views[0].shape[:2]
    if min(height - abs(down), width - abs(right)) < SMALLEST_PX:
        return None
    image, target = (view[area] for view, area in zip(views, common_area(height, width, down, right), strict=True))
    windows = _windows(image, target)
    reach = min(REACH_PX, min(image[windows[0]].shape[:2]) // 4) + 1
    values = sum(correlated(image[window], target[window], reach) for window in windows)
    sharp, soft, middle = normal(values[1:-1, 1:-1]), boxed(values), reach - 1
    searched = slice(max(1, middle - SEARCHED_PX), middle + SEARCHED_PX + 1)
    y, x = _highest(soft, searched, searched)  # of nine values together, so that a rough edge counts as one
    y, x = _highest(sharp, slice(y - 1, y + 2), slice(x - 1, x + 2))
    away = np.ones(sharp.shape, bool)
    around = tuple(slice(max(0, place - AROUND_PEAK_PX), place + AROUND_PEAK_PX + 1) for place in (y, x))
    away[around] = False
    noise = sharp[away].std() if away.any() else 0.0
    if sharp[y, x] < LEAST_FINE_PEAK * noise or noise == 0:
        return None
    none = (middle - down, middle - right)
    in_reach = all(0 <= place < len(sharp) for place in none)
    margin = float(sharp[y, x] - sharp[none]) if in_reach else 0.0
    part_down, part_right = (_between(line) for line in (sharp[y - 1 : y + 2, x], sharp[y, x - 1 : x + 2]))
    return _Finer(down + y - middle + part_down, right + x - middle + part_right, margin)


def _between(values: np.ndarray) -> float:
    """Returns where a parabola through three values has its peak: between -0.5 and 0.5 of the middle one."""
    if len(values) < 3 or values[1] < max(values[0], values[2]) or values[0] == values[1] == values[2]:
        return 0.0
    return float(0.5 * (values[0] - values[2]) / (values[0] - 2 * values[1] + values[2]))


def _highest(values: np.ndarray, rows: slice, columns: slice) -> tuple[int, int]:
    part = values[rows, columns]
    y, x = np.unravel_index(part.argmax(), part.shape)
    return int(y) + rows.start, int(x) + columns.start


def _windows(image: np.ndarray, target: np.ndarray) -> list[tuple[slice, slice]]:
    """Returns the rows and columns of the windows of one size in which both pictures have most contrast."""

    def places(length: int) -> list[slice]:
        count, side = -(-length // WINDOW_PX), min(WINDOW_PX, length)
        return [
            slice(start, start + side) for start in (i * (length - side) // max(1, count - 1) for i in range(count))
        ]

    windows = [(rows, columns) for rows in places(image.shape[0]) for columns in places(image.shape[1])]
    if len(windows) <= MOST_WINDOWS:
        return windows

    def contrast(window: tuple[slice, slice]) -> float:
        return min(
            sum(float(np.abs(np.diff(part, axis=axis)).mean()) for axis in (0, 1))
            for part in (picture[window][::2, ::2].max(axis=-1).astype(np.int16) for picture in (image, target))
        )

    return sorted(windows, key=contrast, reverse=True)[:MOST_WINDOWS]
