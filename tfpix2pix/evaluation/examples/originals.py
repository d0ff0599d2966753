"""Holds what the files of an example say beside the values of their pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pixel_sizes import PixelMm, pixel_mm
from tfpix2pix.data.settings import DataConfig


class Original(NamedTuple):
    """Holds the types of input and target as files hold them, height and width of the target, px, and the size of its
    pixels, mm, if the files say it."""

    dtypes: tuple[np.dtype, np.dtype]
    shape: tuple[int, int]
    pixel_mm: PixelMm | None

    @classmethod
    def of(cls, source: Source, index: int) -> Original:
        """Reads it from the files of a pair. If the target does not say the size of its pixels, the input may."""
        image, target = source.sample(index)[:2]
        places = [source.slices(index)] if source.is_slice(index) else list(reversed(source.files(index)))
        sizes = (pixel_mm(place) for place in places)
        return cls((image.dtype, target.dtype), target.shape[:2], next(filter(None, sizes), None))

    def pixel_mm_at(self, height: int, width: int, data: DataConfig) -> PixelMm | None:
        """Returns width and height in mm of a pixel of the image that was brought to this size by `data.fit`."""
        if self.pixel_mm is None or data.fit == "crop":
            return self.pixel_mm
        across, down = width / self.shape[1], height / self.shape[0]  # times as large as the file
        if data.fit == "resize_crop":
            across = down = max(across, down)
        if data.fit == "pad":
            across = down = min(across, down)
        return self.pixel_mm[0] / across, self.pixel_mm[1] / down
