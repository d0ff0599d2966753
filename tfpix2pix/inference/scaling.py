"""Decides at which scale images are translated, brings them to it, and brings their translations back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import BICUBIC, NEAREST, resized
from tfpix2pix.data.scale import OWN, Scale, times_as_large
from tfpix2pix.size import Size

BROUGHT = "so they were resized to it, translated, and resized back."
KEEP = "`size` own keeps their own scale."
MOST_OFF = 1.5  # a smaller factor between the scales of an image and of the training images is ignored


class Scaling:
    """Brings images to the scale at which they are translated, and translations back to the sizes of the images.

    Args:
        card: card of the model.
        size: `own`: images keep their scale. `training`: that of the training images; or px, in place of their side.
            None: that of the training images for images of another scale, and their own for all others.

    Attributes:
        chooses: whether it depends on an image whether its scale changes.
    """

    def __init__(self, card: ModelCard, size: str | int | None = None) -> None:
        self.card, data = card, card.config.data
        self.chooses = size is None and data.fit != "crop"
        # A size as text is what `Scale` takes: 128, or 128x256.
        self.scale = Scale.of(data, str(trained_px(card)) if self.chooses else size or OWN, card.stretch)

    def brought(self, image: np.ndarray) -> np.ndarray:
        """Returns an image (H, W, C) at the scale at which it is translated, or as it is if it has this scale."""
        if self.chooses and not is_of_another_scale(*image.shape[:2], self.card):
            return image
        return self.scale.resized(image)

    def sentence(self, height: int, width: int) -> str:
        """Says that images of a size are brought to another scale, which nobody asked for. "": they are not."""
        if not (self.chooses and is_of_another_scale(height, width, self.card)):
            return ""
        return f"Images of {width}x{height} px {off_scale(self.card)} {BROUGHT} {KEEP}"

    def back(self, translation: np.ndarray, size: Sequence[int]) -> np.ndarray:
        """Returns a translation at the size of its image, (height, width). Class indices are not mixed."""
        numbers = self.card.config.data.numbers[1]
        if len(set(numbers)) == 1:
            return brought_back(translation, size, nearest=numbers[0])
        channels = [brought_back(translation[..., [at]], size, nearest=each) for at, each in enumerate(numbers)]
        return np.concatenate(channels, axis=-1)


def brought_back(image: np.ndarray, size: Sequence[int], *, nearest: bool) -> np.ndarray:
    """Resizes (H, W, C) to (height, width), bicubic unless `nearest`. Floats stay within the values of the image."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    result = resized(image, (width, height), NEAREST if nearest else BICUBIC)
    return result.clip(image.min(), image.max()) if image.dtype.kind == "f" else result


def off_scale(card: ModelCard) -> str:
    """Returns the beginning of a sentence about images of another scale."""
    return f"are of another scale than the training images, {trained_px(card)} px,"


def trained_px(card: ModelCard) -> Size:
    """Returns the size of the images that a model takes at the scale of its training: of the training images, or the
    size of a static export."""
    return card.static_size_px or card.config.data.size_px


def is_of_another_scale(height: int, width: int, card: ModelCard) -> bool:
    """Returns True if a network saw its training images at quite another scale than an image, or if a static export
    would cut the image into tiles. A network of crops saw its files' own scale."""
    data, size, fixed = card.config.data, trained_px(card), card.static_size_px
    if data.fit == "crop":
        return False
    if fixed and (height > fixed.height or width > fixed.width):
        return True
    return not 1 / MOST_OFF <= times_as_large(height, width, data.fit, size) <= data.jitter_ratio * MOST_OFF
