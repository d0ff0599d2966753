"""Draws the plots over all pixels for papers, as wide as a column of text."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from tfpix2pix.errors import escape_controls
from tfpix2pix.evaluation.report.density import (
    COLOR,
    FAINTEST,
    DensityPlot,
    alpha_of,
    plain_number,
    round_values,
)

SIZE_IN = (3.5, 2.45)  # 89 mm, the width of a column in most journals
SIDE_IN, LEFT_IN, BOTTOM_IN = 1.9, 0.76, 0.45  # of the plot, which is a square
BAR_IN = (0.09, 0.11)  # from the plot to the bar of colours, and width of the bar
DPI = 300
SMALL, FONT = 7, 8  # pt
PALE = "0.35"
LINES = {"mean": "-", "limit": "--"}
ON_WHITE = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}  # keeps text readable over a density
MOST_STEPS = 5  # numbers beside the bar of colours
FAINT_COLOR = tuple(1 - FAINTEST * (1 - part / 255) for part in COLOR)  # of the faintest bin on white


def density_figure(plot: DensityPlot) -> Figure:
    """Returns the figure of a plot. Its caption is not in it, because papers print theirs below."""
    figure = Figure(figsize=SIZE_IN, dpi=DPI, facecolor="white")
    axes = _axes(figure, LEFT_IN, SIDE_IN)
    extent = (plot.x.low, plot.x.high, plot.y.low, plot.y.high)
    axes.imshow(on_white(plot.density), extent=extent, aspect="auto", interpolation="none", origin="lower")
    if plot.has_identity:
        axes.plot([plot.x.low, plot.x.high], [plot.y.low, plot.y.high], color=PALE, linewidth=0.7)
    for level in plot.levels:
        axes.axhline(level.value, color=PALE, linewidth=0.8, linestyle=LINES[level.kind])
        below, left = level.side.startswith("below"), level.side.endswith("left")
        axes.annotate(
            level.words, (0 if left else 1, level.value), (2 if left else -2, -2 if below else 2),
            xycoords=axes.get_yaxis_transform(), textcoords="offset points", fontsize=SMALL,
            ha="left" if left else "right", va="top" if below else "bottom", bbox=ON_WHITE,
        )  # fmt: skip
    if plot.points:
        across, up = zip(*plot.points.values(), strict=True)
        axes.plot(across, up, "o", color="black", markersize=3, markeredgecolor="white", markeredgewidth=0.5)
    for axis, of_plot, limits in ((axes.xaxis, plot.x, axes.set_xlim), (axes.yaxis, plot.y, axes.set_ylim)):
        ticks = round_values(of_plot)
        axis.set_ticks(ticks, [plain_number(tick) for tick in ticks], fontsize=SMALL)
        label = axis.set_label_text(escape_controls(of_plot.label), fontsize=FONT)
        label.set_parse_math(False)  # a $ in a unit is a $
        limits(of_plot.low, of_plot.high)
    axes.tick_params(color=PALE, length=2.5)
    axes.spines[:].set_color(PALE)
    most = max(float(plot.density.max()), 1.0)
    norm = FuncNorm((np.log1p, np.expm1), vmin=0, vmax=most)
    colors = LinearSegmentedColormap.from_list("density", [FAINT_COLOR, tuple(part / 255 for part in COLOR)])
    bar = figure.colorbar(ScalarMappable(norm, colors), cax=_axes(figure, LEFT_IN + SIDE_IN + BAR_IN[0], BAR_IN[1]))
    powers = range(math.floor(math.log10(most)) + 1)
    steps = [10**power for power in powers][:: math.ceil(len(powers) / MOST_STEPS)]
    bar.set_ticks(steps, labels=[f"{step:,}" for step in steps], fontsize=SMALL)
    bar.ax.minorticks_off()
    bar.set_label("pixels in a bin", fontsize=FONT)
    bar.outline.set_edgecolor(PALE)
    bar.ax.tick_params(color=PALE, length=2.5)
    return figure


def _axes(figure: Figure, left_in: float, width_in: float) -> Axes:
    width, height = SIZE_IN
    return figure.add_axes((left_in / width, BOTTOM_IN / height, width_in / width, SIDE_IN / height))


def on_white(density: np.ndarray) -> np.ndarray:
    """Returns the colours of a density (columns, rows from below) on white, uint8 (rows from below, columns, 3)."""
    alpha = alpha_of(density).T[..., np.newaxis]
    return np.round(255 + alpha * (np.array(COLOR) - 255.0)).astype(np.uint8)
