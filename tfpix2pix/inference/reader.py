"""Reads inputs as a model takes them, and notes what a user may not expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from threading import Lock

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import enlarged
from tfpix2pix.data.ranges import full_range, in_range
from tfpix2pix.data.regions import Mapped, Regions
from tfpix2pix.errors import UserError
from tfpix2pix.inference.clipping import Clipped
from tfpix2pix.inference.items import IN_TILES, INPUT, MOST, Input
from tfpix2pix.inference.large import Holes, may_be_read_by_region, opened_if_large
from tfpix2pix.inference.scaling import BROUGHT, KEEP, Scaling, is_of_another_scale, off_scale
from tfpix2pix.inference.tiling import Readable
from tfpix2pix.memory import fitting_in_memory


class Reader:
    """Reads inputs as a model takes them, from any number of threads.

    Attributes:
        notes: number of images by note of `notes_on`.
        clipped: the values that were clipped.
        sizes: height and width of the images before they were brought to another scale, by name.
        holes: where images have no data; None: it is not known which value says so.
        side_px: side of tiles, if large images are read by region; None: all are read whole.
        may_be_by_region: whether they would be, if they were translated in tiles to TIFF files.
    """

    def __init__(self, card: ModelCard, enlarge: int = 1, size: str | int | None = None) -> None:
        self.card, self.enlarge, self.scaling = card, enlarge, Scaling(card, size)
        self.notes: Counter[str] = Counter()
        self.clipped = Clipped(card.config.data)
        self.sizes: dict[str, tuple[int, int]] = {}
        self.holes = Holes.of(card.config.data)
        self.side_px: int | None = None
        self.may_be_by_region = False
        self._noting = Lock()

    def __call__(self, item: Input) -> np.ndarray | Mapped:
        """Returns the image of an input, (H, W, C), or a large one to be read by region.

        Raises:
            UserError: it is unreadable, has values out of range, or does not fit in memory.
        """
        data = self.card.config.data
        if self.side_px and item.open:
            image = opened_if_large(item.open, self.side_px, data.max_megapixels, MOST)
            if image is not None:
                return self._by_region(image, item.name)
        with fitting_in_memory(item.name, IN_TILES):
            image = self._whole(item)
            if self.holes:
                image = self.holes.filled(image, item.name)
            of_file = image
            if self.enlarge > 1:
                image = enlarged(image, self.enlarge, data.numbers[INPUT])
            file, image = image, self.scaling.brought(image)
        if image is file:
            notes = notes_on(image, self.card)
        else:
            self.sizes[item.name] = file.shape[:2]
            chosen = self.scaling.chooses
            notes = notes_on(file if chosen else image, self.card, f"{BROUGHT} {KEEP}" if chosen else "")
        fitting = self._in_range(image, item.name)
        self._note(notes)
        if self.clipped.may_be:
            self.clipped.add(item.volume or item.name, self._stored(item, of_file))
        return fitting

    def _stored(self, item: Input, read: np.ndarray) -> np.ndarray | Sequence[np.ndarray | float]:
        """Returns an image, or the parts of an input, before values are clipped. `read` is what `item.read` returned,
        with black in its holes."""
        if item.stored is None:
            return read
        stored = item.stored()
        return self.holes.black(stored, item.name) if self.holes else stored

    def _whole(self, item: Input) -> np.ndarray:
        """Reads an image whole. If it has too many pixels, and may be read by region, the error says how."""
        try:
            return item.read()
        except UserError as error:
            if not (error.kind == "large" and self.may_be_by_region and item.open and may_be_read_by_region(item.open)):
                raise
            advice = "To translate it in parts, whatever its size, set `tile_px` to 512 and `format` to tiff."
            raise UserError(f"{error} {advice}", error.kind) from error

    def _by_region(self, image: Regions | Mapped, name: str) -> Mapped:
        """Returns a large image whose values are in the model's range."""
        self._note(notes_on_size(image, self.card))
        filled = self.holes.filled_by_region(image, name) if self.holes else image
        fit = partial(self._in_range, name=name)
        if self.clipped.may_be:
            return self.clipped.counting(filled, fit, name)
        return Mapped(filled, fit, image.shape[-1])

    def _in_range(self, image: np.ndarray, name: str) -> np.ndarray:
        data = self.card.config.data
        if data.input_classes:
            return image
        return in_range(image, data.ranges[INPUT], "data.input_range", name, clip=data.clips[INPUT])

    def _note(self, notes: Sequence[str]) -> None:
        with self._noting:
            self.notes.update(notes)


def looks_like_a_pair(image: Readable, card: ModelCard) -> bool:
    """Returns True if an image has the shape of a whole pair of the model's data: two halves of the training shape."""
    data, (height, width) = card.config.data, image.shape[:2]
    if data.source != "combined":
        return False
    (tall, wide), beside = data.size_px, data.input_side in ("left", "right")
    return width * tall == 2 * height * wide if beside else 2 * width * tall == height * wide


def notes_on(image: np.ndarray, card: ModelCard, brought: str = "") -> list[str]:
    """Returns notes for a user about an image that may be translated in an unexpected way.

    `brought` ends the sentence about its scale if it was brought to that of the training images.
    """
    notes, channels = notes_on_size(image, card, brought), card.config.data.input_channels
    if image.shape[-1] in (2, 4) and channels in (1, 3) and image[..., -1].min() < full_range(image.dtype)[1]:
        notes.append("have transparent parts, which the model does not see. Their colours were translated.")
    return notes


def notes_on_size(image: Readable, card: ModelCard, brought: str = "") -> list[str]:
    """Returns the notes about an image (H, W, C) that follow from its shape. `brought`: as for `notes_on`."""
    notes, size, (height, width) = [], card.static_size_px, image.shape[:2]
    if looks_like_a_pair(image, card):
        notes.append(
            "have the shape of a whole pair, input and target in one, and were translated whole. `split` (and "
            "`data`) translates the inputs of pairs."
        )
    if brought:
        notes.append(f"{off_scale(card)} {brought}")
    elif not size and is_of_another_scale(height, width, card):
        notes.append(
            f"{off_scale(card)} so the network does less well than its metrics say. `size` training with `resize_back` "
            f"brings them to that scale and back."
        )
    elif size and (height, width) != size:
        notes.append(
            f"differ from the model's fixed {size.height}x{size.width} px and were reflected to it or cut into tiles, "
            f"which can change their colours much. `size` training with `resize_back` brings them to that size and "
            f"back."
        )
    return notes
