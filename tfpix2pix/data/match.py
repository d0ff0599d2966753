"""Pairs the files of two folders whose names differ, by name, number or likeness, and writes a table of the pairs.

Likeness is where edges lie. It leaves files without a clear partner over, and can pair files that have no partner. So
it is not tried on the rest of two folders whose names pair most files.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tfpix2pix.data import SPLITS
from tfpix2pix.data.doctor.measure import edges
from tfpix2pix.data.guess import TABLES, check_split_names
from tfpix2pix.data.images import as_picture, list_images, read_image, stem_of
from tfpix2pix.data.ranges import from_signed, to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file
from tfpix2pix.parallel import evenly_spread, in_order

MOST_LOOKED_AT = 2_000  # files of a side that are compared by likeness: all pairs of them are
VIEW_PX, CELLS = 96, 24  # side of a view, and number of cells across in which its edges are counted
LEAST_LIKENESS = 0.15  # correlation of the edges of two files
MOST_JUDGED, FEWEST_JUDGED = 60, 8  # pairs by name or number whose likeness is judged
LEAST_ALIKE = 0.65  # fraction of them that are more alike than with most others; half by chance
LEAST_LEAD = 0.05  # above the second best on either side

Named = Mapping[str, Path]  # stem -> file
Keys = Callable[[Sequence[str]], Mapping[str, object]]  # stems of a side -> their keys


@dataclass(frozen=True)
class Match:
    """Holds two files that belong together, and how that was found."""

    input: Path
    target: Path
    by: str  # a key of `WAYS`
    how: str  # in words: `number 21`
    split: str | None = None  # None: the folders have no splits


@dataclass(frozen=True)
class Matches:
    """Holds the pairs of two folders, and the files that are left over on either side."""

    pairs: tuple[Match, ...]
    inputs: tuple[Path, ...]
    targets: tuple[Path, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Counts the pairs by the way in which they were found."""
        return dict(Counter(pair.by for pair in self.pairs))


def match(
    inputs: Path,
    targets: Path,
    by: str | None = None,
    *,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Matches:
    """Pairs the files of two folders: by equal names, else by names without what a side has in common, else by the
    numbers in names, else by likeness, unless names or numbers have paired half of a side.

    If both folders hold train/, val/ or test/, files are paired within each, and those elsewhere are left over. Within
    them, files of sub-folders that both sides have are paired in these only.

    Args:
        by: only this way, a key of `WAYS`; None: all, one after the other.
        track: wraps the files that are looked at, to show progress.

    Raises:
        UserError: a folder does not exist, holds no images or splits under other names, both are the same, or only one
            of them is divided into splits.
    """
    for folder, side in ((inputs, "inputs"), (targets, "targets")):
        if not folder.is_dir():
            state = "which is a file" if folder.exists() else "which does not exist"
            raise UserError(f"`{side}` must be a folder of images. Received {folder}, {state}. Check the path.")
        check_split_names(folder)
    if os.path.realpath(inputs) == os.path.realpath(targets):
        raise UserError(f"`inputs` and `targets` must be two folders. Received {inputs} for both. Change one.")
    splits = [split for split in SPLITS if (inputs / split).is_dir() and (targets / split).is_dir()]
    _check_holds_images(inputs, targets, splits)
    parts = [(inputs / split, targets / split, split) for split in splits] or [(inputs, targets, None)]
    pairs = tuple(pair for a, b, split in parts for pair in _match_part(a, b, split, by, track))
    paired = {file for pair in pairs for file in (pair.input, pair.target)}
    left = [tuple(file for file in _all_images(folder) if file not in paired) for folder in (inputs, targets)]
    return Matches(pairs, *left)


def _all_images(folder: Path) -> list[Path]:
    """Lists the images of a folder, those of its splits too."""
    return list_images(folder) + [
        file for split in SPLITS if (folder / split).is_dir() for file in list_images(folder / split)
    ]


def _check_holds_images(inputs: Path, targets: Path, splits: Sequence[str]) -> None:
    """Raises UserError if one of two folders has no images to match, in `splits` or, without any, directly inside."""
    states = {}
    for folder in (inputs, targets):
        inside = [split for split in SPLITS if (folder / split).is_dir()]
        states[folder] = f"divided into {', '.join(f'{split}/' for split in inside)}" if inside else "not divided"
    for folder in (inputs, targets):
        if any(list_images(folder / split) for split in splits or ("",)):
            continue
        if not _all_images(folder):
            raise UserError(f"A folder to match must hold images. Received {folder} without any. Check the path.")
        received = " and ".join(f"{other}, {state}" for other, state in states.items())
        raise UserError(
            f"Two folders to match must be divided alike. Received {received}. Give both the same splits, or name two "
            f"folders inside them."
        )


def _match_part(inputs: Path, targets: Path, split: str | None, by: str | None, track: Callable) -> list[Match]:
    sides = [_by_stem(folder) for folder in (inputs, targets)]
    pairs = []
    fewest = min(map(len, sides))
    for way, find in WAYS.items():
        if by is None and way == "likeness" and 2 * len(pairs) >= fewest:
            continue  # names say which files belong together, and the rest have no partner
        if by in (None, way) and all(sides):
            for a, b, how in find(*sides, track):
                pairs.append(Match(sides[0][a], sides[1][b], way, how, split))
            used = {pair.input for pair in pairs} | {pair.target for pair in pairs}
            sides = [{stem: file for stem, file in side.items() if file not in used} for side in sides]
    return sorted(pairs, key=lambda pair: _natural(str(pair.input)))


def _by_stem(folder: Path) -> dict[str, Path]:
    """Maps stems to files. Files of one stem in several formats keep their endings."""
    files = list_images(folder)
    stems = {file: unicodedata.normalize("NFC", stem_of(file, folder)) for file in files}
    counts = Counter(stems.values())
    return {stem if counts[stem] == 1 else file.relative_to(folder).as_posix(): file for file, stem in stems.items()}


def by_name(inputs: Named, targets: Named, track: Callable) -> list[tuple[str, str, str]]:
    """Pairs equal names, in any case, then names that are equal without what all names of their side begin and end
    with."""
    same = _with_equal_keys(inputs, targets, lambda stems: {stem: stem.casefold() for stem in stems})
    used = ({a for a, _, _ in same}, {b for _, b, _ in same})
    rest = [[stem for stem in side if stem not in taken] for side, taken in zip((inputs, targets), used, strict=True)]
    return [(a, b, "equal names") for a, b, _ in same] + [
        (a, b, f"name {key}") for a, b, key in _within_sub_folders(*rest, without_affixes, without_affixes)
    ]


def by_number(inputs: Named, targets: Named, track: Callable) -> list[tuple[str, str, str]]:
    """Pairs names with the same numbers, without those that all names of their side have in common."""
    labels = [_labels([_name(stem) for stem in side]) for side in (inputs, targets)]
    crossed = [
        label for label in {*labels[0]} & {*labels[1]} - {""} if labels[0].index(label) != labels[1].index(label)
    ]
    order = list(range(len(labels[1])))
    if crossed:
        if sorted(labels[0]) != sorted(labels[1]) or len({*labels[0]}) < len(labels[0]):
            return []  # which number is which is not known
        order = [labels[1].index(label) for label in labels[0]]

    def in_order_of_inputs(stems: Sequence[str]) -> dict[str, tuple[int, ...]]:
        numbers = numbers_of(stems)
        return {
            stem: tuple(values[place] for place in order) if len(values) == len(order) else values
            for stem, values in numbers.items()
        }

    return [
        (a, b, f"number {'-'.join(map(str, key))}")
        for a, b, key in _within_sub_folders(list(inputs), list(targets), numbers_of, in_order_of_inputs)
    ]


def by_likeness(inputs: Named, targets: Named, track: Callable) -> list[tuple[str, str, str]]:
    """Pairs files whose edges lie in the same places: those that are each other's best, by a clear lead."""
    if max(len(inputs), len(targets)) > MOST_LOOKED_AT:
        return []
    files = [*inputs.values(), *targets.values()]
    views = np.stack(list(track(in_order(_edge_map, files), len(files))))
    likeness = views[: len(inputs)] @ views[len(inputs) :].T
    stems, others = list(inputs), list(targets)
    pairs = []
    for row, column in enumerate(likeness.argmax(axis=1)):
        best = likeness[row, column]
        rivals = np.concatenate([np.delete(likeness[row], column), np.delete(likeness[:, column], row)])
        if best >= LEAST_LIKENESS and best >= rivals.max(initial=-1.0) + LEAST_LEAD:
            pairs.append((stems[row], others[column], f"likeness {best:.2f}"))
    return pairs


WAYS = {"name": by_name, "number": by_number, "likeness": by_likeness}  # in the order in which they are tried


def _with_equal_keys(
    inputs: Iterable[str], targets: Iterable[str], keys: Keys, target_keys: Keys | None = None
) -> list[tuple[str, str, object]]:
    """Returns (stem, stem, key) for every key that one input and one target have, and no other."""
    sides = []
    for stems, find in ((list(inputs), keys), (list(targets), target_keys or keys)):
        key_of = {stem: key for stem, key in find(stems).items() if key}
        counts = Counter(key_of.values())
        sides.append({key: stem for stem, key in key_of.items() if counts[key] == 1})
    return [(stem, sides[1][key], key) for key, stem in sides[0].items() if key in sides[1]]


def _within_sub_folders(
    inputs: Sequence[str], targets: Sequence[str], keys: Keys, target_keys: Keys
) -> list[tuple[str, str, object]]:
    """Returns (stem, stem, key) as `_with_equal_keys`, files of folders that both sides have within these alone.

    There keys are of the names without their folders. One file in each folder, of one name without a number, needs no
    key.
    """
    shared = {_folder(stem) for stem in inputs} & {_folder(stem) for stem in targets}

    def within(find: Keys) -> Keys:
        def keys_of(stems: Sequence[str]) -> dict[str, object]:
            inside = [stem for stem in stems if _folder(stem) in shared]
            names = list(dict.fromkeys(map(_name, inside)))
            by_name = find(names)
            if len(names) == 1 and not by_name and not re.search(r"\d", names[0]):
                by_name = {names[0]: ""}
            elsewhere = find([stem for stem in stems if _folder(stem) not in shared])
            found = [(stem, _folder(stem), by_name.get(_name(stem))) for stem in inside]
            return {stem: (folder, key) for stem, folder, key in found if key or (folder and key == "")} | {
                stem: (None, key) for stem, key in elsewhere.items() if key
            }

        return keys_of

    pairs = _with_equal_keys(inputs, targets, within(keys), within(target_keys))
    return [(a, b, key[1]) for a, b, key in pairs]


def _folder(stem: str) -> str:
    return stem.rpartition("/")[0].casefold()


def _name(stem: str) -> str:
    return stem.rpartition("/")[2]


def without_affixes(stems: Sequence[str]) -> dict[str, str]:
    """Returns the names without the texts with which all of them begin and end. Digits are not taken off."""
    folded = {stem: stem.casefold() for stem in stems}
    if len(folded) < 2:
        return {}
    names = list(folded.values())
    before = re.sub(r"\d+$", "", _beginning(names))
    after = re.sub(r"^\d+", "", _beginning([name[::-1] for name in names])[::-1])
    return {
        stem: name[len(before) : len(name) - len(after)].strip("_-. ")
        for stem, name in folded.items()
        if len(before) + len(after) < len(name)
    }


def _beginning(names: Sequence[str]) -> str:
    """Returns the text with which all names begin."""
    first, last = min(names), max(names)
    equal = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return first[: sum(1 for _ in equal)]


def numbers_of(stems: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Returns the numbers in the names. If all names have equally many, those that all share are left out."""
    numbers = {stem: tuple(map(int, re.findall(r"\d+", stem))) for stem in stems}
    if len({len(values) for values in numbers.values()}) == 1 and len(numbers) > 1:
        varied = [position for position, values in enumerate(zip(*numbers.values(), strict=True)) if len({*values}) > 1]
        numbers = {stem: tuple(values[position] for position in varied) for stem, values in numbers.items()}
    return numbers


def _labels(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the letters before each number that `numbers_of` returns, or () if they differ from name to name."""
    found = [[label.casefold() for label in re.findall(r"([^\W\d_]*)[\W_]*\d+", name)] for name in names]
    numbers = [re.findall(r"\d+", name) for name in names]
    if len({len(values) for values in numbers}) != 1:
        return ()
    columns = [
        (set(words), set(map(int, values)))
        for words, values in zip(zip(*found, strict=True), zip(*numbers, strict=True), strict=True)
    ]
    varied = [words for words, values in columns if len(values) > 1 or len(names) == 1]
    return tuple(words.pop() for words in varied) if all(len(words) == 1 for words in varied) else ()


def _natural(text: str) -> list:
    """Returns a sorting key by which `2.png` comes before `10.png`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text)]


def _edge_map(path: Path) -> np.ndarray:
    """Returns where a file has edges, of whatever colours: (n,) of mean 0 and norm 1. Unreadable files have 0."""
    try:
        image = read_image(path)
    except UserError:
        return np.zeros(2 * CELLS * CELLS, np.float32)
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = from_signed(to_signed(image, (low, high if high > low else low + 1)))
    view = np.asarray(Image.fromarray(as_picture(image)).resize((VIEW_PX, VIEW_PX), Image.Resampling.BOX))
    cells = [np.asarray(Image.fromarray(edge).resize((CELLS, CELLS), Image.Resampling.BOX)) for edge in edges(view)]
    values = np.concatenate([(cell - cell.mean()).ravel() for cell in cells])
    return values / max(float(np.linalg.norm(values)), 1e-6)


def doubt(matches: Matches) -> str:
    """Returns a sentence if the pairs by name or number look no more alike than others, or "" if they do.

    A set of as few as 8 pairs is not judged.
    """
    pairs = [pair for pair in matches.pairs if pair.by != "likeness"]
    pairs = [pairs[index] for index in evenly_spread(len(pairs), MOST_JUDGED)]
    if len(pairs) <= FEWEST_JUDGED:
        return ""
    inputs, targets = (
        np.stack(list(in_order(_edge_map, files)))
        for files in ([pair.input for pair in pairs], [pair.target for pair in pairs])
    )
    likeness = inputs @ targets.T
    alike = np.mean(np.diag(likeness) > np.median(likeness, axis=1))
    if alike >= LEAST_ALIKE:
        return ""
    return (
        f"The pairs look no more alike than files that do not belong together: of {len(pairs)}, only {alike:.0%} do. "
        f"Look at them, or match with `by` likeness."
    )


def check_table_place(out: Path) -> None:
    """Raises UserError if a table cannot be written to `out` as a new .csv or .tsv file."""
    if out.suffix.lower() not in TABLES:
        raise UserError(f"`out` must be a .csv or .tsv file. Received {out}. Name it pairs.csv, for example.")
    if out.exists():
        raise UserError(f"A table must not overwrite a file. Received {out}, which exists. Change `out`.")


def write_table(matches: Matches, out: Path) -> None:
    """Writes the pairs as a table that `data.source: table` reads, with paths relative to it. Whole or not at all.

    Raises:
        UserError: there are no pairs, or `out` is not a new table.
        RunError: the file cannot be written.
    """
    check_table_place(out)
    if not matches.pairs:
        raise UserError(
            f"There must be pairs to write. Received {len(matches.inputs)} inputs and {len(matches.targets)} targets "
            f"that do not match. Give files that belong together one number, or write the table by hand."
        )
    divided = any(pair.split for pair in matches.pairs)
    with whole_file(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if out.suffix.lower() == ".tsv" else ",", lineterminator="\n")
        writer.writerow(["input", "target", *(["split"] if divided else [])])
        for pair in matches.pairs:
            paths = [_relative(path, out.parent) for path in (pair.input, pair.target)]
            writer.writerow([*paths, *([pair.split] if divided else [])])


def _relative(path: Path, folder: Path) -> str:
    """Returns a path relative to a folder, or absolute if they are on different drives."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # Windows
        return path.resolve().as_posix()
