"""Decides where results may be written, before the work begins, so that no file of a user is deleted or replaced.

A folder belongs to this package if the content of a file in it shows so. The file's name alone is not enough. Only
files that this package writes are removed. Everything else in the folder stays.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfpix2pix.errors import UserError
from tfpix2pix.files import LEFTOVER, SYSTEM_FILES
from tfpix2pix.safe_files import parse_json, parse_yaml


@dataclass(frozen=True)
class OwnFolder:
    """Describes a kind of folder that this package writes.

    Args:
        marks: file name -> top-level keys of its JSON or YAML that show the folder to be of this kind. One such file
            is enough.
        files: paths of the files in it, with a regular expression for each part of the path.
        inside: paths of folders in it, written in the same way -> their kind.
    """

    marks: Mapping[str, frozenset[str]]
    files: tuple[str, ...]
    inside: Mapping[str, OwnFolder] = field(default_factory=dict)

    def is_at(self, folder: Path) -> bool:
        """Returns True if the content of a file in `folder` shows it to be of this kind."""
        return any(keys <= _keys_of(folder / name) for name, keys in self.marks.items())

    def remove_from(self, folder: Path) -> None:
        """Removes this package's files from `folder`, and the folders in it that are empty then.

        The files of `marks` are removed last, so that an interrupted removal can be repeated.
        """
        inside = [(path, kind) for pattern, kind in self.inside.items() for path in _matching(folder, pattern)]
        for path, kind in inside:
            if kind.is_at(path):
                kind.remove_from(path)
        written = [path for pattern in self.files for path in _matching(folder, pattern) if _is_own_file(path)]
        for path in sorted(written, key=lambda path: path.name in self.marks):
            path.unlink()
        for path in {*(path.parent for path in written), *(path for path, _ in inside)}:
            while path != folder and path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
                path = path.parent


EVALUATION = OwnFolder(
    marks={"metrics.json": frozenset({"format_version", "package_version", "figures", "protocol"})},
    files=(
        r"metrics\.json",
        r"per_image\.csv",
        r"per_group\.csv",
        r"bootstrap\.npz",
        r"density(_\w+)?\.npz",
        r"(scatter|bland_altman|examples)(_\w+)?\.(svg|pdf|png)",
        r"(captions|methods)\.md",
        r"report\.html",
        r"contact_sheet\.png",
    ),
)
RUN = OwnFolder(
    marks={
        "model_card.json": frozenset({"package_version", "config", "step"}),
        "config.yaml": frozenset({"data", "generator", "discriminator", "objective", "training", "inference"}),
    },
    files=(
        r"config\.yaml", r"data\.json", r"model_card\.json", r"metrics\.jsonl", r"training_curves\.png",
        r"trackers\.json", r"environment\.json",
        r"samples/step-\d+\.png",
        r"checkpoints/(step|best|damaged-step)-\d+/(checkpoint\.json|notes\.json|\w+\.safetensors)",
        r"tensorboard/events\.out\.tfevents\..+", r"tensorboard/plugins/profile/.+/.+",
    ),
    inside={r"evaluation/.+": EVALUATION},
)  # fmt: skip


COMPARISON = OwnFolder(
    marks={"comparison.json": frozenset({"format_version", "baseline", "protocol", "evaluations"})}, files=()
)


def is_own_folder(folder: Path) -> bool:
    """Returns True if the content of `folder` shows that this package wrote it: a run, an evaluation, a comparison."""
    return any(kind.is_at(folder) for kind in (RUN, EVALUATION, COMPARISON))


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Lists the paths in `folder` with parts that match those of `pattern`."""
    first, _, rest = pattern.partition("/")
    paths = [path for path in (folder.iterdir() if folder.is_dir() else ()) if re.fullmatch(first, path.name)]
    return [match for path in paths for match in _matching(path, rest)] if rest else paths


def holds_something(folder: Path) -> bool:
    """Returns True if `folder` holds anything but temporary files of killed processes and those of the system."""
    return any(not path.match(LEFTOVER) and not SYSTEM_FILES.fullmatch(path.name) for path in folder.iterdir())


def check_new_folder(path: Path) -> None:
    """Raises UserError if a folder for results (`out`) exists and is not empty, or cannot be written."""
    if path.exists() and (not path.is_dir() or holds_something(path)):
        raise UserError(f"`out` must be a new or empty folder. Received {path}, which holds something else. Change it.")
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raises UserError if a folder `path` could not be created or written. Creates nothing."""
    nearest = path.resolve()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    try:
        with tempfile.TemporaryDirectory(dir=nearest, prefix=".tfpix2pix-"):
            pass
    except OSError as error:  # permission bits do not show read-only and special file systems
        raise UserError(
            f"The folder {path} must be writable. Received: {error.strerror} at {nearest}. Choose another."
        ) from error


def check_replaces_no_input(results: Iterable[Path], inputs: Iterable[Path], within: Path | None = None) -> None:
    """Raises UserError if a result would replace an input, or a file in the data folder `within`.

    Links, mounts and capital letters do not hide that two paths are one file.

    Args:
        results: paths to be written. A path without a file replaces nothing.
        inputs: files that are read.
    """
    present = [path for path in results if path.exists()]
    read = {_identity(path) for path in inputs if path.exists()} if present else set()
    for path in present:
        in_data = within is not None and within.exists() and path.resolve().is_relative_to(within.resolve())
        if in_data or _identity(path) in read:
            raise UserError(f"A translation must not replace an input. Received {path} for both. Change `out`.")


def _identity(path: Path) -> tuple[int, int]:
    """Returns a file's device and inode numbers, which all its names share."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_own_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()  # this package writes no links


def _keys_of(path: Path) -> frozenset[str]:
    """Reads the top-level keys of a JSON or YAML file. Returns an empty set if that fails."""
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = parse_yaml(text) if path.suffix == ".yaml" else parse_json(text)
    except (OSError, ValueError):
        return frozenset()
    return frozenset(map(str, content)) if isinstance(content, dict) else frozenset()
