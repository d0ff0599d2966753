"""Figures and differences as rows of text, and rows as Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfpix2pix.comparison.differences import Difference

ARROWS = {"lower": " ↓", "higher": " ↑", "near 1": " →1", "": ""}
LEGEND = "↓ lower is better, ↑ higher, →1 near 1."
MOST_DECIMALS = 6
WORDS = (0, 1, 4)  # the columns of `difference_rows` that are no numbers
Rows = list[list[str]]


@dataclass(frozen=True)
class Cell:
    """A figure of one evaluation."""

    value: float
    low: float | None
    """With `high` the 95 % interval; None where it has none."""
    high: float | None
    best: bool
    """Whether it is the best of its figure, or its paired interval to the best holds 0."""
    members: tuple[float, ...]
    """Of the single trainings, where it is a mean of several."""


def figure_rows(
    figures: Mapping[str, str], table: Mapping[str, Mapping[str, Cell]], emphasis: Callable[[str], str] = str
) -> Rows:
    """A heading, then a row an evaluation: its name, and value and interval of each figure; "" where it has none.

    Args:
        figures: name -> what is better of it.
        emphasis: of cells that are best.
    """
    decimals = {figure: decimals_for(_column(table, figure)) for figure in figures}
    rows = [["", *(f"{figure}{ARROWS[better]}" for figure, better in figures.items())]]
    for name, cells in table.items():
        rows.append([name])
        for figure in figures:
            cell = cells.get(figure)
            text = "" if cell is None else _with_interval(cell, decimals[figure])
            rows[-1].append(emphasis(text) if cell is not None and cell.best else text)
    return rows


def difference_rows(figures: Mapping[str, str], differences: Mapping[str, Mapping[str, Difference]]) -> Rows:
    """A heading, then a row a figure and evaluation: figure, evaluation, difference, interval, verdict, shares."""
    rows = [["figure", "evaluation", "difference", "95 % interval", "verdict", "better in", "worse in"]]
    for figure, better in figures.items():
        decimals = decimals_for(_column(differences, figure))
        for name, of_figure in differences.items():
            each = of_figure.get(figure)
            if each is not None:
                value, limits = f"{each.value:+.{decimals}f}", _interval(each, decimals, "+")
                shares = ["" if share is None else f"{100 * share:.0f} %" for share in (each.wins, each.losses)]
                rows.append([f"{figure}{ARROWS[better]}", name, value, limits, each.verdict, *shares])
    return rows


def as_markdown(rows: Rows, words: Iterable[int] = (0,)) -> str:
    """A pipe table; its first row is the heading, and the columns `words`, which are no numbers, stand left."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    ruler = [":--" if column in words else "--:" for column in range(len(rows[0]))]
    return "\n".join([lines[0], "| " + " | ".join(ruler) + " |", *lines[1:]])


def bold(text: str) -> str:
    return f"**{text}**"


def escaped(text: str) -> str:
    """Text as Markdown shows it, in a cell or a line."""
    return re.sub(r"([\\|`*<])", r"\\\1", " ".join(text.split()))


def decimals_for(cells: Iterable[Cell | Difference]) -> int:
    """So many that the narrowest interval has two digits, or the largest value four where there is no interval."""
    cells = list(cells)
    widths = [cell.high - cell.low for cell in cells if cell.low is not None and cell.high > cell.low]
    values = [abs(cell.value) for cell in cells if math.isfinite(cell.value) and cell.value]
    if not widths and not values:
        return 1
    digits = 1 - math.floor(math.log10(min(widths))) if widths else 3 - math.floor(math.log10(max(values)))
    return min(max(digits, 0), MOST_DECIMALS)


def _column(table: Mapping[str, Mapping[str, Any]], figure: str) -> list[Any]:
    return [cells[figure] for cells in table.values() if figure in cells]


def _with_interval(cell: Cell, decimals: int) -> str:
    limits = _interval(cell, decimals)
    return f"{cell.value:.{decimals}f}" + (f" ({limits})" if limits else "")


def _interval(of: Cell | Difference, decimals: int, sign: str = "") -> str:
    return "" if of.low is None else f"{of.low:{sign}.{decimals}f} to {of.high:{sign}.{decimals}f}"
