"""Normalises maps, with the same statistics at inference as in training, and with reproducible gradients.

The gradient is one operation or one formula, not the automatic differentiation of mean and variance. That would give
three terms to sum for every input. TensorFlow sums three terms in an order that depends on which of their buffers is
free first, so two runs of one configuration would differ in the last digit. TensorFlow's fused operation normalises
over a batch in a third of the time. For the cases that it does not cover (each image of a batch by itself, the batch of
all replicas) the gradient is written out (Ioffe and Szegedy 2015, §3, simplified).

Statistics of flat maps need care. White backgrounds give nearly constant maps, whose standard deviation is small
compared with the mean, and 1 / sqrt(variance + epsilon) enlarges every error of the two by up to 1 / sqrt(epsilon). A
float32 sum over all pixels of a map at once has an error of 1e-4 of its value, in TensorFlow, XNNPACK and onnxruntime.
`moments` computes more accurately; docs/export.md#flat-backgrounds lists the error of each form. The fused operation
keeps its one sum: its error moved a translation by less than a tenth of a level of 255.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
SHARE = 8  # a map is centred first by the mean of the first eighth of its rows
_MOVING: ContextVar[bool] = ContextVar("moving", default=True)
Given = Callable[[str, tf.Tensor], "tf.Tensor | None"]  # name of a norm and its map -> statistics, or None for its own
_GIVEN: ContextVar[Given | None] = ContextVar("given", default=None)


@contextmanager
def without_moving() -> Iterator[None]:
    """Keeps training in the block from updating the moving averages, for maps that are recomputed."""
    token = _MOVING.set(False)
    try:
        yield
    finally:
        _MOVING.reset(token)


@contextmanager
def statistics_by(given: Given) -> Iterator[None]:
    """Lets `given` choose the statistics of all norms that use each image's own, at inference in the block.

    It gets the name of a norm and its map (N, H, W, C), and returns float64 (2, C), mean and variance of every channel,
    or None for those of the map.
    """
    token = _GIVEN.set(given)
    try:
        yield
    finally:
        _GIVEN.reset(token)


@keras.saving.register_keras_serializable("tfpix2pix")
class BatchNormalization(layers.BatchNormalization):
    """Normalises by the batch in training, and by each image's own statistics or the moving averages at inference.

    At inference `statistics="image"` normalises each image by its own mean and variance. At batch size 1 that equals
    training and the paper's test (§3.4), and the result does not depend on other images of the batch.
    `statistics="moving"` uses the moving averages, as Keras does.
    """

    def __init__(self, statistics: str = "image", epsilon: float = NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(momentum=NORM_MOMENTUM, epsilon=epsilon, **kwargs)
        self.statistics = statistics
        self.across_replicas, self.fused = False, True  # set by training; not part of the layer's configuration

    def call(self, x: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if training:
            y, mean, variance = normalize_in_training(
                x, self.gamma, self.beta, self.epsilon, BATCH_AXES,
                across_replicas=self.across_replicas, fused=self.fused,
            )  # fmt: skip
            if _MOVING.get() and self.trainable:
                for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    average.assign(average * self.momentum + tf.reshape(value, [-1]) * (1.0 - self.momentum))
            return y
        if self.statistics == "moving":
            return super().call(x, training=False)
        return _normalize_at_inference(self, x)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["momentum"]  # fixed above
        return {**config, "statistics": self.statistics}


@keras.saving.register_keras_serializable("tfpix2pix")
class InstanceNormalization(layers.GroupNormalization):
    """Normalises each image and channel by its own mean and variance, in training and at inference.

    `center=False` leaves out the offset, `scale=False` the scale.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, "Instance normalization: the missing ingredient for fast stylization".
    """

    def __init__(self, epsilon: float = NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(groups=-1, epsilon=epsilon, **kwargs)
        self.fused = True  # as above

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if training:
            return normalize_in_training(x, self.gamma, self.beta, self.epsilon, IMAGE_AXES, fused=self.fused)[0]
        return _normalize_at_inference(self, x)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["groups"]  # fixed above
        return config


def own_statistics(network: keras.Model) -> dict[str, int]:
    """Returns the number of channels of each norm that uses each image's own statistics at inference, by name, in the
    order of computation."""
    norms = (layer for layer in network.layers if isinstance(layer, (BatchNormalization, InstanceNormalization)))
    return {norm.name: norm.output.shape[-1] for norm in norms if getattr(norm, "statistics", "image") == "image"}


def _normalize_at_inference(norm: layers.Layer, x: tf.Tensor) -> tf.Tensor:
    given = _GIVEN.get()
    statistics = None if given is None else given(norm.name, x)
    if statistics is None:
        return normalize_per_image(x, norm.gamma, norm.beta, norm.epsilon)
    return normalize_by(x, statistics, norm.gamma, norm.beta, norm.epsilon)


def normalize_by(
    x: tf.Tensor,
    statistics: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    epsilon: float = NORM_EPSILON,
) -> tf.Tensor:
    """Normalises (N, H, W, C) as `normalize_per_image` does, by the mean and variance of `statistics`, float64 (2, C).

    What float32 leaves of the mean goes into the offset.
    """
    wide = _wide(x)
    shift = tf.cast(statistics[0], wide.dtype)
    residue = tf.cast(statistics[0] - tf.cast(shift, tf.float64), wide.dtype)
    return _scaled(wide - shift, residue, tf.cast(statistics[1], wide.dtype), gamma, beta, epsilon, x.dtype)


def normalize_per_image(
    x: tf.Tensor, gamma: tf.Tensor | None, beta: tf.Tensor | None, epsilon: float = NORM_EPSILON
) -> tf.Tensor:
    """Normalises each image and channel of (N, H, W, C) by its own mean and variance, then scales and shifts.

    Computes in float32, or in float64 if `x` is float64, and returns the type of `x`. If `gamma` or `beta` is None, it
    does not scale or not shift.
    """
    wide = _wide(x)
    centred, _, residue, variance = moments(wide, lambda values: mean_of(values, IMAGE_AXES))
    return _scaled(centred, residue, variance, gamma, beta, epsilon, x.dtype)


def _scaled(
    centred: tf.Tensor,
    residue: tf.Tensor,
    variance: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    epsilon: float,
    dtype: tf.DType,
) -> tf.Tensor:
    scale = tf.math.rsqrt(variance + epsilon)
    scale = scale if gamma is None else scale * tf.cast(gamma, centred.dtype)
    offset = -residue * scale if beta is None else tf.cast(beta, centred.dtype) - residue * scale
    return tf.cast(centred * scale + offset, dtype)


def moments(x: tf.Tensor, mean: Callable[[tf.Tensor], tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Centres a map and computes its variance, accurately even if the map is nearly constant.

    Uses the corrected two-pass algorithm of Chan, Golub and LeVeque 1983, "Algorithms for computing the sample
    variance: analysis and recommendations", which starts from any `shift` near the mean. `residue`, the mean of the
    shifted map, corrects the rest. The mean of a fraction p of the rows lies within sqrt(1 / p - 1) standard deviations
    of the mean of all.

    Args:
        x: float32 or float64 (N, H, W, C).
        mean: computes the mean of such a map, and keeps its dimensions.

    Returns:
        (x - shift, shift, residue, variance): the mean is shift + residue, and x - mean is x - shift - residue.
    """
    height = x.shape[1] or tf.shape(x)[1]
    shift = mean(x[:, : (height + SHARE - 1) // SHARE])
    centred = x - shift
    residue = mean(centred)
    return centred, shift, residue, mean(tf.square(centred)) - tf.square(residue)


def mean_of(values: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    """Returns the mean over `axes`, which it keeps. One axis at a time: sums have hundreds of terms, not 65,536."""
    for axis in sorted(axes, key=lambda axis: axis == 0):  # rows, columns, then the batch
        values = tf.reduce_mean(values, axis=axis, keepdims=True)
    return values


def _wide(x: tf.Tensor) -> tf.Tensor:
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def normalize_in_training(
    x: tf.Tensor, gamma: Any, beta: Any, epsilon: float, axes: tuple[int, ...], *, across_replicas: bool = False,
    fused: bool = True,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:  # fmt: skip
    """Normalises (N, H, W, C) over `axes`, scales and shifts. Returns the result, mean and variance.

    Mean and variance have no gradient. They are float32 for any type of `x`. With `across_replicas`, they are those of
    the pairs of all replicas. `fused` uses TensorFlow's operation if possible. Its last digits depend on the number of
    threads. If `gamma` or `beta` is None, it does not scale or not shift.
    """
    gamma = tf.ones(x.shape[-1]) if gamma is None else gamma
    beta = tf.zeros(x.shape[-1]) if beta is None else beta
    gamma, beta = (tf.convert_to_tensor(weights, tf.float32) for weights in (gamma, beta))
    if fused and not across_replicas and (axes == BATCH_AXES or x.shape[0] == 1):  # one image: both are the same
        return _fused(x, gamma, beta, epsilon)
    return _written(x, gamma, beta, epsilon, axes, across_replicas)


def _fused(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    unused = tf.zeros((0,))
    outputs = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=unused, variance=unused, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance = outputs.batch_variance * ((count - 1.0) / count)  # the operation returns the unbiased variance
    return outputs.y, tf.stop_gradient(outputs.batch_mean), tf.stop_gradient(variance)


def _written(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float, axes: tuple[int, ...], across_replicas: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    def mean(values: tf.Tensor) -> tf.Tensor:
        local = mean_of(values, axes)
        replica = tf.distribute.get_replica_context() if across_replicas else None
        return local if replica is None else replica.all_reduce(tf.distribute.ReduceOp.MEAN, local)

    @tf.custom_gradient
    def normalize(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Any]:
        centred, shift, residue, variance = moments(tf.cast(x, tf.float32), mean)
        inverse = tf.math.rsqrt(variance + epsilon)
        unit = (centred - residue) * inverse
        y = tf.cast(unit * gamma + beta, x.dtype)

        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dy = tf.cast(dy, tf.float32)
            along = dy * unit
            dx = gamma * inverse * (dy - mean(dy) - unit * mean(along))
            return tf.cast(dx, x.dtype), tf.reduce_sum(along, BATCH_AXES), tf.reduce_sum(dy, BATCH_AXES)

        return (y, shift + residue, variance), gradient

    return normalize(x, gamma, beta)
