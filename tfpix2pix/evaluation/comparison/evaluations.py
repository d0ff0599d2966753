"""Reads the folders that `tfpix2pix evaluate` wrote, also earlier or on other machines, and refuses damaged ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfpix2pix.evaluation.comparison.seeds import Spread
from tfpix2pix.evaluation.folder import (
    GROUPS,
    RECORD,
    RESAMPLED,
    ROWS,
    FigureRecord,
    Record,
    naming_damage,
    read_record,
)

NAME = "name"  # the column of ROWS that is not a metric


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Holds an evaluation, or the mean of several training seeds (`group`).

    Args:
        name: name in tables and plots.
        record: metrics.json.
        images: their names, sorted.
        rows: metric -> float (images,) in the order of `images`: the value of each image, NaN if it has none.
        replicates: metric -> float (1 + replicates,): the value, then its resamplings over images; (1,) if it has
            none. Replicate r of evaluations of one seed has drawn the same images.
        path: folder of the evaluation; None for a mean.
        members: evaluations that a mean averages; () otherwise.
    """

    name: str
    record: Record
    images: tuple[str, ...]
    rows: dict[str, np.ndarray]
    replicates: dict[str, np.ndarray]
    path: Path | None = None
    members: tuple[Evaluated, ...] = ()

    @property
    def figures(self) -> dict[str, FigureRecord]:
        """Returns the metrics by name."""
        return self.record.figures

    @property
    def drawn(self) -> int:
        """Returns the number of what is resampled: groups of images, or images if they have no groups."""
        return self.record.data.groups or len(self.images)

    def spread(self, metric: str) -> Spread:
        """Returns the spread of the mean over training seeds, 0 for a single training."""
        return Spread.of([float(member.replicates[metric][0]) for member in self.members])


def read_evaluation(path: str | Path, name: str | None = None) -> Evaluated:
    """Reads the evaluation in a folder.

    Args:
        name: name in tables and plots; None: the name in the record.

    Raises:
        UserError: the folder does not hold an evaluation, or its evaluation is damaged or of another format version.
    """
    path = Path(path).expanduser()
    record = _with_groups(read_record(path), path / GROUPS)
    with naming_damage(path, ROWS):
        images, rows = _read_rows(path / ROWS, record)
    with naming_damage(path, RESAMPLED):
        replicates = _read_replicates(path / RESAMPLED, record)
    return Evaluated(name or record.name, record, images, rows, replicates, path)


def _with_groups(record: Record, path: Path) -> Record:
    """Returns the record with its number of groups, which older records leave to `per_group.csv`."""
    if record.protocol.group is None or record.data.groups is not None or not path.is_file():
        return record
    with naming_damage(path.parent, path.name), path.open(encoding="utf-8", newline="") as file:
        groups = sum(1 for _ in csv.DictReader(file, strict=True))
    return record.model_copy(update={"data": record.data.model_copy(update={"groups": groups or None})})


def _read_rows(path: Path, record: Record) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Returns the names of the images, sorted, and metric -> float (images,)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row[NAME]: row for row in csv.DictReader(file, strict=True)}
    if len(rows) != record.data.images:
        raise ValueError(f"it has {len(rows)} images of {record.data.images}")
    images = tuple(sorted(rows))
    metrics = [name for name in record.figures if name in rows[images[0]]]
    return images, {name: np.array([float(rows[image][name] or "nan") for image in images]) for name in metrics}


def _read_replicates(path: Path, record: Record) -> dict[str, np.ndarray]:
    """Returns metric -> float (1 + replicates,), or (1,)."""
    with np.load(path) as arrays:
        replicates = {name: np.asarray(arrays[name], np.float64) for name in record.figures}
    for name, values in replicates.items():
        if values.shape not in ((1,), (1 + record.protocol.replicates,)):
            raise ValueError(f"{name} has the shape {values.shape} for {record.protocol.replicates} replicates")
        if not np.isclose(values[0], record.figures[name].value, equal_nan=True):
            raise ValueError(f"{name} is {values[0]:g}, and {record.figures[name].value:g} in {RECORD}")
    return replicates
