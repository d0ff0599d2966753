"""Guesses how pairs lie in a folder, and the channels and ranges of volumes. Words what an error says of a folder that
does not fit."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfpix2pix.data import SPLITS
from tfpix2pix.data.images import list_images, read_size, stem_of
from tfpix2pix.data.volumes import is_volume
from tfpix2pix.destinations import is_own_folder
from tfpix2pix.errors import UserError

FOLDER_NAMES = (  # of inputs and of targets, in the order in which they are looked for
    ("input", "target"), ("A", "B"), ("a", "b"), ("inputs", "targets"), ("source", "target"), ("image", "label"),
    ("images", "labels"), ("image", "mask"), ("images", "masks"), ("img", "gt"), ("images", "annotations"),
)  # fmt: skip
DIRECTIONS = (  # words in the names of inputs and of targets; folders are known to be sides by their equal files
    *FOLDER_NAMES, ("input", "output"), ("in", "out"), ("x", "y"), ("src", "dst"), ("source", "destination"),
    ("before", "after"), ("old", "new"), ("raw", "edited"), ("lr", "hr"), ("low", "high"), ("noisy", "clean"),
    ("blur", "sharp"), ("blurry", "sharp"), ("blurred", "sharp"), ("hazy", "clear"), ("rainy", "clean"),
    ("damaged", "restored"), ("degraded", "restored"), ("gray", "color"), ("grey", "colour"), ("sketch", "photo"),
    ("sketches", "photo"), ("edge", "photo"), ("line", "photo"), ("drawing", "photo"), ("label", "photo"),
    ("image", "truth"), ("image", "gt"), ("image", "annotation"), ("scan", "finished"), ("sketch", "finished"),
    ("drawing", "coloured"), ("drawing", "colored"), ("line", "coloured"), ("line", "colored"), ("line", "color"),
    ("mr", "ct"), ("mri", "ct"), ("cbct", "ct"),
)  # fmt: skip
LAYOUTS = ("{split}/{name}", "{name}/{split}", "{split}{name}")  # of the two folders of every split
OTHER_SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
OTHER_WAY = "For the other direction"  # begins the advice on how to exchange inputs and targets
LEAST_EQUAL = 0.5  # fraction of equal names that shows two folders to be the sides of pairs
TABLES = (".csv", ".tsv")
OF_VOLUMES = {  # key of `data` -> its value for volumes, and the keys that make it unnecessary
    "input_channels": (1, {"inputs", "input_classes", "neighbour_slices"}),
    "target_channels": (1, {"targets", "target_classes"}),
    "input_percentiles": ([0.5, 99.5], {"inputs", "input_classes", "input_range"}),
    "target_percentiles": ([0, 100], {"targets", "target_classes", "target_range"}),
}
SHARDS_MANIFEST = "shards.json"


def guess_source(path: Path, given: Collection[str] = ()) -> dict[str, Any]:
    """Guesses from `path` whether its pairs are a table, shards or two folders. Returns the keys of `data` for them.

    Two folders are known by their names (`FOLDER_NAMES`), or by the names of the files in them. If they hold volumes,
    which are gray and of any values, the number of channels and percentiles for the range are returned too. Returns an
    empty dictionary for combined images, the default.

    Args:
        given: keys of `data` that the user sets, in whose place nothing is guessed.
    """
    keys = _guessed_layout(path)
    if keys.get("source") == "folders" and _holds_volumes(path, keys["input_folder"]):
        keys |= {key: value for key, (value, instead) in OF_VOLUMES.items() if not {key, *instead} & set(given)}
    return keys


def keys_of(overrides: Iterable[str]) -> set[str]:
    """Returns the keys of `data` that overrides, `data.key=value`, set."""
    names = (override.partition("=")[0] for override in overrides)
    return {name.removeprefix("data.") for name in names if name.startswith("data.")}


def _guessed_layout(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in TABLES:
        return {"source": "table"}
    if not os.access(path, os.R_OK | os.X_OK):
        return {}  # opening it raises the error
    if (path / SHARDS_MANIFEST).is_file():
        return {"source": "shards"}
    layouts = ("{name}", *(layout.replace("{split}", split) for layout in LAYOUTS for split in SPLITS))
    for names in FOLDER_NAMES:
        for layout in layouts:
            if all((path / layout.format(name=name)).is_dir() for name in names):
                return {"source": "folders", "input_folder": names[0], "target_folder": names[1]}
    sides = two_sides(path, beside=True)
    if sides and equal_names(*sides.values()) >= LEAST_EQUAL:
        names = list(sides) if direction_of(*sides) >= 0 else list(sides)[::-1]
        return {"source": "folders", "input_folder": names[0], "target_folder": names[1]}
    return {}


def _holds_volumes(path: Path, name: str) -> bool:
    """Returns True if the first file of the inputs, in the folder `name` of `path` or of a split, is a volume."""
    layouts = ("{name}", *(layout.replace("{split}", split) for split in SPLITS for layout in LAYOUTS))
    folders = (path / layout.format(name=name) for layout in layouts)
    first = next(filter(None, (_first_image(folder) for folder in folders)), None)
    return first is not None and is_volume(first)


def direction_of(a: str, b: str) -> int:
    """Returns 1 if the words in two folders' names say that `a` holds the inputs and `b` the targets (`DIRECTIONS`), -1
    in the opposite case, and 0 if they say nothing."""
    words = [{part.removesuffix("s") for part in re.findall(r"[^\W\d_]+", name.casefold())} for name in (a, b)]
    rows = [tuple(name.casefold().removesuffix("s") for name in row) for row in DIRECTIONS]
    for first, second in rows:
        if first in words[0] and second in words[1]:
            return 1
        if first in words[1] and second in words[0]:
            return -1
    return 0


def direction_note(keys: Mapping[str, Any]) -> str:
    """Returns a sentence if the direction of guessed keys of `data` follows the alphabet alone, or ""."""
    sides = keys.get("input_folder", ""), keys.get("target_folder", "")
    if keys.get("source") != "folders" or direction_of(*sides):
        return ""
    other = settings_of({"input_folder": sides[1], "target_folder": sides[0]})
    return f"That {sides[0]} holds the inputs and {sides[1]} the targets is guessed. {OTHER_WAY}: `{other}`."


def two_sides(path: Path, *, beside: bool = False) -> dict[str, Path]:
    """Finds two folders of images in `path`, which may be the sides of pairs: exactly two, and no image beside them or,
    with `beside`, fewer than in either, such as a sketch that was left there.

    Returns name -> folder, of the first split that has two. Returns an empty dictionary if there are not two.
    """
    sides = next((sides for sides in _folders_of_images(path, beside=beside) if len(sides) == 2), {})
    others = list_images(path, deep=False) if sides else []
    unclear = others and any(len(others) >= len(list_images(folder)) for folder in sides.values())
    return {} if unclear else sides


def several_sides(path: Path) -> dict[str, Path]:
    """Finds three folders of images or more in `path` whose files have equal names, such as those of inputs, targets
    and weights. Returns name -> folder, or an empty dictionary."""
    for sides in _folders_of_images(path):
        first, *others = sides.values()
        if len(others) > 1 and all(equal_names(first, other) >= LEAST_EQUAL for other in others):
            return sides
    return {}


def _folders_of_images(path: Path, *, beside: bool = False) -> Iterator[dict[str, Path]]:
    """Yields the folders of images in `path` by name, of each split and layout that has any and, unless `beside`, no
    image beside them.

    Images that are two squares are combined ones.
    """
    if not path.is_dir() or (not beside and list_images(path, deep=False)):
        return
    layouts = [(split, layout) for split in SPLITS for layout in LAYOUTS]
    undivided = [] if any((path / split).is_dir() for split in SPLITS) else [("", "{name}")]
    for split, layout in layouts + undivided:
        before, _, after = layout.replace("{split}", split).partition("{name}")
        sides = {}
        for folder in sorted(path.glob(f"{before}*{after}")):
            name = folder.relative_to(path).as_posix()[len(before) :].removesuffix(after)
            if name not in (*SPLITS, "") and not name.startswith(".") and _first_image(folder):
                sides[name] = folder
        if sides and not all(_is_two_squares(_first_image(folder)) for folder in sides.values()):
            yield sides


def check_split_names(root: Path, sides: Sequence[str] = ()) -> None:
    """Raises UserError if folders in `root` are splits under other names, so that held-out pairs would be trained on.

    Those are training and held-out folders in an undivided `root`, such as Train/ and Val/, or a folder that seems to
    be the missing train/ or val/ of a divided one.

    Args:
        sides: names of two folders of pairs, which lie in the splits or hold them (`LAYOUTS`).
    """
    for layout in [layout.replace("{name}", name) for layout in LAYOUTS for name in sides] or ["{split}"]:
        named = {split for split in SPLITS if (root / layout.replace("{split}", split)).is_dir()}
        renamed = {name: split for name, split in _misnamed_splits(root, layout).items() if split not in named}
        roles = set(renamed.values())
        if roles & {"train", "val"} if named else "train" in roles and len(roles) > 1:
            received = " and ".join(f"{name}/" for name in renamed)
            advice = " and ".join(f"{name}/ to {layout.replace('{split}', new)}/" for name, new in renamed.items())
            raise UserError(
                f"Folders of splits must be named train, val and test. Received {received} in {root}, which look like "
                f"splits and would not be read as them. Rename {advice}."
            )


def _misnamed_splits(root: Path, layout: str) -> dict[str, str]:
    """Maps folders in `root` with names such as those of splits, in any case, to the split that they seem to be."""
    before, _, after = layout.partition("{split}")
    ending, _, inner = after.partition("/")
    parent, misnamed = root / before, {}
    if not parent.is_dir() or not os.access(parent, os.R_OK | os.X_OK):
        return {}  # opening it raises the error
    for folder in sorted(parent.iterdir()):
        name = folder.name.removesuffix(ending)
        if name in SPLITS or f"{name}{ending}" != folder.name or not (folder / inner).is_dir():
            continue
        for split, names in OTHER_SPLIT_NAMES.items():
            if name.casefold() in names:
                misnamed[f"{before}{name}{after}"] = split
    return misnamed


def _first_image(folder: Path) -> Path | None:
    """Returns the first image directly in a folder that a user may read and this package has not written.

    If there is no image, it returns the first volume, a NIfTI file or the folder of a DICOM series.
    """
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK) or is_own_folder(folder):
        return None
    images = list_images(folder, deep=False)
    inside = images or [place for place in list_images(folder, volumes=True) if is_volume(place) and place != folder]
    return next(iter(inside), None)


def _is_two_squares(image: Path) -> bool:
    try:
        size = read_size(image)
    except UserError:  # the error is reported when the pair is read
        return False
    return max(size) == 2 * min(size)


def equal_names(a: Path, b: Path) -> float:
    """Returns the fraction of the files in two folders that have the same names, without their endings."""
    stems, others = ({stem_of(file, folder) for file in list_images(folder, volumes=True)} for folder in (a, b))
    return len(stems & others) / max(1, len(stems | others))


def check_not_two_sides(files: Mapping[str, Path], root: Path) -> None:
    """Raises UserError if `files`, which are to be read as combined images, are the folders of pairs in `root`.

    Only files in sub-folders can be that.
    """
    if not files or not all("/" in name for name in files):
        return
    if sides := several_sides(root):
        raise UserError(
            f"Folders of files with equal names must be told apart. Received {root}, which holds "
            f"{', '.join(f'{name}/' for name in sides)}. Name those of the inputs and of the targets: "
            f"`--set data.source=folders --set data.input_folder=INPUTS --set data.target_folder=TARGETS`. Weights of "
            f"pixels are `data.weight`, and more inputs or targets are `data.inputs` and `data.targets`. Combined "
            f"images belong into one folder."
        )
    named_alike = bool(guess_source(root))
    if named_alike or two_sides(root):
        rule = "A combined image must hold input and target" if named_alike else "Two files of one name are a pair"
        raise UserError(f"{rule}. Received {root}{looks_like(root)}, or put combined images into one folder.")


def looks_like(path: Path, config: Any = None) -> str:
    """Returns the end of an error text: the source that `path` looks like, or else the content of `path`.

    `config`: a `DataConfig`, of which nothing is advised that it has.
    """
    guess, sides = guess_source(path), two_sides(path)
    open_keys = {key: value for key, value in guess.items() if config is None or getattr(config, key) != value}
    if guess and not open_keys:
        return content_of(path)
    if guess and guess["source"] not in open_keys.values():
        return f"{content_of(path)}. Perhaps add `{settings_of(open_keys)}`"
    if guess:
        doubt = (
            " (which of the two are the inputs is guessed: exchange them for the other)"
            if direction_note(guess)
            else ""
        )
        return f", which looks like `data.source: {guess['source']}`. Add `{settings_of(guess)}`{doubt}"
    if sides:
        folders = list(sides.values()) if direction_of(*sides) >= 0 else list(sides.values())[::-1]
        order = "" if direction_of(*sides) else " (the inputs first: exchange the two if they are the other folder)"
        return f", which holds two folders of images whose names differ. Pair them: {match_command(*folders)}{order}"
    return f"{content_of(path)}. Check the path"


def match_command(inputs: Path | str = "INPUTS", targets: Path | str = "TARGETS") -> str:
    """Returns the command that pairs the files of two folders, in backquotes."""
    return f"`tfpix2pix data match {shlex.quote(str(inputs))} {shlex.quote(str(targets))} --out pairs.csv`"


def settings_of(keys: Mapping[str, Any]) -> str:
    """Returns the options that set keys of `data`: texts, numbers, or sequences of numbers."""
    texts = {key: value if isinstance(value, str) else _as_yaml(value) for key, value in keys.items()}
    return " ".join(f"--set data.{key}={shlex.quote(text)}" for key, text in texts.items())


def _as_yaml(value: Any) -> str:
    return f"[{','.join(map(_as_yaml, value))}]" if isinstance(value, (list, tuple)) else f"{value:g}"


def content_of(path: Path) -> str:
    """Describes the content of a folder, for the error text of a missing file."""
    if not path.is_dir():
        return ""
    children = sorted(child for child in path.iterdir() if not child.name.startswith("."))
    folders = [f"{child.name}/" for child in children if child.is_dir()]
    kinds = Counter(child.suffix.lower() or child.name for child in children if child.is_file())
    parts = [f"the folders {', '.join(folders[:5])}"] if folders else []
    parts += [f"{count} {kind} files" for kind, count in kinds.most_common(3)]
    return f", which holds {' and '.join(parts)}" if parts else ""
