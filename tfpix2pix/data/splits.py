"""Divides data into splits: pairs to train on and pairs that are held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

from tfpix2pix.data import SPLITS, source_row
from tfpix2pix.data.groups import grouped, held_out_groups
from tfpix2pix.data.guess import check_split_names, guess_source, looks_like
from tfpix2pix.data.images import SUFFIXES, list_images, stem_of
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.errors import UserError, within
from tfpix2pix.files import as_bytes


def data_path(config: DataConfig) -> Path:
    """Returns `data.dir` as a path. Raises UserError if it is not set or does not exist."""
    if not config.dir:  # an empty path would be the folder here
        raise UserError("A folder of pairs must be given. Received none. Add `data`, or set `data.dir`.")
    path = Path(config.dir).expanduser()
    if not path.exists():
        kind = "file" if config.source == "table" else "folder"
        if path.is_absolute():
            raise UserError(f"`data.dir` must be an existing {kind}. Received {path}. Check the path.")
        raise UserError(
            f"`data.dir` must be an existing {kind}. Received {path}, which is not in {Path.cwd()}. Go to the "
            f"folder that the path begins in, or name the data's {kind} by `data`."
        )
    return path


def data_folder(config: DataConfig) -> Path:
    """Returns `data_path`. Raises UserError if it is not a folder."""
    folder = data_path(config)
    if not folder.is_dir():
        seems = looks_like(folder) if guess_source(folder) else ". Check the path"
        raise UserError(
            f"`data.dir` must be a folder, or a table with `--set data.source=table`. Received {folder}, a file{seems}."
        )
    return folder


def folder_names(config: DataConfig) -> tuple[str, ...]:
    """Returns the names of the folders of `folders`: those of the inputs' files, of the targets', and perhaps that of
    the weights."""
    return tuple(filter(None, (*chain(*places_of(config)), weight_folder(config))))


def places_of(config: DataConfig, inputs: str = "", targets: str = "") -> tuple[list[str], list[str]]:
    """Returns the folders or columns of the inputs' files and of the targets'.

    `inputs` and `targets` are those of one file; "": the folders of the configuration.
    """
    of_inputs = [part.place for part in config.inputs or () if part.row.in_files]
    of_targets = [part.place for part in config.targets or ()]
    return of_inputs or [inputs or config.input_folder], of_targets or [targets or config.target_folder]


def folders_in_words(config: DataConfig) -> dict[str, str]:
    """Returns the folders of `inputs` and of `targets` for people: `input/`, or `labels/ and instances/`."""
    sides = zip(("inputs", "targets"), places_of(config), strict=True)
    return {side: " and ".join(f"{name}/" for name in names) for side, names in sides}


def check_splits_of_folder(config: DataConfig) -> None:
    """Raises UserError if the folder of `config` holds splits under other names (`check_split_names`).

    It is for new readers. An earlier run goes on with the pairs that it was trained on.
    """
    if config.dir and source_row(config.source).of_folder:
        sides = folder_names(config) if config.source == "folders" else ()
        check_split_names(Path(config.dir).expanduser(), sides)


def names_of_split(
    names: Sequence[str],
    split: str,
    config: DataConfig,
    seed: int,
    groups: Sequence[str] = (),
    inputs: Mapping[str, str] | None = None,
) -> list[str]:
    """Returns the names of a split of data that no folders divide. None of them are `test`.

    `config.held_out_fraction` is held out by `config.split_rule`, or the fold `config.fold` of `config.folds`. By the
    rule `hash`, a pair keeps its split when others are added or removed. If no pair or every pair would be held out by
    it, the nearest one moves. Pairs of one group (`config.group`), of one input (`a`, `a#2`) and the slices of one
    volume stay together.

    Args:
        names: of all pairs.
        split: `train`, `val` or `test`.
        config: the section `data`, which holds the rule, the fraction and perhaps the seed.
        seed: of the run.
        groups: the group of each pair, if `config.group` is a column of a table.
        inputs: name of a slice -> name of the first slice with the same volume as input.

    Raises:
        UserError: the pairs cannot be grouped by `config.group`, or there are fewer groups than folds.
    """
    seed = config.seed_of_split(seed)
    if config.split_rule == "rank" and config.group is None and config.folds is None:
        return seeded_split(names, split, seed, config.held_out_fraction)
    known, of_slices = set(names), inputs or {}
    inputs = {name: of_slices.get(name) or first_of_input(name, known) for name in names}
    keys = inputs if config.group is None else grouped(inputs, config, groups)
    held_out = held_out_groups({key: _position(key, seed) for key in keys.values()}, config)
    return [name for name in names if split != "test" and (keys[name] in held_out) == (split == "val")]


def first_of_input(name: str, names: Collection[str]) -> str:
    """Returns the name of the first pair that has the same input: `a` for `a#2` if there is an `a`, else `name`."""
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


def named(files: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Maps names of pairs to files: the path in `folder` without its ending, or with it if several have the same."""
    stems = {file: stem_of(file, folder) for file in files}
    counts = Counter(stems.values())
    return {stem if counts[stem] == 1 else file.relative_to(folder).as_posix(): file for file, stem in stems.items()}


def split_files(config: DataConfig, split: str, seed: int) -> dict[str, Path]:
    """Maps the names of a split's pairs to their image files.

    If the folder has train/, val/ or test/ inside, uses these. A missing one is an empty split. Otherwise uses the
    files inside, and `names_of_split` holds out a fraction of them. `config.files` decides whether sub-folders are
    read.

    Raises:
        UserError: the folder does not exist, or no split has an image.
    """
    root = data_folder(config)
    divided = is_divided(root)
    folder = root / split if divided else root
    files = images_of(folder, config)
    if not divided:
        files = {name: files[name] for name in names_of_split(list(files), split, config, seed)}
    if split == "train" and not files and not any(images_of(root / other, config) for other in SPLITS if divided):
        kinds = ", ".join(sorted(SUFFIXES))
        raise UserError(f"The folder {folder} must hold images ({kinds}) to train on. Received none{looks_like(root)}.")
    return files


def is_divided(folder: Path) -> bool:
    """Returns True if train/, val/ or test/ lies in a folder of images."""
    return any((folder / split).is_dir() for split in SPLITS)


def images_of(folder: Path, config: DataConfig) -> dict[str, Path]:
    """Maps the names of pairs to the image files in a folder. Returns none if the folder does not exist."""
    return named(list_images(folder, config.files), folder) if folder.is_dir() else {}


def would_be_pairs(config: DataConfig, folder: Path) -> bool:
    """Returns True if images in `folder` would be read as pairs of an undivided data folder or of one of its sides."""
    if not config.dir or config.files == "top" or not source_row(config.source).of_folder:
        return False
    root = Path(config.dir).expanduser()
    sides = folder_names(config) if config.source == "folders" else ("",)
    read = [root / side / split for side in sides for split in ("", *SPLITS)]
    undivided = [side for side in read if side.is_dir() and not any((side / split).is_dir() for split in SPLITS)]
    return any(folder.resolve().is_relative_to(side.resolve()) for side in undivided)
