"""Pads images of any size by reflection to the network's size multiple, in the graph, and crops translations back."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.data.images import reflected_indices
from tfpix2pix.models.sizes import padded_px


class _ToMultiple(layers.Layer):
    """Holds the size multiple of a layer."""

    def __init__(self, multiple_px: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple_px = multiple_px

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple_px": self.multiple_px}


@keras.saving.register_keras_serializable("tfpix2pix")
class PadToMultiple(_ToMultiple):
    """Pads (N, H, W, C) by reflection, centred, to the next multiples of `multiple_px` in height and width."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        for axis in (1, 2):
            if x.shape[axis] is None:
                length = tf.shape(x)[axis]
                total = padded_px(length, self.multiple_px)
                indices = reflected_indices(length, total, tf.range, tf.minimum, tf.maximum)
            else:
                indices = reflected_indices(x.shape[axis], padded_px(x.shape[axis], self.multiple_px))
            x = tf.gather(x, indices, axis=axis)
        return x

    def compute_output_shape(self, shape: tuple) -> tuple:
        sides = (None if side is None else padded_px(side, self.multiple_px) for side in shape[1:3])
        return (shape[0], *sides, shape[3])


@keras.saving.register_keras_serializable("tfpix2pix")
class CropBack(_ToMultiple):
    """Takes `(padded, image)` and crops `padded` to the part where `PadToMultiple` had `image`."""

    def call(self, padded: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        for axis in (1, 2):
            length = image.shape[axis] or tf.shape(image)[axis]
            before = (padded_px(length, self.multiple_px) - length) // 2
            padded = padded[:, before : before + length] if axis == 1 else padded[:, :, before : before + length]
        return padded

    def compute_output_shape(self, padded_shape: tuple, image_shape: tuple) -> tuple:
        return (*image_shape[:3], padded_shape[3])


def pad(image: Any, multiple_px: int) -> Any:
    """Pads `image` to a size that the network takes, or returns it if its fixed size is such a size already."""
    needed = any(side is None or side % multiple_px for side in image.shape[1:3])
    return PadToMultiple(multiple_px, name="pad")(image) if needed else image


def crop_back(translation: Any, image: Any, multiple_px: int) -> Any:
    """Crops the padding of `image` off `translation`."""
    needed = any(side is None or side % multiple_px for side in image.shape[1:3])
    return CropBack(multiple_px, name="crop")(translation, image) if needed else translation
