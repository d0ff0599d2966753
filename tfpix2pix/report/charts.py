"""Small charts as inline SVG. Their words are HTML beside them, so that they stay readable at any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

LEAST_BINS, MOST_BINS = 10, 40
TICKS = 5
MOST_RELATIVE = 0.5  # of a figure, what an interval's bar has room for on either side


def digits(value: float | None) -> str:
    """Four significant digits, or a dash."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:#.4g}".rstrip(".").replace("-", "−")


def histogram(name: str, values: Sequence[float]) -> str:
    """HTML: how many images have which value, and their median."""
    values = np.asarray(values, np.float64)
    low, high, median = float(values.min()), float(values.max()), float(np.median(values))
    margin = 0.5 * max(abs(low), 1.0) if low == high else 0.0
    limits = (low - margin, high + margin)
    bins = int(np.clip(len(np.histogram_bin_edges(values, "auto")) - 1, LEAST_BINS, MOST_BINS))
    counts, edges = np.histogram(values, bins, limits)
    width, most = 100 / bins, int(counts.max())
    bars = "".join(
        f'<rect x="{index * width + 0.1 * width:.3f}" y="{100 - 100 * count / most:.2f}" width="{0.8 * width:.3f}" '
        f'height="{100 * count / most:.2f}"><title>{_between(first, last, count)}</title></rect>'
        for index, (count, first, last) in enumerate(zip(counts.tolist(), edges, edges[1:], strict=False))
        if count
    )
    at = 100 * (median - limits[0]) / (limits[1] - limits[0])
    side = "left" if at > 50 else "right"
    ticks = "".join(f"<span>{digits(each)}</span>" for each in np.linspace(*limits, TICKS))
    said = f"{name} of {len(values)} images: from {digits(low)} to {digits(high)}, median {digits(median)}"
    return (
        f'<figure class="histogram"><figcaption>{escape(name)}, {len(values)} images</figcaption>'
        f'<div class="plot {side}"><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(said)}">{bars}</svg>'
        f'<span class="most" aria-hidden="true"><span>{_images(most)}</span></span>'
        f'<span class="median" style="left:{at:.2f}%"><span>median {digits(median)}</span></span></div>'
        f'<div class="ticks" aria-hidden="true">{ticks}</div></figure>'
    )


def _images(count: int) -> str:
    return f"{count:,} {'image' if count == 1 else 'images'}"


def _between(first: float, last: float, count: int) -> str:
    return f"{digits(first)} to {digits(last)}: {_images(count)}"


def relative_scale(figures: Mapping[str, Mapping[str, Any]]) -> float | None:
    """How far the furthest end of an interval is from its figure, as a part of it, 0.5 at most; None without any."""
    ends = [end for each in figures.values() for end in _relative(each) or ()]
    return min(max(map(abs, ends)), MOST_RELATIVE) or None if ends else None


def interval_bar(figure: Mapping[str, Any], scale: float | None) -> str:
    """SVG: the interval relative to its figure, which is in the middle; "" where there is none."""
    ends = _relative(figure)
    if ends is None or scale is None:
        return ""
    low, high = (50 + 50 * float(np.clip(end / scale, -1, 1)) for end in sorted(ends))
    return (
        '<svg class="interval" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="10"/><rect class="bar" x="{low:.2f}" '
        f'width="{max(high - low, 0.5):.2f}" height="10"/><rect class="middle" x="49.25" width="1.5" height="10"/>'
        "</svg>"
    )


def _relative(figure: Mapping[str, Any]) -> tuple[float, float] | None:
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    if not value or low is None or high is None or not np.isfinite([value, low, high]).all():
        return None
    return (low - value) / value, (high - value) / value
