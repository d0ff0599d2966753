"""Computes two plots over all pixels, by their density: a scatter plot, and one of Bland and Altman.

The report's template draws them as HTML and SVG around a picture of the density, with positions that are percentages of
a square. `density_figure.py` draws them as files.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from PIL import Image

from tfpix2pix.evaluation.folder import BLAND_ALTMAN, SCATTER
from tfpix2pix.evaluation.report.charts import digits
from tfpix2pix.metrics.agreement import LIMITS, Agreement
from tfpix2pix.metrics.example import Unit
from tfpix2pix.pages import data_uri

COLOR = (47, 111, 196)  # with alpha, readable on light and on dark paper
FAINTEST = 0.16  # alpha of a bin that holds little
BEYOND = 1e-3  # share of the pixels that may lie beyond the differences that are drawn
HEADROOM = 1.25  # of the differences that are drawn, over the limits of agreement
LEAST_ROWS, MOST_ROWS = 8, 64  # of differences, on either side of 0
WEIGHTED = "Pixels count by their weights."
TICKS, STEPS = 5, [1, 2, 2.5, 5, 10]


@dataclass(frozen=True)
class Axis:
    """Holds the label of an axis and its limits, in the unit."""

    label: str
    low: float
    high: float

    def at(self, value: float) -> str:
        """Returns the distance of a value from the lower end, percent."""
        return _percent(value - self.low, self.high - self.low)


@dataclass(frozen=True)
class Level:
    """Holds a horizontal line of a plot, and the words beside it."""

    value: float
    kind: str  # `mean` or `limit`
    words: str
    side: str


@dataclass(frozen=True)
class DensityPlot:
    """Holds a plot over all pixels: everything in it, in the unit.

    Attributes:
        name: of its files, without suffix.
        caption: its sentences.
        density: weight of the pixels in each bin, (columns, rows from below), over both axes.
        has_identity: the line is drawn on which both axes are equal.
        points: group -> where it lies along x and y.
    """

    name: str
    title: str
    caption: Sequence[str]
    x: Axis
    y: Axis
    density: np.ndarray
    unit: Unit
    has_identity: bool = False
    levels: Sequence[Level] = ()
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def density_plots(agreement: Agreement) -> list[DensityPlot]:
    """Returns the two plots of translations and targets that have a unit, of which a pixel counts."""
    return [_scatter(agreement), _bland_altman(agreement)]


def density_chart(plot: DensityPlot) -> dict[str, Any]:
    """Returns the geometry of a plot for the report's template."""
    lines = [
        {"x1": 0, "y1": (height := _percent(plot.y.high - level.value, plot.y.high - plot.y.low)), "x2": 100,
         "y2": height, "kind": level.kind}
        for level in plot.levels
    ]  # fmt: skip
    ordered = sorted(zip(plot.levels, lines, strict=True), key=lambda pair: -pair[0].value)
    return {
        "title": plot.title,
        "caption": plot.caption,
        "x": {"label": plot.x.label, "ticks": _ticks(plot.x)},
        "y": {"label": plot.y.label, "ticks": _ticks(plot.y)},
        "lines": [{"x1": 0, "y1": 100, "x2": 100, "y2": 0, "kind": "identity"}] if plot.has_identity else lines,
        "labels": [{"y": line["y1"], "side": level.side, "words": level.words} for level, line in ordered],
        "points": [
            {
                "x": plot.x.at(mean),
                "y": _percent(plot.y.high - difference, plot.y.high - plot.y.low),
                "words": f"{group}: {digits(difference)} {plot.unit.name} at {digits(mean)} {plot.unit.name}",
            }
            for group, (mean, difference) in plot.points.items()
        ],
        **_picture(plot.density),
    }


def _scatter(agreement: Agreement) -> DensityPlot:
    unit, correlation = agreement.unit, agreement.correlation()
    step = digits(agreement.edges[1] - agreement.edges[0])
    caption = [
        f"Translation against target{_of_part(unit)}, {_count(agreement.count)}: r {digits(correlation['pearson_r'])}, "
        f"R² {digits(correlation['r2'])}.",
        "On the line both are equal.",
        f"Bins of {step} × {step} {unit.name}.",
    ]
    if agreement.weighted:
        caption.insert(1, WEIGHTED)
    if agreement.outside:
        caption.append(
            f"{100 * agreement.outside / agreement.count:.2g} % lie beyond the range and are drawn at its ends."
        )
    return DensityPlot(
        name=unit.of(SCATTER),
        title=f"Scatter plot{_of_part(unit)}",
        caption=caption,
        x=Axis(f"target{_of_part(unit)}, {unit.name}", unit.low, unit.high),
        y=Axis(f"translation{_of_part(unit)}, {unit.name}", unit.low, unit.high),
        density=agreement.scatter,
        unit=unit,
        has_identity=True,
    )


def _bland_altman(agreement: Agreement) -> DensityPlot:
    unit, middle, limits = agreement.unit, agreement.mean_difference(), agreement.limits()
    points = agreement.group_points()
    density, reach, merged = _around_zero(agreement, [*limits, middle, *(point[1] for point in points.values())])
    beyond = _beyond(agreement, reach) / agreement.count
    step = agreement.difference_edges[1] - agreement.difference_edges[0]
    caption = [
        f"Bland–Altman plot{_of_part(unit)}, {_count(agreement.count)}: mean difference {digits(middle)} {unit.name}, "
        f"limits of agreement {digits(limits[0])} to {digits(limits[1])} {unit.name} "
        f"(± {LIMITS} SD of the differences, SD {digits(agreement.deviation())} {unit.name}).",
        WEIGHTED if agreement.weighted else "",
        _points(len(points)),
        f"Bins of {digits(agreement.edges[1] - agreement.edges[0])} × {digits(merged * step)} {unit.name}.",
        f"{100 * beyond:.2g} % differ by more than {digits(reach)} {unit.name} and are drawn at the edge."
        if beyond
        else "",
    ]
    return DensityPlot(
        name=unit.of(BLAND_ALTMAN),
        title=f"Bland–Altman plot{_of_part(unit)}",
        caption=[sentence for sentence in caption if sentence],
        x=Axis(f"mean of translation and target{_of_part(unit)}, {unit.name}", unit.low, unit.high),
        y=Axis(f"translation − target{_of_part(unit)}, {unit.name}", -reach, reach),
        density=density,
        unit=unit,
        levels=(
            Level(middle, "mean", f"mean: {digits(middle)}", "above left"),
            Level(limits[0], "limit", f"−{LIMITS} SD: {digits(limits[0])}", "below right"),
            Level(limits[1], "limit", f"+{LIMITS} SD: {digits(limits[1])}", "above right"),
        ),
        points=points,
    )


def _points(groups: int) -> str:
    if groups == 1:
        return "The point is the mean of the one group."
    return f"Points are the means of {groups:,} groups." if groups else ""


def _of_part(unit: Unit) -> str:
    return f" of {unit.part}" if unit.part else ""


def _around_zero(agreement: Agreement, shown: Sequence[float]) -> tuple[np.ndarray, float, int]:
    """Returns the density by mean and difference in fewer bins, from -reach to reach; reach; and how many bins one is.

    All of `shown` lies within, and so do the differences of nearly all pixels. The others are added to the outermost
    bins.
    """
    fine, edges = agreement.differences, agreement.difference_edges
    half = fine.shape[1] // 2
    by_distance = fine.sum(axis=0)[half:] + fine.sum(axis=0)[:half][::-1]  # bins of the same distance from 0
    beyond = by_distance.sum() - np.cumsum(by_distance)
    reached = int(np.argmax(beyond <= BEYOND * by_distance.sum())) + 1
    reached = max(reached, math.ceil(HEADROOM * max(map(abs, shown)) / edges[half + 1]), LEAST_ROWS)
    merged = min(math.ceil(reached / MOST_ROWS), half // MOST_ROWS)
    rows = min(math.ceil(reached / merged), half // merged)
    kept = rows * merged
    inside = fine[:, half - kept : half + kept].copy()
    inside[:, 0] += fine[:, : half - kept].sum(axis=1)
    inside[:, -1] += fine[:, half + kept :].sum(axis=1)
    return inside.reshape(len(fine), 2 * rows, merged).sum(axis=-1), float(edges[half + kept]), merged


def _beyond(agreement: Agreement, reach: float) -> float:
    """Returns the weight of the pixels whose difference lies in a bin beyond ± reach."""
    edges, weights = agreement.difference_edges, agreement.differences.sum(axis=0)
    middles = (edges[1:] + edges[:-1]) / 2
    return float(weights[np.abs(middles) > reach].sum())


def alpha_of(density: np.ndarray) -> np.ndarray:
    """Returns how strongly each bin is coloured: 0 if it holds nothing, else from FAINTEST to 1, logarithmic."""
    most = float(density.max())
    return np.where(density > 0, FAINTEST + (1 - FAINTEST) * np.log1p(density) / np.log1p(most), 0)


def _picture(density: np.ndarray) -> dict[str, str]:
    """Returns a density, (columns, rows from below), as a PNG with a pixel a bin, and its scale of colours.

    Colour is logarithmic, and a bin that holds nothing is clear.
    """
    most, alpha = float(density.max()), alpha_of(density)
    pixels = np.empty((*density.T.shape, 4), np.uint8)
    pixels[..., :3] = COLOR
    pixels[..., 3] = np.round(255 * alpha.T[::-1])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    color = ", ".join(map(str, COLOR))
    return {
        "image": data_uri(buffer.getvalue(), "image/png"),
        "most": number_of(most),
        "scale": f"linear-gradient(90deg, rgba({color}, {FAINTEST}), rgb({color}))",
    }


def round_values(axis: Axis) -> list[float]:
    """Returns round values between the limits of an axis."""
    margin = 1e-9 * (axis.high - axis.low)
    values = MaxNLocator(TICKS, steps=STEPS).tick_values(axis.low, axis.high)
    return [value for value in values.tolist() if axis.low - margin <= value <= axis.high + margin]


def plain_number(value: float) -> str:
    """Returns a round value with a minus sign as people print it."""
    return f"{value:.6g}".replace("-", "−")


def _ticks(axis: Axis) -> list[dict[str, str]]:
    """Returns round values, each with its distance from the lower end."""
    return [{"at": axis.at(value), "words": plain_number(value)} for value in round_values(axis)]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}"


def number_of(weight: float) -> str:
    """Returns the weight of pixels: their number, or four digits if they are few."""
    return f"{weight:,.0f}" if weight >= 10 else digits(weight)


def _count(weight: float) -> str:
    return f"{number_of(weight)} pixels"
