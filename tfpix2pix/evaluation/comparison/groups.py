"""Groups several trainings of one variant, with different seeds, into one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison.assemble import check_alike
from tfpix2pix.evaluation.comparison.evaluations import Evaluated
from tfpix2pix.evaluation.comparison.seeds import bounded, limits
from tfpix2pix.evaluation.folder import Record


def group(evaluations: Sequence[Evaluated], name: str) -> Evaluated:
    """Returns the mean over training seeds of every metric that all evaluations have.

    A single evaluation only gets the name. Rows and replicates are means over the members, replicate by replicate. The
    spread over other seeds is not in them. It is `Evaluated.spread` and enters the intervals (seeds.py says how, and
    how far it can be trusted).

    Raises:
        UserError: there is no evaluation, one is given twice, or they differ in images or protocol.
    """
    if not evaluations:
        raise UserError(f"A group must have an evaluation. Received none for {name!r}. Name one.")
    if len(evaluations) == 1:
        return replace(evaluations[0], name=name)
    paths = [evaluated.path for evaluated in evaluations if evaluated.path]
    resolved = [path.resolve() for path in paths]
    twice = [path for path in paths if resolved.count(path.resolve()) > 1]
    if twice:
        raise UserError(
            f"The members of {name!r} must be different trainings. Received {twice[0]} twice. Leave one out."
        )
    check_alike(evaluations)
    replicates = {
        key: np.mean([evaluated.replicates[key] for evaluated in evaluations], axis=0)
        for key in evaluations[0].figures
        if all(key in evaluated.figures for evaluated in evaluations)
    }
    rows = {
        key: np.mean([evaluated.rows[key] for evaluated in evaluations], axis=0)
        for key in replicates
        if all(key in evaluated.rows for evaluated in evaluations)
    }
    mean = Evaluated(name, evaluations[0].record, evaluations[0].images, rows, replicates, members=tuple(evaluations))
    return replace(mean, record=_record(mean))


def _record(mean: Evaluated) -> Record:
    """Returns the record that all members have in common, with the metrics of the mean."""
    first, figures = mean.members[0].record, {}
    for key, values in mean.replicates.items():
        record = first.figures[key]
        low, high = bounded(record.metric, *limits(values, mean.spread(key), mean.drawn))
        figures[key] = record.model_copy(update={"value": float(values[0]), "low": low, "high": high})
    others = {key for member in mean.members for key in member.figures} - figures.keys()
    left_out = [f"{', '.join(sorted(others))} left out, because not all members have them."] if others else []
    notes = list(dict.fromkeys(note for member in mean.members for note in member.record.notes))
    protocols = {name: sentence for member in mean.members for name, sentence in member.record.protocols.items()}
    return Record(
        format_version=first.format_version,
        name=mean.name,
        data=first.data,
        protocol=first.protocol,
        figures=figures,
        protocols=protocols,
        notes=[*left_out, *notes],
    )
