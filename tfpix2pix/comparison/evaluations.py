"""Evaluations, read with care: folders that `tfpix2pix evaluate` wrote, perhaps long ago or elsewhere."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfpix2pix.comparison.seeds import Spread
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation_directory import FORMAT_VERSION, RECORD, RESAMPLED, ROWS
from tfpix2pix.foreign import parse_json

READ_STRICTLY = ConfigDict(frozen=True, strict=True, protected_namespaces=())
NAME = "name"  # the column of ROWS that is no figure


class FigureRecord(BaseModel):
    """One figure in metrics.json."""

    model_config = READ_STRICTLY

    metric: str
    value: float
    low: float | None
    high: float | None
    better: Literal["higher", "lower", "near 1", ""]


class DataRecord(BaseModel):
    """What was evaluated."""

    model_config = READ_STRICTLY

    dir: str | None
    split: str | None
    images: int = Field(ge=1)


class ProtocolRecord(BaseModel):
    """How it was evaluated."""

    model_config = READ_STRICTLY

    size_px: int | Literal["own"]
    fit: str | None
    seed: int
    replicates: int = Field(ge=0)
    covered: float
    segmenter: dict[str, Any] | None = None
    features: Any = None


class Record(BaseModel):
    """What a comparison needs of metrics.json, which holds more."""

    model_config = READ_STRICTLY

    name: str
    data: DataRecord
    protocol: ProtocolRecord
    figures: dict[str, FigureRecord]
    protocols: dict[str, str]
    notes: list[str] = []


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An evaluation, or (of several training seeds: `group`) the mean of some.

    Args:
        name: stands in tables and figures.
        record: metrics.json.
        images: their names, sorted.
        rows: figure -> float (images,) in the order of `images`, each image's own; NaN where it has none.
        replicates: figure -> float (1 + replicates,): the figure, then its resamplings over images; (1,) where it has
            none. Replicate r of evaluations of one seed has drawn the same images.
        members: what a mean is of; () otherwise.
    """

    name: str
    record: dict[str, Any]
    images: tuple[str, ...]
    rows: dict[str, np.ndarray]
    replicates: dict[str, np.ndarray]
    path: Path | None = None
    members: tuple[Evaluated, ...] = ()

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """name -> its `metric`, `value`, `low`, `high` and `better`."""
        return self.record["figures"]

    def spread(self, figure: str) -> Spread:
        """How far the mean over training seeds might be off; 0 of a single training, of which nothing is known."""
        return Spread.of([float(member.replicates[figure][0]) for member in self.members])


def read_evaluation(path: str | Path, name: str | None = None) -> Evaluated:
    """The evaluation in a folder.

    Args:
        name: None: as its record says.

    Raises:
        UserError: it is no evaluation, one of another format version, or damaged.
    """
    path = Path(path).expanduser()
    record = _read_record(path)
    with _whole(path, RECORD):
        checked = Record.model_validate(record)
    with _whole(path, ROWS):
        images, rows = _read_rows(path / ROWS, checked)
    with _whole(path, RESAMPLED):
        replicates = _read_replicates(path / RESAMPLED, checked)
    return Evaluated(name or checked.name, record, images, rows, replicates, path)


def _read_record(path: Path) -> dict[str, Any]:
    if not (path / RECORD).is_file():
        there = "has no " + RECORD if path.is_dir() else "is no folder"
        raise UserError(
            f"An evaluation must be a folder that `tfpix2pix evaluate` wrote. Received {path}, which {there}. "
            f"Evaluate the model first."
        )
    with _whole(path, RECORD):
        record = parse_json((path / RECORD).read_bytes())
    if not isinstance(record, dict) or "format_version" not in record:
        raise UserError(
            f"An evaluation must be a folder that `tfpix2pix evaluate` wrote. Received {path}, whose {RECORD} has no "
            f"format version. Evaluate the model first."
        )
    if record["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"An evaluation must be of format version {FORMAT_VERSION}. Received {path} of "
            f"{record['format_version']!r}. Evaluate the model again with this version of tfpix2pix."
        )
    return record


def _read_rows(path: Path, record: Record) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The names of the images, sorted, and figure -> float (images,)."""
    with path.open(encoding="utf-8", newline="") as file:
        read = {row[NAME]: row for row in csv.DictReader(file, strict=True)}
    if len(read) != record.data.images:
        raise ValueError(f"it has {len(read)} images of {record.data.images}")
    images = tuple(sorted(read))
    figures = [name for name in record.figures if name in read[images[0]]]
    return images, {name: np.array([float(read[image][name] or "nan") for image in images]) for name in figures}


def _read_replicates(path: Path, record: Record) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        replicates = {name: np.asarray(arrays[name], np.float64) for name in record.figures}
    for name, values in replicates.items():
        if values.shape not in ((1,), (1 + record.protocol.replicates,)):
            raise ValueError(f"{name} has the shape {values.shape} for {record.protocol.replicates} replicates")
        if not np.isclose(values[0], record.figures[name].value, equal_nan=True):
            raise ValueError(f"{name} is {values[0]:g}, and {record.figures[name].value:g} in {RECORD}")
    return replicates


@contextmanager
def _whole(path: Path, file: str) -> Iterator[None]:
    """Says of an evaluation, where reading one of its files fails, that it is damaged."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"`{'.'.join(map(str, first['loc']))}` does not fit ({first['msg']})"
    except FileNotFoundError:
        reason = "it is missing"
    except (OSError, EOFError, ValueError, KeyError, TypeError, csv.Error, BadZipFile, zlib.error) as error:
        reason = str(error)
    else:
        return
    raise UserError(
        f"An evaluation must be whole. Received {path}, whose {file} is damaged: {reason}. Evaluate the model again."
    )
