"""Writes metrics and differences as rows of text, and rows as Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfpix2pix.evaluation.comparison.differences import Difference

ARROWS = {"lower": " ↓", "higher": " ↑", "near 1": " →1", "": ""}
LEGEND = "↓ lower is better, ↑ higher, →1 near 1."
MOST_DECIMALS = 6
WORDS = (0, 1, 4)  # the columns of `difference_rows` that hold words
Rows = list[list[str]]
NO_UNITS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Cell:
    """Holds a metric of one evaluation."""

    value: float
    low: float | None
    """Lower end of the 95 % interval; None without an interval."""
    high: float | None
    best: bool
    """True if this evaluation is the best by the metric, or its paired interval with the best includes 0."""
    members: tuple[float, ...]
    """The values of the single trainings, if it is a mean of several."""


def heading(metric: str, better: str, units: Mapping[str, str]) -> str:
    """Returns a metric's name, its unit if `units` has one, and an arrow to the better values."""
    return f"{', '.join(filter(None, [metric, units.get(metric)]))}{ARROWS[better]}"


def metric_rows(
    figures: Mapping[str, str],
    table: Mapping[str, Mapping[str, Cell]],
    emphasis: Callable[[str], str] = str,
    units: Mapping[str, str] = NO_UNITS,
) -> Rows:
    """Returns a heading, then a row for each evaluation: its name, and the value and interval of each metric.

    Args:
        figures: metric -> which of its values are better.
        emphasis: formats the cells that are best.
        units: metric -> its unit, for those that have one.
    """
    decimals = {key: decimals_for(column(table, key)) for key in figures}
    rows = [["", *(heading(key, better, units) for key, better in figures.items())]]
    for name, cells in table.items():
        rows.append([name])
        for key in figures:
            cell = cells.get(key)
            text = "" if cell is None else _with_interval(cell, decimals[key])
            rows[-1].append(emphasis(text) if cell is not None and cell.best else text)
    return rows


def difference_rows(
    figures: Mapping[str, str],
    differences: Mapping[str, Mapping[str, Difference]],
    units: Mapping[str, str] = NO_UNITS,
) -> Rows:
    """Returns a heading, then a row for each metric and evaluation: difference, interval, verdict and shares."""
    rows = [["metric", "evaluation", "difference", "95 % interval", "verdict", "better in", "worse in"]]
    for key, better in figures.items():
        decimals = decimals_for(column(differences, key))
        for name, of_evaluation in differences.items():
            difference = of_evaluation.get(key)
            if difference is not None:
                value, limits = f"{difference.value:+.{decimals}f}", interval_text(difference, decimals, "+")
                shares = [
                    "" if share is None else f"{100 * share:.0f} %" for share in (difference.wins, difference.losses)
                ]
                rows.append([heading(key, better, units), name, value, limits, difference.verdict, *shares])
    return rows


def flat_rows(
    figures: Mapping[str, str],
    table: Mapping[str, Mapping[str, Cell]],
    differences: Mapping[str, Mapping[str, Difference]],
    units: Mapping[str, str] = NO_UNITS,
) -> list[dict[str, Any]]:
    """Returns a row for each metric and evaluation that has it, as a CSV file has them: numbers, not text.

    An entry is None if there is no such number, or if it is not finite. The baseline has no differences.
    """
    rows = []
    for key, better in figures.items():
        for name, cells in table.items():
            cell, difference = cells.get(key), differences.get(name, {}).get(key)
            if cell is None:
                continue
            numbers = {"value": cell.value, "low": cell.low, "high": cell.high}
            for entry in ("value", "low", "high"):
                numbers[f"difference_{entry}".removesuffix("_value")] = difference and getattr(difference, entry)
            rows.append(
                {
                    "metric": key, "evaluation": name, **{entry: _finite(number) for entry, number in numbers.items()},
                    "verdict": difference.verdict if difference else "", "best": int(cell.best), "better": better,
                    "unit": units.get(key, ""),
                }
            )  # fmt: skip
    return rows


def as_markdown(rows: Rows, words: Iterable[int] = (0,)) -> str:
    """Returns a pipe table. Its first row is the heading. The columns `words`, which are not numbers, align left."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    ruler = [":--" if column in words else "--:" for column in range(len(rows[0]))]
    return "\n".join([lines[0], "| " + " | ".join(ruler) + " |", *lines[1:]])


def bold(text: str) -> str:
    return f"**{text}**"


def escaped(text: str) -> str:
    """Returns text that Markdown shows as it is, in a cell or a line."""
    return re.sub(r"([\\|`*<])", r"\\\1", " ".join(text.split()))


def decimals_for(cells: Iterable[Cell | Difference]) -> int:
    """Returns the decimals that give the narrowest interval two digits or, without one, the largest value four."""
    cells = list(cells)
    widths = [cell.high - cell.low for cell in cells if cell.low is not None and cell.high > cell.low]
    values = [abs(cell.value) for cell in cells if math.isfinite(cell.value) and cell.value]
    if not widths and not values:
        return 1
    digits = 1 - math.floor(math.log10(min(widths))) if widths else 3 - math.floor(math.log10(max(values)))
    return min(max(digits, 0), MOST_DECIMALS)


def column(table: Mapping[str, Mapping[str, Any]], metric: str) -> list[Any]:
    """Returns the cells of a metric, of the evaluations that have it."""
    return [cells[metric] for cells in table.values() if metric in cells]


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _with_interval(cell: Cell, decimals: int) -> str:
    limits = interval_text(cell, decimals)
    return f"{cell.value:.{decimals}f}" + (f" ({limits})" if limits else "")


def interval_text(cell: Cell | Difference, decimals: int, sign: str = "") -> str:
    """Returns the ends of an interval with a number of decimals, or "" without one."""
    return "" if cell.low is None else f"{cell.low:{sign}.{decimals}f} to {cell.high:{sign}.{decimals}f}"
