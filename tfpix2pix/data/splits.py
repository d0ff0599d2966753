"""Which of the data are trained on and which are held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfpix2pix.config import DataConfig
from tfpix2pix.data import SPLITS
from tfpix2pix.data.guess import guess_source
from tfpix2pix.data.images import SUFFIXES, list_images
from tfpix2pix.errors import UserError, within


def data_path(config: DataConfig) -> Path:
    """`data.dir`; raises UserError where it is not given or not there."""
    if config.dir is None:
        raise UserError("A folder of pairs must be given. Received none. Add `--data DIR` or set `data.dir`.")
    path = Path(config.dir).expanduser()
    if not path.exists():
        raise UserError(f"`data.dir` must be an existing folder. Received {path}. Check the path.")
    return path


def data_folder(config: DataConfig) -> Path:
    """`data_path` where that is a folder."""
    folder = data_path(config)
    if not folder.is_dir():
        raise UserError(f"`data.dir` must be an existing folder. Received {folder}, a file{looks_like(folder)}.")
    return folder


def looks_like(path: Path) -> str:
    """A hint where `path` holds pairs of another source than asked for; else to check it."""
    found = guess_source(path)
    if not found:
        return f"{holds(path)}. Check the path"
    settings = " ".join(f"--set data.{key}={value}" for key, value in found.items())
    return f", which looks like `data.source: {found['source']}`. Add `{settings}`"


def holds(path: Path) -> str:
    """What else is in a folder, for a message that misses something there."""
    if not path.is_dir():
        return ""
    children = sorted(path.iterdir())
    folders = [f"{child.name}/" for child in children if child.is_dir()]
    kinds = Counter(child.suffix.lower() or child.name for child in children if child.is_file())
    found = [f"the folders {', '.join(folders[:5])}"] if folders else []
    found += [f"{count} {kind} files" for kind, count in kinds.most_common(3)]
    return f", which holds {' and '.join(found)}" if found else ""


def seeded_split(names: Sequence[str], split: str, seed: int, held_out_fraction: float) -> list[str]:
    """The names of a split where no folders divide them: a seeded share is `val`, the rest `train`; none is `test`.

    The split of a name depends on the seed and the name alone, but for the rounding of the share. Pairs of one input
    (`a`, `a#2`) stay together.
    """
    if split == "test":
        return []
    keys = {name: name.partition("#")[0] for name in names}
    by_hash = sorted(dict.fromkeys(keys.values()), key=lambda key: hashlib.sha256(f"{seed}/{key}".encode()).digest())
    held_out = set(by_hash[: round(len(by_hash) * held_out_fraction)])
    return [name for name in names if (keys[name] in held_out) == (split == "val")]


def split_of_group(key: str, seed: int, fractions: Mapping[str, float]) -> str:
    """The split of all members of the group `key`; `train`, but for the shares that `fractions` names.

    It depends on the key, the seed and the fractions alone. So a group stays where it is when others come or go, and a
    split has its share of the groups on average, not exactly.

    Raises:
        ValueError: the fractions are negative or leave nothing to train on.
    """
    within(min(fractions.values(), default=0.0) >= 0.0, "A split's fraction", "0 or more", dict(fractions))
    within(sum(fractions.values()) < 1.0, "The fractions of held-out splits", "less than 1 together", dict(fractions))
    place = int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8], "big") / 2**64
    for split, fraction in fractions.items():
        if place < fraction:
            return split
        place -= fraction
    return SPLITS[0]


def named(files: Sequence[Path]) -> dict[str, Path]:
    """Files by the names of their pairs: the stem, or the whole name where several have the same."""
    counts = Counter(file.stem for file in files)
    return {file.stem if counts[file.stem] == 1 else file.name: file for file in files}


def split_files(config: DataConfig, split: str, seed: int) -> dict[str, Path]:
    """The image files of a split, by name.

    With train/, val/ or test/ inside the folder, those; a missing one is empty. Otherwise the files directly inside,
    of which a seeded share is `val`.

    Raises:
        UserError: no such folder, or no image for training in it.
    """
    folder = data_folder(config)
    divided = any((folder / name).is_dir() for name in SPLITS)
    if divided:
        folder = folder / split
        files = named(list_images(folder) if folder.is_dir() else [])
    else:
        files = named(list_images(folder))
        files = {
            name: files[name]
            for name in seeded_split(list(files), split, config.seed_of_split(seed), config.held_out_fraction)
        }
    if split == "train" and not files:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UserError(
            f"The folder {folder} must hold images ({kinds}) to train on. Received none{looks_like(folder)}."
        )
    return files
