"""Takes scalars, channels of one value, out of a generator's input and modulates every normalised map by them.

A channel that has one value at every pixel adds one number to each channel of a convolution. A norm by the image's own
statistics subtracts it again (`modulation.py`). As scale and offset after the norms, a scalar reaches the output. It
stands beside the input only of convolutions that have no norm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.models.blocks import initializer
from tfpix2pix.models.modulation import Modulation, StyleChannels
from tfpix2pix.models.noise import Noise


class _OfChannels(layers.Layer):
    """Holds which channels of an image are scalars."""

    def __init__(self, channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # the mean of many 16-bit values would lose digits
        self.channels = tuple(channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}


@keras.saving.register_keras_serializable("tfpix2pix")
class ScalarMeans(_OfChannels):
    """Returns the means over height and width of those channels of `x` (N, H, W, C) that are scalars: (N, channels)."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
        taken = [x[..., channel : channel + 1] for channel in self.channels]
        return tf.reduce_mean(tf.concat(taken, axis=-1) if len(taken) > 1 else taken[0], (1, 2))

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], len(self.channels))

    def compute_output_spec(self, x: Any) -> keras.KerasTensor:
        dtype = "float64" if x.dtype == "float64" else "float32"
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype)


@keras.saving.register_keras_serializable("tfpix2pix")
class WithoutScalars(_OfChannels):
    """Returns the channels of `x` (N, H, W, C) that are not scalars, in their order."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        runs = self.runs(x.shape[-1])
        kept = [x[..., start:end] for start, end in runs]
        return tf.concat(kept, axis=-1) if len(kept) > 1 else kept[0]

    def runs(self, channels: int) -> list[tuple[int, int]]:
        """Returns first channel and end of each run of channels between scalars."""
        edges = pairwise([-1, *sorted(self.channels), channels])
        return [(edge + 1, end) for edge, end in edges if edge + 1 < end]

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (*shape[:3], shape[3] - len(self.channels))


class Scalars:
    """Takes scalars out of the input of one generator, and modulates its maps by them.

    Args:
        channels: channels of the input that are scalars; none: the generator is as it is without this class.
        seed: seed of the initial weights; None leaves them zero.
    """

    def __init__(self, channels: Sequence[int], seed: int | None) -> None:
        self.channels, self.seed = tuple(channels), seed
        self._values: Any = None

    def taken_from(self, x: Any) -> Any:
        """Returns `x` (N, H, W, C) without the scalars, whose means modulate from here on."""
        if not self.channels:
            return x
        self._values = ScalarMeans(self.channels, name="scalars")(x)
        return WithoutScalars(self.channels, name="without_scalars")(x)

    def before_conv(self, x: Any, name: str) -> Any:
        """Returns the map that a convolution without a norm gets, with the scalars beside it."""
        if not self.channels:
            return x
        return StyleChannels(len(self.channels), name=f"{name}_scalars")(x, self._values)

    def after(self, z: Noise) -> Callable[[Any, str], Any]:
        """Returns the function `after_norm` of `Blocks`: that of the noise, and a modulation by the scalars."""

        def after_norm(x: Any, name: str) -> Any:
            x = z.after_norm(x, name)
            if not self.channels:
                return x
            name = f"{name}_scalars"
            return Modulation(len(self.channels), initializer(self.seed, name), name=name)(x, self._values)

        return after_norm


def scalars_of(generator: keras.Model) -> list[Any]:
    """Returns the tensor of the scalars inside a generator, in a list, or an empty list if none modulate it."""
    return [layer.output for layer in generator.layers if isinstance(layer, ScalarMeans)]
