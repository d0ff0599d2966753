"""Reads foreign files safely: refuses pipes and devices, which have no end, and text that would fill the memory."""

from __future__ import annotations

import errno
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

MOST_TEXT_BYTES = 2**24  # largest card or configuration in an archive
MOST_NODES = 100_000  # values in a YAML file: a configuration has a few hundred
NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)  # do not wait for the other end of a pipe


@contextmanager
def open_regular_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading. Raises OSError if it is a pipe, a device or a folder, which have no end or no bytes."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NON_BLOCKING)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        yield file


def read_regular_file(path: Path) -> bytes:
    """Reads all bytes of a file, which `open_regular_file` opens."""
    with open_regular_file(path) as file:
        return file.read()


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads a text member of a ZIP archive.

    Raises:
        ValueError: it unpacks to more than `MOST_TEXT_BYTES`.
        KeyError: the archive has no such member.
    """
    claimed = archive.getinfo(name).file_size
    if claimed > MOST_TEXT_BYTES:
        raise ValueError(f"its part {name!r} claims {claimed / 1e6:.0f} MB")
    with archive.open(name) as file:
        return file.read(MOST_TEXT_BYTES)


def parse_json(text: str | bytes) -> Any:
    """Parses JSON. Raises ValueError if the text is not JSON or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_yaml(text: str) -> Any:
    """Parses YAML. Raises ValueError if the text is not YAML, is nested too deeply, or has aliases that unfold to more
    than `MOST_NODES` values."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_unfolded(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"line {mark.line + 1} is not YAML" if mark else "it is not YAML") from error


def _check_unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """Counts the values of a YAML node with every alias unfolded. Raises ValueError if there are too many."""
    if known.setdefault(id(node), 0):
        return known[id(node)]
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    count = 1 + sum(_check_unfolded(part, known) for part in parts if isinstance(part, yaml.Node))
    if count > MOST_NODES:
        raise ValueError(f"its aliases unfold to more than {MOST_NODES} values")
    known[id(node)] = count
    return count


def read_json_lines(path: Path, *keys: str) -> list[dict[str, Any]]:
    """Reads a file with one JSON object per line.

    Skips damaged lines and objects that lack one of `keys`. Returns an empty list if the file does not exist.
    """
    try:
        lines = read_regular_file(path).split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    objects = []
    for line in lines:
        with suppress(ValueError):
            objects.append(parse_json(line))
    return [entry for entry in objects if isinstance(entry, dict) and all(key in entry for key in keys)]
