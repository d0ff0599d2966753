"""Reads rectangles of the stacks of inputs and targets in several files (`data.inputs`, `data.targets`).

The values are those that the same rectangle of the whole stack has (`stacks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tfpix2pix.data.parts import InputPart
from tfpix2pix.data.planes import NotByRegion
from tfpix2pix.data.regions import Regions, open_regions
from tfpix2pix.data.scalars import Scalar
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.stacks import joined, joined_targets


class PartRegions:
    """Holds an open image of a part, of which `part[top:bottom, left:right]` reads a rectangle (h, w, C).

    Args:
        image: open file.
        read: turns a rectangle of the file into that of the part.
        margin_px: width of the rim around a rectangle that is read too.
        has_8_bits: whether the values of the part are uint8, and not float32.
    """

    def __init__(
        self, image: Regions, read: Callable[[np.ndarray], np.ndarray], margin_px: int, *, has_8_bits: bool
    ) -> None:
        self._image, self._read, self._margin_px = image, read, margin_px
        self.size, self.has_8_bits = image.shape[:2], has_8_bits

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        bounds = [part.indices(side)[:2] for part, side in zip(place, self.size, strict=True)]
        starts = [max(0, start - self._margin_px) for start, _ in bounds]
        with_rim = (slice(first, end + self._margin_px) for first, (_, end) in zip(starts, bounds, strict=True))
        rows, columns = (slice(start - first, end - first) for first, (start, end) in zip(starts, bounds, strict=True))
        return self._read(self._image[tuple(with_rim)])[rows, columns]

    def close(self) -> None:
        self._image.close()


class StackRegions:
    """Holds the open parts of a stack, of which `stack[top:bottom, left:right]` reads a rectangle (h, w, C).

    Args:
        parts: those in files.
        join: turns the same rectangle of all of them, and its height and width, into that of the stack.
        channels: number of channels of the stack.
        dtype: type of its values.
    """

    def __init__(
        self,
        parts: Sequence[PartRegions],
        join: Callable[[list[np.ndarray], int, int], np.ndarray],
        channels: int,
        dtype: np.dtype,
    ) -> None:
        self._parts, self._join = parts, join
        self.shape, self.dtype = (*parts[0].size, channels), dtype

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        images = [part[place] for part in self._parts]
        return self._join(images, *images[0].shape[:2])

    def close(self) -> None:
        for part in self._parts:
            part.close()


def open_inputs(paths: Sequence[Path], scalars: Sequence[Scalar], data: DataConfig) -> StackRegions:
    """Opens the files of an input, one for each part of `data.inputs` in files, to read rectangles of its stack.

    Raises:
        NotByRegion: a part is read whole, or two differ in size.
        UserError: a file is damaged, or a scalar lies outside its range.
    """
    numbers = iter(scalars)
    constants = [
        None if part.row.in_files else part.row.read((scalar := next(numbers)).value, part, data, scalar.where)
        for part in data.inputs
    ]
    parts = _open(paths, [part for part in data.inputs if part.row.in_files], data, "read")

    def join(images: list[np.ndarray], height: int, width: int) -> np.ndarray:
        of_files = iter(images)
        return joined([next(of_files) if image is None else image for image in constants], height, width)

    is_uint8 = not scalars and all(part.has_8_bits for part in parts)
    return StackRegions(parts, join, data.input_channels, np.dtype(np.uint8 if is_uint8 else np.float32))


def open_targets(paths: Sequence[Path], data: DataConfig) -> StackRegions:
    """Opens the files of a target, one for each part of `data.targets`, to read rectangles of its stack.

    Raises:
        NotByRegion: a part is read whole, or two differ in size.
        UserError: a file is damaged.
    """
    parts = _open(paths, data.targets, data, "read_target")
    return StackRegions(
        parts, lambda images, height, width: joined_targets(images), data.target_channels, np.dtype(np.float32)
    )


def _open(paths: Sequence[Path], parts: Sequence[InputPart], data: DataConfig, read: str) -> list[PartRegions]:
    """Opens the files of parts. `read` names the function of their kinds' rows that reads them."""
    opened: list[PartRegions] = []
    try:
        for path, part in zip(paths, parts, strict=True):
            opened.append(_open_part(path, part, data, getattr(part.row, read)))
        if len({part.size for part in opened}) > 1:
            raise NotByRegion("has parts of other sizes, for which reading all of it gives the reason")
    except BaseException:
        for part in opened:
            part.close()
        raise
    return opened


def _open_part(path: Path, part: InputPart, data: DataConfig, read: Callable[..., np.ndarray]) -> PartRegions:
    margin_px = part.row.margin_px(part, data)
    if margin_px is None:
        raise NotByRegion(f"holds {part.name}, which is read by all of its values")
    image = open_regions(path, part.row.palette(part, data))
    if image.shape[-1] > 1 and "channels" not in part.row.settings:
        image.close()
        raise NotByRegion(f"holds {part.name} in several channels, which are compared")
    has_8_bits = bool(part.classes) or (image.dtype == np.uint8 and part.range is None)
    return PartRegions(image, partial(read, part=part, data=data, path=path), margin_px, has_8_bits=has_8_bits)
