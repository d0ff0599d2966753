"""What a comparison is: evaluations side by side, and how each differs from the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tfpix2pix.comparison.differences import Difference
from tfpix2pix.comparison.evaluations import Evaluated
from tfpix2pix.comparison.table import (
    LEGEND,
    WORDS,
    Cell,
    Rows,
    as_markdown,
    bold,
    difference_rows,
    escaped,
    figure_rows,
)
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.evaluation.bootstrap import COVERED

FORMAT_VERSION = 1
ABOUT = ("model", "kind", "step", "created", "package_version")
GIVEN = ("statistics", "noise", "variants")
MARKS = "Bold marks the best and everything whose paired interval to it includes zero, unless that is all of them."
VERDICTS = (
    "Verdict: what the paired interval says; open: it holds 0. Better in, worse in: the share of images. Every "
    "interval is for one figure alone: of twenty differences that are none, about one has an interval without 0."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What came of it.

    Args:
        baseline: which of the evaluations the differences are to.
        figures: name -> what is better of it, of all that any evaluation has, in the order of the first.
        table: evaluation -> figure -> cell, of the figures that it has.
        differences: evaluation -> figure -> difference, of the figures that it and the baseline have; the baseline
            itself is not in it.
        notes: what to know of it, a sentence each.
    """

    evaluations: tuple[Evaluated, ...]
    baseline: int
    figures: dict[str, str]
    table: dict[str, dict[str, Cell]]
    differences: dict[str, dict[str, Difference]]
    notes: tuple[str, ...]

    def chosen(self, figures: Sequence[str] | None = None) -> dict[str, str]:
        """Those named, or all: name -> what is better. Raises UserError where one is none."""
        for name in figures or ():
            if name not in self.figures:
                raise UserError(unknown_name("A figure", name, self.figures))
        return self.figures if figures is None else {name: self.figures[name] for name in figures}

    def rows(self, figures: Sequence[str] | None = None, emphasis: Callable[[str], str] = str) -> Rows:
        """A heading, then a row an evaluation, all equally long; `zip(*rows)` is a row a figure. `emphasis` is what
        the best are written with."""
        return figure_rows(self.chosen(figures), self.table, emphasis)

    def difference_rows(self, figures: Sequence[str] | None = None) -> Rows:
        """A heading, then a row a figure and evaluation."""
        return difference_rows(self.chosen(figures), self.differences)

    @property
    def intervals(self) -> str:
        """What the intervals are."""
        replicates = self.evaluations[0].record["protocol"]["replicates"]
        count = len(self.evaluations[0].images)
        if count < 2 or replicates < 2:
            why = "one image says nothing of others" if count < 2 else "evaluated without replicates"
            return f"No intervals: {why}."
        several = {each.name: len(each.members) for each in self.evaluations if each.members}
        over = f"{COVERED:.0%} intervals: bootstrap over {count} images, {replicates} replicates".replace("%", " %")
        same = ", the same for all, so that differences are paired" if len(self.evaluations) > 1 else ""
        seeds = ", ".join(f"{name}: {members}" for name, members in several.items())
        also = f"; and, by Student's t, over training seeds ({seeds})" if several else ""
        single = "" if len(several) == len(self.evaluations) else (
            " Where there is one training, its interval says nothing of another seed."
        )  # fmt: skip
        return f"{over}{same}{also}.{single}"

    def to_json(self) -> dict[str, Any]:
        """All of it; numbers that are none are null."""
        first = self.evaluations[0].record
        made = {
            "format_version": FORMAT_VERSION,
            "baseline": self.evaluations[self.baseline].name,
            "data": first["data"],
            "protocol": first["protocol"],
            "covered": COVERED,
            "intervals": self.intervals,
            "better": self.figures,
            "evaluations": [
                {
                    **_about(each),
                    "members": [_about(member) for member in each.members],
                    "figures": {figure: asdict(cell) for figure, cell in self.table[each.name].items()},
                }
                for each in self.evaluations
            ],
            "differences": {
                name: {figure: asdict(each) for figure, each in of.items()} for name, of in self.differences.items()
            },
            "protocols": self.protocols,
            "notes": list(self.notes),
        }
        return _without_nan(made)

    @property
    def protocols(self) -> dict[str, str]:
        """metric -> the sentence that defines it, of all that were measured."""
        found: dict[str, str] = {}
        for each in self.evaluations:
            found = {**each.record["protocols"], **found}
        return found

    def markdown(self, figures: Sequence[str] | None = None) -> str:
        """Figures, differences, and what they are. The longer of evaluations and figures goes down the page."""
        chosen = self.chosen(figures)
        names = {each.name: escaped(each.name) for each in self.evaluations}
        table = {names[name]: cells for name, cells in self.table.items()}
        differences = {names[name]: of for name, of in self.differences.items()}
        rows = figure_rows(chosen, table, bold)
        if len(chosen) > len(table):
            rows = [list(row) for row in zip(*rows, strict=True)]
        marks = f" {MARKS}" if len(table) > 1 else ""
        parts = [as_markdown(rows), f"{LEGEND}{marks} {escaped(self.intervals)}"]
        if any(figure in of for of in differences.values() for figure in chosen):
            baseline = names[self.evaluations[self.baseline].name]
            parts.append(f"Differences to {baseline} (its value subtracted):")
            parts.append(as_markdown(difference_rows(chosen, differences), WORDS))
            parts.append(VERDICTS)
        metrics = {each.figures[name]["metric"] for each in self.evaluations for name in chosen if name in each.figures}
        lines = [f"{each.name}: {_described(each)}" for each in self.evaluations]
        lines += [f"{metric}: {said}." for metric, said in self.protocols.items() if metric in metrics]
        parts.append("\n".join(f"- {escaped(line)}" for line in [*lines, *self.notes]))
        return "\n\n".join(parts) + "\n"


def _about(of: Evaluated) -> dict[str, Any]:
    """Which model it is of, and what that was given."""
    record = of.record
    about = {"name": of.name, **{key: record[key] for key in ABOUT if key in record}}
    return {**about, **{key: record["protocol"].get(key) for key in GIVEN if not of.members}}


def _described(of: Evaluated) -> str:
    """The same as words; what all members were given is said once."""
    models = [_about(each) for each in of.members or (of,)]
    given = ", ".join(
        f"{key} {'/'.join(dict.fromkeys(str(each[key]) for each in models))}"
        for key in ("step", "statistics", "noise")
        if all(each.get(key) is not None for each in models)
    )
    mean = f"mean over {len(models)} trainings: " if of.members else ""
    return mean + ", ".join(str(each.get("model", of.name)) for each in models) + (f"; {given}" if given else "")


def _without_nan(value: Any) -> Any:
    """Numbers that are none as None: JSON has no others."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
