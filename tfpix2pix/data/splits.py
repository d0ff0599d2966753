"""Divides data into splits: pairs to train on and pairs that are held out."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tfpix2pix.data import SPLITS
from tfpix2pix.data.images import SUFFIXES, list_images
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError, within
from tfpix2pix.files import as_bytes

FOLDER_NAMES = (("input", "target"), ("A", "B"), ("a", "b"), ("inputs", "targets"))
TABLES = (".csv", ".tsv")
SHARDS_MANIFEST = "shards.json"


def guess_source(path: Path) -> dict[str, str]:
    """Guesses from `path` whether its pairs are a table, shards or two folders. Returns the keys of `data` for them.

    Returns an empty dictionary for combined images, the default.
    """
    if path.suffix.lower() in TABLES:
        return {"source": "table"}
    if not os.access(path, os.R_OK | os.X_OK):
        return {}  # opening it raises the error
    if (path / SHARDS_MANIFEST).is_file():
        return {"source": "shards"}
    for names in FOLDER_NAMES:
        for layout in ("{name}", *(f"{split}/{{name}}" for split in SPLITS)):
            if all((path / layout.format(name=name)).is_dir() for name in names):
                return {"source": "folders", "input_folder": names[0], "target_folder": names[1]}
    return {}


def data_path(config: DataConfig) -> Path:
    """Returns `data.dir` as a path. Raises UserError if it is not set or does not exist."""
    if config.dir is None:
        raise UserError("A folder of pairs must be given. Received none. Add `data`, or set `data.dir`.")
    path = Path(config.dir).expanduser()
    if not path.exists():
        if path.is_absolute():
            raise UserError(f"`data.dir` must be an existing folder. Received {path}. Check the path.")
        raise UserError(
            f"`data.dir` must be an existing folder. Received {path}, which {Path.cwd()} does not hold. Go to the "
            f"folder that the path begins in, or name the data's folder by `data`."
        )
    return path


def data_folder(config: DataConfig) -> Path:
    """Returns `data_path`. Raises UserError if it is not a folder."""
    folder = data_path(config)
    if not folder.is_dir():
        raise UserError(f"`data.dir` must be an existing folder. Received {folder}, a file{looks_like(folder)}.")
    return folder


def looks_like(path: Path) -> str:
    """Returns the end of an error text: the source that `path` looks like, or else the content of `path`."""
    guess = guess_source(path)
    if not guess:
        return f"{content_of(path)}. Check the path"
    settings = " ".join(f"--set data.{key}={value}" for key, value in guess.items())
    return f", which looks like `data.source: {guess['source']}`. Add `{settings}`"


def content_of(path: Path) -> str:
    """Describes the content of a folder, for the error text of a missing file."""
    if not path.is_dir():
        return ""
    children = sorted(path.iterdir())
    folders = [f"{child.name}/" for child in children if child.is_dir()]
    kinds = Counter(child.suffix.lower() or child.name for child in children if child.is_file())
    parts = [f"the folders {', '.join(folders[:5])}"] if folders else []
    parts += [f"{count} {kind} files" for kind, count in kinds.most_common(3)]
    return f", which holds {' and '.join(parts)}" if parts else ""


def names_of_split(names: Sequence[str], split: str, config: DataConfig, seed: int) -> list[str]:
    """Returns the names of a split of data that no folders divide, by `config.split_rule`. None of them are `test`.

    By the rule `hash`, a pair keeps its split when others are added or removed. If no pair or every pair would be held
    out by it, the nearest one moves. Pairs of one input (`a`, `a#2`) stay together.

    Args:
        names: of all pairs.
        split: `train`, `val` or `test`.
        config: the section `data`, which holds the rule, the fraction and perhaps the seed.
        seed: of the run.
    """
    seed = config.seed_of_split(seed)
    if config.split_rule == "rank":
        return seeded_split(names, split, seed, config.held_out_fraction)
    known = set(names)
    groups = {name: _group(name, known) for name in names}
    positions = {key: _position(key, seed) for key in groups.values()}
    by_position = sorted(positions, key=positions.get)
    held_out = {key for key in by_position if positions[key] < config.held_out_fraction}
    if config.held_out_fraction and not held_out:
        held_out = set(by_position[:1])
    if len(held_out) == len(by_position):
        held_out -= set(by_position[-1:])
    return [name for name in names if split != "test" and (groups[name] in held_out) == (split == "val")]


def _group(name: str, names: Collection[str]) -> str:
    """Returns the name of the pair that has the same input: `a` for `a#2` if there is an `a`, else the name itself."""
    base, _, number = name.rpartition("#")
    return base if number.isdecimal() and base in names else name


def _position(key: str, seed: int) -> float:
    """Returns a number in [0, 1) that depends on the key and the seed alone."""
    digest = hashlib.sha256(as_bytes(f"{seed}/{key}")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def seeded_split(names: Sequence[str], split: str, seed: int, held_out_fraction: float) -> list[str]:
    """Returns the names of a split by `data.split_rule: rank`: the fraction with the smallest hashes is `val`.

    The count is exact, but a pair may change its split when others are added or removed. Pairs whose names are equal up
    to a `#` stay together.
    """
    if split == "test":
        return []
    keys = {name: name.partition("#")[0] for name in names}
    by_hash = sorted(
        dict.fromkeys(keys.values()),
        key=lambda key: hashlib.sha256(as_bytes(f"{seed}/{key}")).digest(),
    )
    held_out = set(by_hash[: round(len(by_hash) * held_out_fraction)])
    return [name for name in names if (keys[name] in held_out) == (split == "val")]


def split_of_group(key: str, seed: int, fractions: Mapping[str, float]) -> str:
    """Returns the split of the group `key`: one of `fractions`, with its fraction as probability, else `train`.

    It depends only on the key, the seed and the fractions. So a group keeps its split when other groups are added or
    removed, and a split has its fraction of the groups on average, not exactly.

    Raises:
        ValueError: the fractions are negative or leave nothing to train on.
    """
    within(min(fractions.values(), default=0.0) >= 0.0, "A split's fraction", "0 or more", dict(fractions))
    within(sum(fractions.values()) < 1.0, "The fractions of held-out splits", "less than 1 together", dict(fractions))
    position = _position(key, seed)
    for split, fraction in fractions.items():
        if position < fraction:
            return split
        position -= fraction
    return SPLITS[0]


def named(files: Sequence[Path]) -> dict[str, Path]:
    """Maps names of pairs to files: the stem, or the whole name if several files have the same stem."""
    counts = Counter(file.stem for file in files)
    return {file.stem if counts[file.stem] == 1 else file.name: file for file in files}


def split_files(config: DataConfig, split: str, seed: int) -> dict[str, Path]:
    """Maps the names of a split's pairs to their image files.

    If the folder has train/, val/ or test/ inside, uses these. A missing one is an empty split. Otherwise uses the
    files directly inside, and `names_of_split` holds out a fraction of them.

    Raises:
        UserError: the folder does not exist, or has no image for training.
    """
    folder = data_folder(config)
    divided = any((folder / name).is_dir() for name in SPLITS)
    if divided:
        folder = folder / split
        files = named(list_images(folder) if folder.is_dir() else [])
    else:
        files = named(list_images(folder))
        files = {name: files[name] for name in names_of_split(list(files), split, config, seed)}
    if split == "train" and not files:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UserError(
            f"The folder {folder} must hold images ({kinds}) to train on. Received none{looks_like(folder)}."
        )
    return files
