"""Several models side by side: `tfpix2pix compare` and the same from Python."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from tfpix2pix.comparison import Comparison, Evaluated, draw_comparison, group, read_evaluation
from tfpix2pix.comparison import compare as compare_evaluations
from tfpix2pix.destinations import check_new_folder
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.evaluation_directory import RECORD, is_evaluation
from tfpix2pix.examples.request import Request, kind_of
from tfpix2pix.files import whole_directory
from tfpix2pix.foreign import parse_json
from tfpix2pix.recognize import RUN, is_model, model_at, named_path
from tfpix2pix.run_directory import RunDirectory

TABLE, VALUES, FIGURE, EVALUATIONS = "comparison.md", "comparison.json", "comparison.png", "evaluations"
Evaluate = Callable[[Request, Path], object]  # into a folder


@dataclass(frozen=True)
class Item:
    """One thing to compare: an evaluation, or what is to be evaluated first."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Item:
        """`PATH` or `NAME=PATH`."""
        name, path = named_path(text, "Something to compare must be")
        if name is not None:
            return cls(name, path)
        own = path.parent.parent if is_evaluation(path) and path.parent.name == "evaluation" else path
        return cls(own.name or own.resolve().name, path)


def compare(
    given: Sequence[str],
    request: Request,
    *,
    evaluate: Evaluate,
    as_asked: bool,
    out: Path | None = None,
    baseline: str | None = None,
    figures: Sequence[str] | None = None,
) -> Comparison:
    """Compares evaluations, runs, exports and folders of images; those not evaluated yet are evaluated first.

    Args:
        given: `PATH` or `NAME=PATH`; those of one name are trainings of one variant, whose mean is compared.
        request: how to evaluate; its `model` is replaced.
        evaluate: does it.
        as_asked: the request says more than a split: runs are evaluated by it even where they have been already.
        out: new folder for table, values, figure, and the evaluations made.
        baseline: name of what the others are compared with; None: the first.
        figures: those to show; None: all.

    Raises:
        UserError: there is nothing to compare, evaluations are not of the same images or by the same protocol, or
            `out` is taken.
    """
    items = [Item.parse(text) for text in given]
    if out is not None:
        check_new_folder(out)
    for item in items:
        if not is_evaluation(item.path):
            kind_of(asked_of(request, item.path))  # raises before anything slow begins
    names = list(dict.fromkeys(item.name for item in items))
    if baseline is not None and baseline not in names:
        raise UserError(unknown_name("--baseline", baseline, names))
    with nullcontext() if out is None else whole_directory(out) as folder:
        members: dict[str, list[Evaluated]] = {name: [] for name in names}
        for number, item in enumerate(items):
            where = _evaluation(item, number, request, folder, evaluate, as_asked)
            found = read_evaluation(where, item.name)
            if folder is not None and folder in where.parents:
                found = replace(found, path=out / where.relative_to(folder))  # where it will be
            members[item.name].append(found)
        groups = [group(each, name) for name, each in members.items()]
        comparison = compare_evaluations(groups, names.index(baseline) if baseline else 0)
        comparison.chosen(figures)
        if folder is not None:
            (folder / TABLE).write_text(comparison.markdown(figures), encoding="utf-8")
            values = json.dumps(comparison.to_json(), indent=2, ensure_ascii=False)
            (folder / VALUES).write_text(values + "\n", encoding="utf-8")
            draw_comparison(comparison, folder / FIGURE, figures)
    return comparison


def asked_of(request: Request, path: Path) -> Request:
    """The request for another model; what says how a folder of images is read goes to folders alone."""
    of_images = {} if not is_model(path) else dict.fromkeys(("config", "outputs", "targets", "inputs"))
    return replace(request, model=path, **of_images)


def _evaluation(
    item: Item, number: int, request: Request, folder: Path | None, evaluate: Evaluate, as_asked: bool
) -> Path:
    if is_evaluation(item.path):
        return item.path
    known = model_at(item.path) / "evaluation" / request.split
    if not as_asked and _is_current(item.path, known):
        return known
    if folder is None:
        raise UserError(
            f"Something to compare must have been evaluated, or there must be a folder for it. Received {item.path} "
            f"and no --out. Add --out DIR."
        )
    where = folder / EVALUATIONS / f"{number + 1}-{re.sub(r'[^A-Za-z0-9._-]+', '-', item.name)}"
    evaluate(asked_of(request, item.path), where)
    return where


def _is_current(run: Path, known: Path) -> bool:
    """Whether a run was evaluated at the step where it is."""
    if kind_of(Request(run)) != RUN or not is_evaluation(known):
        return False
    card = RunDirectory(model_at(run)).card()
    try:
        record = parse_json((known / RECORD).read_bytes())
    except ValueError:
        return False
    return card is not None and isinstance(record, dict) and record.get("step") == card.step
