"""Brings inputs of any size to the scale at which a network saw its training images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfpix2pix.data import LARGEST_SIZE_PX
from tfpix2pix.data.images import resized_channels
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.size import Size

OWN, TRAINING = "own", "training"  # scales to translate at


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
    """Brings inputs to the scale at which the network saw them in training."""

    fit: str  # `data.fit`
    size: Size | None  # of the training images; None: files keep their scale
    numbers: tuple[bool, ...]  # for each channel of the inputs: it holds numbers of classes or instances

    @classmethod
    def of(cls, data: DataConfig, size: str | int) -> Scale:
        """Returns the scale of `size`, `own`, `training` or px, for inputs of a network that was trained on `data`.

        Raises:
            UserError: as `check_size_to_resize_to`.
        """
        check_size_to_resize_to(size)
        sides = None if size == OWN else data.size_px if size == TRAINING else Size.parse(size)
        return cls(data.fit, sides, data.numbers[0])

    def resized(self, image: np.ndarray) -> np.ndarray:
        """Resizes (H, W, C) as `data.fit` does in training, without cutting and padding."""
        if self.size is None or self.fit == "crop":  # which trains at the scale of the files
            return image
        height, width = image.shape[:2]
        size = self.size.width, self.size.height
        if self.fit != "resize":
            chosen = max if self.fit == "resize_crop" else min
            factor = chosen(self.size.height / height, self.size.width / width)
            size = round(width * factor), round(height * factor)
        return resized_channels(image, tuple(max(1, side) for side in size), self.numbers)


def times_as_large(height: int, width: int, fit: str, size: Size) -> float:
    """Returns how many times as large an image is as `size`, by the side that `data.fit` compares with it."""
    tall, wide = height / size.height, width / size.width
    return {"resize": math.sqrt(tall * wide), "resize_crop": min(tall, wide), "pad": max(tall, wide)}[fit]
