"""Draws some examples for papers: inputs, output, target and error in columns, with their scales of values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from tfpix2pix.data.pixel_sizes import PixelMm
from tfpix2pix.errors import escape_controls
from tfpix2pix.evaluation.report.density import STEPS, plain_number

WIDTH_IN, MOST_HEIGHT_IN = 7.2, 9.0  # 183 mm, the width of a page in most journals
LEFT_IN, TOP_IN, BELOW_IN, GAP_IN, EDGE_IN = 0.42, 0.22, 0.42, 0.06, 0.06
BAR_IN = (0.07, 0.08)  # from the last row to a bar of colours, and its height
MOST_PANEL_IN, LEAST_COLUMN_IN = 1.75, 0.8  # widest picture, and narrowest column, which has room for its words
DPI = 300
SMALL, FONT = 7, 8  # pt
TICKS, AT_END_IN = 3, 0.15  # and how near to an end of a bar a number is moved inwards
SHOWN = (0.2, 99.8)  # percentiles of the values that a scale shows
MOST_OF_ERRORS = 99.5  # percentile of their sizes
ON_DARK = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1}  # behind text; an outline makes it no text
MASKED, FRAME = "0.8", "0.6"
VALUES = matplotlib.colormaps["gray"].with_extremes(bad=MASKED)
ERRORS = matplotlib.colormaps["RdBu_r"].with_extremes(bad=MASKED)
BAR_OF_WIDTH = 0.4  # of a picture: the longest scale bar
ROUND_LENGTHS = (5, 2, 1)
LENGTHS = ((1e3, "m"), (1.0, "mm"), (1e-3, "µm"), (1e-6, "nm"))  # mm, name


class Column(NamedTuple):
    """Describes the images of a column.

    Columns of values that follow each other and have one `scale` share it, and the bar that shows it. A column of
    pictures has no scale.
    """

    title: str
    scale: str = ""
    label: str = ""  # of the bar of colours
    is_error: bool = False


@dataclass(frozen=True)
class ExampleRow:
    """Holds the images of an example, one for each column: values, a masked float (H, W), or a picture, uint8
    (H, W, 3)."""

    heading: str
    facts: str
    images: Sequence[np.ndarray]
    pixel_mm: PixelMm | None = None  # width and height of a pixel


def example_figure(columns: Sequence[Column], rows: Sequence[ExampleRow]) -> Figure:
    """Returns the figure of some examples. Its caption is not in it, because papers print theirs below."""
    ratio = max(_height_by_width(row, image) for row in rows for image in row.images)
    side = min(MOST_PANEL_IN, (WIDTH_IN - LEFT_IN - EDGE_IN + GAP_IN) / len(columns) - GAP_IN)
    side = min(side, ((MOST_HEIGHT_IN - TOP_IN - BELOW_IN + GAP_IN) / len(rows) - GAP_IN) / ratio)
    wide = max(side, LEAST_COLUMN_IN)
    size = (
        LEFT_IN + EDGE_IN + len(columns) * (wide + GAP_IN) - GAP_IN,
        TOP_IN + BELOW_IN + len(rows) * (side * ratio + GAP_IN) - GAP_IN,
    )
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")

    def axes_at(column: int, top_in: float, height_in: float, columns: int = 1) -> Axes:
        left, width = LEFT_IN + column * (wide + GAP_IN), columns * (wide + GAP_IN) - GAP_IN
        box = (left / size[0], 1 - (top_in + height_in) / size[1], width / size[0], height_in / size[1])
        return figure.add_axes(box)

    limits = scales(columns, rows)
    with_bar = rows[:1] if same_scale(rows) else rows
    for row, example in enumerate(rows):
        top = TOP_IN + row * (side * ratio + GAP_IN)
        for index, (column, image) in enumerate(zip(columns, example.images, strict=True)):
            axes = axes_at(index, top, side * ratio)
            _show(axes, column, image, limits, example.pixel_mm, side * DPI)
            if not row:
                axes.set_title(escape_controls(column.title), fontsize=FONT, pad=3).set_parse_math(False)
            if not index:
                lines = filter(None, (example.heading, example.facts))
                label = axes.set_ylabel(escape_controls("\n".join(lines)), fontsize=SMALL, labelpad=3)
                label.set_parse_math(False)
                if example.pixel_mm and example in with_bar:
                    _scale_bar(axes, image.shape[1], example.pixel_mm[0])
    below = size[1] - BELOW_IN + BAR_IN[0]
    for first, count in _shared(columns):
        _color_bar(axes_at(first, below, BAR_IN[1], count), columns[first], limits[columns[first].scale])
    return figure


def scales(columns: Sequence[Column], rows: Sequence[ExampleRow]) -> dict[str, tuple[float, float]]:
    """Returns scale -> the values at the ends of its colours. Those of errors lie as far below 0 as above."""
    limits = {}
    for scale in dict.fromkeys(column.scale for column in columns if column.scale):
        where = [index for index, column in enumerate(columns) if column.scale == scale]
        values = np.concatenate([np.ma.compressed(row.images[index]) for row in rows for index in where])
        if columns[where[0]].is_error:
            most = float(np.percentile(np.abs(values), MOST_OF_ERRORS)) if values.size else 0.0
            limits[scale] = (-most, most) if most else (-1.0, 1.0)
        else:
            low, high = map(float, np.percentile(values, SHOWN) if values.size else (0.0, 1.0))
            limits[scale] = (low, high) if low < high else (low - 1, high + 1)
    return limits


def scale_bar_mm(width_px: int, pixel_mm: float) -> float:
    """Returns the largest length of 1, 2 or 5 times a power of ten that takes up to 0.4 of a width, mm."""
    most = BAR_OF_WIDTH * width_px * pixel_mm
    power = 10.0 ** math.floor(math.log10(most))
    return next(factor * power for factor in ROUND_LENGTHS if factor * power <= most * (1 + 1e-9))


def same_scale(rows: Sequence[ExampleRow]) -> bool:
    """Returns True if the images of all rows show the same number of mm, so that one scale bar is enough."""
    widths = [row.images[0].shape[1] * row.pixel_mm[0] for row in rows if row.pixel_mm]
    return len(widths) == len(rows) and math.isclose(min(widths), max(widths), rel_tol=1e-3)


def length_in_words(length_mm: float) -> str:
    """Returns a length in the unit that gives the fewest digits, such as `20 mm` or `50 µm`."""
    size, name = next(((size, name) for size, name in LENGTHS if length_mm >= size * (1 - 1e-9)), LENGTHS[-1])
    return f"{length_mm / size:.4g} {name}"


def _height_by_width(row: ExampleRow, image: np.ndarray) -> float:
    across, down = row.pixel_mm or (1.0, 1.0)
    return image.shape[0] * down / (image.shape[1] * across)


def _shared(columns: Sequence[Column]) -> Iterator[tuple[int, int]]:
    """Yields the first of the columns that share a scale, and their number."""
    index = 0
    while index < len(columns):
        scale, count = columns[index].scale, 1
        while scale and index + count < len(columns) and columns[index + count].scale == scale:
            count += 1
        if scale:
            yield index, count
        index += count


def _show(
    axes: Axes, column: Column, image: np.ndarray, limits: Mapping[str, tuple[float, float]],
    pixel_mm: PixelMm | None, side_px: float,
) -> None:  # fmt: skip
    across, down = pixel_mm or (1.0, 1.0)
    colors = {}
    if column.scale:
        low, high = limits[column.scale]
        colors = {"cmap": ERRORS if column.is_error else VALUES, "vmin": low, "vmax": high}
    # Few pixels are kept as they are, even in vectors. Many are reduced, so that files stay small.
    few = max(image.shape[:2]) <= side_px
    axes.imshow(image, aspect=down / across, interpolation="none" if few else "auto", **colors)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=FRAME, linewidth=0.4)  # shows where a white picture ends
    axes.set_anchor("N")


def _scale_bar(axes: Axes, width_px: int, pixel_mm: float) -> None:
    length_mm = scale_bar_mm(width_px, pixel_mm)
    start, end = 0.05, 0.05 + length_mm / pixel_mm / width_px
    lines = axes.plot([start, end], [0.06, 0.06], color="white", linewidth=2, transform=axes.transAxes)
    lines[0].set(solid_capstyle="butt", path_effects=[withStroke(linewidth=3.5, foreground="black")], gid="scale-bar")
    axes.text(
        (start + end) / 2, 0.1, length_in_words(length_mm), color="white", fontsize=SMALL, ha="center", va="bottom",
        transform=axes.transAxes, bbox=ON_DARK,
    )  # fmt: skip


def _color_bar(axes: Axes, column: Column, limits: tuple[float, float]) -> None:
    norm = Normalize(*limits)
    mappable = ScalarMappable(norm, ERRORS if column.is_error else VALUES)
    width_in = axes.get_position().width * axes.figure.get_figwidth()
    bar = axes.figure.colorbar(mappable, cax=axes, orientation="horizontal")
    margin = 1e-9 * (limits[1] - limits[0])
    ticks = [
        tick
        for tick in MaxNLocator(TICKS, steps=STEPS, symmetric=column.is_error).tick_values(*limits).tolist()
        if limits[0] - margin <= tick <= limits[1] + margin
    ]
    bar.set_ticks(ticks, labels=[plain_number(tick) for tick in ticks], fontsize=SMALL)
    for tick, label in zip(ticks, axes.get_xticklabels(), strict=True):  # those at the ends stay within the column
        place = norm(tick) * width_in
        at_end = "left" if place < AT_END_IN else "right" if place > width_in - AT_END_IN else "center"
        label.set_horizontalalignment(at_end)
    bar.outline.set_visible(False)
    axes.tick_params(length=2, pad=1.5)
    bar.set_label(escape_controls(column.label), fontsize=SMALL, labelpad=1)
    axes.xaxis.label.set_parse_math(False)
