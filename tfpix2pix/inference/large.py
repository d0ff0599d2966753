"""Translates images larger than memory: they are read by region, translated in tiles, and written as rows come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tfpix2pix.data.planes import NotByRegion
from tfpix2pix.data.ranges import Range
from tfpix2pix.data.regions import Mapped, Regions
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.tiff_metadata import fits
from tfpix2pix.data.weight_settings import Nodata
from tfpix2pix.data.weights import blackened, without_data
from tfpix2pix.errors import UserError
from tfpix2pix.inference.batching import ImageTranslator

LARGE_MEGAPIXELS = (
    8  # of an image that is read by region; below, an image and its maps take less than TensorFlow itself
)


@dataclass(frozen=True)
class Bands:
    """Holds a translation (H, W, C) that is still to be computed."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    rows: Iterator[np.ndarray]  # (h, W, C) from the top, each to be used before the next is taken


class Holes:
    """Remembers where inputs have no data (`data.weight` with `nodata`), so that their translations have none there.

    Args:
        setting: the value that stands for no data.
        value_range: range of the inputs, of which such pixels get the value for black before they are translated.
    """

    def __init__(self, setting: Nodata, value_range: Range | None) -> None:
        self.setting, self.value_range, self.value = setting, value_range, setting.nodata
        self._where: dict[str, np.ndarray | Regions | Mapped] = {}

    @classmethod
    def of(cls, data: DataConfig) -> Holes | None:
        """Returns the holes of a model's inputs, None if a value for no data is not known, or not of its inputs."""
        known = isinstance(data.weight, Nodata) and data.input_classes is None and not data.inputs
        return cls(data.weight, data.ranges[0]) if known else None

    def filled(self, image: np.ndarray, name: str) -> np.ndarray:
        """Returns an image (H, W, C) with black in its holes, and remembers them by the name of the input."""
        lacks = without_data(image, self.setting)
        if lacks.any():
            self._where[name] = lacks
        return blackened(image, lacks, self.value_range, name)

    def black(self, image: np.ndarray, name: str) -> np.ndarray:
        """Returns an image (H, W, C) with black in its holes, which are not remembered."""
        return blackened(image, without_data(image, self.setting), self.value_range, name)

    def filled_by_region(self, image: Regions | Mapped, name: str) -> Mapped:
        """Returns an image that is read by region with black in its holes."""
        self._where[name] = image
        return Mapped(image, partial(self.black, name=name), image.shape[-1])

    def marked(self, translation: np.ndarray | Bands, name: str) -> np.ndarray | Bands:
        """Returns a translation with the value for no data in the holes of its input, if it has the size of the input
        and its type holds the value."""
        where = self._where.get(name)
        if where is None or where.shape[:2] != translation.shape[:2] or not fits(self.value, translation.dtype):
            return translation
        if isinstance(translation, Bands):
            return replace(translation, rows=self._marked_rows(translation.rows, where))
        translation = translation.copy()
        translation[where] = self.value
        return translation

    def forget(self, name: str) -> None:
        """Forgets the holes of an input whose translations are written."""
        self._where.pop(name, None)

    def _marked_rows(self, rows: Iterator[np.ndarray], image: Regions | Mapped) -> Iterator[np.ndarray]:
        top = 0
        for band in rows:
            band = band.copy()
            band[without_data(image[top : top + len(band), :], self.setting)] = self.value
            top += len(band)
            yield band


def opened_if_large(
    open_: Callable[[], Regions | Mapped], side_px: int, most_megapixels: float, key: str
) -> Regions | Mapped | None:
    """Opens an image to be translated by region. Returns None if it is read whole: it is small, or of another format.

    Args:
        open_: opens the file.
        side_px: side of the tiles.
        most_megapixels: most pixels of a row of tiles, millions, which memory holds.
        key: names `most_megapixels` in messages.

    Raises:
        UserError: the file is damaged, or a row of tiles has too many pixels.
    """
    with suppress(NotByRegion):
        image = open_()
        height, width = image.shape[:2]
        if height * width <= LARGE_MEGAPIXELS * 1e6:
            image.close()
            return None
        if (across := width * min(side_px, height)) > most_megapixels * 1e6:
            image.close()
            raise UserError(
                f"A row of tiles must have at most `{key}` megapixels, {most_megapixels:g} here. Received "
                f"{image.path}, whose rows have {width}x{min(side_px, height)} px. Set `{key}` to "
                f"{-(-across // 1_000_000)}, or choose smaller tiles."
            )
        return image
    return None


def may_be_read_by_region(open_: Callable[[], Regions | Mapped]) -> bool:
    """Returns True if a file can be read by region."""
    try:
        open_().close()
    except (NotByRegion, UserError):
        return False
    return True


def bands_of(
    translator: ImageTranslator, image: Regions | Mapped, vectors: Sequence[np.ndarray | None], where: object,
    **tiles: int | None,
) -> Iterator[Bands]:  # fmt: skip
    """Yields a translation of an image for every noise vector, and closes the image after the last.

    `tiles`: `tile_px` and `overlap_px` of `translate_bands`.
    """
    shape = (*image.shape[:2], translator.card.config.data.target_channels)
    try:
        for vector in vectors:
            rows = translator.translate_bands(image, vector, where, **tiles)
            yield Bands(shape, np.dtype(translator.card.target_dtype), rows)
    finally:
        image.close()
