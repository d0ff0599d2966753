"""Opens pairs in files: combined images, two folders, or a table. A new kind is a function and a row of `SOURCES`."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfpix2pix.data import SPLITS
from tfpix2pix.data.crops import PairOpener, divided
from tfpix2pix.data.csv_files import read_csv
from tfpix2pix.data.dicom import is_series
from tfpix2pix.data.groups import column_of
from tfpix2pix.data.guess import LAYOUTS, check_not_two_sides, content_of, looks_like, match_command
from tfpix2pix.data.images import image_reader, list_images, stem_of
from tfpix2pix.data.labels import palettes_as
from tfpix2pix.data.nifti import is_nifti, without_suffix
from tfpix2pix.data.pairs import AXES, Fault, Pair, Source, Weighted
from tfpix2pix.data.scalars import (
    FILE,
    Scalar,
    columns_of,
    fault_of,
    in_order_of_parts,
    scalar_parts,
    scalars_by_name,
    scalars_in,
)
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.slices import Place, Sliced, files_of, place_reader, sliced
from tfpix2pix.data.splits import (
    data_folder,
    data_path,
    folder_names,
    is_divided,
    names_of_split,
    places_of,
    split_files,
)
from tfpix2pix.data.stacks import part_reader, stack_reader, target_stack_reader
from tfpix2pix.data.volumes import Slice
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.data.weights import checked_whole
from tfpix2pix.errors import UserError

NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}
INPUT, TARGET = "input", "target"  # columns of a table, which may also have the column `split`


def combined(config: DataConfig, split: str, seed: int) -> Source:
    """Opens combined images: each is a pair, and `config.input_side` is the half with the input."""
    named, root = split_files(config, split, seed), data_folder(config)
    check_not_two_sides(named, root)
    files, read_image = list(named.values()), image_reader(config)

    def cut(index: int) -> Pair:
        return halves(read_image(files[index]), config, files[index])

    def whole(index: int) -> Pair | Weighted:
        return checked_whole(cut(index), config, files[index])

    opener = PairOpener(config, len(files), lambda parts, paths: checked_whole(parts, config, paths[0]))
    return Source.reading(
        list(named), whole, config, files=lambda index: (files[index],), stored=lambda index, side: cut(index)[side],
        divided=is_divided(root), opened=lambda index: opener((files[index],)),
    )  # fmt: skip


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
    """Opens folders with files that pair up by name: two, or more with `data.inputs`. Extensions may differ.

    They lie as in a row of `LAYOUTS`; or, without splits, as `<dir>/<input>` and `<dir>/<target>`, of which a seeded
    fraction is held out. Numbers of inputs stand in `scalars.csv` in `<dir>`.
    """
    root, names = data_folder(config), folder_names(config)
    for layout in LAYOUTS:
        parts = [[root / layout.format(split=part, name=name) for name in names] for part in SPLITS]
        if any(folder.is_dir() for sides in parts for folder in sides):
            pairs, faults = pair_up(parts[SPLITS.index(split)], config.files)
            pairs, scalars, faults = _with_scalars(pairs, faults, config, root / FILE, split)
            held_out = any(
                folder.is_dir() and list_images(folder, config.files, volumes=True)
                for sides in parts
                for folder in sides
            )
            whole = sliced(pairs, config, faults)
            numbers = _of_slices(scalars, whole)
            source = _of_files(whole.places, config, split, root, whole.faults, scalars=numbers, elsewhere=held_out)
            return replace(source, divided=True)
    if lacking := [name for name in names if not (root / name).is_dir()]:
        needed, missing = (_listed([f"{name}/" for name in some]) for some in (names, lacking))
        without = (
            f"A folder of pairs must hold the folders {needed}, or train/ with them inside. Received the folder "
            f"{str(root)!r} without {missing}"
        )
        if lacking == [weight_folder(config)]:
            raise UserError(
                f"{without}, which `data.weight` asks for. Add that folder, or set `data.weight` to the name of "
                f"another, or to null."
            )
        raise UserError(
            f"{without}{looks_like(root, config)}. Set {_keys_of_folders(config)} to their names, or write a table of "
            f"pairs: {match_command()}."
        )
    pairs, faults = pair_up([root / name for name in names], config.files)
    pairs, scalars, faults = _with_scalars(pairs, faults, config, root / FILE, "")
    whole = sliced(pairs, config, faults)
    _stop_at(whole.faults, config)  # before the other pairs are divided
    kept = names_of_split(list(whole.places), split, config, seed, inputs=whole.inputs)
    places = {name: whole.places[name] for name in kept}
    return _of_files(places, config, split, root, whole.faults, scalars=_of_slices(scalars, whole))


def _with_scalars(
    pairs: dict[str, tuple[Path, ...]], faults: list[Fault], config: DataConfig, path: Path, split: str
) -> tuple[dict[str, tuple[Path, ...]], dict[str, tuple[Scalar, ...]], list[Fault]]:
    """Returns the pairs that have all their scalars in the file `path`, these scalars, and the faults with those of the
    other pairs."""
    if not (parts := scalar_parts(config)):
        return pairs, {}, faults
    found = scalars_by_name(path, parts)
    rows = {name: found(name, split) for name in pairs}
    lacking = [fault_of(problem, path, name) for name, problem in rows.items() if isinstance(problem, str)]
    scalars = {name: row for name, row in rows.items() if not isinstance(row, str)}
    return {name: pairs[name] for name in scalars}, scalars, [*faults, *lacking]


def _of_slices(scalars: Mapping[str, tuple[Scalar, ...]], whole: Sliced) -> dict[str, tuple[Scalar, ...]]:
    """Returns scalars by the names of pairs, those of a volume for each of its slices."""
    return {name: scalars.get(whole.pairs.get(name, name), ()) for name in whole.places}


def _keys_of_folders(config: DataConfig) -> str:
    inputs, targets = "inputs" if config.inputs else "input_folder", "targets" if config.targets else "target_folder"
    return f"`data.{inputs}` and `data.{targets}`"


def _listed(names: Sequence[str]) -> str:
    """Joins names: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def pair_up(
    folders: Sequence[Path], files: str = "all", *, leave_out: Path | None = None
) -> tuple[dict[str, tuple[Path, ...]], list[Fault]]:
    """Matches the files of two folders or more, volumes too, by their paths without endings.

    Args:
        folders: those of inputs, of targets, and perhaps of weights.
        files: as `data.files`.
        leave_out: a folder that is not read.

    Returns:
        The files of all folders by their common name, and a fault for each file without exactly one partner in every
        other folder.
    """
    by_stem, faults = [], []
    for folder in folders:
        images = list_images(folder, files, leave_out=leave_out, volumes=True) if folder.is_dir() else []
        # macOS writes ä as two characters
        stems = {file: unicodedata.normalize("NFC", stem_of(file, folder)) for file in images}
        counts = Counter(stems.values())
        by_stem.append({stem: file for file, stem in stems.items()})
        for stem in (stem for stem, count in counts.items() if count > 1):
            rule = "A folder must hold one file of each name"
            message = f"{rule}. Received several of {stem!r} in {folder}. Remove all but one."
            faults.append(Fault("repeated", str(by_stem[-1][stem]), message))
    repeated = {stem for stems in by_stem for stem, file in stems.items() if str(file) in {f.where for f in faults}}
    known: set[str] = set()
    for have in by_stem:
        for stem in sorted(have.keys() - known):
            lacking = [folder for folder, other in zip(folders, by_stem, strict=True) if stem not in other]
            if not lacking:
                continue
            two = len(folders) == 2
            rule = f"Every file must have a partner of the same name in {'the' if two else 'every'} other folder"
            others = f", or pair other names: {match_command(*folders)}" if two else ""
            message = (
                f"{rule}. Received {stem!r} without one in {_listed(list(map(str, lacking)))}. Add the missing file, "
                f"remove this one,{'' if two else ' or'} leave such files out by `data.on_error: skip`{others}."
            )
            files = tuple(str(other[stem]) for other in by_stem if stem in other)
            faults.append(Fault("partner", files[0], message, files))
        known |= have.keys()
    every = sorted(set.intersection(*(set(files) for files in by_stem)) - repeated)
    return {stem: tuple(files[stem] for files in by_stem) for stem in every}, faults


def table(config: DataConfig, split: str, seed: int) -> Source:
    """Opens a CSV or TSV file (`data.dir`) with the columns input, target and optionally split.

    With `data.inputs`, the columns of its parts take the place of input, of files or of numbers. So do those of
    `data.targets` for target. `data.weight` may name one more. Paths in it are relative to its folder.
    """
    path = data_path(config)
    if path.is_dir():
        raise UserError(
            f"For a table `data.dir` must be a .csv or .tsv file. Received {path}, a folder. Name the file in "
            f"it, or write one of two folders: {match_command()}."
        )
    columns, lines = read_csv(path)
    of_input, of_target = places_of(config, INPUT, TARGET)
    of_weight, of_group = [name] if (name := weight_folder(config)) else [], column_of(config)
    needed = tuple(name.strip().lower() for name in (*of_input, *of_target, *of_weight))
    numbers = columns_of(parts := scalar_parts(config))
    missing = [name for name in (*needed, *numbers) if name not in columns]
    if missing:
        raise UserError(
            f"A table must have the columns {_listed((*needed, *numbers))} in its first line. Received "
            f"{', '.join(columns) or 'none'} in {path}. Add {' and '.join(missing)}."
        )
    if of_group and of_group not in columns:
        raise UserError(
            f"`data.group` must be a column of the table, or a pattern with `*`. Received {config.group!r}, and "
            f"{path} with {', '.join(columns)}. Name one of these."
        )
    faults, present = [], []
    for number, line in lines:
        row = dict(zip(columns, line, strict=False))
        row |= {name: _with_slashes(path.parent, row.get(name, "")) for name in needed}
        files = {name: _file(path.parent, row[name]) for name in needed}
        missing_file = next((name for name in needed if files[name] is None), None)
        if len(line) != len(columns):
            problem = f"{len(line)} values for {len(columns)} columns"
        elif row.get("split", SPLITS[0]) not in SPLITS:
            problem = f"the split {row['split']!r}"
        elif of_group and not row[of_group].strip():
            problem = f"no {of_group}"
        else:
            problem = missing_file and f"{row[missing_file]!r} as {missing_file}, which is not a file,"
        scalars = () if problem else scalars_in(row, parts, f"line {number} of {path}")
        problem = f"{problem} in line {number} of {path}" if problem else isinstance(scalars, str) and scalars
        if problem:
            more = f", a finite number in {_listed(numbers)}" if numbers else ""
            more += f" and a group in the column {of_group}" if of_group else ""
            message = (
                f"Every line of a table must name {NUMBER_WORDS.get(len(needed), len(needed))} files{more} and, if "
                f"any, a split of {', '.join(SPLITS)}. Received {problem}. Correct the line."
            )
            faults.append(Fault("missing", f"{path}:{number}", message))
        else:
            present.append({**row, "files": tuple(files.values()), "scalars": scalars})
    rows = dict(zip(_names([row[needed[0]] for row in present]), present, strict=True))
    whole = sliced({name: row["files"] for name, row in rows.items()}, config, faults)
    _stop_at(whole.faults, config)  # before the other pairs are divided
    rows = {name: rows[whole.pairs.get(name, name)] for name in whole.places}
    groups = {name: row[of_group].strip() for name, row in rows.items()} if of_group else {}
    if "split" in columns:
        kept = [name for name, row in rows.items() if row["split"] == split]
    else:
        kept = names_of_split(list(rows), split, config, seed, list(groups.values()), whole.inputs)
    places, scalars = {name: whole.places[name] for name in kept}, {name: rows[name]["scalars"] for name in kept}
    source = _of_files(places, config, split, path, whole.faults, scalars=scalars, elsewhere=bool(rows))
    return replace(source, groups=[groups[name] for name in kept if groups], divided="split" in columns)


def _names(inputs: Sequence[str]) -> list[str]:
    """Returns a name for every line: the input's stem, or its path if stems repeat, with `#2` for a second target."""
    different = set(inputs)
    by_path = len({Path(_without_ending(path)).name for path in different}) < len(different)
    counts: Counter[str] = Counter()
    names = []
    for path in inputs:
        name = _without_ending(path).replace("/", "-") if by_path else Path(_without_ending(path)).name
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return names


def _without_ending(path: str) -> str:
    """Returns a path in a table without its ending, `.nii.gz` too."""
    return without_suffix(path) if is_nifti(path) else str(Path(path).with_suffix(""))


def _file(folder: Path, name: str) -> Path | None:
    """Finds the file, or the folder of DICOM files, of a name in any Unicode form of its accents. Returns None if there
    is no such file."""
    spellings = (folder / form for form in (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))))
    return next((path for path in spellings if path.is_file() or (path.is_dir() and is_series(path))), None)


def _with_slashes(folder: Path, name: str) -> str:
    r"""Returns the path of a table as it is, or with `/` for `\` if it is a file only so: Windows wrote the table."""
    slashes = name.replace("\\", "/")
    return name if slashes == name or _file(folder, name) or not _file(folder, slashes) else slashes


def _stop_at(faults: Sequence[Fault], config: DataConfig) -> None:
    """Raises the first fault, and counts the others, if `config.on_error` is `stop`."""
    if faults and config.on_error == "stop":
        others = f" {len(faults) - 1} more do not pair up: `tfpix2pix data check` lists them." if faults[1:] else ""
        raise UserError(faults[0].message + others)


def _of_files(
    pairs: Mapping[str, tuple[Place, ...]],
    config: DataConfig,
    split: str,
    where: Path,
    faults: Sequence[Fault],
    *,
    scalars: Mapping[str, tuple[Scalar, ...]],
    elsewhere: bool = False,
) -> Source:
    """Returns a source of pairs in files or slices: of the input, of the target, and perhaps of the weights.
    `config.on_error` decides whether `faults` raise or are skipped. `scalars` are those of the inputs by the names of
    the pairs.

    `elsewhere`: another split has pairs, so that none to train on are an error in training alone.
    """
    _stop_at(faults, config)
    if split == "train" and not pairs and not faults and not elsewhere:
        raise UserError(
            f"There must be pairs to train on. Received none in {where}{content_of(where)}. Check `data.dir`."
        )
    files: Sequence[tuple[Place, ...]] = list(pairs.values())
    numbers = [scalars.get(name, ()) for name in pairs]
    read_image, palettes = place_reader(config), palettes_as(config)
    read_stack = stack_reader(config, read_image) if config.inputs else None
    read_parts = part_reader(config, read_image) if config.inputs else None
    read_targets = target_stack_reader(config, read_image) if config.targets else None

    def items(index: int) -> list[Place | Scalar]:
        return in_order_of_parts(divided(files[index], config)[0], numbers[index], config)

    def stored(index: int, side: int) -> np.ndarray:
        if side == 0 and read_stack:
            return read_stack(items(index))
        of_side = divided(files[index], config)[side]
        if side == 1 and read_targets:
            return read_targets(of_side)
        return read_image(of_side[0], palette=palettes[side])

    def whole(index: int) -> Pair | Weighted:
        inputs, targets, weights = divided(files[index], config)
        weight = [(read_image(path, palette="indices"), path) for path in weights]
        return checked_whole((stored(index, 0), stored(index, 1)), config, inputs[0], targets[0], *weight)

    def checked_parts(parts: Sequence[np.ndarray], paths: Sequence[Path]) -> Pair | Weighted:
        inputs, targets, weights = divided(paths, config)
        return checked_whole(parts[:2], config, inputs[0], targets[0], *zip(parts[2:], weights, strict=True))

    opener = PairOpener(config, len(files), checked_parts)
    return Source.reading(
        list(pairs), whole, config, files=lambda index: files_of(files[index]), skipped=tuple(faults), stored=stored,
        slices=lambda index: files[index][0] if isinstance(files[index][0], Slice) else None,
        scalars=lambda index: tuple(scalar.value for scalar in numbers[index]),
        opened=lambda index: opener(files[index], numbers[index]),
        parts=read_parts and (lambda index: read_parts(items(index))),
    )  # fmt: skip
