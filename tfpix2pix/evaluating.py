"""How good a model is: `tfpix2pix evaluate` and the same from Python."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfpix2pix._version import __version__
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation import METRICS
from tfpix2pix.evaluation.bootstrap import COVERED, REPLICATES, Resampling
from tfpix2pix.evaluation.example import Setting
from tfpix2pix.evaluation.extractors import load_features
from tfpix2pix.evaluation.features import Remembered
from tfpix2pix.evaluation.scoring import Figure, Scorer
from tfpix2pix.evaluation_directory import (
    FORMAT_VERSION,
    PAGE,
    RECORD,
    RESAMPLED,
    ROWS,
    SHEET,
    check_free,
    check_names,
    replacing,
    write_rows,
)
from tfpix2pix.examples.opening import open_examples
from tfpix2pix.examples.pairs import Examples
from tfpix2pix.examples.request import OWN, Request
from tfpix2pix.examples.segmenters import Segmenter, open_segmenter
from tfpix2pix.report.choosing import spread
from tfpix2pix.report.evaluation import Pictures, check_by, write_report
from tfpix2pix.report.pictures import contact_sheet

WITHOUT = {  # what a metric needs -> why it is not measured
    "target": "there are no targets",
    "variants": "it needs several translations an image: a model with noise and --variants 2 or more",
    "features": "it needs a feature network: --features",
    "segmenter": "it needs a photo→labels model: --segmenter",
    "labels": "it needs the true label maps: --segmenter",
}
FEW = 20  # images, of which intervals are taken with salt
Track = Callable[[Iterable, int], Iterable]


@dataclass(frozen=True)
class Evaluation:
    """What came of it: where it lies, and the record, which is `metrics.json`."""

    path: Path
    record: dict[str, Any]

    @property
    def figures(self) -> dict[str, float]:
        return {name: figure["value"] for name, figure in self.record["figures"].items()}

    def __repr__(self) -> str:
        return f"Evaluation({str(self.path)!r}, {', '.join(f'{k} {v:.4g}' for k, v in self.figures.items())})"


def evaluate(
    request: Request,
    *,
    out: str | Path,
    metrics: Sequence[str] | None = None,
    replicates: int = REPLICATES,
    by: str | None = None,
    shown: int = 24,
    overwrite: bool = False,
    track: Track = lambda items, total: items,
) -> Evaluation:
    """Scores a model's translations, or a folder of images, beside their targets, and writes `metrics.json`,
    `per_image.csv`, `bootstrap.npz` (the replicates, for `compare`), `report.html` and `contact_sheet.png` into `out`.

    Args:
        metrics: rows of `METRICS`; None: all that can be measured.
        by: the figure by which the report chooses best and worst.
        shown: images in the report's gallery and on the contact sheet; 0: no sheet.
        overwrite: replace an evaluation in `out`.
        track: wraps the images to show progress.

    Raises:
        UserError: nothing to evaluate, an unknown metric or one that cannot be measured here, sizes that differ,
            translations that are not finite, or `out` taken; nothing has been written then.
    """
    out = Path(out).expanduser()
    check_names(metrics)
    check_free(out, overwrite=overwrite)
    examples = open_examples(request)
    segmenter = _segmenter(request, examples)
    features = _features(request)
    setting = Setting(
        classes=examples.data.target_classes, segmenter=segmenter and segmenter.see,
        segmenter_classes=segmenter and segmenter.classes, features=features, seed=request.noise.seed,
    )  # fmt: skip
    there = {*examples.has, *(("features",) if features else ()), *(("segmenter", "labels") if segmenter else ())}
    if segmenter and metrics and "semantic" not in metrics:
        raise UserError(
            "--segmenter is for the metric semantic. Received --metrics without it. Add it, or leave one out."
        )
    names, left_out = choose(metrics, there, label_maps=bool(setting.classes))
    scorer = Scorer(names, setting, Resampling(replicates, request.noise.seed))
    rows, levels = [], []
    for index in track(range(len(examples)), len(examples)):
        example = examples[index]
        rows.append({"name": example.name, **scorer.see(segmenter.labelled(example) if segmenter else example)})
        if example.target is not None:
            levels.append([np.mean(example.target), np.std(example.target)])
        if index == 0:  # now it is known which figures there are, and not too late
            check_by([name for name in rows[0] if name != "name"], by)
    resampled = scorer.replicates()
    record = _record(request, examples, scorer.figures(resampled), left_out, segmenter, replicates)
    record["data"]["target_levels"] = np.mean(levels, axis=0).tolist() if levels else None  # `compare` knows them by it
    for note in record["notes"]:
        warnings.warn(note, stacklevel=2)
    with replacing(out) as folder:
        (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_rows(folder / ROWS, rows)
        arrays = {name: each for values in resampled.values() for name, each in values.items()}
        np.savez_compressed(folder / RESAMPLED, **arrays)
        write_report(
            folder / PAGE, record, rows, painter(examples), by=by, lines=request.metrics_lines(),
            card=examples.about.get("card"), shown=shown,
        )  # fmt: skip
        if shown and rows:
            sheet = contact_sheet([painter(examples)(index) for index in spread(rows, shown)])
            Image.fromarray(sheet).save(folder / SHEET)
    return Evaluation(out, record)


def choose(metrics: Sequence[str] | None, there: set[str], *, label_maps: bool) -> tuple[list[str], dict[str, str]]:
    """The rows to measure, and why others are not; raises UserError where one that was named is not."""
    chosen, left_out = [], {}
    for name in metrics or METRICS:
        row = METRICS[name]
        missing = [need for need in row.needs if need not in there]
        if not row.suits(label_maps):
            if metrics:
                are, others = ("label maps", "images") if label_maps else ("images", "label maps")
                raise UserError(f"The metric {name} is of {others}. Received targets that are {are}. Leave it out.")
        elif missing:
            if metrics:
                raise UserError(f"The metric {name} cannot be measured here: {WITHOUT[missing[0]]}.")
            left_out[name] = WITHOUT[missing[0]]
        else:
            chosen.append(name)
    return chosen, left_out


def painter(examples: Examples) -> Callable[[int], Pictures]:
    """index -> the pictures of an example, translated again."""
    of_input, of_target = pictures_of(examples.data)

    def pictures(index: int) -> Pictures:
        example = examples[index]
        return Pictures(
            example.name,
            of_target(example.translation),
            None if example.input is None else of_input(example.input),
            None if example.target is None else of_target(example.target),
            tuple(map(of_target, () if example.variants is None else example.variants)),
        )

    return pictures


def _segmenter(request: Request, examples: Examples) -> Segmenter | None:
    if request.segmenter is None:
        return None
    size = examples.about["protocol"]["size_px"]
    return open_segmenter(
        request.segmenter, data_dir=request.data, split=request.split, size_px=None if size == OWN else size,
        label_maps=request.labels, data=examples.data, value_range=request.segmenter_range, trust=request.trust,
    )  # fmt: skip


def _features(request: Request) -> Remembered | None:
    if request.features is None:
        return None
    return Remembered(load_features(request.features, request.features_range, trust=request.trust))


def _record(
    request: Request, examples: Examples, figures: Mapping[str, Figure], left_out: Mapping[str, str],
    segmenter: Segmenter | None, replicates: int,
) -> dict[str, Any]:  # fmt: skip
    about = examples.about
    usual = {"statistics": None, "noise": None, "seed": request.noise.seed, "variants": 0}
    notes = list(examples.notes)
    if "target" not in examples.has:
        notes.append("There are no targets: only metrics without a reference were measured.")
    if 1 < len(examples) < FEW:
        notes.append(f"Intervals of {len(examples)} images are rough: a bootstrap wants {FEW} or more.")
    if len(examples) == 1:
        notes.append("One image has no interval: it says nothing of others.")
    return {
        "format_version": FORMAT_VERSION,
        "model": str(request.model),
        "name": about["name"],
        "kind": about["kind"],
        "step": about.get("step"),
        "package_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data": {
            "dir": about.get("dir"), "split": about.get("split"), "images": len(examples), "of": examples.of,
            "attribution": examples.data.terms,
        },
        "protocol": {
            **usual, **about["protocol"], "replicates": replicates, "covered": COVERED,
            "segmenter": segmenter and segmenter.about, "features": request.features and str(request.features),
        },
        "figures": {name: {**asdict(each), "better": each.better} for name, each in figures.items()},
        "protocols": {name: METRICS[name].protocol for name in dict.fromkeys(each.metric for each in figures.values())},
        "not_measured": dict(left_out),
        "notes": notes,
    }  # fmt: skip
