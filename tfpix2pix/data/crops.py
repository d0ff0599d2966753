"""Reads rectangles of pairs in large files, so that a training on crops does not decode the rest.

The values are those that the same rectangle of the whole pair has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from tfpix2pix.data.labels import open_side
from tfpix2pix.data.pairs import AXES, Pair, Weighted
from tfpix2pix.data.planes import NotByRegion
from tfpix2pix.data.regions import Half, Mapped, Regions, open_regions
from tfpix2pix.data.scalars import Scalar
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.stack_regions import StackRegions, open_inputs, open_targets
from tfpix2pix.size import Size

Readable = Regions | Mapped | Half | StackRegions
File = TypeVar("File")
ROWS_AT_A_TIME = 256  # of an image of weights, in search of its largest value
SAMPLE_PX = 1024  # most height and width of the part by which a large pair is looked at


class Window(NamedTuple):
    """Holds a rectangle of a pair, px."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def middle(length: Size, size: Size) -> Window:
    """Returns the rectangle of `size` in the middle of an image of size `length`."""
    return Window((length.height - size.height) // 2, (length.width - size.width) // 2, *size)


def at_random(length: Size, size: Size, fraction: np.ndarray) -> Window:
    """Returns a rectangle of `size` in an image of size `length`, as `transforms.random_crop` chooses it.

    Args:
        fraction: two uniform random numbers, float32 (2,), of the rows and of the columns.
    """
    room = np.array(length) - np.array(size) + 1
    corner = np.minimum((fraction.astype(np.float32) * room.astype(np.float32)).astype(np.int32), room - 1)
    return Window(int(corner[0]), int(corner[1]), *size)


@dataclass(frozen=True)
class OpenPair:
    """Holds an open pair of which rectangles are read. Use it as a context manager, or call `close`."""

    images: Sequence[Readable]  # input, target, and perhaps weights
    checked: Callable[[Sequence[np.ndarray]], Pair | Weighted]  # parts of the images -> as a source returns them
    least: Size  # of a sample

    def __enter__(self) -> OpenPair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for image in self.images:
            image.close()

    @property
    def size(self) -> Size:
        return Size(*self.images[0].shape[:2])

    @property
    def decoded_bytes(self) -> int:
        """Returns the memory that the decoded pair would take."""
        return sum(int(np.prod(image.shape)) * image.dtype.itemsize for image in self.images)

    def read(self, window: Window) -> Pair | Weighted:
        """Reads a rectangle of the pair, with the weights of its pixels if it has any.

        Raises:
            UserError: a part of it is damaged, or cannot be trained on.
        """
        return self.checked([image[window.slices] for image in self.images])

    def middle(self, size: Size) -> Pair | Weighted:
        """Reads the rectangle of `size` in the middle of the pair, as `transforms.center_crop` takes it."""
        return self.read(middle(self.size, size))

    def sample(self) -> Pair | Weighted:
        """Reads the middle of the pair, up to `SAMPLE_PX` high and wide and not less than `least`."""
        sides = (min(length, max(SAMPLE_PX, side)) for length, side in zip(self.size, self.least, strict=True))
        return self.middle(Size(*sides))


class PairOpener:
    """Opens the pairs of a source that are too large to be kept in memory.

    Args:
        config: configuration of the source.
        count: number of its pairs.
        checked: turns parts of the images of a pair and its files into what the source returns.
    """

    def __init__(
        self, config: DataConfig, count: int, checked: Callable[[Sequence[np.ndarray], Sequence[Path]], Pair | Weighted]
    ) -> None:
        self.config, self.checked = config, checked
        self.kept_bytes = config.cache_mb * 2**20 / max(count, 1)  # of a pair, if all are alike
        self._whole: set[Sequence[Path]] = set()  # pairs that are read whole
        self._largest: dict[Path, int] = {}  # values of images of weights

    def __call__(self, paths: tuple[Path, ...], scalars: Sequence[Scalar] = ()) -> OpenPair | None:
        """Opens the pair in files of the input, of the target and perhaps of the weights, or in one file with input and
        target side by side. Returns None if it is read whole: it is small, its crops depend on the rest, or it has
        faults that are found by reading all of it.

        `scalars`: the numbers of the input.

        Raises:
            UserError: a file is damaged, or a scalar lies outside its range.
        """
        if self.config.fit != "crop" or paths in self._whole:
            return None
        if not all(isinstance(path, Path) for path in paths):  # slices of volumes
            return None
        images: list[Readable] = []
        try:
            if len(paths) == 1:
                images += self._open_halves(paths[0])
            else:
                inputs, targets, weights = divided(paths, self.config)
                images.append(self._open_side(inputs, 0, scalars))
                images.append(self._open_side(targets, 1))
                images += [self._open_weights(path) for path in weights]
            pair = OpenPair(images, lambda parts: self.checked(parts, paths), self.config.size_px)
            size, least = pair.size, pair.least
            is_whole = any(image.shape[:2] != tuple(size) for image in images)
            if is_whole or size.height < least.height or size.width < least.width:
                raise NotByRegion("does not fit, for which reading all of it gives the reason")
            if pair.decoded_bytes <= self.kept_bytes:
                raise NotByRegion("is kept in memory")
        except BaseException as error:
            for image in images:
                image.close()
            if not isinstance(error, NotByRegion):
                raise
            self._whole.add(paths)
            return None
        return pair

    def _open_side(self, paths: Sequence[Path], side: int, scalars: Sequence[Scalar] = ()) -> Readable:
        """Opens the input (`side` 0) or the target (1) of a pair."""
        if side == 0 and self.config.inputs:
            return open_inputs(paths, scalars, self.config)
        if side == 1 and self.config.targets:
            return open_targets(paths, self.config)
        return open_side(paths[0], side, self.config)

    def _open_halves(self, path: Path) -> list[Half]:
        """Opens a combined image as its input and its target."""
        image, axis = open_regions(path), AXES[self.config.input_side]
        if any(self.config.classes) or image.shape[axis] % 2:
            image.close()
            raise NotByRegion("has label maps, which are read by all of their values, or halves of two sizes")
        is_first = self.config.input_side in ("left", "top")
        return [Half(image, axis, is_first), Half(image, axis, not is_first)]

    def _open_weights(self, path: Path) -> Readable:
        """Opens an image of weights. Parts of integers become float32 in [0, 1], as `weights.read_weight` does."""
        image = open_regions(path, "indices")
        if image.shape[-1] != 1:
            image.close()
            raise NotByRegion("has weights in several channels, which are compared")
        if image.dtype.kind != "u":
            return image
        if path not in self._largest:
            self._largest[path] = _largest(image)
        most = np.float32(1 if self._largest[path] <= 1 else np.iinfo(image.dtype).max)
        return Mapped(image, lambda part: part.astype(np.float32) / most, 1)


def divided(files: Sequence[File], config: DataConfig) -> tuple[Sequence[File], Sequence[File], Sequence[File]]:
    """Divides the files, or slices, of a pair into those of the input, of the target and of the weights."""
    inputs = sum(part.row.in_files for part in config.inputs or ()) or 1
    targets = inputs + len(config.targets or (None,))
    return files[:inputs], files[inputs:targets], files[targets:]


def _largest(image: Readable) -> int:
    """Returns the largest value of an image, or one above 1, which says as much."""
    largest = 0
    for top in range(0, image.shape[0], ROWS_AT_A_TIME):
        largest = max(largest, int(image[top : top + ROWS_AT_A_TIME, :].max()))
        if largest > 1:
            break
    return largest
