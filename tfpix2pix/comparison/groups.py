"""Several trainings of one variant, with different seeds, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfpix2pix.comparison.alike import check_alike
from tfpix2pix.comparison.evaluations import Evaluated
from tfpix2pix.comparison.seeds import limits
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation import METRICS


def group(evaluations: Sequence[Evaluated], name: str) -> Evaluated:
    """The mean over training seeds of every figure that all of them have; of one, that one under the name.

    Rows and replicates are means over the members, replicate by replicate. What other seeds might have given is not in
    them: it is `Evaluated.spread`, and in the intervals (seeds.py says how, and how far it can be trusted).

    Raises:
        UserError: there is none, one is there twice, or they are not of the same images by the same protocol.
    """
    if not evaluations:
        raise UserError(f"A group must have an evaluation. Received none for {name!r}. Name one.")
    if len(evaluations) == 1:
        return replace(evaluations[0], name=name)
    paths = [each.path.resolve() for each in evaluations if each.path]
    twice = [each.path for each in evaluations if each.path and paths.count(each.path.resolve()) > 1]
    if twice:
        raise UserError(
            f"The members of {name!r} must be different trainings. Received {twice[0]} twice. Leave one out."
        )
    check_alike(evaluations)
    replicates = {
        figure: np.mean([each.replicates[figure] for each in evaluations], axis=0)
        for figure in evaluations[0].figures
        if all(figure in each.figures for each in evaluations)
    }
    rows = {
        figure: np.mean([each.rows[figure] for each in evaluations], axis=0)
        for figure in replicates
        if all(figure in each.rows for each in evaluations)
    }
    made = Evaluated(name, {}, evaluations[0].images, rows, replicates, members=tuple(evaluations))
    return replace(made, record=_record(made))


def _record(made: Evaluated) -> dict[str, Any]:
    """What is one in all members, as metrics.json has it, with the figures of the mean."""
    first, figures = made.members[0].record, {}
    for figure, values in made.replicates.items():
        about = first["figures"][figure]
        low, high = limits(values, made.spread(figure), len(made.images))
        row = METRICS.get(about["metric"])
        if high is not None and row is not None and row.most is not None:
            low, high = min(low, row.most), min(high, row.most)
        figures[figure] = {**about, "value": float(values[0]), "low": low, "high": high}
    others = {figure for each in made.members for figure in each.figures} - figures.keys()
    left_out = [f"Not all members have {', '.join(sorted(others))}: left out."] if others else []
    notes = list(dict.fromkeys(note for each in made.members for note in each.record.get("notes", ())))
    protocols = {metric: said for each in made.members for metric, said in each.record["protocols"].items()}
    return {
        "format_version": first["format_version"],
        "name": made.name,
        "data": first["data"],
        "protocol": first["protocol"],
        "figures": figures,
        "protocols": protocols,
        "notes": [*left_out, *notes],
    }
