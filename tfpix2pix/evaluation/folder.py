"""Defines the folder of an evaluation: its files, its record, and when it may be written. Imports no TensorFlow.

`evaluate` writes the record, metrics.json, and `compare` reads it.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfpix2pix.data.groups import names_shown
from tfpix2pix.destinations import EVALUATION, check_new_folder, check_writable
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.files import whole_directory, write_text
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.example import Unit
from tfpix2pix.safe_files import parse_json
from tfpix2pix.size import Size

RECORD, ROWS, RESAMPLED, PAGE = "metrics.json", "per_image.csv", "bootstrap.npz", "report.html"
GROUPS, DENSITY = "per_group.csv", "density"
SCATTER, BLAND_ALTMAN = "scatter", "bland_altman"  # names of the plots of all pixels, without suffix
CAPTIONS, EXAMPLES, METHODS = "captions.md", "examples", "methods.md"
SHEET = "contact_sheet.png"
PARTS = {  # data.fit -> how images were brought to a size
    "resize": "to which images of another size are resized",
    "resize_crop": "the middle of each image, resized until it covers this size",
    "crop": "the middle of each image",
    "pad": "each image resized until it lies within this size, and padded",
}
FORMAT_VERSION = 1


def density_file(unit: Unit) -> str:
    """Returns the name of the file of the plots of all pixels: `density.npz`, or `density_<part>.npz` of one part."""
    return f"{unit.of(DENSITY)}.npz"


def is_evaluation(path: Path) -> bool:
    """Returns True if a folder has the record of an evaluation."""
    return (path / RECORD).is_file()


def check_names(metrics: Sequence[str] | None) -> None:
    """Raises UserError if a name is not a metric."""
    for name in metrics or ():
        if name in METRICS:
            continue
        row = next((key for key, metric in METRICS.items() if name in metric.titles), None)
        if row:
            raise UserError(f"A metric must be named by its row. Received {name!r}, a value of {row}. Name {row}.")
        raise UserError(unknown_name("A metric", name, METRICS))


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raises UserError if an evaluation may not be written to a folder."""
    holds_evaluation = EVALUATION.is_at(out)
    if holds_evaluation and not overwrite:
        raise UserError(
            f"An evaluation must not overwrite another. Received {out}, which holds one. Add `overwrite` or change "
            f"`out`."
        )
    if not holds_evaluation:
        check_new_folder(out)
    check_writable(out)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yields a folder that replaces the evaluation in `out` when it is whole. Other files there stay."""
    with whole_directory(out, clear=lambda: EVALUATION.remove_from(out)) as folder:
        yield folder


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV file: a row for each image, a column for each metric, empty if an image lacks it."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def means_by_group(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[str], uncounted: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Returns a row for each group, in order: its name, the number of its images, and the means of their values.

    An image without a value of a metric is left out of its mean. Images in `uncounted`, of which no pixel counts, are
    left out of the number too.
    """
    counted = [row["name"] not in uncounted for row in rows]
    rows, groups = ([*compress(values, counted)] for values in (rows, groups))
    means = []
    for group, shown in sorted(names_shown(groups).items()):
        of_group = [row for row, other in zip(rows, groups, strict=True) if other == group]
        names = [name for name in dict.fromkeys(name for row in of_group for name in row) if name != "name"]
        values = {name: [row[name] for row in of_group if name in row] for name in names}
        means.append({"group": shown, "images": len(of_group), **{name: fmean(values[name]) for name in names}})
    return means


class _Part(BaseModel):
    """Holds a part of a record. It keeps keys that this version does not know.

    Keys with a default are those that older versions did not write.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", protected_namespaces=())

    def to_json(self) -> dict[str, Any]:
        """Returns the keys that were written or read, as JSON values. Numbers may be NaN."""
        return self.model_dump(mode="json", exclude_unset=True)


class FigureRecord(_Part):
    """Holds one metric over all images, with its 95 % interval if it has one."""

    metric: str
    value: float
    low: float | None
    high: float | None
    better: Literal["higher", "lower", "near 1", ""]
    unit: str = ""  # of the value; left out if it has none


class DataRecord(_Part):
    """Describes the images that were evaluated."""

    dir: str | None
    split: str | None
    images: int = Field(ge=1)
    of: int | None = None  # pairs of the split
    groups: int | None = Field(None, ge=1)  # of images (`data.group`); left out if they have none
    attribution: str | None = None
    target_levels: list[float] | None = None  # mean and deviation on [-1, 1], by which `compare` tells targets apart


Sides = Annotated[list[int], Field(strict=False, min_length=2, max_length=2)]  # height and width, if they differ


class ProtocolRecord(_Part):
    """Describes how the images were evaluated."""

    statistics: str | None = None  # of a model's normalization
    noise: str | None = None
    seed: int
    variants: int | None = None
    size_px: int | Sides | Literal["own"]
    fit: str | None
    replicates: int = Field(ge=0)
    covered: float
    group: str | None = None  # `data.group`, by which images are resampled together
    segmenter: dict[str, Any] | None = None
    features: Any = None
    training: str | None = None  # the training targets with which translations were compared


class OwnSizeRecord(_Part):
    """Holds the metrics of images at the size of their files, at which `translate` takes them."""

    images: int = Field(ge=1)
    figures: dict[str, FigureRecord]


class Record(_Part):
    """Holds the content of metrics.json."""

    format_version: int
    model: str | None = None
    name: str
    kind: str | None = None  # `run`, `images` or an export format
    step: int | None = None
    package_version: str | None = None
    created: str | None = None
    data: DataRecord
    protocol: ProtocolRecord
    figures: dict[str, FigureRecord]
    protocols: dict[str, str]  # metric -> the sentence that defines it
    at_own_size: OwnSizeRecord | None = None  # beside the size of training, if the files have another
    not_measured: dict[str, str] = {}  # metric -> reason
    notes: list[str] = []

    def write(self, path: Path) -> None:
        """Writes the record to a file."""
        write_text(path, json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")


def no_intervals(grouped: bool) -> str:
    """Says why a single group, or a single image, has no intervals."""
    held_out, one = ("held-out group", "group") if grouped else ("image", "image")
    return f"With one {held_out} there are no intervals: one {one} says nothing about others."


def measured_at(protocol: ProtocolRecord) -> str:
    """Returns the size at which images were measured, as a sentence."""
    if protocol.size_px == "own":
        return "Measured at the files' own size."
    size, part = Size.of(protocol.size_px), PARTS.get(protocol.fit or "")
    sides = f"{size} px" if size.is_square else f"{size} px (height x width)"
    return f"Measured at {sides}, {part}." if part else f"Measured at {sides}."


def sizes_sentence(record: Mapping[str, Any]) -> str:
    """Says at which size the images of a record were measured, and what else was."""
    if not record.get("at_own_size"):
        protocol = ProtocolRecord.model_construct(**{"fit": None, **record["protocol"]})  # of earlier versions too
        is_part = protocol.fit == "crop" and protocol.size_px != "own"
        return measured_at(protocol) + (" With `size` own whole images are measured." if is_part else "")
    count = record["at_own_size"]["images"]
    images = f"{count:,} of the images" if count != record["data"]["images"] else "the same images"
    size = Size.of(record["protocol"]["size_px"])
    return (
        f"The values are of images brought to {size} px, the size of training. Those at own size are of {images} as "
        f"their files hold them, as `translate` takes them with `size` own."
    )


def read_record(folder: Path) -> Record:
    """Reads the record of the evaluation in a folder.

    Raises:
        UserError: there is no evaluation, it is of another format version, or its record is damaged.
    """
    if not (folder / RECORD).is_file():
        reason = "has no " + RECORD if folder.is_dir() else "is not a folder"
        raise _foreign(folder, f"which {reason}")
    with naming_damage(folder, RECORD):
        content = parse_json((folder / RECORD).read_bytes())
    if not isinstance(content, dict) or "format_version" not in content:
        raise _foreign(folder, f"in which {RECORD} has no format version")
    if content["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"An evaluation must be of format version {FORMAT_VERSION}. Received {folder} of "
            f"{content['format_version']!r}. Evaluate the model again with this version of tfpix2pix."
        )
    with naming_damage(folder, RECORD):
        return Record.model_validate(content)


def _foreign(folder: Path, reason: str) -> UserError:
    return UserError(
        f"An evaluation must be a folder that `tfpix2pix evaluate` wrote. Received {folder}, {reason}. Evaluate the "
        f"model first."
    )


@contextmanager
def naming_damage(folder: Path, file: str) -> Iterator[None]:
    """Raises UserError that an evaluation is damaged if one of its files cannot be read."""
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
        f"An evaluation must be whole. Received {folder} with a damaged {file}: {reason}. Evaluate the model again."
    )
