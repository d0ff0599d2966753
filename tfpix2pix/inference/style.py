"""Finds the style of an image by a run's encoder, as the noise that the run and its exports take."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.data.images import match_channels, resized_channels
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.inference.items import TARGET
from tfpix2pix.models.encoder import noise_of


def style_finder(encoder: keras.Model, data: DataConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from an image like the targets to the noise of its style.

    The image is (H, W, C) as target files hold it, uint8, uint16 or float32 in `data.target_range`, of any size. It is
    resized to the size of the training. The noise is float32 (1, noise_size) in [0, 1).
    """
    encode = tf.function(lambda target: encoder(data.encoding.encode_target(target), training=False))

    def style_of(image: np.ndarray) -> np.ndarray:
        image = match_channels(image, data.target_channels, "the image of a style")
        image = resized_channels(image, data.size_px[::-1], data.numbers[TARGET])
        encoding = encode(tf.constant(to_signed(image, data.ranges[TARGET])[np.newaxis]))
        return noise_of(np.split(encoding.numpy(), 2, axis=-1)[0])

    return style_of
