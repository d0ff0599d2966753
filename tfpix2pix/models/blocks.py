"""What every network is made of: convolutions with the paper's initialisation, norms, dropout fed by explicit noise."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9  # keeps 9/10 of the old moving average, as the authors' Torch code does
LEAKY_SLOPE = 0.2
NO_NOISE = 1.0  # a noise value that no draw from [0, 1) gives: the unit is neither dropped nor scaled
INIT_STDDEV = 0.02  # kernels N(0, 0.02), norm scales N(1, 0.02); paper §3.3


def initializer(seed: int | None, name: str, mean: float = 0.0) -> Any:
    """N(mean, 0.02) that depends on (seed, layer name) alone; zeros for `seed=None`, when weights are loaded anyway."""
    if seed is None:
        return "zeros"
    return keras.initializers.RandomNormal(mean, INIT_STDDEV, seed=zlib.crc32(f"{seed}/{name}".encode()))


@keras.saving.register_keras_serializable("tfpix2pix")
class BatchNormalization(layers.BatchNormalization):
    """Batch normalisation whose inference uses each image's own statistics, or the moving averages.

    Training normalises by the batch, as ever. At inference `statistics="image"` normalises each image by its own
    mean and variance: at batch size 1 exactly what training did and what the paper's test did (§3.4), and a result
    that does not depend on its batch neighbours. `statistics="moving"` uses the moving averages (Keras's habit).
    """

    def __init__(self, statistics: str = "image", **kwargs: Any) -> None:
        super().__init__(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, **kwargs)
        self.statistics = statistics

    def call(self, x: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if training or self.statistics == "moving":
            return super().call(x, training=training)
        return normalize_per_image(x, self.gamma, self.beta)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["momentum"], config["epsilon"]  # fixed above
        return {**config, "statistics": self.statistics}


def normalize_per_image(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """Instance normalisation of (N, H, W, C): each image and channel by its own mean and variance."""
    x32 = tf.cast(x, tf.float32)
    mean = tf.reduce_mean(x32, axis=(1, 2), keepdims=True)
    centred = x32 - mean
    variance = tf.reduce_mean(tf.square(centred), axis=(1, 2), keepdims=True)
    scale = tf.math.rsqrt(variance + NORM_EPSILON) * tf.cast(gamma, tf.float32)
    return tf.cast(centred * scale + tf.cast(beta, tf.float32), x.dtype)


def batch_norm(name: str, seed: int | None, statistics: str) -> layers.Layer:
    return BatchNormalization(statistics, gamma_initializer=initializer(seed, name, mean=1.0), name=name)


def instance_norm(name: str, seed: int | None, statistics: str) -> layers.Layer:
    """Each image by its own statistics in training too; `statistics` has no say."""
    gamma = initializer(seed, name, mean=1.0)
    return layers.GroupNormalization(groups=-1, epsilon=NORM_EPSILON, gamma_initializer=gamma, name=name)


def no_norm(name: str, seed: int | None, statistics: str) -> None:
    return None


NORMS: dict[str, Callable[[str, int | None, str], layers.Layer | None]] = {
    "batch": batch_norm,
    "instance": instance_norm,
    "none": no_norm,
}


@keras.saving.register_keras_serializable("tfpix2pix")
class NoiseDropout(layers.Layer):
    """Dropout whose mask is made from an explicit noise input: the paper's z (§3.1), reproducible anywhere.

    A unit is kept where its noise value is at least `rate`, and scaled by 1/(1-rate). `noise` (N, noise_size) is
    uniform in [0, 1), or `NO_NOISE` where dropout shall be off; this layer reads `height * width * channels` values
    from `offset`. On a map larger than that the mask repeats periodically, so that one noise vector serves every
    image size.
    """

    def __init__(self, rate: float, offset: int, shape: tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.offset, self.shape = rate, offset, tuple(shape)

    def call(self, x: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        height, width, _ = self.shape
        values = noise[:, self.offset : self.offset + math.prod(self.shape)]
        factors = tf.where(values >= self.rate, 1.0 / (1.0 - self.rate), 0.0)
        factors = tf.where(values >= NO_NOISE, 1.0, factors)
        mask = tf.reshape(tf.cast(factors, x.dtype), (-1, *self.shape))  # (N, height, width, channels)
        if tuple(x.shape[1:3]) != (height, width):
            mask = tf.gather(mask, tf.range(tf.shape(x)[1]) % height, axis=1)
            mask = tf.gather(mask, tf.range(tf.shape(x)[2]) % width, axis=2)
        return x * mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "offset": self.offset, "shape": self.shape}


class Blocks:
    """Builds named layers of one network: the seed, the norm and the statistics said once.

    Layer names are the checkpoint's keys: renaming one is a change of format.
    """

    def __init__(self, seed: int | None, norm: str, statistics: str = "image") -> None:
        self.seed, self.norm, self.statistics = seed, norm, statistics

    def _convolution(self, kind: type, x: tf.Tensor, filters: int, name: str, normalized: bool, **kwargs: Any):
        make_norm = NORMS[self.norm] if normalized else no_norm
        norm = make_norm(f"{name}_norm", self.seed, self.statistics)
        kwargs.setdefault("use_bias", norm is None)  # a norm's offset would cancel the bias
        x = kind(filters, kernel_initializer=initializer(self.seed, name), name=name, **kwargs)(x)
        return norm(x) if norm is not None else x

    def conv(self, x, filters: int, name: str, *, stride: int, kernel: int = 4, normalized: bool = True, **kwargs):
        """k×k convolution with the Torch code's padding of 1 on every side (0 for k = 1), then the norm."""
        if stride == 1 and kernel > 1:  # `same` would pad 1 before and 2 after: not the paper's patch size
            x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        padding = "same" if stride > 1 else "valid"
        sizes = {"kernel_size": kernel, "strides": stride, "padding": padding}
        return self._convolution(layers.Conv2D, x, filters, name, normalized, **sizes, **kwargs)

    def up(self, x, filters: int, name: str, *, normalized: bool = True, **kwargs):
        """4×4 transposed convolution, stride 2 (doubles height and width), then the norm."""
        sizes = {"kernel_size": 4, "strides": 2, "padding": "same"}
        return self._convolution(layers.Conv2DTranspose, x, filters, name, normalized, **sizes, **kwargs)
