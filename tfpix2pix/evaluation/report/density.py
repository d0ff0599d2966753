"""Computes the geometry of two plots over all pixels, by their density: a scatter plot, and one of Bland and Altman.

The template draws them as HTML and SVG around a picture of the density. Positions are percentages of a square.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from PIL import Image

from tfpix2pix.evaluation.report.charts import digits
from tfpix2pix.metrics.agreement import LIMITS, Agreement
from tfpix2pix.metrics.example import Unit
from tfpix2pix.pages import data_uri

COLOR = (47, 111, 196)  # with alpha, readable on light and on dark paper
FAINTEST = 0.16  # alpha of a bin that holds little
BEYOND = 1e-3  # share of the pixels that may lie beyond the differences that are drawn
HEADROOM = 1.25  # of the differences that are drawn, over the limits of agreement
LEAST_ROWS, MOST_ROWS = 8, 64  # of differences, on either side of 0
TICKS, STEPS = 5, [1, 2, 2.5, 5, 10]


def density_charts(agreement: Agreement) -> list[dict[str, Any]]:
    """Returns the two plots of translations and targets that have a unit, of which a pixel counts."""
    return [_scatter(agreement), _bland_altman(agreement)]


def _scatter(agreement: Agreement) -> dict[str, Any]:
    unit, correlation = agreement.unit, agreement.correlation()
    limits = (unit.low, unit.high)
    step = digits(agreement.edges[1] - agreement.edges[0])
    caption = [
        f"Translation against target{_of_part(unit)}, {_count(agreement.count)}: r {digits(correlation['pearson_r'])}, "
        f"R² {digits(correlation['r2'])}.",
        "On the line both are equal.",
        f"Bins of {step} × {step} {unit.name}.",
    ]
    if agreement.outside:
        caption.append(
            f"{100 * agreement.outside / agreement.count:.2g} % lie beyond the range and are drawn at its ends."
        )
    return {
        "title": f"Scatter plot{_of_part(unit)}",
        "caption": caption,
        "x": {"label": f"target{_of_part(unit)}, {unit.name}", "ticks": _ticks(*limits)},
        "y": {"label": f"translation{_of_part(unit)}, {unit.name}", "ticks": _ticks(*limits)},
        "lines": [{"x1": 0, "y1": 100, "x2": 100, "y2": 0, "kind": "identity"}],
        "labels": [],
        "points": [],
        **_picture(agreement.scatter),
    }


def _bland_altman(agreement: Agreement) -> dict[str, Any]:
    unit, middle, limits = agreement.unit, agreement.mean_difference(), agreement.limits()
    points = agreement.group_points()
    density, reach, merged = _around_zero(agreement, [*limits, middle, *(point[1] for point in points.values())])
    beyond = _beyond(agreement, reach) / agreement.count

    def height(difference: float) -> str:
        return _percent(reach - difference, 2 * reach)

    step = agreement.difference_edges[1] - agreement.difference_edges[0]
    caption = [
        f"Bland–Altman plot{_of_part(unit)}, {_count(agreement.count)}: mean difference {digits(middle)} {unit.name}, "
        f"limits of agreement {digits(limits[0])} to {digits(limits[1])} {unit.name} "
        f"(± {LIMITS} SD of the differences, SD {digits(agreement.deviation())} {unit.name}).",
        f"Points are the means of {len(points)} group{'s' if len(points) != 1 else ''}." if points else "",
        f"Bins of {digits(agreement.edges[1] - agreement.edges[0])} × {digits(merged * step)} {unit.name}.",
        f"{100 * beyond:.2g} % differ by more than {digits(reach)} {unit.name} and are drawn at the edge."
        if beyond
        else "",
    ]
    lines = [(middle, "mean"), (limits[0], "limit"), (limits[1], "limit")]
    return {
        "title": f"Bland–Altman plot{_of_part(unit)}",
        "caption": [sentence for sentence in caption if sentence],
        "x": {
            "label": f"mean of translation and target{_of_part(unit)}, {unit.name}",
            "ticks": _ticks(unit.low, unit.high),
        },
        "y": {"label": f"translation − target{_of_part(unit)}, {unit.name}", "ticks": _ticks(-reach, reach)},
        "lines": [
            {"x1": 0, "y1": height(value), "x2": 100, "y2": height(value), "kind": kind} for value, kind in lines
        ],
        "labels": [
            {"y": height(limits[1]), "side": "above right", "words": f"+{LIMITS} SD: {digits(limits[1])}"},
            {"y": height(middle), "side": "above left", "words": f"mean: {digits(middle)}"},
            {"y": height(limits[0]), "side": "below right", "words": f"−{LIMITS} SD: {digits(limits[0])}"},
        ],
        "points": [
            {
                "x": _percent(mean - unit.low, unit.high - unit.low),
                "y": height(difference),
                "words": f"{group}: {digits(difference)} {unit.name} at {digits(mean)} {unit.name}",
            }
            for group, (mean, difference) in points.items()
        ],
        **_picture(density),
    }


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


def _picture(density: np.ndarray) -> dict[str, str]:
    """Returns a density, (columns, rows from below), as a PNG with a pixel a bin, and its scale of colours.

    Colour is logarithmic, and a bin that holds nothing is clear.
    """
    most = float(density.max())
    alpha = np.where(density > 0, FAINTEST + (1 - FAINTEST) * np.log1p(density) / np.log1p(most), 0)
    pixels = np.empty((*density.T.shape, 4), np.uint8)
    pixels[..., :3] = COLOR
    pixels[..., 3] = np.round(255 * alpha.T[::-1])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    color = ", ".join(map(str, COLOR))
    return {
        "image": data_uri(buffer.getvalue(), "image/png"),
        "most": f"{most:,.0f}" if most >= 10 else digits(most),
        "scale": f"linear-gradient(90deg, rgba({color}, {FAINTEST}), rgb({color}))",
    }


def _ticks(low: float, high: float) -> list[dict[str, str]]:
    """Returns round values between two, each with its distance from the first."""
    values = MaxNLocator(TICKS, steps=STEPS).tick_values(low, high)
    margin = 1e-9 * (high - low)
    return [
        {"at": _percent(value - low, high - low), "words": f"{value:.6g}".replace("-", "−")}
        for value in values.tolist()
        if low - margin <= value <= high + margin
    ]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}"


def _count(weight: float) -> str:
    return f"{weight:,.0f} pixels" if weight >= 10 else f"{digits(weight)} pixels"
