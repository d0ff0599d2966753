"""Draws a comparison as one picture, with a panel for each metric and a row for each evaluation."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tfpix2pix.errors import UserError, escape_controls
from tfpix2pix.evaluation.comparison.outcome import Comparison
from tfpix2pix.evaluation.comparison.table import Cell
from tfpix2pix.evaluation.figure_files import check_suffix, write_figure
from tfpix2pix.metrics import title_of
from tfpix2pix.training.curves import BLUE, DPI, GREEN, ORANGE, PALE, PURPLE, ROUND, VERMILION, WIDTH_PX

SKY = "#56B4E9"  # from the palette of Okabe & Ito, as the others
COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
MOST_PANELS = 12  # unless metrics are named
MOST_COLUMNS = 4
ROW_PX, AROUND_PX, FOOT_PX, LINE_PX = 34, 78, 8, 16  # height of a row, around a panel, below all, of a line of text
NAME_LENGTH, LINE_LENGTH = 30, 18  # characters
FOOT_LENGTH = 180
MEMBERS_BELOW = 0.26  # rows
BETTER = {"lower": "lower is better", "higher": "higher is better", "near 1": "near 1 is better", "": ""}
NO_INTERVAL = "no interval"


def draw_comparison(comparison: Comparison, path: str | Path, figures: Sequence[str] | None = None) -> None:
    """Draws a comparison to a .png file, 1200 px wide, or an .svg or .pdf file. The same numbers give the same bytes.

    Args:
        figures: the metrics to show; None shows those of the first evaluation, at most 12.

    Raises:
        UserError: the suffix or a metric is unknown, or no metric is a number.
        RunError: the file cannot be written.
    """
    check_suffix(path)
    write_figure(comparison_figure(comparison, figures), path, DPI)


def comparison_figure(comparison: Comparison, figures: Sequence[str] | None = None) -> Figure:
    """Returns the picture. Raises UserError if a metric is unknown, or no metric is a number."""
    shown = [name for name in comparison.chosen(figures) if _cells(comparison, name)]
    if figures is None:
        shown = [name for name in shown if name in comparison.evaluations[0].figures][:MOST_PANELS]
    if not shown:
        raise UserError(
            "A picture must have a metric to show. Received evaluations without a metric of the first. Name some."
        )
    columns = _columns(len(shown))
    rows, names = math.ceil(len(shown) / columns), [escape_controls(one.name) for one in comparison.evaluations]
    below = _foot(comparison)
    around_px = AROUND_PX + (LINE_PX if any(metric in comparison.units for metric in shown) else 0)
    height_px = rows * (around_px + ROW_PX * len(names)) + FOOT_PX + LINE_PX * len(below.splitlines())
    picture = Figure(figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, facecolor="white", layout="constrained")
    picture.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    grid = picture.add_gridspec(rows, columns)
    for index, metric in enumerate(shown):
        axes = picture.add_subplot(grid[divmod(index, columns)])
        _draw(axes, comparison, metric)
        axes.set_yticks(range(len(names)), [short(name) for name in names] if not index % columns else [])
        for label in axes.get_yticklabels():
            label.set_parse_math(False)  # a $ in a name is a $
    foot = picture.supxlabel(below, x=0.008, ha="left", fontsize=7.5, color="0.3")
    foot.set_parse_math(False)
    return picture


def short(name: str) -> str:
    """Returns at most 30 characters of a name, on two lines if it is long."""
    cut = name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
    return "\n".join(textwrap.wrap(cut, LINE_LENGTH)) if len(cut) > LINE_LENGTH else cut


def _columns(panels: int) -> int:
    """Returns the number of columns that leaves the fewest panels empty, and of such numbers the largest."""
    return max(
        range(min(panels, 3), min(panels, MOST_COLUMNS) + 1), key=lambda columns: (-(-panels % columns), columns)
    )


def _cells(comparison: Comparison, metric: str) -> dict[int, Cell]:
    """Maps rows to the cells that are drawn in them."""
    cells = {row: comparison.table[each.name].get(metric) for row, each in enumerate(comparison.evaluations)}
    return {row: cell for row, cell in cells.items() if cell is not None and math.isfinite(cell.value)}


def _draw(axes: Axes, comparison: Comparison, metric: str) -> None:
    cells, count = _cells(comparison, metric), len(comparison.evaluations)
    if comparison.baseline in cells and count > 1:
        axes.axvline(cells[comparison.baseline].value, color=PALE, linewidth=0.9, linestyle="--", zorder=1)
    for row in range(count):
        color = COLORS[row % len(COLORS)]
        if row not in cells:
            axes.text(
                0.5, row, "not measured", transform=axes.get_yaxis_transform(), ha="center", va="center", fontsize=7,
                color=PALE, bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
            )  # fmt: skip
            continue
        cell = cells[row]
        if cell.low is not None:
            axes.plot([cell.low, cell.high], [row, row], color=color, linewidth=1.8, solid_capstyle="butt", zorder=3)
        axes.plot(cell.value, row, "o", color=color, markersize=5.5, zorder=4)
        below = [row + MEMBERS_BELOW] * len(cell.members)
        axes.plot(cell.members, below, "o", color=color, markersize=2.6, alpha=0.75, linestyle="none", zorder=3)
    axes.set_ylim(count - 0.4, -0.6)  # the first row on top
    axes.margins(x=0.08)
    title = axes.set_title(metric, fontsize=9, loc="left", fontweight="bold", pad=17)
    title.set_parse_math(False)
    certain = any(cell.low is not None for cell in cells.values())
    words = [BETTER[comparison.figures[metric]], "" if certain else NO_INTERVAL]
    axes.annotate(
        ", ".join(filter(None, words)), (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points",
        fontsize=7.5, color="0.3",
    )  # fmt: skip
    if metric in comparison.units:
        quantity = title_of(metric).partition(", in ")[0]  # a title ends with "in the targets' unit"
        label = axes.set_xlabel(escape_controls(f"{quantity}, {comparison.units[metric]}"), fontsize=7.5)
        label.set_parse_math(False)
    axes.tick_params(labelsize=7.5, color=PALE)
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # readers overlook a factor beside the axis
    axes.grid(axis="x", color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)


def _foot(comparison: Comparison) -> str:
    parts = []
    if len(comparison.evaluations) > 1:
        parts.append(f"The dashed line is {escape_controls(comparison.evaluations[comparison.baseline].name)}.")
    if any(evaluated.members for evaluated in comparison.evaluations):
        parts.append("Small dots are single trainings.")
    return textwrap.fill(" ".join([*parts, comparison.caption]), FOOT_LENGTH)
