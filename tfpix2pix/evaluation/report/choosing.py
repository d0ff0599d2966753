"""Chooses the images that a report shows: the best, the median and the worst, and some spread over all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError, unknown_name

GROUP_SIZE = 3  # images in each of best, median and worst
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """Ranks images by a metric, from the first to the last."""

    key: Callable[[float], float]
    words: str  # says which values are better
    ends: tuple[str, str, str]  # headings of the first, the middle and the last images
    last_first: str


ORDERS = {  # `better` of a metric -> its order
    "lower": Order(lambda value: value, "lower", ("Best", "Median", "Worst"), "worst first"),
    "higher": Order(lambda value: -value, "higher", ("Best", "Median", "Worst"), "worst first"),
    "near 1": Order(lambda value: abs(value - 1), "near 1", ("Best", "Median", "Worst"), "worst first"),
    "": Order(lambda value: value, "", ("Lowest", "Median", "Highest"), "highest first"),
}


def order_of(record: Mapping[str, Any], metric: str) -> Order:
    """Returns the order by a metric of single images. Metrics that the record does not have are ranked by size."""
    return ORDERS.get(record["figures"].get(metric, {}).get("better") or "", ORDERS[""])


def metrics_of(row: Row) -> dict[str, float]:
    """Returns the metrics of an image that are finite numbers."""
    numbers = (int, float, np.number)
    return {
        key: float(value)
        for key, value in row.items()
        if key != "name" and isinstance(value, numbers) and math.isfinite(value)
    }


def image_metrics(rows: Sequence[Row]) -> list[str]:
    """Returns the keys of the metrics that at least one image has, in their order."""
    return list(dict.fromkeys(key for row in rows for key in metrics_of(row)))


def check_by(keys: Iterable[str], by: str | None) -> None:
    """Raises UserError if `by` is not one of `keys`, the metrics that images have."""
    keys = list(keys)
    if by is not None and by not in keys:
        if not keys:
            raise UserError(
                f"`by` must be a metric that single images have. Received {by!r}, but no image has any. Leave it out."
            )
        raise UserError(unknown_name("`by`", by, keys))


def ranking_metric(record: Mapping[str, Any], rows: Sequence[Row], by: str | None = None) -> str | None:
    """Returns `by`, or the first metric of the record that images have and of which more or less is better.

    None if there is no such metric. Raises UserError if no image has `by`.
    """
    keys = image_metrics(rows)
    check_by(keys, by)
    ranking = (
        key for key, metric in record["figures"].items() if metric["better"] in ("higher", "lower") and key in keys
    )
    return by if by is not None else next(ranking, None)


def extremes(rows: Sequence[Row], by: str, order: Order) -> dict[str, list[int]]:
    """Returns heading -> indices of rows, best first, and worst first in the last group. No image is in two groups."""
    values = {index: metrics_of(row)[by] for index, row in enumerate(rows) if by in metrics_of(row)}
    ranked = sorted(values, key=lambda index: order.key(values[index]))
    size = min(GROUP_SIZE, max(1, len(ranked) // 3))
    first, last = ranked[:size], ranked[size:][::-1][:size]
    rest = ranked[size : len(ranked) - size]
    start = (len(rest) - size) // 2
    groups = zip(order.ends, (first, rest[max(start, 0) :][:size], last), strict=True)
    return {heading: indices for heading, indices in groups if indices}


def typical(rows: Sequence[Row], by: str, order: Order) -> dict[str, int]:
    """Returns heading -> index of the first, the middle and the last image by a metric. The middle of an even number is
    the better one. Two images have no middle, and one has the first heading alone."""
    values = {index: metrics_of(row)[by] for index, row in enumerate(rows) if by in metrics_of(row)}
    ranked = sorted(values, key=lambda index: order.key(values[index]))
    places = {order.ends[0]: 0, order.ends[1]: (len(ranked) - 1) // 2, order.ends[2]: len(ranked) - 1}
    if len(ranked) < 3:
        places = dict(zip(order.ends[::2], range(len(ranked)), strict=False))
    return {heading: ranked[place] for heading, place in places.items()}


def spread(rows: Sequence[Row], count: int) -> list[int]:
    """Returns the indices of at most `count` rows, evenly over their names."""
    ranked = by_name(rows)
    return [ranked[place] for place in np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).astype(int))]


def by_name(rows: Sequence[Row]) -> list[int]:
    """Returns the indices of rows in the order of their names, in which 2 comes before 10."""
    names = [re.split(r"(\d+)", str(row["name"])) for row in rows]
    keys = [[(int(part), "") if odd % 2 else (0, part) for odd, part in enumerate(name)] for name in names]
    return sorted(range(len(rows)), key=keys.__getitem__)
