"""Translates volumes slice by slice: an input for each slice, and a writer that puts the translations together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import to_classes
from tfpix2pix.data.nifti import write_nifti
from tfpix2pix.data.scalars import Scalar, in_order_of_parts
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.slices import Place, place_reader, sliced
from tfpix2pix.data.stacks import part_reader, stack_reader
from tfpix2pix.data.volumes import is_volume
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import safe_path
from tfpix2pix.inference.batching import NotWritten
from tfpix2pix.inference.items import INPUT, Input, Ways, Writer

COMPRESSED, PLAIN = ".nii.gz", ".nii"


class VolumeInputs:
    """Makes inputs of files: one of an image, and one of each slice of a volume.

    Args:
        data: the section `data` of a model.
        key: names `data.max_megapixels` in messages.
    """

    def __init__(self, data: DataConfig, key: str) -> None:
        self.data, self.key = data, key
        self.read = place_reader(data, key)
        self.read_stack = stack_reader(data, self.read, key) if data.inputs else None
        self.read_parts = part_reader(data, self.read, key) if data.inputs else None

    def of(
        self,
        name: str,
        files: tuple[Path, ...],
        ways: Ways,
        scalars: Sequence[Scalar] = (),
    ) -> Iterator[Input]:
        """Yields the inputs of a file, or of the files of an input's parts. An error of a volume is raised by reading.

        `ways` read it if it is an image. `scalars` are those of the input.
        """
        if not any(map(is_volume, files)):
            yield Input(safe_path(name), ways.whole, files, open=ways.open, scalars=tuple(scalars), stored=ways.stored)
            return
        whole = sliced({name: files}, self.data, key=self.key)
        for fault in whole.faults:
            yield Input(safe_path(name), partial(_fail, fault.message), files, volume=safe_path(name))
        for slice_name, places in whole.places.items():
            read, stored = partial(self.read_slice, places, scalars), None
            if self.read_parts:
                stored = partial(self.read_parts, in_order_of_parts(places, scalars, self.data))
            yield Input(
                safe_path(slice_name), read, files, places[0], safe_path(name), scalars=tuple(scalars), stored=stored
            )

    def read_slice(self, places: Sequence[Place], scalars: Sequence[Scalar] = ()) -> np.ndarray:
        """Reads a slice of a volume, or of the volumes of an input's parts, as inputs are read: (H, W, C)."""
        if self.read_stack:
            return self.read_stack(in_order_of_parts(places, scalars, self.data))
        image, classes = self.read(places[0]), self.data.classes[INPUT]
        if classes is None:
            return image
        return to_classes(image, classes, self.data, places[0], self.data.class_values[INPUT])


def with_neighbours(image: np.ndarray, data: DataConfig, path: Path) -> np.ndarray:
    """Returns an image of a file. Raises UserError if it lacks the channels of neighbouring slices."""
    neighbours = data.neighbour_slices
    if neighbours and image.shape[-1] != data.input_channels:
        raise UserError(
            f"A model with `data.neighbour_slices: {neighbours}` must be given volumes, or images of "
            f"{data.input_channels} channels. Received {image.shape[-1]} in {path}. Give a NIfTI file or a folder of "
            f"DICOM files.",
            "channels",
        )
    return image


def _fail(message: str) -> np.ndarray:
    raise UserError(message)


@dataclass
class _Pending:
    """Holds the translations of a volume until its last slice has come."""

    voxels: list[np.ndarray]  # an array for each variant, or for each part of each
    missing: int  # slices


@dataclass(frozen=True)
class VolumeWriter(Writer):
    """Writes the variants of every volume as NIfTI files with its affine, and other inputs as `Writer` does.

    It holds the volumes that are not complete in memory, usually one.
    """

    _pending: dict[str, _Pending] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def like(cls, writer: Writer) -> VolumeWriter:
        """Returns a writer that writes images as `writer` does."""
        return cls(**{each.name: getattr(writer, each.name) for each in fields(Writer)})

    def paths(self, item: Input) -> list[Path]:
        """Returns the paths of the variants of an input, or of its volume."""
        if item.slice is None:
            return super().paths(item)
        suffix = PLAIN if item.slice.path.name.lower().endswith(PLAIN) else COMPRESSED
        folders = [self.folder / name for name in self.parts or ()] or [self.folder]
        return [folder / f"{item.volume}{ending}{suffix}" for ending in self.endings for folder in folders]

    def check(self, items: Sequence[Input], *, within: Path | None, overwrite: bool) -> None:
        """Checks that every variant can be written, as `Writer` does, for one slice of each volume."""
        firsts = {(item.volume, item.files) if item.slice else (item.name, index): item
                  for index, item in enumerate(items)}  # fmt: skip
        super().check(list(firsts.values()), within=within, overwrite=overwrite)

    def __call__(self, item: Input, variants: Iterable[np.ndarray]) -> list[Path]:
        """Takes the variants of a slice. Writes its volume with the last slice, and returns the paths, else none.

        Raises NotWritten if a file cannot be written.
        """
        if item.slice is None:
            return super().__call__(item, variants)
        planes = [self._plane(item, *image) for image in self.images(variants)]
        cut = item.slice.cut
        with self._lock:
            pending = self._pending.get(item.volume)
            if pending is None:
                shape = item.slice.volume.shape
                voxels = [np.zeros(shape, plane.dtype, order="F") for plane in planes]
                pending = self._pending[item.volume] = _Pending(voxels, item.slice.count)
            for voxels, plane in zip(pending.voxels, planes, strict=True):
                voxels[(slice(None),) * cut.axis + (item.slice.index,)] = plane
            pending.missing -= 1
            if pending.missing:
                return []
            del self._pending[item.volume]
        paths, failed = self.paths(item), None
        for path, voxels in zip(paths, pending.voxels, strict=True):
            try:
                write_nifti(path, voxels, item.slice.volume.affine, item.slice.volume.header)
            except RunError as error:
                failed = failed or error
        if failed is not None:
            raise NotWritten(str(failed)) from failed
        return paths

    def _plane(self, item: Input, image: np.ndarray, palette: Sequence[int] | None) -> np.ndarray:
        back = self.brought_back(item, image, palette)
        return item.slice.cut.plane(match_channels(back, 1, item.name)[..., 0])

    def lost(self, failed: Iterable[Input]) -> set[str]:
        """Returns the names of the volumes that are not written, because slices failed or did not come."""
        return {*self._pending, *(item.volume for item in failed if item.slice is not None)}


def check_options(*, uncertainty: bool, resizes: bool) -> None:
    """Raises UserError if volumes cannot be written because of other options of the translation.

    Args:
        uncertainty: the deviation is written too, as images.
        resizes: translations are of another size than the slices.
    """
    for is_set, option, reason in (
        (uncertainty, "uncertainty", "deviations are images"),
        (resizes, "size` or `enlarge", "the translations of slices must keep their sizes"),
    ):
        if is_set:
            raise UserError(
                f"Volumes must be written without `{option}`, because {reason}. Received both. Add `format` tiff to "
                f"write each slice as an image."
            )
