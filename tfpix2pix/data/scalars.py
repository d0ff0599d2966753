"""Reads the scalars of inputs, numbers such as a wind speed (`data.inputs`, kind `scalar`), from columns of a table.

For `table` it is the table of the pairs. For `folders` it is `scalars.csv` in the data folder: a line for each pair,
with the columns `name`, perhaps `split`, and one for each scalar. A scalar becomes a channel of one value.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfpix2pix.data.csv_files import read_csv
from tfpix2pix.data.images import without_ending
from tfpix2pix.data.pairs import Fault
from tfpix2pix.errors import UserError

if TYPE_CHECKING:
    from tfpix2pix.data.parts import InputPart
    from tfpix2pix.data.settings import DataConfig

FILE = "scalars.csv"
NAME, SPLIT = "name", "split"  # columns of `FILE`


@dataclass(frozen=True)
class Scalar:
    """Holds a number of an input, and where it is from."""

    value: float
    where: str  # for messages: `line 3 of pairs.csv`


Found = Callable[[str, str], tuple[Scalar, ...] | str]  # (name of a pair, split) -> its scalars, or what is wrong


def number_of(text: str) -> float | None:
    """Returns the finite number that a text holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def scalar_parts(data: DataConfig) -> list[InputPart]:
    """Returns the parts of `data.inputs` that are numbers."""
    return [part for part in data.inputs or () if not part.row.in_files]


def in_words(stack: np.ndarray, data: DataConfig) -> str:
    """Returns the scalars in the stack of an input, float (H, W, C) in [-1, 1], such as `kv 80, dose 2.5`, or ""."""
    words, start = [], 0
    for part in data.inputs or ():
        if not part.row.in_files:
            low, high = part.range
            words.append(f"{part.name} {low + (float(stack[0, 0, start]) + 1) / 2 * (high - low):.5g}")
        start += part.stacked_channels
    return ", ".join(words)


def columns_of(parts: Sequence[InputPart]) -> list[str]:
    """Returns the columns of scalars, in small letters."""
    return [part.place.strip().lower() for part in parts]


def scalars_in(row: Mapping[str, str], parts: Sequence[InputPart], where: str) -> tuple[Scalar, ...] | str:
    """Returns the scalars of a line, or what is wrong: `no wind in line 3 …`, or `'high' as wind in line 3 …`."""
    scalars = []
    for column in columns_of(parts):
        text = row.get(column, "").strip()
        value = number_of(text)
        if value is None:
            return f"{repr(text) + ' as' if text else 'no'} {column} in {where}"
        scalars.append(Scalar(value, where))
    return tuple(scalars)


def scalars_by_name(path: Path, parts: Sequence[InputPart]) -> Found:
    """Returns a function that finds the scalars of a pair in a file such as `scalars.csv`.

    Raises:
        UserError: the file is missing or unreadable, lacks a column, or has two lines for one pair.
    """
    columns, needed = columns_of(parts), f"{NAME} and {' and '.join(columns_of(parts))}"
    if not path.is_file():
        raise UserError(
            f"Scalars of pairs in folders must stand in {FILE}, with the columns {needed}. Received {path.parent} "
            f"without it. Write the file, or use a table of pairs (`data.source: table`)."
        )
    named, lines = read_csv(path, "A file of scalars")
    missing = [column for column in (NAME, *columns) if column not in named]
    if missing:
        raise UserError(
            f"A file of scalars must have the columns {needed} in its first line. Received "
            f"{', '.join(named) or 'none'} in {path}. Add {' and '.join(missing)}."
        )
    rows: dict[tuple[str, str], tuple[Scalar, ...] | str] = {}
    for number, line in lines:
        row = dict(zip(named, line, strict=False))
        key = (_plain(without_ending(row.get(NAME, "").strip())), row.get(SPLIT, "").strip())
        if key in rows:
            raise UserError(
                f"A file of scalars must have one line for each name. Received {key[0]!r} again in line {number} of "
                f"{path}. Remove a line, or add the column {SPLIT}."
            )
        rows[key] = scalars_in(row, parts, f"line {number} of {path}")

    def found(name: str, split: str) -> tuple[Scalar, ...] | str:
        key = _plain(name)
        return rows.get((key, split)) or rows.get((key, "")) or f"no line for {name!r} in {path}"

    return found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/"))


def fault_of(problem: str, path: Path, name: str) -> Fault:
    """Returns the fault of a pair that lacks a scalar in the file `path`, by what `Found` says is wrong."""
    rule = "Every pair must have a finite number for each scalar"
    return Fault("missing", f"{path}:{name}", f"{rule}. Received {problem}. Correct the file.")


def in_order_of_parts(files: Sequence[Any], scalars: Sequence[Any], data: DataConfig) -> list[Any]:
    """Merges what is in files and what is not, to one item for each part of `data.inputs`."""
    files, scalars = iter(files), iter(scalars)
    return [next(files if part.row.in_files else scalars) for part in data.inputs]


def check_within(value: float, part: InputPart, data: DataConfig, where: object, *, trained: bool = False) -> None:
    """Raises UserError if a number lies outside the range of its part and `data.out_of_range` is `stop`.

    `trained`: the number is given to a trained model, whose range is what it is.
    """
    low, high = part.range
    if low <= value <= high or data.clips[0]:
        return
    advice = "Set its `range` in `data.inputs` to that of your data, or `data.out_of_range` to clip"
    if trained:
        advice = f"Give a number from {low:g} to {high:g}: the model has learned from no others"
    raise UserError(
        f"A scalar must lie within its `range`, {low:g} to {high:g} here. Received {value:g} as {part.name} in "
        f"{where}. {advice}.",
        "range",
    )


def read_scalar(value: Any, part: InputPart, data: DataConfig, where: object) -> np.ndarray:
    """Returns a number by the part's range, float32 (1, 1, 1) from 0 to 1.

    Raises:
        UserError: it is not one finite number, or lies outside the range and `data.out_of_range` is `stop`.
    """
    value = np.asarray(value)
    if value.ndim or value.dtype.kind not in "iuf" or not np.isfinite(value):
        shown = f"an array of shape {value.shape}" if value.ndim else repr(value.item())
        raise UserError(
            f"A scalar must be one finite number. Received {shown} as {part.name} in {where}. Give a number."
        )
    check_within(float(value), part, data, where)
    low, high = part.range
    share = np.clip((float(value) - low) / (high - low), 0, 1)
    return np.full((1, 1, 1), share, np.float32)
