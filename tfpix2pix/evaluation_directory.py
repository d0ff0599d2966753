"""The folder of an evaluation: what is where in it, and when one may be written. Imports no TensorFlow."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfpix2pix.destinations import EVALUATION, check_new_folder, check_writable
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.evaluation import METRICS
from tfpix2pix.files import whole_directory

RECORD, ROWS, RESAMPLED, PAGE = "metrics.json", "per_image.csv", "bootstrap.npz", "report.html"
SHEET = "contact_sheet.png"
FORMAT_VERSION = 1


def is_evaluation(path: Path) -> bool:
    return (path / RECORD).is_file()


def check_names(metrics: Sequence[str] | None) -> None:
    """Raises UserError where a metric is none."""
    for name in metrics or ():
        if name not in METRICS:
            raise UserError(unknown_name("A metric", name, METRICS))


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raises UserError where an evaluation may not be written."""
    ours = EVALUATION.is_at(out)
    if ours and not overwrite:
        raise UserError(
            f"An evaluation must not overwrite another. Received {out}, which holds one. Add --overwrite or change "
            f"--out."
        )
    if not ours:
        check_new_folder(out)
    check_writable(out)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A folder that takes the place of the evaluation in `out` when it is whole; files that are not of it stay."""
    with whole_directory(out, clear=lambda: EVALUATION.remove_from(out)) as folder:
        yield folder


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file: a column a figure, empty where an image has none."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
