"""Reads every pair once, keeps a little of each, and asks the checks."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.pairs import Source
from tfpix2pix.doctor import CHECKS, NOTES
from tfpix2pix.doctor.files import histograms
from tfpix2pix.doctor.findings import ADVICE, Examination, Finding
from tfpix2pix.doctor.looks import Survey, looker
from tfpix2pix.doctor.notes import read_as

AHEAD = 64  # pairs that are read before the first of them is taken
Item, Result = TypeVar("Item"), TypeVar("Result")


def examine(
    config: Config,
    *,
    at_most: int | None = None,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Examination:
    """What is wrong with the pairs that `config.data` names.

    `at_most` pairs are read, spread evenly over all splits (None: every pair); those of missing partners and names
    cost no reading and are all told. `track` wraps the pairs as they are read, for a progress bar.

    Raises:
        UserError: there is no data to examine.
    """
    survey = Survey(config, open_all(config))
    places = spread(
        [(split, index) for split, source in survey.sources.items() for index in range(len(source))], at_most
    )
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # such files are findings
        for look, correlation in track(in_order(pool, looker(survey), places), len(places)):
            survey.looks.append(look)
            if correlation is not None:
                survey.surfaces.add(correlation)  # in order: floating-point sums depend on it
    found = [each for check in CHECKS.values() for each in check(survey)]
    counts = histograms(survey)
    return Examination(
        findings=tuple(sorted(found, key=_place)),
        notes=tuple(note for check in NOTES.values() for note in check(survey)),
        read_as=read_as(config.data),
        pairs={split: len(source) for split, source in survey.sources.items()},
        examined=len(places),
        sizes=counts["size"],
        channels=counts["channels"],
    )


def open_all(config: Config) -> dict[str, Source]:
    """The sources of all splits, with faults left out and named; nothing that is read stays in memory."""
    data = config.data.model_copy(update={"on_error": "skip", "cache_files_mb": 0})
    return {split: SOURCES[data.source](data, split, config.seed) for split in SPLITS}


def spread(items: list[Item], at_most: int | None) -> list[Item]:
    """All items, or `at_most` of them, evenly spaced."""
    count = len(items) if at_most is None else min(len(items), at_most)
    return [items[position * len(items) // count] for position in range(count)]


def in_order(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` that runs at most AHEAD items ahead, so that results do not pile up behind a slow one."""
    ahead: deque = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) >= AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()


def _place(found: Finding) -> tuple:
    """Findings by kind, then by split and pair, so that their order is the same at any number of threads."""
    kinds, pairs = list(ADVICE), [(SPLITS.index(split), index) for split, index in found.pairs]
    unknown = len(kinds)  # of a kind that somebody's own check or source has
    return kinds.index(found.kind) if found.kind in ADVICE else unknown, found.kind, pairs, found.names
