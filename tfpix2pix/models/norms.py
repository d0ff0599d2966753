"""Normalisation whose inference is what training was, and whose gradient is one operation or one formula.

Not automatic differentiation of mean and variance: that makes three terms to be summed for every input, and TensorFlow
sums three terms in an order that depends on which of their buffers is free first, so that two runs of one configuration
would differ in the last digit. TensorFlow's fused operation normalises over a batch, in a third of the time; what it
cannot do (each image of a batch by itself, the batch of all replicas) has its gradient written out (Ioffe and Szegedy
2015, §3, simplified).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf
from keras import layers

NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9  # keeps 9/10 of the old moving average, as the authors' Torch code does
BATCH_AXES = (0, 1, 2)
IMAGE_AXES = (1, 2)
_MOVING: ContextVar[bool] = ContextVar("moving", default=True)


@contextmanager
def without_moving() -> Iterator[None]:
    """Inside, training leaves the moving averages alone: for what is computed a second time."""
    token = _MOVING.set(False)
    try:
        yield
    finally:
        _MOVING.reset(token)


@keras.saving.register_keras_serializable("tfpix2pix")
class BatchNormalization(layers.BatchNormalization):
    """Batch normalisation whose inference uses each image's own statistics, or the moving averages.

    Training normalises by the batch, as ever. At inference `statistics="image"` normalises each image by its own
    mean and variance: at batch size 1 exactly what training did and what the paper's test did (§3.4), and a result
    that does not depend on its batch neighbours. `statistics="moving"` uses the moving averages (Keras's habit).
    """

    def __init__(self, statistics: str = "image", epsilon: float = NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(momentum=NORM_MOMENTUM, epsilon=epsilon, **kwargs)
        self.statistics = statistics
        self.across_replicas, self.fused = False, True  # training's choice, and no part of the layer's configuration

    def call(self, x: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if training:
            y, mean, variance = normalize_in_training(
                x, self.gamma, self.beta, self.epsilon, BATCH_AXES,
                across_replicas=self.across_replicas, fused=self.fused,
            )  # fmt: skip
            if _MOVING.get():
                for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    average.assign(average * self.momentum + tf.reshape(value, [-1]) * (1.0 - self.momentum))
            return y
        if self.statistics == "moving":
            return super().call(x, training=False)
        return normalize_per_image(x, self.gamma, self.beta, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["momentum"]  # fixed above
        return {**config, "statistics": self.statistics}


@keras.saving.register_keras_serializable("tfpix2pix")
class InstanceNormalization(layers.GroupNormalization):
    """Each image and channel by its own mean and variance, in training and at inference.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, "Instance normalization: the missing ingredient for fast stylization".
    """

    def __init__(self, epsilon: float = NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(groups=-1, epsilon=epsilon, **kwargs)
        self.fused = True  # as above

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if training:
            return normalize_in_training(x, self.gamma, self.beta, self.epsilon, IMAGE_AXES, fused=self.fused)[0]
        return normalize_per_image(x, self.gamma, self.beta, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["groups"]  # fixed above
        return config


def normalize_per_image(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float = NORM_EPSILON) -> tf.Tensor:
    """Instance normalisation of (N, H, W, C): each image and channel by its own mean and variance."""
    x32 = tf.cast(x, tf.float32)
    mean = tf.reduce_mean(x32, axis=IMAGE_AXES, keepdims=True)
    centred = x32 - mean
    variance = tf.reduce_mean(tf.square(centred), axis=IMAGE_AXES, keepdims=True)
    scale = tf.math.rsqrt(variance + epsilon) * tf.cast(gamma, tf.float32)
    return tf.cast(centred * scale + tf.cast(beta, tf.float32), x.dtype)


def normalize_in_training(
    x: tf.Tensor, gamma: Any, beta: Any, epsilon: float, axes: tuple[int, ...], *, across_replicas: bool = False,
    fused: bool = True,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:  # fmt: skip
    """(N, H, W, C) normalised over `axes`, scaled and shifted; with mean and variance, which have no gradient.

    Statistics are float32 whatever the type of `x`; of the pairs of all replicas where `across_replicas`. `fused`: by
    TensorFlow's operation where it can, whose last digits depend on the number of threads.
    """
    gamma, beta = (tf.convert_to_tensor(weights, tf.float32) for weights in (gamma, beta))
    if fused and not across_replicas and (axes == BATCH_AXES or x.shape[0] == 1):  # of one image the two are one
        return _fused(x, gamma, beta, epsilon)
    return _written(x, gamma, beta, epsilon, axes, across_replicas)


def _fused(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    unused = tf.zeros((0,))
    outputs = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=unused, variance=unused, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance = outputs.batch_variance * ((count - 1.0) / count)  # it gives the unbiased one
    return outputs.y, tf.stop_gradient(outputs.batch_mean), tf.stop_gradient(variance)


def _written(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float, axes: tuple[int, ...], across_replicas: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    def mean_of(values: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(values, axis=axes, keepdims=True)
        replica = tf.distribute.get_replica_context() if across_replicas else None
        return mean if replica is None else replica.all_reduce(tf.distribute.ReduceOp.MEAN, mean)

    @tf.custom_gradient
    def normalize(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Any]:
        x32 = tf.cast(x, tf.float32)
        mean = mean_of(x32)
        centred = x32 - mean
        variance = mean_of(tf.square(centred))
        inverse = tf.math.rsqrt(variance + epsilon)
        unit = centred * inverse
        y = tf.cast(unit * gamma + beta, x.dtype)

        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dy = tf.cast(dy, tf.float32)
            along = dy * unit
            dx = gamma * inverse * (dy - mean_of(dy) - unit * mean_of(along))
            return tf.cast(dx, x.dtype), tf.reduce_sum(along, BATCH_AXES), tf.reduce_sum(dy, BATCH_AXES)

        return (y, mean, variance), gradient

    return normalize(x, gamma, beta)
