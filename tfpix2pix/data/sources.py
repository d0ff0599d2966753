"""Sources of given pairs: combined images, two folders, a table. A new kind is a function and a row of `SOURCES`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfpix2pix.config import DataConfig
from tfpix2pix.data import SPLITS
from tfpix2pix.data.images import list_images, read_image
from tfpix2pix.data.pairs import Source, checked
from tfpix2pix.data.splits import data_folder, data_path, seeded_split, split_files
from tfpix2pix.errors import UserError

AXES = {"left": 1, "right": 1, "top": 0, "bottom": 0}  # of a combined image, which halves it is cut into
COLUMNS = ("input", "target")  # of a table; `split` may stand beside them
SHOWN = 3  # names in a message


def combined(config: DataConfig, split: str, seed: int) -> Source:
    """One image a pair, the input one half of it (`config.input_side`)."""
    files = split_files(config, split, seed)
    axis = AXES[config.input_side]

    def read(index: int):
        path = files[index]
        image = read_image(path)
        if image.shape[axis] % 2:
            raise UserError(
                f"A combined image must be an even number of pixels {'wide' if axis else 'high'}, two halves of one "
                f"size. Received {image.shape[axis]} px in {path}. Mend the file or remove it."
            )
        halves = np.split(image, 2, axis=axis)
        return checked(halves if config.input_side in ("left", "top") else halves[::-1], config, path)

    return Source([path.stem for path in files], read)


def folders(config: DataConfig, split: str, seed: int) -> Source:
    """Two folders whose files pair up by name; extensions may differ.

    `<dir>/<split>/<input>` beside `<dir>/<split>/<target>`, or `<dir>/<input>/<split>` beside `<dir>/<target>/<split>`,
    or, without splits, `<dir>/<input>` beside `<dir>/<target>`, a seeded share held out.
    """
    root, names = data_folder(config), (config.input_folder, config.target_folder)
    for layout in (lambda name, part: root / part / name, lambda name, part: root / name / part):
        if any(layout(name, part).is_dir() for name in names for part in SPLITS):
            pairs = pair_up(*(layout(name, split) for name in names))
            break
    else:
        if not all((root / name).is_dir() for name in names):
            raise UserError(
                f"A folder of pairs must hold the folders {names[0]}/ and {names[1]}/, or train/ with them inside. "
                f"Received {root} without. Set `data.input_folder` and `data.target_folder` to their names."
            )
        pairs = pair_up(*(root / name for name in names))
        kept = seeded_split(list(pairs), split, seed, config.held_out_fraction)
        pairs = {name: pairs[name] for name in kept}
    return _of_files(pairs, config, split, root)


def pair_up(inputs: Path, targets: Path) -> dict[str, tuple[Path, Path]]:
    """The pairs of two folders by stem; raises UserError where a file has no partner or several."""
    by_stem = []
    for folder in (inputs, targets):
        files = list_images(folder) if folder.is_dir() else []
        repeated = [stem for stem, count in Counter(file.stem for file in files).items() if count > 1]
        if repeated:
            raise UserError(
                f"A folder must hold one file of each name. Received several of {repeated[0]!r} in {folder}. "
                f"Remove all but one."
            )
        by_stem.append({file.stem: file for file in files})
    for have, lack, folder in ((*by_stem, targets), (*by_stem[::-1], inputs)):
        alone = sorted(have.keys() - lack.keys())
        if alone:
            more = f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else ""
            raise UserError(
                f"Every file must have a partner of the same name in the other folder. Received "
                f"{', '.join(map(repr, alone[:SHOWN]))}{more} without one in {folder}. Add the missing or remove these."
            )
    return {stem: (by_stem[0][stem], by_stem[1][stem]) for stem in sorted(by_stem[0])}


def table(config: DataConfig, split: str, seed: int) -> Source:
    """A CSV or TSV file (`data.dir`) of paths, relative to it: columns input, target and, if given, split."""
    path = data_path(config)
    if path.is_dir():
        raise UserError(
            f"For a table `data.dir` must be a .csv or .tsv file. Received {path}, a folder. Name the file in it."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            rows, columns = [row for row in reader if any(row.values())], reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"A table must be a readable CSV file in UTF-8. Received {path}: {error}. Mend it.") from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise UserError(
            f"A table must have the columns input and target in its first line. Received "
            f"{', '.join(columns) or 'none'} in {path}. Add {' and '.join(missing)}."
        )
    for line, row in enumerate(rows, 2):
        unknown = row.get("split") not in (*SPLITS, None) and "split" in columns
        gone = next((row[name] for name in COLUMNS if not (path.parent / (row[name] or "")).is_file()), None)
        if unknown or gone is not None:
            what = f"the split {row['split']!r}" if unknown else f"{gone!r}, which is no file"
            raise UserError(
                f"Every line of a table must name two files and, if any, a split of {', '.join(SPLITS)}. "
                f"Received {what} in line {line} of {path}. Mend the line."
            )
    if "split" in columns:
        rows = [row for row in rows if row["split"] == split]
    else:
        by_input = {row["input"]: row for row in rows}
        rows = [by_input[name] for name in seeded_split(list(by_input), split, seed, config.held_out_fraction)]
    files = [tuple(path.parent / row[name] for name in COLUMNS) for row in rows]
    stems = [image.stem for image, _ in files]
    if len(set(stems)) < len(stems):  # the same names in several folders
        stems = [str(Path(row["input"]).with_suffix("")).replace("/", "-") for row in rows]
    return _of_files(dict(zip(stems, files, strict=True)), config, split, path)


def _of_files(pairs: dict[str, tuple[Path, Path]], config: DataConfig, split: str, where: Path) -> Source:
    """Pairs of one file each."""
    if split == "train" and not pairs:
        raise UserError(f"There must be pairs to train on. Received none in {where}. Check `data.dir`.")
    files: Sequence[tuple[Path, Path]] = list(pairs.values())

    def read(index: int):
        image, target = files[index]
        return checked((read_image(image), read_image(target)), config, image, target)

    return Source(list(pairs), read)
