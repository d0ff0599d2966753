"""Evaluates a model or a folder of images, for `tfpix2pix evaluate` and from Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfpix2pix._version import __version__
from tfpix2pix.data import source_row
from tfpix2pix.data.ranges import on_clipped
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import channels_of_targets
from tfpix2pix.data.weights import nothing_counts, on_uncounted
from tfpix2pix.errors import UserError, first_of
from tfpix2pix.evaluation.examples.opening import Subject, open_subject
from tfpix2pix.evaluation.examples.painting import painter
from tfpix2pix.evaluation.examples.segmenters import Segmenter, open_segmenter
from tfpix2pix.evaluation.examples.training import Training, open_training
from tfpix2pix.evaluation.examples.typical import typical_figures
from tfpix2pix.evaluation.folder import (
    FORMAT_VERSION,
    GROUPS,
    METHODS,
    PAGE,
    RECORD,
    RESAMPLED,
    ROWS,
    SHEET,
    DataRecord,
    FigureRecord,
    OwnSizeRecord,
    ProtocolRecord,
    Record,
    check_free,
    check_names,
    density_file,
    means_by_group,
    no_intervals,
    replacing,
    write_rows,
)
from tfpix2pix.evaluation.methods import Facts, methods_text
from tfpix2pix.evaluation.report.choosing import spread
from tfpix2pix.evaluation.report.page import Beside, check_by, write_report
from tfpix2pix.evaluation.report.paper import agreement_figures, write_for_papers
from tfpix2pix.evaluation.report.pictures import contact_sheet
from tfpix2pix.evaluation.request import NATIVE, Request, ResolvedRequest, resolve
from tfpix2pix.files import write_text
from tfpix2pix.memory import fitting_in_memory
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.agreement import Agreement
from tfpix2pix.metrics.bootstrap import COVERED, REPLICATES, Resampling
from tfpix2pix.metrics.example import Setting, Unit
from tfpix2pix.metrics.extractors import load_features
from tfpix2pix.metrics.features import Remembered
from tfpix2pix.metrics.scoring import Figure, Scorer
from tfpix2pix.parallel import evenly_spread
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.recognize import RUN
from tfpix2pix.safe_files import read_json_lines
from tfpix2pix.size import Size

WITHOUT = {  # need of a metric -> reason why it is not measured
    "target": "there are no targets",
    "input": "there are no inputs",
    "variants": "it needs several translations an image: a model with noise and 2 or more `variants`",
    "without_noise": "it needs a model with noise and 2 or more `variants`",
    "features": "it needs a feature network, `features`",
    "segmenter": "it needs a photo→labels model, `segmenter`",
    "unit": "it needs the targets' unit, `data.target_unit`, or the `unit` of a part of `data.targets`",
    "truth": "it needs pairs whose truth is known, as those of `data.source: colored_shapes`",
    "training": "it needs the training targets",
    "labels": "it needs the true label maps, which `segmenter` brings",
}
UNREADABLE = "could not be evaluated"
AT_ANOTHER_SIZE = "Set `size` to a smaller one, or lower `variants`."
FEW = 20  # images; intervals of fewer are rough
OF_OWN_SIZE = {"target", "unit"}  # needs of the metrics that are measured at the files' own size
MOST_OWN_SIZE, LARGEST_OWN_SIZE = 100, 2**22  # images measured at their own size too, and how many pixels they may have
Track = Callable[[Iterable, int], Iterable]


@dataclass(frozen=True)
class Evaluation:
    """Holds an evaluation: its folder, and its record, the content of `metrics.json`."""

    path: Path
    record: dict[str, Any]

    @property
    def figures(self) -> dict[str, float]:
        """Returns the values of the metrics by name."""
        return {name: metric["value"] for name, metric in self.record["figures"].items()}

    def __repr__(self) -> str:
        return f"Evaluation({str(self.path)!r}, {', '.join(f'{k} {v:.4g}' for k, v in self.figures.items())})"


def evaluate(
    request: Request | ResolvedRequest,
    *,
    out: str | Path,
    metrics: Sequence[str] | None = None,
    replicates: int = REPLICATES,
    by: str | None = None,
    shown: int = 24,
    overwrite: bool = False,
    track: Track = lambda items, total: items,
) -> Evaluation:
    """Compares a model's translations, or a folder of images, with their targets, and writes `metrics.json`,
    `per_image.csv`, `bootstrap.npz` (the replicates, for `compare`), `report.html` and `contact_sheet.png` into `out`;
    `per_group.csv` if images have groups, and `density.npz` (translation by target) if targets have a unit,
    or `density_<part>.npz` for each of their parts that has one. Figures for papers are written as .png, .svg and .pdf,
    and their captions as `captions.md`, and a text on methods as `methods.md`.

    Args:
        request: model, pairs and settings of the evaluation.
        out: folder of the evaluation.
        metrics: rows of `METRICS`; None: all that can be measured.
        replicates: number of bootstrap replicates for the intervals; 0: no intervals.
        by: metric by which the report ranks images; None: the first of which more or less is better.
        shown: number of images in the report's gallery and on the contact sheet; 0: no sheet and no figure of
            examples.
        overwrite: replace an evaluation in `out`.
        track: wraps the images to show progress.

    Raises:
        UserError: there is nothing to evaluate, a metric is unknown or cannot be measured here, sizes differ,
            translations are not finite, or `out` holds something else. Nothing has been written then. Or some
            files cannot be read or do not fit; the evaluation of the others has been written then.
    """
    out = Path(out).expanduser()
    check_names(metrics)
    check_free(out, overwrite=overwrite)
    resolved = resolve(request)
    request, subject = resolved.request, open_subject(resolved)
    examples = subject.examples
    segmenter = _segmenter(request, subject)
    features = _features(request)
    training = _training(subject, metrics)
    truth_of = source_row(examples.data.source).truth
    setting = Setting.of(
        examples.data, segmenter=segmenter and segmenter.segment,
        segmenter_classes=segmenter and segmenter.classes, features=features, seed=request.noise.seed,
        units=units_of(examples.data), truth=truth_of and truth_of(examples.data),
        training=training.targets if isinstance(training, Training) else None,
    )  # fmt: skip
    brought = {
        "features": features, "segmenter": segmenter, "labels": segmenter, "truth": truth_of, "unit": setting.units,
        "training": setting.training,
    }  # fmt: skip
    available = {*examples.has, *(need for need, brings in brought.items() if brings)}
    by_segmenter = [name for name, row in METRICS.items() if "segmenter" in row.needs]
    if segmenter and metrics and not set(metrics) & set(by_segmenter):
        raise UserError(
            f"`segmenter` must go with the metric {' or '.join(by_segmenter)}. Received `metrics` without. Add one, or "
            f"leave `segmenter` out."
        )
    without = {**WITHOUT, "training": training} if isinstance(training, str) else WITHOUT
    names, left_out = choose(metrics, available, len(examples), kinds=setting.kinds, without=without)
    shown_training = training if isinstance(training, Training) and _of_training(names) else None
    scorer = Scorer(names, setting, Resampling(replicates, request.noise.seed))
    agreements = [Agreement(unit) for unit in setting.units]
    rows, groups, levels, clipped, evaluated, failed, stored = [], [], [], [], [], [], {}
    for index in track(range(len(examples)), len(examples)):
        try:
            with fitting_in_memory(examples.names[index], AT_ANOTHER_SIZE):
                example = examples[index]
                labelled = segmenter.with_labels(example) if segmenter else example
        except UserError as error:
            if not error.kind:  # every image has this fault
                raise
            failed.append((examples.names[index], error))
            continue
        evaluated.append(index)
        stored[index] = example.stored_px
        rows.append({"name": example.name, **scorer.update(labelled)})
        groups.append(example.group)
        clipped.append(example.clipped)
        if example.target is not None:
            levels.append([np.mean(example.target), np.std(example.target)])
            for agreement in agreements:
                agreement.update(example)
        if scorer.count == 1 and len(rows[-1]) > 1:  # the metrics of images are known now, before much time is spent
            check_by([name for name in rows[-1] if name != "name"], by)
    if failed and not rows:
        raise UserError(first_of(failed, UNREADABLE), failed[0][1].kind)
    if not scorer.count:
        raise nothing_counts(len(rows), examples.data)
    at_own_size = _at_own_size(subject, stored, names, setting, scorer.resampling, track)
    resampled = scorer.replicates()
    data = DataRecord(
        dir=subject.dir, split=subject.split, images=len(rows), of=examples.pairs,
        **({"groups": len(scorer.groups)} if any(groups) else {}),
        attribution=examples.data.terms, target_levels=np.mean(levels, axis=0).tolist() if levels else None,
    )  # fmt: skip
    protocol = ProtocolRecord(
        **asdict(subject.protocol), replicates=replicates, covered=COVERED,
        group=examples.data.group if any(groups) else None,
        segmenter=segmenter and segmenter.record, features=request.features,
        training=shown_training and shown_training.about,
    )  # fmt: skip
    record = _record(resolved, subject, data, protocol, scorer.figures(resampled), left_out, at_own_size)
    record.notes.extend(on_uncounted(scorer.uncounted, len(rows), examples.data))
    record.notes.extend([*on_clipped(clipped, examples.data), *_notes_on_intervals(len(examples), scorer.groups)])
    if failed:
        count = f"{len(failed)} image{'s' if failed[1:] else ''}"
        record.notes.append(f"{count} could not be evaluated. The first: {failed[0][1]}")
    for note in record.notes[: -1 if failed else None]:  # the error says the last one
        warnings.warn(note, stacklevel=2)
    with replacing(out) as folder:
        record.write(folder / RECORD)
        write_rows(folder / ROWS, rows)
        if protocol.group:
            write_rows(folder / GROUPS, means_by_group(rows, groups, scorer.uncounted))
        arrays = {name: values for replicated in resampled.values() for name, values in replicated.items()}
        np.savez_compressed(folder / RESAMPLED, **arrays)
        for agreement in agreements:
            if agreement.count:
                agreement.write(folder / density_file(agreement.unit))
        card, lines = subject.card and subject.card.model_dump(mode="json"), _training_lines(subject)
        paint = painter(examples, evaluated, shown_training)
        write_report(
            folder / PAGE, record.to_json(), rows, paint, by=by, shown=shown,
            beside=Beside(lines, card, agreements),
        )  # fmt: skip
        if shown and rows:
            sheet = contact_sheet([paint(index) for index in spread(rows, shown)])
            Image.fromarray(sheet).save(folder / SHEET)
        drawn = shown and "target" in examples.has
        figures = typical_figures(examples, evaluated, record, rows, by) if drawn else []
        write_text(folder / METHODS, methods_text(record, _facts(subject, lines), examples.data, stored.values()))
        write_for_papers(folder, [*figures, *agreement_figures(agreements)])
    if failed:
        done = f"The evaluation of the other {len(rows)} of {len(examples)} is in {out}."
        raise UserError(f"{first_of(failed, UNREADABLE)} {done}", failed[0][1].kind)
    return Evaluation(out, record.to_json())


def _at_own_size(
    subject: Subject, stored: Mapping[int, tuple[int, int] | None], names: Sequence[str], setting: Setting,
    resampling: Resampling, track: Track,
) -> OwnSizeRecord | None:  # fmt: skip
    """Measures at most `MOST_OWN_SIZE` images at the size of their files, by the metrics that need a target only.

    Returns None if the subject has no other size, if no file has one, or if no metric is left.

    Args:
        stored: index of an example -> height and width of its files; None if input and target differ in them.
    """
    names = [name for name in names if "target" in METRICS[name].needs and {*METRICS[name].needs} <= OF_OWN_SIZE]
    trained = None if subject.protocol.size_px == NATIVE else Size.of(subject.protocol.size_px)
    if subject.at_own_size is None or not names or all(size in (None, trained) for size in stored.values()):
        return None
    fitting = [index for index, size in stored.items() if size and size[0] * size[1] <= LARGEST_OWN_SIZE]
    indices = [fitting[place] for place in evenly_spread(len(fitting), MOST_OWN_SIZE)]
    if not indices:
        return None
    scorer = Scorer(names, setting, resampling)
    for index in track(indices, len(indices)):
        with fitting_in_memory(subject.examples.names[index], AT_ANOTHER_SIZE):
            scorer.update(subject.at_own_size[index])
    return OwnSizeRecord(images=len(indices), figures=_figure_records(scorer.figures(), setting.units))


def choose(
    metrics: Sequence[str] | None,
    available: set[str],
    images: int,
    *,
    kinds: Collection[bool],
    without: Mapping[str, str] = WITHOUT,
) -> tuple[list[str], dict[str, str]]:
    """Returns the metrics to compute, and why others are not. Raises UserError if one of `metrics` is not."""
    chosen, left_out = [], {}
    for name in metrics or METRICS:
        row = METRICS[name]
        reasons = [without[need] for need in row.needs if need not in available]
        if images < row.least_images:
            reasons.append(f"it needs {row.least_images} images or more, not {images}")
        if not row.suits(kinds):
            if metrics:
                targets, others = ("label maps", "images") if True in kinds else ("images", "label maps")
                raise UserError(f"The metric {name} needs {others} as targets. Received {targets}. Leave it out.")
        elif reasons:
            if metrics:
                raise UserError(f"The metric {name} cannot be measured here: {reasons[0]}. Leave it out.")
            left_out[name] = reasons[0]
        else:
            chosen.append(name)
    return chosen, left_out


def units_of(data: DataConfig) -> tuple[Unit, ...]:
    """Returns the unit of the targets, or those of their parts (`data.targets`). Some have none."""
    if data.target_unit and data.target_range:
        return (Unit(data.target_unit, *data.target_range),)
    return tuple(
        Unit(part.unit, *part.bounds, part.name, channels) for part, channels in channels_of_targets(data) if part.unit
    )


def _of_training(names: Sequence[str]) -> bool:
    return any("training" in METRICS[name].needs for name in names)


def _training(subject: Subject, metrics: Sequence[str] | None) -> Training | str:
    """Returns the training targets, or the reason why translations are not compared with them."""
    if metrics and not _of_training(metrics):
        return WITHOUT["training"]
    size = subject.protocol.size_px
    return open_training(subject.trained_on, subject.examples.data, None if size == NATIVE else size)


def _training_lines(subject: Subject) -> list[dict[str, Any]]:
    """Returns the lines that a run logged, for its curves."""
    return read_json_lines(RunDirectory(subject.path).metrics_file, "step") if subject.kind == RUN else []


def _facts(subject: Subject, lines: Sequence[Mapping[str, Any]]) -> Facts:
    """Returns what is recorded of the subject."""
    if subject.kind == RUN and subject.card:
        return Facts.of_run(RunDirectory(subject.path), subject.card, lines)
    return Facts(subject.card)


def _segmenter(request: Request, subject: Subject) -> Segmenter | None:
    if request.segmenter is None:
        return None
    size = subject.protocol.size_px
    return open_segmenter(
        request.segmenter, data_dir=request.data, split=request.split, size_px=None if size == NATIVE else size,
        label_maps=request.labels, data=subject.examples.data, value_range=request.segmenter_range, trust=request.trust,
    )  # fmt: skip


def _features(request: Request) -> Remembered | None:
    if request.features is None:
        return None
    return Remembered(load_features(request.features, request.features_range, trust=request.trust))


def _figure_records(metrics: Mapping[str, Figure], units: Sequence[Unit]) -> dict[str, FigureRecord]:
    """Returns the values of metrics, with the unit of those that have one."""
    records = {}
    for name, metric in metrics.items():
        unit = METRICS[metric.metric].unit_of(name, units)
        records[name] = FigureRecord(**asdict(metric), better=metric.better, **({"unit": unit} if unit else {}))
    return records


def _notes_on_intervals(images: int, groups: set[str]) -> Iterator[str]:
    """Yields a note if few images, or few groups of images, are resampled."""
    count, what = (len(groups), "groups") if any(groups) else (images, "images")
    if 1 < count < FEW:
        yield f"Intervals of {count} {what} are rough: a bootstrap needs {FEW} or more."
    if count == 1:
        yield no_intervals(any(groups))


def _protocol(metric: str, data: DataConfig) -> str:
    """Returns the sentence on a metric, with the units that it is measured in."""
    row = METRICS[metric]
    units = ", ".join(f"{unit.part}: {unit.name}" if unit.part else unit.name for unit in units_of(data))
    return f"{row.protocol}; {units}" if "unit" in row.needs else row.protocol


def _record(
    resolved: ResolvedRequest, subject: Subject, data: DataRecord, protocol: ProtocolRecord,
    metrics: Mapping[str, Figure], left_out: Mapping[str, str], at_own_size: OwnSizeRecord | None,
) -> Record:  # fmt: skip
    """Returns the record of an evaluation."""
    examples = subject.examples
    notes = list(examples.notes)
    if "target" not in examples.has:
        notes.append("There are no targets: only metrics without a reference were measured.")
    return Record(
        format_version=FORMAT_VERSION,
        model=str(resolved.request.model),
        name=subject.name,
        kind=subject.kind,
        step=subject.step,
        package_version=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        data=data,
        protocol=protocol,
        figures=_figure_records(metrics, units_of(examples.data)),
        at_own_size=at_own_size,
        protocols={row: _protocol(row, examples.data) for row in dict.fromkeys(of.metric for of in metrics.values())},
        not_measured=dict(left_out),
        notes=notes,
    )
