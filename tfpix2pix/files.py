"""Files written whole or not at all (a temporary sibling, renamed), and foreign ones read without surprises."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from tfpix2pix.errors import RunError, UserError

TEMPORARY = ".tfpix2pix-tmp"  # ends the name of what is not whole yet
LEFTOVER = f".*{TEMPORARY}"
MOST_NODES = 100_000  # of a YAML file: thousands of times what a configuration has
LONGEST_NAME_BYTES = 200  # of the 255 that file systems take; an ending is added
NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)  # the opening of a pipe does not wait for its other end
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{kind}{number}" for kind in ("COM", "LPT") for number in range(1, 10))}
CACHE_VARIABLE = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` when the block ends well.

    `durable`: wait for the disk, so that the file survives a power failure. Thousands of files that can be made again
    need not.
    """
    with _whole(path, path.parent, lambda temporary: temporary.replace(path), durable) as temporary:
        yield temporary


@contextmanager
def whole_directory(path: Path, *, clear: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """Yields a temporary empty folder; at the end, after `clear()`, it becomes `path`.

    Where `path` is there already, or a link to a folder, or where another disk is mounted, what the temporary folder
    holds moves into it: files of other names stay.
    """
    path = path.resolve()
    there = path.is_dir()

    def move(temporary: Path) -> None:
        clear()
        if not there:
            temporary.replace(path)
            return
        for entry in sorted(temporary.iterdir()):
            entry.replace(path / entry.name)

    with _whole(path, path if there else path.parent, move) as temporary:
        temporary.mkdir()
        yield temporary


@contextmanager
def _whole(path: Path, folder: Path, move: Callable[[Path], object], durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path in `folder`; at the end `move` brings what was written there to `path`."""
    shortened = f"{path.name[:40]}.{zlib.crc32(os.fsencode(path.name)):08x}"  # a name has its longest length
    temporary = folder / f".{shortened}.{os.getpid()}{TEMPORARY}"
    make_directory(folder)
    _remove(temporary)
    try:
        yield temporary
        if durable:
            _to_disk(temporary)
        move(temporary)
        if durable:
            _to_disk(folder, deep=False)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, None)
        raise RunError(
            f"{path} must be written whole. Received: {error.strerror or error}. "
            f"{'Free space or choose' if full else 'Choose'} another place, then try again."
        ) from error
    finally:
        _remove(temporary)


def file_name(text: str) -> str:
    """`text` as one part of a path: what a card, manifest, table or server calls a thing names no folder, no device and
    no path elsewhere. A name that is one already stays as it is, but for its length: at most 200 bytes."""
    forbidden = '<>:"/\\|?*' if os.name == "nt" else "/"
    name = "".join("_" if c in forbidden or unicodedata.category(c) == "Cc" else c for c in text)
    if os.name == "nt":
        name = name.rstrip(". ")
        name = f"_{name}" if name.partition(".")[0].upper() in DEVICES else name
    if not name.strip("."):
        return "_" * max(1, len(name))
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        name = f"{os.fsencode(name)[: LONGEST_NAME_BYTES - 9].decode(errors='ignore')}-{digest}"
    return name


def cache_directory() -> Path:
    """The folder for what can be made again: `tfpix2pix` in $XDG_CACHE_HOME or ~/.cache, on Windows in %LOCALAPPDATA%.

    Raises:
        UserError: the variable is not set and there is no home.
    """
    try:
        return Path(os.environ.get(CACHE_VARIABLE) or Path("~/.cache").expanduser()) / "tfpix2pix"
    except RuntimeError as error:
        raise UserError(
            f"There must be a folder to keep files in. Received no home folder. Set {CACHE_VARIABLE} to a folder."
        ) from error


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _to_disk(path: Path, *, deep: bool = True) -> None:
    """Waits until a file, or a folder with all in it, would survive a power failure: a name must not come before what
    it names."""
    for each in [*path.rglob("*"), path] if deep and path.is_dir() else [path]:
        try:
            descriptor = os.open(each, os.O_RDONLY)
        except OSError:  # a folder, where the system does not let it be opened
            continue
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # not every file system knows how
                raise
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary siblings that killed processes left in `folder`."""
    for path in folder.glob(LEFTOVER):
        _remove(path)


def make_directory(path: Path) -> None:
    """`path` and its parents, or one sentence why not."""
    try:
        path.resolve().mkdir(parents=True, exist_ok=True)  # of a link, what it leads to
    except OSError as error:
        raise UserError(
            f"The folder {path} must be one that can be written. Received: {error.strerror}. Choose another."
        ) from error


@contextmanager
def regular_file(path: Path) -> Iterator[BinaryIO]:
    """A file, opened; raises OSError where it is a pipe, a device or a folder, which have no end or no bytes."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NON_BLOCKING)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield file


def regular_bytes(path: Path) -> bytes:
    """What a `regular_file` holds."""
    with regular_file(path) as file:
        return file.read()


def parsed_json(text: str | bytes) -> Any:
    """What a JSON text says; raises ValueError where it says nothing, or is nested without end."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parsed_yaml(text: str) -> Any:
    """What a YAML text says; raises ValueError where it is none, is nested without end, or its aliases unfold to more
    than `MOST_NODES` values."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_unfolded(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise ValueError(f"line {place.line + 1} is not YAML" if place else "it is not YAML") from error
    finally:
        loader.dispose()


def _check_unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node of YAML has once every alias stands for what it names; raises ValueError where many."""
    if known.setdefault(id(node), 0):
        return known[id(node)]
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    count = 1 + sum(_check_unfolded(part, known) for part in parts if isinstance(part, yaml.Node))
    if count > MOST_NODES:
        raise ValueError(f"its aliases unfold to more than {MOST_NODES} values")
    known[id(node)] = count
    return count


def json_lines(path: Path, *keys: str) -> list[dict[str, Any]]:
    """The objects of a file of one a line, those that have all `keys`; lines that a killed process or a damaged disk
    left are passed over, whatever bytes they hold."""
    try:
        lines = regular_bytes(path).split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    objects = []
    for line in lines:
        with suppress(ValueError):
            objects.append(parsed_json(line))
    return [each for each in objects if isinstance(each, dict) and all(key in each for key in keys)]


def sha256_of(path: Path) -> str:
    """The hash of a file of any size, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
