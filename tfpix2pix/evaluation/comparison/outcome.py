"""Holds a comparison: evaluations side by side, and how they differ from the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.evaluation.comparison.differences import OPEN, Difference, verdict
from tfpix2pix.evaluation.comparison.evaluations import Evaluated
from tfpix2pix.evaluation.comparison.table import (
    LEGEND,
    WORDS,
    Cell,
    Rows,
    as_markdown,
    bold,
    difference_rows,
    escaped,
    flat_rows,
    metric_rows,
)
from tfpix2pix.evaluation.folder import measured_at, no_intervals
from tfpix2pix.metrics.bootstrap import COVERED

FORMAT_VERSION = 1
ABOUT = ("model", "kind", "step", "created", "package_version")
RUN_WITH = ("statistics", "noise", "variants")
MARKS = (
    "Bold marks the best model and every model whose paired interval includes zero. If that is all of them, nothing is "
    "bold."
)
VERDICTS = (
    "The verdict is open if the paired interval includes zero. Better in and worse in are shares of the images. Every "
    "interval is for one metric alone: if twenty differences are zero, about one of their intervals leaves out zero."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Holds the result of a comparison.

    Args:
        baseline: index of the evaluation that is subtracted from the others.
        figures: metric -> which of its values are better, for all metrics of all evaluations, in their order.
        table: evaluation -> metric -> cell, for the metrics that the evaluation has.
        differences: evaluation -> metric -> difference, for the metrics that the evaluation and the baseline have. The
            baseline itself is left out.
        notes: sentences about the reliability of the comparison.
    """

    evaluations: tuple[Evaluated, ...]
    baseline: int
    figures: dict[str, str]
    table: dict[str, dict[str, Cell]]
    differences: dict[str, dict[str, Difference]]
    notes: tuple[str, ...]

    def chosen(self, figures: Sequence[str] | None = None) -> dict[str, str]:
        """Returns the metrics that are named, or all: metric -> which values are better.

        Raises UserError if no evaluation has one of them.
        """
        for name in figures or ():
            if name not in self.figures:
                raise UserError(unknown_name("A metric", name, self.figures))
        return self.figures if figures is None else {name: self.figures[name] for name in figures}

    def shown(self, figures: Sequence[str] | None, metrics: Sequence[str] | None) -> Sequence[str] | None:
        """Returns `figures` or, if they are None, those of the rows of `METRICS` that are named. None: all."""
        if figures is not None or metrics is None:
            return figures
        rows = {key: of.metric for evaluated in self.evaluations for key, of in evaluated.figures.items()}
        return [key for key in self.figures if rows[key] in metrics]

    def rows(self, figures: Sequence[str] | None = None, emphasis: Callable[[str], str] = str) -> Rows:
        """Returns a heading, then a row for each evaluation, all equally long. `zip(*rows)` has a row for each metric.

        `emphasis` formats the cells that are best.
        """
        return metric_rows(self.chosen(figures), self.table, emphasis, self.units)

    def difference_rows(self, figures: Sequence[str] | None = None) -> Rows:
        """Returns a heading, then a row for each metric and evaluation."""
        return difference_rows(self.chosen(figures), self.differences, self.units)

    def flat_rows(self, figures: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Returns a row for each metric and evaluation with value, interval, and difference to the baseline."""
        return flat_rows(self.chosen(figures), self.table, self.differences, self.units)

    @property
    def units(self) -> dict[str, str]:
        """Returns metric -> its unit, for those that have one."""
        return {
            key: metric.unit
            for evaluated in self.evaluations
            for key, metric in evaluated.figures.items()
            if metric.unit
        }

    @property
    def intervals(self) -> str:
        """Describes the intervals in a sentence."""
        replicates = self.evaluations[0].record.protocol.replicates
        images, groups = len(self.evaluations[0].images), self.evaluations[0].record.data.groups
        if self.evaluations[0].drawn < 2 or replicates < 2:
            return no_intervals(bool(groups)) if replicates >= 2 else "No intervals: evaluated without replicates."
        several = self._trainings
        what = f"{groups} groups ({images} images)" if groups else f"{images} images"
        over = f"{COVERED:.0%} intervals: bootstrap over {what}, {replicates} replicates".replace("%", " %")
        same = ", the same for all, so that differences are paired" if len(self.evaluations) > 1 else ""
        also = f"; and, by Student's t, over training seeds ({_listed(several)})" if several else ""
        single = "" if len(several) == len(self.evaluations) else (
            " The interval of a single training says nothing about other seeds."
        )  # fmt: skip
        return f"{over}{same}{also}.{single}"

    @property
    def measured_at(self) -> str:
        """Describes the size at which all were measured, in a sentence."""
        return measured_at(self.evaluations[0].record.protocol)

    @property
    def caption(self) -> str:
        """Returns the sentences that every table and picture must have: size and intervals."""
        return f"{self.measured_at} {self.intervals}"

    def to_json(self) -> dict[str, Any]:
        """Returns the whole comparison as JSON values. Numbers that are not finite are null."""
        first = self.evaluations[0].record
        values = {
            "format_version": FORMAT_VERSION,
            "baseline": self.evaluations[self.baseline].name,
            "data": first.data.to_json(),
            "protocol": first.protocol.to_json(),
            "covered": COVERED,
            "measured_at": self.measured_at,
            "intervals": self.intervals,
            "better": self.figures,
            "units": self.units,
            "evaluations": [
                {
                    **_about(evaluated),
                    "members": [_about(member) for member in evaluated.members],
                    "figures": {key: asdict(cell) for key, cell in self.table[evaluated.name].items()},
                }
                for evaluated in self.evaluations
            ],
            "differences": {
                name: {key: asdict(difference) for key, difference in of_evaluation.items()}
                for name, of_evaluation in self.differences.items()
            },
            "protocols": self.protocols,
            "notes": list(self.notes),
        }
        return _without_nan(values)

    @property
    def protocols(self) -> dict[str, str]:
        """Returns row of METRICS -> the sentence that defines it, for all that were measured."""
        sentences: dict[str, str] = {}
        for evaluated in self.evaluations:
            sentences = {**evaluated.record.protocols, **sentences}
        return sentences

    def protocols_of(self, figures: Iterable[str]) -> dict[str, str]:
        """Returns those of `protocols` that the named metrics are from."""
        rows = {of.metric for key in figures for evaluated in self.evaluations if (of := evaluated.figures.get(key))}
        return {row: sentence for row, sentence in self.protocols.items() if row in rows}

    @property
    def _trainings(self) -> dict[str, int]:
        """Returns evaluation -> number of its trainings, for means over several."""
        return {evaluated.name: len(evaluated.members) for evaluated in self.evaluations if evaluated.members}

    def _open_by_seeds(self, figures: Iterable[str]) -> str:
        """Says which verdicts are open although the intervals over images alone leave out zero, or returns ""."""
        evaluations, reference = {one.name: one for one in self.evaluations}, self.evaluations[self.baseline]
        of_name = {}
        for name, differences in self.differences.items():
            of_name[name] = [
                key
                for key in figures
                if key in differences
                and differences[key].verdict == OPEN
                and verdict(evaluations[name], reference, key, over_seeds=False) != OPEN
            ]
        cases = "; ".join(f"{', '.join(keys)} of {name}" for name, keys in of_name.items() if keys)
        if not cases:
            return ""
        seeds = {name: count for name, count in self._trainings.items() if name == reference.name or of_name.get(name)}
        why = (
            "two trainings say little about other seeds, so take three or more"
            if min(seeds.values()) == 2
            else "the trainings differ too much to say the same of other seeds"
        )
        return (
            f"Open because of the training seeds ({_listed(seeds)}), even if nearly all images agree: {cases}. "
            f"The intervals over images alone leave out zero, but {why}."
        )

    def markdown(self, figures: Sequence[str] | None = None) -> str:
        """Returns metrics, differences and their explanations as Markdown.

        The longer of evaluations and metrics goes down the page.
        """
        chosen = self.chosen(figures)
        names = {evaluated.name: escaped(evaluated.name) for evaluated in self.evaluations}
        table = {names[name]: cells for name, cells in self.table.items()}
        differences = {names[name]: of_evaluation for name, of_evaluation in self.differences.items()}
        units = {key: escaped(unit) for key, unit in self.units.items()}
        rows = metric_rows(chosen, table, bold, units)
        if len(chosen) > len(table):
            rows = [list(row) for row in zip(*rows, strict=True)]
        marks = f" {MARKS}" if len(table) > 1 else ""
        parts = [as_markdown(rows), f"{LEGEND}{marks} {escaped(self.caption)}"]
        if any(key in of_evaluation for of_evaluation in differences.values() for key in chosen):
            baseline = names[self.evaluations[self.baseline].name]
            parts.append(f"Differences to {baseline} (its value subtracted):")
            parts.append(as_markdown(difference_rows(chosen, differences, units), WORDS))
            parts.append(" ".join(filter(None, [VERDICTS, escaped(self._open_by_seeds(chosen))])))
        lines = [f"{evaluated.name}: {_described(evaluated)}" for evaluated in self.evaluations]
        lines += [f"{metric}: {sentence}." for metric, sentence in self.protocols_of(chosen).items()]
        parts.append("\n".join(f"- {escaped(line)}" for line in [*lines, *self.notes]))
        return "\n\n".join(parts) + "\n"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _about(evaluated: Evaluated) -> dict[str, Any]:
    """Describes the model that was evaluated, and how it was run."""
    record, protocol = evaluated.record.to_json(), evaluated.record.protocol
    about = {"name": evaluated.name, **{key: record[key] for key in ABOUT if key in record}}
    return {**about, **{key: getattr(protocol, key) for key in RUN_WITH if not evaluated.members}}


def _described(evaluated: Evaluated) -> str:
    """Describes the same in words. Writes settings once that all members share."""
    models = [_about(member) for member in evaluated.members or (evaluated,)]
    settings = ", ".join(
        f"{key} {'/'.join(dict.fromkeys(str(model[key]) for model in models))}"
        for key in ("step", "statistics", "noise")
        if all(model.get(key) is not None for model in models)
    )
    mean = f"mean over {len(models)} trainings: " if evaluated.members else ""
    names = ", ".join(str(model.get("model", evaluated.name)) for model in models)
    return mean + names + (f"; {settings}" if settings else "")


def _without_nan(value: Any) -> Any:
    """Returns JSON values with None in place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
