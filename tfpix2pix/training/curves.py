"""Draws the curves of a run as one picture, from the lines of metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tfpix2pix.files import whole_file

DPI = 120
WIDTH_PX, ROW_PX = 1200, 310
MANY = 50  # points; a curve of more is drawn faint, with its running mean
MEAN_OVER = 1 / 40  # of a curve's points: the window of the running mean
SHOWN = (0.2, 99.8)  # percentiles of the points that a panel shows, so that a spike does not flatten the curve
NEAR = 1 / 60  # of the panel's width; names of findings that are nearer would overlap
ROUND = [1, 2, 5, 10]  # steps between ticks
PALE = "0.45"

# Okabe & Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"


@dataclass(frozen=True)
class Panel:
    """Holds the curves of one unit."""

    title: str
    curves: Mapping[str, tuple[str, str]]  # name in metrics.jsonl -> (label, colour)
    level: tuple[float, str] | None = None  # a faint horizontal line, and its label
    between: tuple[float | None, float | None] = (None, None)  # limits of the axis; None: from the curves


PANELS = (
    Panel(
        "Reconstruction error, lower is better",
        {
            "g/l1": ("g/l1 training", BLUE),
            "g/l2": ("g/l2 training", GREEN),
            "g/pyramid_l1": ("g/pyramid_l1 training", ORANGE),
            "val/l1": ("val/l1 held out", VERMILION),
        },
        between=(0.0, None),
    ),
    Panel(
        "The contest of G and D, no side should win",
        {"g/gan": ("g/gan", BLUE), "d/real": ("d/real", ORANGE), "d/fake": ("d/fake", GREEN)},
        level=(math.log(2), "log 2: D cannot tell (cross-entropy)"),
    ),
    Panel(
        "Accuracy of D, 1.0 throughout is too strong",
        {"d/real_accuracy": ("of real pairs", ORANGE), "d/fake_accuracy": ("of translations", GREEN)},
        level=(0.5, "0.5: D cannot tell"),
        between=(-0.02, 1.02),
    ),
    Panel(
        "Mean sign of D for real pairs, a gap is memory",
        {
            "health/real_sign": ("of training", ORANGE),
            "health/held_out_real_sign": ("held out", VERMILION),
        },
        between=(-1.04, 1.04),
    ),
    Panel("Held-out PSNR in dB, higher is better", {"val/psnr_db": ("val/psnr_db", VERMILION)}),
    Panel("Held-out SSIM, higher is better", {"val/ssim": ("val/ssim", VERMILION)}),
    Panel(
        "Variation across inputs, 0 is collapse",
        {
            "health/output_variation": ("of translations, as of targets", VERMILION),
            "health/bottleneck_variation": ("of the bottleneck, relative", BLUE),
        },
        between=(0.0, None),
    ),
    Panel(
        "Learning rate",
        {"learning_rate": ("learning_rate", PURPLE), "discriminator_learning_rate": ("of D", BLUE)},
        between=(0.0, None),
    ),
    Panel(
        "Difference by noise (0: equal images; the lower, the larger)",
        {"g/diversity_sensitive": ("g/diversity_sensitive", BLUE)},
        between=(None, 0.0),
    ),
)


@dataclass(frozen=True)
class Series:
    """Holds the points of a curve. Values that are not finite are NaN."""

    steps: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, name: str, lines: Sequence[Mapping[str, Any]]) -> Series:
        points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
        steps, values = np.array(points, np.float64).reshape(-1, 2).T
        return cls(steps, np.where(np.isfinite(values), values, np.nan))

    @property
    def has_numbers(self) -> bool:
        return bool(np.isfinite(self.values).any())

    def mean(self) -> np.ndarray:
        """Returns the running mean of the finite values, over fewer of them at the start, where a curve is steep."""
        half = max(int(len(self.values) * MEAN_OVER / 2), 2)
        index = np.arange(len(self.values))
        half = np.clip(index, half // 5, half)
        first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(index))
        known = np.isfinite(self.values)
        sums, counts = (np.concatenate([[0], np.cumsum(array)]) for array in (np.where(known, self.values, 0), known))
        count = counts[last] - counts[first]
        return np.where(known, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def draw_curves(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws the curves of `lines` to the PNG file `path`. Writes nothing if there is nothing to draw."""
    figure = curves_figure(lines)
    if figure is None:
        return
    canvas = FigureCanvasAgg(figure)  # pyplot's state would be shared with a notebook or a user's program
    with whole_file(path) as temporary:
        canvas.print_png(temporary)


def curves_figure(lines: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Returns a figure of the panels that have numbers, with the findings across all of them. None if no panel has."""
    panels = [(panel, {name: Series.of(name, lines) for name in panel.curves}) for panel in PANELS]
    panels = [(panel, {name: curve for name, curve in curves.items() if curve.has_numbers}) for panel, curves in panels]
    panels = [(panel, curves) for panel, curves in panels if curves]
    if not panels:
        return None
    findings = [(line["step"], str(line["finding"])) for line in lines if "finding" in line]
    end = max(1, *(line["step"] for line in lines))
    rows = (len(panels) + 1) // 2
    size = (WIDTH_PX / DPI, rows * ROW_PX / DPI)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    grid = figure.add_gridspec(rows, 2)
    odd = len(panels) % 2  # if so, the first panel is as wide as two
    for index, (panel, curves) in enumerate(panels):
        axes = figure.add_subplot(grid[0, :] if odd and not index else grid[divmod(index + odd, 2)])
        _draw(axes, panel, curves)
        axes.set_xlim(-0.01 * end, 1.01 * end)
        _mark(axes, findings)
    return figure


def _draw(axes: Axes, panel: Panel, curves: Mapping[str, Series]) -> None:
    limits = []
    for name, series in curves.items():
        label, color = panel.curves[name]
        many = len(series.values) > MANY
        strong = series.mean() if many else series.values
        if many:
            faint = 0.22 + 0.28 * MANY / len(series.values)  # stronger if there are few points
            axes.plot(series.steps, series.values, color=color, alpha=faint, linewidth=0.7, zorder=2)
        marker = None if many else "o"
        axes.plot(
            series.steps, strong, color=color, label=label, linewidth=1.6, marker=marker, markersize=3.5, zorder=3
        )
        limits += [*np.nanpercentile(series.values, SHOWN), np.nanmin(strong), np.nanmax(strong)]
    if panel.level:
        value, meaning = panel.level
        axes.axhline(value, color=PALE, linewidth=0.8, linestyle="--", label=meaning, zorder=1)
        limits.append(value)
    low, high = min(limits), max(limits)
    margin = max(0.06 * (high - low), 0.02 * abs(high)) or 1.0
    known_low, known_high = panel.between
    axes.set_ylim(low - margin if known_low is None else known_low, high + margin if known_high is None else known_high)
    if len(panel.curves) > 1:  # the legend is above the axes
        axes.legend(
            fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.1,
            handlelength=1.6, columnspacing=1.4, borderpad=0.2,
        )  # fmt: skip
    axes.set_title(panel.title, fontsize=9, loc="left", fontweight="bold", pad=18 if len(panel.curves) > 1 else 6)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=7.5, color=PALE)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=ROUND))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # a factor above the axis would hit the legend
    axes.grid(color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)


def _mark(axes: Axes, findings: Sequence[tuple[float, str]]) -> None:
    """Draws a vertical line for each finding. Writes its name the first time, unless that would overlap other names."""
    steps = [step for step, _ in findings]
    across = axes.get_xaxis_transform()
    axes.vlines(steps, 0, 1, transform=across, color=PALE, linewidth=0.7, linestyle=":", zorder=1)
    first, last = axes.get_xlim()
    taken = {"top": -math.inf, "bottom": -math.inf}  # step of the last name on this side
    named: set[str] = set()
    for step, name in sorted(findings):
        free = [side for side, until in taken.items() if step - until >= NEAR * (last - first)]
        if name in named or not free:
            continue
        named.add(name)
        taken[free[0]] = step
        top, left = free[0] == "top", step > (first + last) / 2
        axes.annotate(
            name, (step, float(top)), (-2 if left else 2, -2 if top else 2), xycoords=across,
            textcoords="offset points", zorder=2.5, rotation=90, ha="right" if left else "left", va=free[0],
            fontsize=6.5, color="0.25", bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6},
        )  # fmt: skip
