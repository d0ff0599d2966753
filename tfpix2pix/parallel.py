"""Calls a function on many items in threads, keeps the order of the items and does not read far ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

READ_AHEAD = 2  # items per thread


class Outcome(NamedTuple):
    """Holds the result or the error of one item. `error` is None if the call succeeded."""

    item: Any
    result: Any
    error: Exception | None


def outcomes(function: Callable[[Any], Any], items: Iterable, threads: int | None = None) -> Iterator[Outcome]:
    """Calls `function` with every item, in threads, and yields the outcomes in the order of the items.

    Reads ahead by at most twice as many items as there are threads, so memory is bounded for any number of items. If
    the caller stops early, items that have not started are dropped.

    Args:
        threads: number of items at a time. None: a number that suits reading files on this machine.
    """
    threads = threads or min(32, (os.cpu_count() or 1) + 4)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="parallel")
    under_way: deque[tuple[Any, Future]] = deque()
    try:
        for item in items:
            under_way.append((item, pool.submit(function, item)))
            if len(under_way) >= READ_AHEAD * threads:
                yield _outcome(*under_way.popleft())
        while under_way:
            yield _outcome(*under_way.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def in_order(function: Callable[[Any], Any], items: Iterable, threads: int | None = None) -> Iterator[Any]:
    """Yields `function(item)` for every item in order, computed in threads as by `outcomes`. Raises the first error."""
    for outcome in outcomes(function, items, threads):
        if outcome.error is not None:
            raise outcome.error
        yield outcome.result


def evenly_spread(count: int, at_most: int | None) -> list[int]:
    """Returns `at_most` indices of `count` items, evenly spread from the first on, or all of them if it is None."""
    kept = count if at_most is None else min(count, at_most)
    return [position * count // kept for position in range(kept)]


def _outcome(item: Any, future: Future) -> Outcome:
    try:
        return Outcome(item, future.result(), None)
    except Exception as error:
        return Outcome(item, None, error)
