"""Puts the slices of volumes in the place of files: pairs of volumes become pairs of slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfpix2pix.data.formats import Palette
from tfpix2pix.data.images import MEGAPIXELS, image_reader, reading
from tfpix2pix.data.pairs import Fault, Source
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import first_of_input
from tfpix2pix.data.volumes import Slice, SliceReader, check_one_geometry, is_volume, open_volume, slices_of
from tfpix2pix.errors import UserError

Place = Path | Slice  # of an image: its file, or a slice of a volume
USUAL_KIND = "image"  # of a part


class Sliced(NamedTuple):
    """Holds pairs, volumes among them slice by slice."""

    places: dict[str, tuple[Place, ...]]  # by the names of the pairs
    inputs: dict[str, str]  # name of each slice -> name of the first slice of the first pair with its volume as input
    pairs: dict[str, str]  # name of each slice -> name of the pair of its volumes
    faults: list[Fault]  # and of volumes that cannot be read or do not fit together


def sliced(
    pairs: Mapping[str, tuple[Path, ...]], config: DataConfig, faults: Sequence[Fault] = (), key: str = MEGAPIXELS
) -> Sliced:
    """Replaces pairs of volumes by those of their slices, `patient01#z012`. Pairs of images stay.

    Args:
        pairs: the files of the input, or of its parts, and perhaps of the target and of the weights, by name.
        config: the section `data`.
        faults: those that are known, which come first in the result.
        key: names `data.max_megapixels` in messages.
    """
    result = Sliced({}, {}, {}, list(faults))
    for name, files in pairs.items():
        try:
            rows = _rows(files, config, key)
        except UserError as error:
            result.faults.append(Fault(error.kind or "unfit", str(files[0]), str(error)))
            continue
        if rows is None:
            result.places[name] = files
            continue
        first = f"{name}{rows[0][0].label}"
        of_same_input = f"{first_of_input(name, pairs)}{rows[0][0].label}"
        for row in rows:
            slice_name = f"{name}{row[0].label}"
            result.places[slice_name], result.pairs[slice_name] = row, name
            result.inputs[slice_name] = of_same_input if of_same_input in result.places else first
    return result


def _rows(files: Sequence[Path], config: DataConfig, key: str) -> list[tuple[Slice, ...]] | None:
    """Returns the slices of the volumes of a pair, one of each volume together; None for images."""
    kinds = [is_volume(file) for file in files]
    if not any(kinds):
        if config.neighbour_slices:
            raise UserError(
                f"`data.neighbour_slices` must go with volumes. Received {config.neighbour_slices} and {files[0]}, an "
                f"image. Give NIfTI files or folders of DICOM files, or set `data.neighbour_slices: 0`.",
                "unreadable",
            )
        return None
    if not all(kinds):
        raise UserError(
            f"The files of a pair must be either volumes or images. Received {files[kinds.index(True)]}, a volume, and "
            f"{files[kinds.index(False)]}, an image. Give files of one kind.",
            "unreadable",
        )
    volumes = [open_volume(file, config.max_megapixels, key) for file in files]
    check_one_geometry(volumes)
    columns = [
        slices_of(volume, config.slice_axis, neighbours, holds_numbers)
        for volume, (neighbours, holds_numbers) in zip(volumes, _kinds(config, len(files)), strict=True)
    ]
    return list(zip(*columns, strict=True))


def _kinds(config: DataConfig, files: int) -> list[tuple[int, bool]]:
    """Returns, for each file of a pair, its neighbours on either side, and whether it holds numbers."""
    if config.inputs:
        are_images = [part.kind == USUAL_KIND for part in config.inputs if part.row.in_files]
        inputs = [(config.neighbour_slices * is_image, not is_image) for is_image in are_images]
    else:
        inputs = [(config.neighbour_slices, config.input_classes is not None)]
    targets = [(0, part.row.numbers) for part in config.targets or ()] or [(0, config.target_classes is not None)]
    return [*inputs, *targets, (0, True)][:files]


def place_reader(config: DataConfig, key: str = MEGAPIXELS) -> Callable[..., np.ndarray]:
    """Returns a function from a file or a slice, and `palette`, to its image, as `image_reader` returns one for files.

    It keeps up to `config.cache_files_mb` of files, and as much of volumes that must be decoded whole, but at least
    those of two pairs: threads read the first slices of one while others read the last of another.
    """
    files = len(config.inputs or (0,)) + len(config.targets or (0,)) + 1  # of a pair, at most
    read_image, read_slice = image_reader(config), SliceReader(config.cache_files_mb, recent=2 * files)

    def read(place: Place, palette: Palette = "colors") -> np.ndarray:
        if not isinstance(place, Slice):
            return read_image(place, palette=palette)
        with reading(place.path, config.max_megapixels, key, place):
            return read_slice(place)

    return read


def files_of(places: Sequence[Place]) -> tuple[Path, ...]:
    """Returns the files of images, and the files or folders of the volumes of slices."""
    return tuple(place.path if isinstance(place, Slice) else place for place in places)


def check_no_slices(source: Source, what: str) -> None:
    """Raises UserError if pairs are slices of volumes, from which `what` are not made."""
    first = next((index for index in range(len(source)) if source.is_slice(index)), None)
    if first is not None:
        raise UserError(
            f"{what} must be made from images. Received the volume {source.files(first)[0]}. Use volumes as they are."
        )
