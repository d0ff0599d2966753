"""Lists what is to be translated: image files and folders, the parts of inputs, or a split of paired data. Says how an
input is read, by its number, files and scalars."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import SPLITS
from tfpix2pix.data.guess import TABLES
from tfpix2pix.data.images import counted, list_images, stem_of, unread
from tfpix2pix.data.labels import open_side, read_side, to_classes
from tfpix2pix.data.opening import split_of
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.parts import InputPart
from tfpix2pix.data.scalars import Scalar, check_within, in_order_of_parts, number_of, scalars_by_name
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.sources import pair_up
from tfpix2pix.data.stacks import check_names, part_reader, stack_reader
from tfpix2pix.data.volumes import is_volume
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.errors import UserError
from tfpix2pix.files import safe_path
from tfpix2pix.inference.items import INPUT, MOST, Input, Ways
from tfpix2pix.inference.volumes import VolumeInputs, with_neighbours

WaysOf = Callable[[int, Sequence[Path], Sequence[Scalar]], Ways]  # (number of an input, its files and scalars) -> ways


def reader_of_files(card: ModelCard, folder: str | Path | None = None, split: str | None = None) -> WaysOf:
    """Returns how inputs of one file each are read."""
    data = card.config.data

    def ways(index: int, files: Sequence[Path], scalars: Sequence[Scalar]) -> Ways:
        def read() -> np.ndarray:
            return with_neighbours(read_side(files[0], INPUT, data, MOST), data, files[0])

        return Ways(read, None if data.neighbour_slices else partial(open_side, files[0], INPUT, data))

    return ways


def reader_of_parts(card: ModelCard, folder: str | Path | None = None, split: str | None = None) -> WaysOf:
    """Returns how inputs that lie in several files (`data.inputs`) are read."""
    data = card.config.data.model_copy(update={"alpha": "drop"})
    read, read_parts = stack_reader(data, key=MOST), part_reader(data, key=MOST)

    def ways(index: int, files: Sequence[Path], scalars: Sequence[Scalar]) -> Ways:
        items = in_order_of_parts(files, scalars, data)
        return Ways(partial(read, items), stored=partial(read_parts, items))

    return ways


def reader_of_split(card: ModelCard, folder: str | Path | None, split: str) -> WaysOf:
    """Returns how the inputs of the pairs of a split are read, which is opened once."""
    return _ways_of_pairs(_opened(card, folder, split), card.config.data)


READERS = {"files": reader_of_files, "parts": reader_of_parts, "split": reader_of_split}  # by the kind of the inputs


def _opened(card: ModelCard, folder: str | Path | None, split: str) -> Source:
    data = card.config.data
    weight = None if weight_folder(data) else data.weight  # files of weights are not needed
    data = data.model_copy(update={"dir": None if folder is None else str(folder), "weight": weight})
    return split_of(data, split, card.config.seed)


def _ways_of_pairs(source: Source, data: DataConfig) -> WaysOf:
    """Returns how the inputs of pairs are read: if they lie in files, as these hold them, without the targets."""

    def as_file_holds(index: int, files: Sequence[Path]) -> np.ndarray:
        image = source.stored(index, INPUT)
        if data.input_classes is None:
            return image
        where = files[0] if files else source.names[index]
        return to_classes(image, data.input_classes, data, where, data.class_values[INPUT])

    def read(index: int, files: Sequence[Path]) -> np.ndarray:
        present = source.files(index) if index < len(source) else ()
        if [path.name for path in present] != [path.name for path in files]:
            raise UserError(
                "The pairs of a split must stay the same while they are translated. Received others. Translate them "
                "again, into another folder."
            )
        return as_file_holds(index, files) if source.stored else source.read(index)[0]

    return lambda index, files, scalars: Ways(
        partial(read, index, files), stored=source.parts and partial(source.parts, index)
    )


def inputs_of_files(inputs: Sequence[str | Path], card: ModelCard, out: Path | None = None) -> Iterator[Input]:
    """Yields image files, the slices of volumes, and those in folders and their sub-folders. Warns of the files that
    are not read.

    Args:
        out: folder of the translations, which is not read.

    Raises:
        UserError: a path does not exist, or a folder does not hold images.
    """
    data = card.config.data
    ways, volumes, number = reader_of_files(card), VolumeInputs(data, MOST), count()
    if inputs:
        check_names((), data)
    for path in map(Path, inputs):
        _check_exists(path)
        folder, files = path.parent, [path]
        if path.is_dir() and not is_volume(path):
            folder, files = path, list_images(path, leave_out=out, volumes=True)
            left = unread(path, files, leave_out=out)
            if not files:
                splits = [split for split in SPLITS if (path / split).is_dir()]
                advice = f"For the inputs of pairs add `split` {splits[0]} and `data` {path}" if splits else "Check it"
                raise UserError(f"A folder to translate must hold images. Received {path} without any. {advice}.")
            if left:
                warnings.warn(f"{path} holds files that are not translated: {counted(left)}.", stacklevel=3)
        for file in files:
            yield from volumes.of(stem_of(file, folder), (file,), ways(next(number), (file,), ()))


def inputs_of_parts(
    inputs: Mapping[str, str | Path | float], card: ModelCard, out: Path | None = None
) -> Iterator[Input]:
    """Yields inputs that lie in several files (`data.inputs`).

    Args:
        inputs: a file, or a folder of files, by the name of each part. For a scalar: a number, or a CSV file as
            `scalars.csv`.
        out: folder of the translations, which is not read.

    Raises:
        UserError: a part is missing or unknown, a path does not exist, files and folders are mixed, a file in a folder
            has no partner, or a scalar is missing or not a number.
    """
    data = card.config.data
    check_names(inputs, data)
    paths, scalars = [], []
    for part in data.inputs or ():
        given = inputs[part.name]
        if part.row.in_files:
            paths.append(_path_of_part(given, part))
        else:
            scalars.append(_scalars_of(given, part, data))
    kinds = {path.is_dir() and not is_volume(path) for path in paths}
    if len(kinds) > 1:
        folder = next(path for path in paths if path.is_dir() and not is_volume(path))
        raise UserError(
            f"The parts of an input must be either files or folders. Received both, such as the folder {folder}. Give "
            f"a file for each part, or a folder for each."
        )
    one = {stem_of(paths[0], paths[0].parent): tuple(paths)}
    by_name, faults = pair_up(paths, leave_out=out) if True in kinds else (one, [])
    if faults:
        more = f" {len(faults) - 1} more do not match." if faults[1:] else ""
        raise UserError(
            f"The folders of an input's parts must hold files of the same names. Received {faults[0].where} without "
            f"exactly one partner. Add the missing file, or remove this one.{more}"
        )
    ways, volumes = reader_of_parts(card), VolumeInputs(data.model_copy(update={"alpha": "drop"}), MOST)
    for index, (name, files) in enumerate(by_name.items()):
        numbers = [scalar(name) for scalar in scalars]
        yield from volumes.of(name, files, ways(index, files, numbers), numbers)


def _path_of_part(given: str | Path | float, part: InputPart) -> Path:
    """Returns the path of a part in files. Raises UserError if it is a number, or does not exist."""
    is_number = not isinstance(given, (str, Path)) or (number_of(str(given)) is not None and not Path(given).exists())
    if is_number:
        raise UserError(
            f"A part in files must be an image file or a folder. Received the number {given} as {part.name}. Give a "
            f"path."
        )
    _check_exists(Path(given))
    return Path(given)


def _scalars_of(given: str | Path | float, part: InputPart, data: DataConfig) -> Callable[[str], Scalar]:
    """Returns a function from the name of an input to a scalar: a number for all, or those of a CSV file.

    Raises:
        UserError: it is neither, the number lies outside the part's range, or the file does not have the columns. The
            function raises it for a name without a number in the range.
    """
    value, option = number_of(str(given)), f"`input` {part.name}"
    if value is not None:
        check_within(value, part, data, option, trained=True)
        return lambda name: Scalar(value, option)
    path = Path(str(given))
    if path.suffix.lower() not in TABLES or not path.is_file():
        raise UserError(
            f"A scalar must be a finite number, or an existing CSV file with the columns name and {part.place}. "
            f"Received {given} as {part.name}. Give {option}=7.5, for example."
        )
    found = scalars_by_name(path, [part])

    def scalar(name: str) -> Scalar:
        scalars = found(name, "")
        if isinstance(scalars, str):
            raise UserError(
                f"Every input must have a finite number for each scalar. Received {scalars}. Correct the file."
            )
        check_within(scalars[0].value, part, data, scalars[0].where, trained=True)
        return scalars[0]

    return scalar


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise UserError(
            f"An input must be an image file or a folder. Received {path}, which does not exist. Check the path."
        )


def inputs_of_split(card: ModelCard, folder: str | Path | None, split: str) -> Iterator[Input]:
    """Yields the inputs of the pairs of a split.

    Args:
        folder: folder of paired data; None: the model's source brings its data.

    Raises:
        UserError: the split is unknown, or has no pairs.
    """
    source = _opened(card, folder, split)
    ways = _ways_of_pairs(source, card.config.data)
    for index, name in enumerate(source.names):
        slice_, files = source.slices(index) if source.slices else None, source.files(index)
        volume = safe_path(name.removesuffix(slice_.label)) if slice_ else ""
        read = ways(index, files, ())
        yield Input(safe_path(name), read.whole, files, slice_, volume, stored=read.stored)
