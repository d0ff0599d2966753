"""Opens pairs in files: combined images, two folders, or a table. A new kind is a function and a row of `SOURCES`."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from tfpix2pix.data import SPLITS
from tfpix2pix.data.guess import LAYOUTS, check_not_two_sides, content_of, looks_like, match_command
from tfpix2pix.data.images import image_reader, list_images, stem_of
from tfpix2pix.data.labels import palettes_as
from tfpix2pix.data.pairs import Fault, Pair, Source, checked
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import data_folder, data_path, names_of_split, split_files
from tfpix2pix.errors import UserError

AXES = {"left": 1, "right": 1, "top": 0, "bottom": 0}  # axis along which a combined image is cut in half
NAMED_DELIMITER = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # the first line of a table that Excel wrote
COLUMNS = ("input", "target")  # of a table, which may also have the column `split`


def combined(config: DataConfig, split: str, seed: int) -> Source:
    """Opens combined images: each is a pair, and `config.input_side` is the half with the input."""
    named = split_files(config, split, seed)
    check_not_two_sides(named, data_folder(config))
    files, read_image = list(named.values()), image_reader(config)

    def cut(index: int) -> Pair:
        return halves(read_image(files[index]), config, files[index])

    def read(index: int) -> Pair:
        return checked(cut(index), config, files[index])

    return Source(list(named), read, lambda index: (files[index],), stored=lambda index, side: cut(index)[side])


def halves(image: np.ndarray, config: DataConfig, path: Path) -> Pair:
    """Cuts a combined image into its pair. Raises UserError if the halves would differ in size."""
    axis = AXES[config.input_side]
    if image.shape[axis] % 2:
        raise UserError(
            f"A combined image must be an even number of pixels {'wide' if axis else 'high'}, two halves of one "
            f"size. Received {image.shape[axis]} px in {path}. Replace the file or remove it, or for photographs add "
            f"`--set data.source=photographs`.",
            "size",
        )
    pair = np.split(image, 2, axis=axis)
    return tuple(pair if config.input_side in ("left", "top") else pair[::-1])


def folders(config: DataConfig, split: str, seed: int) -> Source:
    """Opens two folders with files that pair up by name. Extensions may differ.

    They lie as in a row of `LAYOUTS`; or, without splits, as `<dir>/<input>` and `<dir>/<target>`, of which a seeded
    fraction is held out.
    """
    root, names = data_folder(config), (config.input_folder, config.target_folder)
    for layout in LAYOUTS:
        parts = [[root / layout.format(split=part, name=name) for name in names] for part in SPLITS]
        if any(folder.is_dir() for sides in parts for folder in sides):
            pairs, faults = pair_up(*parts[SPLITS.index(split)], config.files)
            held_out = any(folder.is_dir() and list_images(folder, config.files) for sides in parts for folder in sides)
            return _of_files(pairs, config, split, root, faults, elsewhere=held_out)
    if not all((root / name).is_dir() for name in names):
        raise UserError(
            f"A folder of pairs must hold the folders {names[0]}/ and {names[1]}/, or train/ with them inside. "
            f"Received {root} without{looks_like(root)}. Set `data.input_folder` and `data.target_folder` to their "
            f"names, or write a table of pairs: {match_command()}."
        )
    pairs, faults = pair_up(*(root / name for name in names), config.files)
    kept = names_of_split(list(pairs), split, config, seed)
    return _of_files({name: pairs[name] for name in kept}, config, split, root, faults)


def pair_up(inputs: Path, targets: Path, files: str = "all") -> tuple[dict[str, tuple[Path, Path]], list[Fault]]:
    """Pairs the files of two folders by their paths without endings. Returns the pairs, and a fault for each file
    without exactly one partner. `files`: as `data.files`."""
    by_stem, faults = [], []
    for folder in (inputs, targets):
        images = list_images(folder, files) if folder.is_dir() else []
        # macOS writes ä as two characters
        stems = {file: unicodedata.normalize("NFC", stem_of(file, folder)) for file in images}
        counts = Counter(stems.values())
        by_stem.append({stem: file for file, stem in stems.items()})
        for stem in (stem for stem, count in counts.items() if count > 1):
            rule = "A folder must hold one file of each name"
            message = f"{rule}. Received several of {stem!r} in {folder}. Remove all but one."
            faults.append(Fault("repeated", str(by_stem[-1][stem]), message))
    repeated = {stem for stems in by_stem for stem, file in stems.items() if str(file) in {f.where for f in faults}}
    for have, lack, folder in ((*by_stem, targets), (*by_stem[::-1], inputs)):
        for stem in sorted(have.keys() - lack.keys()):
            rule = "Every file must have a partner of the same name in the other folder"
            message = (
                f"{rule}. Received {stem!r} without one in {folder}. Add the missing file, remove this one, or pair "
                f"other names: {match_command(inputs, targets)}."
            )
            faults.append(Fault("partner", str(have[stem]), message))
    both = sorted((by_stem[0].keys() & by_stem[1].keys()) - repeated)
    return {stem: (by_stem[0][stem], by_stem[1][stem]) for stem in both}, faults


def table(config: DataConfig, split: str, seed: int) -> Source:
    """Opens a CSV or TSV file (`data.dir`) with the columns input, target and optionally split.

    Paths in it are relative to its folder.
    """
    path = data_path(config)
    if path.is_dir():
        raise UserError(
            f"For a table `data.dir` must be a .csv or .tsv file. Received {path}, a folder. Name the file in "
            f"it, or write one of two folders: {match_command()}."
        )
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
            f"A table must be a readable CSV file in UTF-8. Received {path}: {error}. Save it again."
        ) from error
    columns = [name.strip().lower() for name in lines[0][1]] if lines else []
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise UserError(
            f"A table must have the columns input and target in its first line. Received "
            f"{', '.join(columns) or 'none'} in {path}. Add {' and '.join(missing)}."
        )
    faults, present = [], []
    for number, line in lines[1:]:
        row = dict(zip(columns, line, strict=False))
        row |= {name: _with_slashes(path.parent, row.get(name, "")) for name in COLUMNS}
        files = {name: _file(path.parent, row[name]) for name in COLUMNS}
        missing_file = next((name for name in COLUMNS if files[name] is None), None)
        if len(line) != len(columns):
            problem = f"{len(line)} values for {len(columns)} columns"
        elif row.get("split", SPLITS[0]) not in SPLITS:
            problem = f"the split {row['split']!r}"
        else:
            problem = missing_file and f"{row[missing_file]!r}, which is not a file,"
        if problem:
            message = (
                f"Every line of a table must name two files and, if any, a split of {', '.join(SPLITS)}. "
                f"Received {problem} in line {number} of {path}. Correct the line."
            )
            faults.append(Fault("missing", f"{path}:{number}", message))
        else:
            present.append({**row, "files": tuple(files.values())})
    rows = dict(zip(_names([row["input"] for row in present]), present, strict=True))
    if "split" in columns:
        kept = [name for name, row in rows.items() if row["split"] == split]
    else:
        kept = names_of_split(list(rows), split, config, seed)
    pairs = {name: rows[name]["files"] for name in kept}
    return _of_files(pairs, config, split, path, faults, elsewhere=bool(rows))


def _names(inputs: Sequence[str]) -> list[str]:
    """Returns a name for every line: the input's stem, or its path if stems repeat, with `#2` for a second target."""
    different = set(inputs)
    by_path = len({Path(path).stem for path in different}) < len(different)
    counts: Counter[str] = Counter()
    names = []
    for path in inputs:
        name = str(Path(path).with_suffix("")).replace("/", "-") if by_path else Path(path).stem
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return names


def _delimiter(path: Path, first: str) -> str:
    """Detects a table's delimiter from its first line: spreadsheets write commas, semicolons or tabs."""
    return max("\t,;" if path.suffix.lower() == ".tsv" else ",;\t", key=first.count)


def _file(folder: Path, name: str) -> Path | None:
    """Finds the file of a name in any Unicode form of its accents. Returns None if there is no such file."""
    spellings = (folder / form for form in (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))))
    return next((path for path in spellings if path.is_file()), None)


def _with_slashes(folder: Path, name: str) -> str:
    r"""Returns the path of a table as it is, or with `/` for `\` if it is a file only so: Windows wrote the table."""
    slashes = name.replace("\\", "/")
    return name if slashes == name or _file(folder, name) or not _file(folder, slashes) else slashes


def _of_files(
    pairs: dict[str, tuple[Path, Path]],
    config: DataConfig,
    split: str,
    where: Path,
    faults: Sequence[Fault],
    *,
    elsewhere: bool = False,
) -> Source:
    """Returns a source of pairs in two files each. `config.on_error` decides whether `faults` raise or are skipped.

    `elsewhere`: another split has pairs, so that none to train on are an error in training alone.
    """
    if faults and config.on_error == "stop":
        others = f" {len(faults) - 1} more do not pair up: `tfpix2pix data check` lists them." if faults[1:] else ""
        raise UserError(faults[0].message + others)
    if split == "train" and not pairs and not faults and not elsewhere:
        raise UserError(
            f"There must be pairs to train on. Received none in {where}{content_of(where)}. Check `data.dir`."
        )
    files: Sequence[tuple[Path, Path]] = list(pairs.values())

    read_image = image_reader(config)

    palettes = palettes_as(config)

    def stored(index: int, side: int) -> np.ndarray:
        return read_image(files[index][side], palette=palettes[side])

    def read(index: int) -> Pair:
        return checked((stored(index, 0), stored(index, 1)), config, *files[index])

    return Source(list(pairs), read, files.__getitem__, tuple(faults), stored=stored)
