"""Computes the geometry of small charts, which the report's template draws as inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

LEAST_BINS, MOST_BINS = 10, 40
TICKS = 5
MOST_RELATIVE = 0.5  # of a value: the most that the bar of an interval can show on either side


def digits(value: float | None) -> str:
    """Returns four significant digits, or a dash for None and for numbers that are not finite."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:#.4g}".rstrip(".").replace("-", "−")


def histogram(title: str, values: Sequence[float]) -> dict[str, Any]:
    """Returns the bars of a histogram over images, the position of their median and the texts beside them.

    Positions and sizes are percentages of the chart.
    """
    values = np.asarray(values, np.float64)
    low, high, median = float(values.min()), float(values.max()), float(np.median(values))
    margin = 0.5 * max(abs(low), 1.0) if low == high else 0.0
    limits = (low - margin, high + margin)
    bins = int(np.clip(len(np.histogram_bin_edges(values, "auto")) - 1, LEAST_BINS, MOST_BINS))
    counts, edges = np.histogram(values, bins, limits)
    width, most = 100 / bins, int(counts.max())
    median_at = 100 * (median - limits[0]) / (limits[1] - limits[0])
    return {
        "words": f"{title} of {len(values)} images: from {digits(low)} to {digits(high)}, median {digits(median)}",
        "count": len(values),
        "bars": [
            {
                "x": f"{index * width + 0.1 * width:.3f}",
                "y": f"{100 - 100 * count / most:.2f}",
                "width": f"{0.8 * width:.3f}",
                "height": f"{100 * count / most:.2f}",
                "words": f"{digits(first)} to {digits(last)}: {_images(count)}",
            }
            for index, (count, first, last) in enumerate(zip(counts.tolist(), edges, edges[1:], strict=False))
            if count
        ],
        "most": _images(most),
        "median": digits(median),
        "median_at": f"{median_at:.2f}",
        "side": "left" if median_at > 50 else "right",
        "ticks": [digits(tick) for tick in np.linspace(*limits, TICKS)],
    }


def _images(count: int) -> str:
    return f"{count:,} {'image' if count == 1 else 'images'}"


def relative_scale(metrics: Iterable[Mapping[str, Any]]) -> float | None:
    """Returns the largest distance from a value to an end of its interval, as a part of the value, at most 0.5.

    None if no value has an interval.
    """
    ends = [end for metric in metrics for end in _relative(metric) or ()]
    return min(max(map(abs, ends)), MOST_RELATIVE) or None if ends else None


def interval_bar(metric: Mapping[str, Any], scale: float | None) -> dict[str, str] | None:
    """Returns the start and the width of an interval's bar, percent. Its value lies at 50.

    None without an interval or a scale.
    """
    ends = _relative(metric)
    if ends is None or scale is None:
        return None
    low, high = (50 + 50 * float(np.clip(end / scale, -1, 1)) for end in sorted(ends))
    return {"x": f"{low:.2f}", "width": f"{max(high - low, 0.5):.2f}"}


def _relative(metric: Mapping[str, Any]) -> tuple[float, float] | None:
    value, low, high = (metric.get(key) for key in ("value", "low", "high"))
    if not value or low is None or high is None or not np.isfinite([value, low, high]).all():
        return None
    return (low - value) / value, (high - value) / value
