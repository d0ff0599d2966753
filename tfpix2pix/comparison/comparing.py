"""From evaluations to their comparison."""

from __future__ import annotations

from collections.abc import Sequence

from tfpix2pix.comparison.alike import check_alike, notes_on
from tfpix2pix.comparison.differences import OPEN, cost_of, difference, verdict
from tfpix2pix.comparison.evaluations import Evaluated
from tfpix2pix.comparison.outcome import Comparison
from tfpix2pix.comparison.table import Cell
from tfpix2pix.errors import UserError


def compare(evaluations: Sequence[Evaluated], baseline: int = 0) -> Comparison:
    """Evaluations of the same images by the same protocol, or means over seeds of some (`group`), side by side.

    Args:
        baseline: which of them the differences are to.

    Raises:
        UserError: there is none, two have one name, no evaluation is the baseline, or images or protocols differ; it
            says which.
    """
    if not evaluations:
        raise UserError("A comparison must have an evaluation. Received none. Name some.")
    names = [each.name for each in evaluations]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(
            f"Evaluations that are compared must have different names. Received {twice[0]!r} twice. Name them apart, "
            f"or group them as seeds of one variant."
        )
    if not 0 <= baseline < len(evaluations):
        raise UserError(
            f"The baseline must be one of the {len(evaluations)} evaluations, from 0. Received {baseline}. Choose "
            f"another."
        )
    check_alike(evaluations)
    reference = evaluations[baseline]
    figures: dict[str, str] = {}
    for each in evaluations:
        figures |= {name: about["better"] for name, about in each.figures.items() if name not in figures}
    best = {figure: _best([each for each in evaluations if figure in each.figures], figure) for figure in figures}
    table = {
        each.name: {figure: _cell(each, figure, each.name in best[figure]) for figure in each.figures}
        for each in evaluations
    }
    differences = {
        each.name: {figure: difference(each, reference, figure) for figure in figures if _both(each, reference, figure)}
        for each in evaluations
        if each is not reference
    }
    notes = [f"{each.name}: {note}" for each in evaluations for note in each.record.get("notes", ())]
    return Comparison(tuple(evaluations), baseline, figures, table, differences, (*notes_on(evaluations), *notes))


def _both(one: Evaluated, other: Evaluated, figure: str) -> bool:
    return figure in one.figures and figure in other.figures


def _best(having: Sequence[Evaluated], figure: str) -> set[str]:
    """Names of the best and of those that its paired interval does not tell from it; none where that is all of them, or
    there are no intervals: then nothing is known to be best."""
    costs = {each.name: cost for each in having if (cost := cost_of(each, figure)) is not None}
    ranked = sorted((each for each in having if each.name in costs), key=lambda each: costs[each.name])
    if len(ranked) < 2:
        return set()
    verdicts = {each.name: verdict(ranked[0], each, figure) for each in ranked[1:]}
    if not all(verdicts.values()) or all(said == OPEN for said in verdicts.values()):
        return set()
    return {ranked[0].name, *(name for name, said in verdicts.items() if said == OPEN)}


def _cell(of: Evaluated, figure: str, best: bool) -> Cell:
    about = of.figures[figure]
    members = tuple(float(member.replicates[figure][0]) for member in of.members)
    return Cell(about["value"], about["low"], about["high"], best, members)
