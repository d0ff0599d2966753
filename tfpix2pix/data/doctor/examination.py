"""Reads every pair once, keeps a few measurements of each, and runs the checks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.doctor import CHECKS, NOTES
from tfpix2pix.data.doctor.alignment import shift_report
from tfpix2pix.data.doctor.files import histograms
from tfpix2pix.data.doctor.findings import ADVICE, Examination, Finding
from tfpix2pix.data.doctor.notes import read_as
from tfpix2pix.data.doctor.survey import Survey, looker
from tfpix2pix.data.doctor.values import advice_of
from tfpix2pix.data.groups import check_folds
from tfpix2pix.data.opening import decided, read_otherwise
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.parallel import evenly_spread, in_order


def examine(
    data: DataConfig,
    seed: int = 0,
    *,
    at_most: int | None = None,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Examination:
    """Examines the pairs of the configuration `data`.

    Reads `at_most` pairs, evenly spread over all splits (None: every pair). Faults of names, such as missing partners,
    are all reported, because they need no reading. `track` wraps the pairs as they are read, for a progress bar.

    Raises:
        UserError: the data do not exist or hold no pairs.
    """
    given, data = data, decided(data, seed)
    survey = Survey(data, open_all(data, seed))
    pairs = [(split, index) for split, source in survey.sources.items() for index in range(len(source))]
    chosen = [pairs[position] for position in evenly_spread(len(pairs), at_most)]
    for look, correlation in track(in_order(looker(survey), chosen), len(chosen)):
        survey.looks.append(look)
        if correlation is not None:
            survey.surfaces.add(correlation)  # in order, because floating-point sums depend on it
    findings = [finding for check in CHECKS.values() for finding in check(survey)]
    counts = histograms(survey)
    return Examination(
        findings=tuple(sorted(findings, key=_rank)),
        notes=(*read_otherwise(given, data), *(note for check in NOTES.values() for note in check(survey))),
        read_as=read_as(data),
        pairs=survey.division.pairs,
        examined=len(chosen),
        sizes=counts["size"],
        channels=counts["channels"],
        shifts=shift_report(survey),
        division=survey.division,
        overrides=tuple(override for each in advice_of(survey) for override in each.overrides),
    )


def open_all(data: DataConfig, seed: int) -> dict[str, Source]:
    """Opens the sources of all splits. They skip faulty pairs and name them, and keep no files in memory."""
    data = decided(data, seed).model_copy(update={"on_error": "skip", "cache_files_mb": 0})
    sources = {split: SOURCES[data.source](data, split, seed) for split in SPLITS}
    check_folds(data, divided=any(source.divided for source in sources.values()))
    return sources


def _rank(finding: Finding) -> tuple:
    """Returns a sorting key, by kind, then split and pair, so that the order is the same for any number of threads."""
    kinds, pairs = list(ADVICE), [(SPLITS.index(split), index) for split, index in finding.pairs]
    last = len(kinds)  # for kinds of a user's own check or source
    return kinds.index(finding.kind) if finding.kind in ADVICE else last, finding.kind, pairs, finding.names
