"""Reads CSV and TSV files as spreadsheets write them: comma, semicolon or tab, in UTF-8."""

from __future__ import annotations

import csv
import re
from itertools import chain
from pathlib import Path

from tfpix2pix.errors import UserError

NAMED_DELIMITER = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # the first line of a table that Excel wrote


def read_csv(path: Path, noun: str = "A table") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Reads a table: the names of its columns in small letters, and the number and values of every line with values.

    Raises:
        UserError: the file is not readable as CSV in UTF-8. The sentence begins with `noun`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            named = NAMED_DELIMITER.fullmatch(first.rstrip("\r\n"))
            rows = csv.reader(
                chain([""] if named else [first], file), delimiter=named[1] if named else _delimiter(path, first)
            )
            lines = [(rows.line_num, line) for line in rows if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{noun} must be a readable CSV file in UTF-8. Received {path}: {error}. Save it again."
        ) from error
    return [name.strip().lower() for name in lines[0][1]] if lines else [], lines[1:]


def _delimiter(path: Path, first: str) -> str:
    """Detects a table's delimiter from its first line: spreadsheets write commas, semicolons or tabs."""
    return max("\t,;" if path.suffix.lower() == ".tsv" else ",;\t", key=first.count)
