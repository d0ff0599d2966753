"""Which images of an evaluation are looked at: the best, the median and the worst, and some spread over all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError, unknown_name

EACH = 3  # best, median and worst
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """How images stand by a figure, from the first to the last."""

    key: Callable[[float], float]
    words: str  # what is better
    ends: tuple[str, str, str]  # names of the first, the middle and the last
    last_first: str


ORDERS = {  # `better` of a figure -> its order
    "lower": Order(lambda value: value, "lower", ("Best", "Median", "Worst"), "worst first"),
    "higher": Order(lambda value: -value, "higher", ("Best", "Median", "Worst"), "worst first"),
    "near 1": Order(lambda value: abs(value - 1), "near 1", ("Best", "Median", "Worst"), "worst first"),
    "": Order(lambda value: value, "", ("Lowest", "Median", "Highest"), "highest first"),
}


def order_of(record: Mapping[str, Any], figure: str) -> Order:
    """Of a figure of the images; one that is no figure of the whole has none that is better."""
    return ORDERS.get(record["figures"].get(figure, {}).get("better") or "", ORDERS[""])


def figures_of(row: Row) -> dict[str, float]:
    """Those that are numbers."""
    numbers = (int, float, np.number)
    return {
        name: float(value)
        for name, value in row.items()
        if name != "name" and isinstance(value, numbers) and math.isfinite(value)
    }


def image_figures(rows: Sequence[Row]) -> list[str]:
    """Names of the figures that any image has, in their order."""
    return list(dict.fromkeys(name for row in rows for name in figures_of(row)))


def check_by(names: Iterable[str], by: str | None) -> None:
    """Raises UserError where `by` is not among the names of figures that images have."""
    names = list(names)
    if by is not None and by not in names:
        if not names:
            raise UserError(f"--by must be a figure that single images have. Received {by!r}; none has. Leave it out.")
        raise UserError(unknown_name("--by", by, names))


def chosen_figure(record: Mapping[str, Any], rows: Sequence[Row], by: str | None = None) -> str | None:
    """`by`, or else the first figure of the record that images have and of which more or less is better; None where
    there is none. Raises UserError where no image has `by`."""
    names = image_figures(rows)
    check_by(names, by)
    sensible = (
        name for name, each in record["figures"].items() if each["better"] in ("higher", "lower") and name in names
    )
    return by if by is not None else next(sensible, None)


def extremes(rows: Sequence[Row], by: str, order: Order) -> dict[str, list[int]]:
    """heading -> indices of rows, best first, worst first in the last; no image stands twice."""
    known = {index: figures_of(row)[by] for index, row in enumerate(rows) if by in figures_of(row)}
    ranked = sorted(known, key=lambda index: order.key(known[index]))
    each = min(EACH, max(1, len(ranked) // 3))
    first, last = ranked[:each], ranked[each:][::-1][:each]
    rest = ranked[each : len(ranked) - each]
    start = (len(rest) - each) // 2
    groups = zip(order.ends, (first, rest[max(start, 0) :][:each], last), strict=True)
    return {heading: indices for heading, indices in groups if indices}


def spread(rows: Sequence[Row], count: int) -> list[int]:
    """Indices of up to `count` rows, evenly over their names."""
    ranked = by_name(rows)
    return [ranked[place] for place in np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).astype(int))]


def by_name(rows: Sequence[Row]) -> list[int]:
    """Indices of rows in the order of names, in which 2 stands before 10."""
    pieces = [re.split(r"(\d+)", str(row["name"])) for row in rows]
    keys = [[(int(each), "") if number % 2 else (0, each) for number, each in enumerate(parts)] for parts in pieces]
    return sorted(range(len(rows)), key=keys.__getitem__)
