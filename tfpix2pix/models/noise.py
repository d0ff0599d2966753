"""Builds the generator's noise z: a second input of values uniform in [0, 1), so that one vector gives one image.

`dropout` (paper §3.1): a unit is dropped if its value is below the rate. `gaussian` (the earlier work that the paper
compares with): the Box-Muller transform turns the values into a channel of N(0, 1) beside the image. `modulation`: a
few such normals scale and shift every map (`modulation.py`). The value `NO_NOISE` switches any of them off. Only
comparisons and elementary functions are used, which TF Serving and TFLite compute in the same way.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfpix2pix.size import Size, SizePx

NO_NOISE = 1.0  # cannot be drawn from [0, 1): the unit is neither dropped nor scaled
DIMENSIONS = 8  # of the style of `modulation`
SMALLEST = 2.0**-24  # keeps the logarithm finite; no draw is nearer to 1

Shape = tuple[int, int, int]  # height, width, channels


def normals_of(values: tf.Tensor, count: int) -> tf.Tensor:
    """Returns N(0, 1), independent, of `values` (N, count) uniform in [0, 1), and 0 for `NO_NOISE`. `count` is even.

    Source: Box and Muller 1958, "A note on the generation of random normal deviates".
    """
    half = count // 2  # one half are radii, the other angles
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(1.0 - values[:, :half], SMALLEST)))
    angle = (2.0 * math.pi) * values[:, half:]
    normal = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=-1)
    return tf.where(values >= NO_NOISE, tf.cast(0.0, normal.dtype), normal)


class _FromNoise(layers.Layer):
    """Reads `height * width * channels` values of the noise vector, from `offset`."""

    def __init__(self, offset: int, shape: Shape, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # in 16 bits, noise just below 1 would round to `NO_NOISE`
        self.offset, self.shape = offset, tuple(shape)

    def values(self, noise: tf.Tensor) -> tf.Tensor:
        return noise[:, self.offset : self.offset + math.prod(self.shape)]

    def over(self, values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Reshapes `values` (N, product of the shape) to a map of x's size, and repeats it if x is larger."""
        height, width, _ = self.shape
        values = tf.reshape(values, (-1, *self.shape))
        if tuple(x.shape[1:3]) != (height, width):
            values = tf.gather(values, tf.range(tf.shape(x)[1]) % height, axis=1)
            values = tf.gather(values, tf.range(tf.shape(x)[2]) % width, axis=2)
        return values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "offset": self.offset, "shape": self.shape}


@keras.saving.register_keras_serializable("tfpix2pix")
class NoiseDropout(_FromNoise):
    """Drops units with a noise value below `rate`, and scales the others by 1/(1-rate)."""

    def __init__(self, rate: float, offset: int, shape: Shape, **kwargs: Any) -> None:
        super().__init__(offset, shape, **kwargs)
        self.rate = rate

    def call(self, x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        values = self.values(noise)
        factors = tf.where(values >= self.rate, 1.0 / (1.0 - self.rate), 0.0)
        factors = tf.where(values >= NO_NOISE, 1.0, factors)
        return x * self.over(tf.cast(factors, x.dtype), x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("tfpix2pix")
class GaussianChannel(_FromNoise):
    """Adds a channel to `x` (N, H, W, C): N(0, 1) made from the noise, 0 if the noise is `NO_NOISE` or None."""

    def call(self, x: tf.Tensor, noise: tf.Tensor | None = None) -> tf.Tensor:
        if noise is None:
            return tf.concat([x, tf.zeros_like(x[..., :1])], axis=-1)
        z = self.over(normals_of(self.values(noise), math.prod(self.shape)), x)
        return tf.concat([x, tf.cast(z, x.dtype)], axis=-1)

    def compute_output_shape(self, x_shape: tuple, noise_shape: tuple | None = None) -> tuple:
        return (*x_shape[:3], x_shape[3] + 1)


class Noise:
    """Builds the noise input of one generator, and the layers that read their parts of the vector in turn.

    Subclasses define the parts of the vector. This class has no parts, no input and no layers.

    Args:
        rate: fraction of units that dropout drops; 0 drops none.
        dropped: shapes of the maps with dropout, in the order of the calls of `drop`.
        size_px: height and width of the padded training image, one number if they are equal.
        has_input: True for a noise input; False builds the same network with the noise off.
        dimensions: number of normals of `modulation`.
        seed: seed of the initial weights; None leaves them zero.
    """

    def __init__(
        self,
        rate: float,
        dropped: list[Shape],
        size_px: SizePx,
        *,
        has_input: bool,
        dimensions: int = DIMENSIONS,
        seed: int | None = 0,
    ) -> None:
        self.rate, self.dimensions, self.seed = rate, dimensions, seed
        self._shapes, self._offset = self.parts(dropped, size_px), 0
        size = sum(map(math.prod, self._shapes))
        self.input = layers.Input((size,), name="noise") if has_input and size else None

    def parts(self, dropped: list[Shape], size_px: SizePx) -> list[Shape]:
        """Returns the shapes of the parts of the vector."""
        return []

    def beside(self, x: Any) -> Any:
        """Returns the image with the channels that the noise adds."""
        return x

    def before_conv(self, x: Any, name: str) -> Any:
        """Returns the map that a convolution without a norm gets, with the channels that the noise adds."""
        return x

    def after_norm(self, x: Any, name: str) -> Any:
        """Returns the map that the norm after a convolution gave, changed by the noise."""
        return x

    def drop(self, x: Any, name: str) -> Any:
        """Returns a map of the decoder without the units that the noise drops."""
        return x

    def inputs(self, image: Any) -> Any:
        """Returns the inputs of the model."""
        return image if self.input is None else [image, self.input]


class NoiseByDropout(Noise):
    """Drops units in the decoder."""

    def parts(self, dropped: list[Shape], size_px: SizePx) -> list[Shape]:
        return list(dropped) if self.rate else []

    def drop(self, x: Any, name: str) -> Any:
        if self.input is None:
            return x
        shape, offset = self._shapes.pop(0), self._offset
        self._offset += math.prod(shape)
        return NoiseDropout(self.rate, offset, shape, name=name)(x, self.input)


class NoiseByChannel(Noise):
    """Adds a Gaussian channel to the image."""

    def parts(self, dropped: list[Shape], size_px: SizePx) -> list[Shape]:
        return [(*Size.of(size_px), 1)]

    def beside(self, x: Any) -> Any:
        return GaussianChannel(0, self._shapes[0], name="z")(x, *([] if self.input is None else [self.input]))


def no_noise(count: int | tf.Tensor, size: int, dtype: Any = "float32") -> np.ndarray | tf.Tensor:
    """Returns `count` noise vectors that switch the noise off, (count, size): a tensor if `count` is a tensor."""
    if tf.is_tensor(count):
        return tf.fill((count, size), tf.cast(NO_NOISE, dtype))
    return np.full((count, size), NO_NOISE, dtype)


def noise_size(generator: keras.Model) -> int:
    """Returns the number of noise values for one image, 0 for a generator without a noise input."""
    return generator.inputs[1].shape[-1] if len(generator.inputs) == 2 else 0
