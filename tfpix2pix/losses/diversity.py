"""Computes the terms that make the generator use its noise: two noises are to give two translations of one input.

Both terms compare the translation with a variant, the translation of the same input by another noise, relative to how
far the two noises are apart. A variant costs a forward pass and gets no gradient.
"""

from __future__ import annotations

import math

import tensorflow as tf

NORMAL_DISTANCE = 2.0 / math.sqrt(math.pi)  # mean |z - z'| for z of N(0, 1), which the papers draw
UNIFORM_DISTANCE = 1.0 / 3.0  # the same for z uniform in [0, 1), which the generators here get
EPSILON = 1e-5
LEAST_RATIO = 0.01  # below it, the gradient of `mode_seeking` grows no further


def noise_distance(noise: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Returns the mean absolute difference of two noises, (N, values) each, by image: (N,).

    It is that of the uniform values that the generator gets, times a factor that makes it 1.13 on average, the mean
    for the normal values of the papers. So a weight means about the same as there.
    """
    return tf.reduce_mean(tf.abs(noise - other), axis=-1) * (NORMAL_DISTANCE / UNIFORM_DISTANCE)


def diversity_sensitive(
    translation: tf.Tensor, variant: tf.Tensor, noise_distance: tf.Tensor, clip: float | None = None
) -> tf.Tensor:
    """Returns -mean min(clip, |translation - variant| / distance of the noises), the mean over the batch.

    A ratio above `clip` has no gradient; None: no limit. Source: Yang et al., ICLR 2019, eq. 2.
    """
    ratio = _ratio(translation, variant, noise_distance)
    return -tf.reduce_mean(ratio if clip is None else tf.minimum(ratio, clip))


def mode_seeking(translation: tf.Tensor, variant: tf.Tensor, noise_distance: tf.Tensor) -> tf.Tensor:
    """Returns 1 / (|translation - variant| / distance of the noises + 1e-5), the mean over the batch.

    Its slope, -1/ratio², would be -1e10 for nearly equal images, and Adam would take tens of thousands of steps to
    forget one such gradient. So the slope is never steeper than at `LEAST_RATIO`. The value is that of the formula.
    The authors differentiate both images. Here the variant is without a gradient, which on average halves it: their
    weight of 1 is 2 here. Source: Mao et al., CVPR 2019, eq. 2, inverted as in the authors' code.
    """
    ratio = _ratio(translation, variant, noise_distance)
    fixed = tf.stop_gradient(ratio)
    slope = -1.0 / tf.square(tf.maximum(fixed, LEAST_RATIO) + EPSILON)
    return tf.reduce_mean(1.0 / (fixed + EPSILON) + slope * (ratio - fixed))


def _ratio(translation: tf.Tensor, variant: tf.Tensor, noise_distance: tf.Tensor) -> tf.Tensor:
    """Returns how far two translations are apart, relative to their noises, by image: (N,)."""
    difference = tf.abs(tf.cast(translation, tf.float32) - tf.stop_gradient(tf.cast(variant, tf.float32)))
    return tf.reduce_mean(difference, axis=(1, 2, 3)) / (noise_distance + EPSILON)
