"""Brings inputs of any size to the scale at which a network saw its training images."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfpix2pix.data import LARGEST_SIZE_PX
from tfpix2pix.data.images import resized_channels
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.parallel import evenly_spread
from tfpix2pix.size import Size

if TYPE_CHECKING:
    from tfpix2pix.data.pairs import Source

OWN, TRAINING = "own", "training"  # scales to translate at
LOOKED_AT = 5  # pairs of which `stretch_of` is the median


def check_size_to_resize_to(size: str | int) -> None:
    """Raises UserError if `size` is neither `own`, `training` nor a size of sides up to `LARGEST_SIZE_PX`."""
    sides = Size.parse(size)
    if size not in (OWN, TRAINING) and not (sides and min(sides) >= 1 and max(sides) <= LARGEST_SIZE_PX):
        raise UserError(
            f"`size` must be {OWN}, {TRAINING} or a number of pixels up to {LARGEST_SIZE_PX}. Received {size!r}. "
            f"Give 256, say, or 256x512 (height x width)."
        )


@dataclass(frozen=True)
class Scale:
    """Brings inputs to the scale at which the network saw them in training. They keep their shapes, but for the stretch
    of the training images."""

    fit: str  # `data.fit`
    size: Size | None  # of the training images; None: files keep their scale
    numbers: tuple[bool, ...]  # for each channel of the inputs: it holds numbers of classes or instances
    stretch: float = 1.0  # of the training images, as `stretch_of`

    @classmethod
    def of(cls, data: DataConfig, size: str | int, stretch: float = 1.0) -> Scale:
        """Returns the scale of `size`, `own`, `training` or px, for inputs of a network that was trained on `data`.

        Args:
            stretch: that of the training images (`stretch_of`).

        Raises:
            UserError: as `check_size_to_resize_to`.
        """
        check_size_to_resize_to(size)
        sides = None if size == OWN else data.size_px if size == TRAINING else Size.parse(size)
        return cls(data.fit, sides, data.numbers[0], stretch)

    def resized(self, image: np.ndarray) -> np.ndarray:
        """Resizes (H, W, C) as `data.fit` does in training, without cutting and padding: as large as lies within the
        size, or for `resize_crop` as small as covers it. An image that has its size already is returned as it is."""
        if self.size is None or self.fit == "crop":  # which trains at the scale of the files
            return image
        height, width = image.shape[0] * self.stretch, image.shape[1]
        chosen = max if self.fit == "resize_crop" else min
        factor = chosen(self.size.height / height, self.size.width / width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        return image if size == image.shape[1::-1] else resized_channels(image, size, self.numbers)


def stretch_of(source: Source, data: DataConfig) -> float:
    """Returns how many times as much the inputs of pairs are stretched in height as in width on their way to the
    training size: the median of some pairs. It is 1 unless `data.fit` is `resize`."""
    if data.fit != "resize":
        return 1.0
    shapes = [source.sample(index)[0].shape for index in evenly_spread(len(source), LOOKED_AT)]
    (tall, wide) = data.size_px
    return statistics.median((tall * width) / (wide * height) for height, width, *_ in shapes)


def times_as_large(height: int, width: int, fit: str, size: Size) -> float:
    """Returns how many times as large an image is as `size`, by the side that `data.fit` compares with it."""
    tall, wide = height / size.height, width / size.width
    return {"resize": math.sqrt(tall * wide), "resize_crop": min(tall, wide), "pad": max(tall, wide)}[fit]
