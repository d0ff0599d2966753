"""Builds the noise `modulation`: a style z of a few normals that scales and shifts every normalised map.

A z that is the same at every pixel, beside the input of a convolution, adds one number to each channel of the result.
A norm by the image's own statistics subtracts that number again: away from the borders nearly nothing of z is left
(tests/models/test_modulation.py). So z enters after the norms, as in Perez et al., "FiLM: visual reasoning with a
general conditioning layer", AAAI 2018, and beside the input only of convolutions that have no norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.models.blocks import initializer
from tfpix2pix.models.noise import Noise, Shape, normals_of
from tfpix2pix.size import SizePx

_AS_STYLES: ContextVar[bool] = ContextVar("as_styles", default=False)


@contextmanager
def noise_as_styles() -> Iterator[None]:
    """Lets generators in the block take styles, float32 (N, d), in place of the noise that styles are made from."""
    token = _AS_STYLES.set(True)
    try:
        yield
    finally:
        _AS_STYLES.reset(token)


@keras.saving.register_keras_serializable("tfpix2pix")
class Normals(layers.Layer):
    """Turns noise (N, d), uniform in [0, 1), into N(0, 1), and `NO_NOISE` into the mean style, 0. d is even.

    In a block of `noise_as_styles` it returns what it gets.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # in 16 bits, noise just below 1 would round to `NO_NOISE`

    def call(self, noise: tf.Tensor) -> tf.Tensor:
        return noise if _AS_STYLES.get() else normals_of(noise, noise.shape[-1])

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape


@keras.saving.register_keras_serializable("tfpix2pix")
class Modulation(layers.Layer):
    """Scales and shifts the channels of `x` (N, H, W, C) by linear functions of the style `z` (N, dimensions).

    Without a bias, the mean style changes nothing. Neither does no style at all, for which the weights are kept.
    """

    def __init__(self, dimensions: int, kernel_initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.dimensions = dimensions
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, x_shape: tuple, z_shape: tuple | None = None) -> None:
        self.kernel = self.add_weight(
            shape=(self.dimensions, 2 * x_shape[-1]), initializer=self.kernel_initializer, name="kernel"
        )

    def call(self, x: tf.Tensor, z: tf.Tensor | None = None) -> tf.Tensor:
        if z is None:
            return x
        scale, offset = tf.split(tf.matmul(z, tf.cast(self.kernel, z.dtype)), 2, axis=-1)
        factor, offset = (tf.cast(values, x.dtype)[:, tf.newaxis, tf.newaxis] for values in (1.0 + scale, offset))
        return x * factor + offset

    def compute_output_shape(self, x_shape: tuple, z_shape: tuple | None = None) -> tuple:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        kernel_initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "dimensions": self.dimensions, "kernel_initializer": kernel_initializer}


@keras.saving.register_keras_serializable("tfpix2pix")
class StyleChannels(layers.Layer):
    """Adds the style `z` (N, dimensions) to `x` (N, H, W, C) as channels that are the same everywhere, 0 without z."""

    def __init__(self, dimensions: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.dimensions = dimensions

    def call(self, x: tf.Tensor, z: tf.Tensor | None = None) -> tf.Tensor:
        if z is None:
            return tf.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.dimensions)))
        channels = tf.zeros_like(x[..., :1]) + tf.cast(z, x.dtype)[:, tf.newaxis, tf.newaxis]
        return tf.concat([x, channels], axis=-1)

    def compute_output_shape(self, x_shape: tuple, z_shape: tuple | None = None) -> tuple:
        return (*x_shape[:3], x_shape[3] + self.dimensions)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dimensions": self.dimensions}


@keras.saving.register_keras_serializable("tfpix2pix")
class Copy(layers.Layer):
    """Returns its input as another tensor, so that gradients of several uses are summed in pairs (models/norms.py)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.identity(x)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape


class NoiseByModulation(Noise):
    """Modulates maps after norms, and stands beside the input of convolutions without a norm."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._z = () if self.input is None else (Normals(name="z")(self.input),)

    def parts(self, dropped: list[Shape], size_px: SizePx) -> list[Shape]:
        if self.dimensions < 2 or self.dimensions % 2:
            raise ValueError(
                f"`noise_dimensions` must be an even number of 2 or more. Received {self.dimensions}. "
                f"Use {max(2, self.dimensions + 1)}."
            )
        return [(1, 1, self.dimensions)]

    def before_conv(self, x: Any, name: str) -> Any:
        return StyleChannels(self.dimensions, name=f"{name}_z")(x, *self._style(name))

    def after_norm(self, x: Any, name: str) -> Any:
        name = f"{name}_style"
        return Modulation(self.dimensions, initializer(self.seed, name), name=name)(x, *self._style(name))

    def _style(self, name: str) -> tuple[Any, ...]:
        """Returns the style for one more layer, () without a noise input. The next layer gets a copy."""
        style = self._z
        self._z = tuple(Copy(name=f"{name}_z_copy")(z) for z in style)
        return style
