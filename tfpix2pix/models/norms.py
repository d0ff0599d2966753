"""Normalisation whose inference is what training was, and whose gradient is one formula.

The gradient is written out (Ioffe and Szegedy 2015, §3, simplified) because of what automatic differentiation makes of
mean and variance: three terms to be summed for every input. TensorFlow sums three terms in an order that depends on
which of their buffers is free first, so two runs of one configuration would differ in the last digit.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9  # keeps 9/10 of the old moving average, as the authors' Torch code does
BATCH_AXES = (0, 1, 2)
IMAGE_AXES = (1, 2)


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
        self.across_replicas = False  # training's choice, and no part of the layer's configuration

    def call(self, x: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if training:
            y, mean, variance = normalize_in_training(
                x, self.gamma, self.beta, self.epsilon, BATCH_AXES, across_replicas=self.across_replicas
            )
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

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if training:
            return normalize_in_training(x, self.gamma, self.beta, self.epsilon, IMAGE_AXES)[0]
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
    x: tf.Tensor, gamma: Any, beta: Any, epsilon: float, axes: tuple[int, ...], across_replicas: bool = False
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """(N, H, W, C) normalised over `axes`, scaled and shifted; with mean and variance, which have no gradient.

    Statistics are float32 whatever the type of `x`; of the pairs of all replicas where `across_replicas`.
    """

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

    return normalize(x, tf.convert_to_tensor(gamma, tf.float32), tf.convert_to_tensor(beta, tf.float32))
