"""Builds the encoder that finds the style of a target.

The encoder is that of BicycleGAN (Zhu et al., "Toward multimodal image-to-image translation", NeurIPS 2017, §3):
it sees the target alone and answers with a normal distribution of the style z.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfpix2pix.models.blocks import LEAKY_SLOPE, MAX_FILTERS_FACTOR, Blocks, initializer
from tfpix2pix.models.noise import DIMENSIONS, SMALLEST
from tfpix2pix.models.sizes import input_sides
from tfpix2pix.size import Size, SizePx

LEAST_PX = 4  # of the maps, down to which convolutions halve them
LARGEST_MEAN = 4.0  # standard deviations of the prior; beyond them, the generator would get styles that no noise draws
LOG_VARIANCES = (-8.0, 4.0)


@keras.saving.register_keras_serializable("tfpix2pix")
class Bounded(layers.Layer):
    """Keeps means within `LARGEST_MEAN`, smoothly, and logarithms of variances within `LOG_VARIANCES`.

    Takes and returns (N, 2 · dimensions), the means first.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        mean, log_variance = tf.split(values, 2, axis=-1)
        mean = LARGEST_MEAN * tf.tanh(mean / LARGEST_MEAN)
        return tf.concat([mean, tf.clip_by_value(log_variance, *LOG_VARIANCES)], axis=-1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape


def build_style_encoder(
    image_size_px: SizePx = 256,
    *,
    target_channels: int = 3,
    dimensions: int = DIMENSIONS,
    base_filters: int = 64,
    max_filters_factor: int = MAX_FILTERS_FACTOR,
    leaky_slope: float = LEAKY_SLOPE,
    seed: int | None = 0,
) -> keras.Model:
    """Builds E(y): 4×4 convolutions that halve the target down to 4 px, the mean over pixels, and a dense layer.

    It has no norms, which would hide a colour that fills an image. Filters double from layer to layer.

    Args:
        image_size_px: side of the targets, or height and width.
        dimensions: numbers of a style.
        max_filters_factor: largest number of filters of a layer, as a multiple of `base_filters`.

    Returns:
        A model of the target, float32 (N, H, W, C) in [-1, 1]; output float32 (N, 2 · dimensions), the means of the
        style and the logarithms of its variances. Source: BicycleGAN, §3.1, eq. 4.
    """
    blocks = Blocks(seed, "none")
    target = layers.Input((*input_sides(None, image_size_px), target_channels), name="target")
    halvings = max(1, int(math.log2(min(Size.of(image_size_px)) / LEAST_PX)))
    x = target
    for index in range(halvings):
        filters = base_filters * min(2**index, max_filters_factor)
        x = blocks.conv(x, filters, f"encode{index + 1}", stride=2)
        x = layers.LeakyReLU(leaky_slope, name=f"encode{index + 1}_act")(x)
    x = layers.GlobalAveragePooling2D(name="mean_of_pixels", dtype="float32")(x)
    x = layers.Dense(2 * dimensions, kernel_initializer=initializer(seed, "style"), name="style", dtype="float32")(x)
    return keras.Model(target, Bounded(name="bounded")(x), name="style_encoder")


def noise_of(style: np.ndarray) -> np.ndarray:
    """Returns the noise in [0, 1) of which `models.noise.normals_of` makes these styles, both float32 (N, dimensions).

    It inverts the Box-Muller transform in float64. Styles longer than 5.7 in a pair of numbers are shortened to it.
    """
    x, y = np.split(np.asarray(style, np.float64), 2, axis=-1)
    left = np.maximum(np.exp(-0.5 * (np.square(x) + np.square(y))), SMALLEST)  # 1 - u of the radius
    turns = np.arctan2(y, x) / (2 * np.pi) % 1.0
    below_one = np.nextafter(np.float32(1), np.float32(0))
    return np.minimum(np.concatenate([1.0 - left, turns], axis=-1).astype(np.float32), below_one)
