"""Compares models, for `tfpix2pix compare` and from Python."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from tfpix2pix.destinations import check_new_folder
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.evaluation.comparison import (
    Comparison,
    Evaluated,
    draw_comparison,
    group,
    latex_table,
    read_evaluation,
)
from tfpix2pix.evaluation.comparison import compare as compare_evaluations
from tfpix2pix.evaluation.folder import is_evaluation, read_record, write_rows
from tfpix2pix.evaluation.request import Request, ResolvedRequest, resolve_for
from tfpix2pix.files import whole_directory, write_text
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.recognize import RUN, Recognized, named_path

TABLE, VALUES, ROWS, LATEX = "comparison.md", "comparison.json", "comparison.csv", "comparison.tex"
FIGURE, VECTOR_FIGURES, EVALUATIONS = "comparison.png", ("comparison.svg", "comparison.pdf"), "evaluations"
Evaluate = Callable[[ResolvedRequest, Path], object]  # into a folder


@dataclass(frozen=True)
class Item:
    """Holds the name and path of an evaluation, or of a model or folder of images that is evaluated first."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Item:
        """Reads `PATH` or `NAME=PATH`. An evaluation in a run directory has the run's name by default."""
        name, path = named_path(text, "An item to compare must be")
        if name is not None:
            return cls(name, path)
        named = path.parent.parent if is_evaluation(path) and path.parent.name == "evaluation" else path
        return cls(named.name or named.resolve().name, path)


def compare(
    items: Sequence[str],
    request: Request,
    *,
    evaluate: Evaluate,
    anew: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    out: Path | None = None,
    baseline: str | None = None,
    figures: Sequence[str] | None = None,
) -> Comparison:
    """Compares evaluations, runs, exports and folders of images. Evaluates those first that have no evaluation yet.

    Args:
        items: `PATH` or `NAME=PATH`. Items of one name are trainings of one variant, and their mean is compared.
        request: settings of the evaluations. Its `model` is replaced.
        evaluate: evaluates a request into a folder.
        anew: options of the request for which runs are evaluated even if they have an evaluation of its split, in the
            user's words, such as `--size own`. A warning for each such run names them.
        metrics: rows of `METRICS` that `evaluate` measures. A run whose evaluation lacks one is evaluated. None: all.
        out: new folder for the tables, the values, the plots, and the new evaluations.
        baseline: name of the evaluation that the others are compared with; None: the first.
        figures: metrics to show; None: those of `metrics`, or all.

    Raises:
        UserError: there is nothing to compare, evaluations are not of the same images or by the same protocol, or
            `out` holds something.
    """
    parsed = [Item.parse(text) for text in items]
    if out is not None:
        check_new_folder(out)
    resolved = [None if is_evaluation(item.path) else resolve_for(request, item.path) for item in parsed]
    names = list(dict.fromkeys(item.name for item in parsed))
    if baseline is not None and baseline not in names:
        raise UserError(unknown_name("`baseline`", baseline, names))
    with nullcontext() if out is None else whole_directory(out) as folder:
        members: dict[str, list[Evaluated]] = {name: [] for name in names}
        for number, (item, to_evaluate) in enumerate(zip(parsed, resolved, strict=True), start=1):
            path = item.path
            if to_evaluate is not None:
                slug = re.sub(r"[^A-Za-z0-9._-]+", "-", item.name)
                new = None if folder is None else folder / EVALUATIONS / f"{number}-{slug}"
                path = _evaluation(to_evaluate, new, evaluate, anew, metrics)
            evaluation = read_evaluation(path, item.name)
            if folder is not None and folder in path.parents:
                evaluation = replace(evaluation, path=out / path.relative_to(folder))  # its path once `out` is complete
            members[item.name].append(evaluation)
        groups = [group(evaluations, name) for name, evaluations in members.items()]
        comparison = compare_evaluations(groups, names.index(baseline) if baseline else 0)
        figures = comparison.shown(figures, metrics)
        comparison.chosen(figures)
        if folder is not None:
            write_text(folder / TABLE, comparison.markdown(figures))
            values = json.dumps(comparison.to_json(), indent=2, ensure_ascii=False)
            write_text(folder / VALUES, values + "\n")
            write_rows(folder / ROWS, comparison.flat_rows(figures))
            write_text(folder / LATEX, latex_table(comparison, figures))
            for name in (FIGURE, *VECTOR_FIGURES):
                draw_comparison(comparison, folder / name, figures)
    return comparison


def _evaluation(
    resolved: ResolvedRequest, new: Path | None, evaluate: Evaluate, anew: Sequence[str], metrics: Sequence[str] | None
) -> Path:
    """Returns the folder of a run's current evaluation, or evaluates the request into the folder `new`."""
    request, model = resolved.request, resolved.model
    current = model.path / "evaluation" / request.split
    reason = ""
    if _is_current(model, current):
        measured = {figure.metric for figure in read_record(current).figures.values()}
        lacking = [name for name in metrics or () if name not in measured]
        if not anew and not lacking:
            return current
        reason = f"with {' '.join(anew)}" if anew else f"for {', '.join(lacking)}"
    if new is None and reason:
        raise UserError(
            f"A folder must be given for new evaluations. Received {request.model}, which is measured anew {reason}, "
            f"and no `out`. Add `out`, a new folder, or choose among the figures of its evaluation with `figures`."
        )
    if new is None:
        raise UserError(
            f"An item to compare must have an evaluation, or there must be a folder for its evaluation. Received "
            f"{request.model} and no `out`. Add `out`, a new folder."
        )
    if reason:
        warnings.warn(
            f"{request.model} is measured anew {reason}, although it has an evaluation in {current}. `figures` chooses "
            f"among the figures of evaluations that exist.",
            stacklevel=3,
        )
    evaluate(resolved, new)
    return new


def _is_current(model: Recognized, evaluation: Path) -> bool:
    """Returns True if a run was evaluated at its newest step."""
    if model.kind != RUN or not is_evaluation(evaluation):
        return False
    card = RunDirectory(model.path).card()
    try:
        record = read_record(evaluation)
    except UserError:
        return False
    return card is not None and record.step == card.step
