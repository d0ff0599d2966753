"""Computes the terms of an encoder, which finds in a target the style z that the generator needs to make it.

With them, L1 and variety do not contradict each other: L1 compares a target with the translation by the target's own
style. Source: BicycleGAN (Zhu et al., "Toward multimodal image-to-image translation", NeurIPS 2017).
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Style(NamedTuple):
    """Holds the styles of a step.

    Attributes:
        encoding: means of the targets' styles and logarithms of their variances, float32 (N, 2 · dimensions).
        drawn: styles of N(0, 1) by which other translations were made, float32 (N, dimensions).
        recovered: styles that the encoder, its weights fixed, finds in those translations, as `drawn`.
    """

    encoding: tf.Tensor
    drawn: tf.Tensor
    recovered: tf.Tensor


def style_kl(style: Style) -> tf.Tensor:
    """Returns the divergence KL(N(mean, variance) ‖ N(0, 1)) in nats, a sum over the numbers of a style, the mean over
    the batch. Source: BicycleGAN, eq. 5."""
    mean, log_variance = tf.split(style.encoding, 2, axis=-1)
    each = tf.square(mean) + (tf.exp(log_variance) - log_variance) - 1.0
    return 0.5 * tf.reduce_mean(tf.reduce_sum(each, axis=-1))


def style_recovery(style: Style) -> tf.Tensor:
    """Returns the mean absolute difference of the drawn styles and of those found in their translations. Source:
    BicycleGAN, eq. 8."""
    return tf.reduce_mean(tf.abs(style.drawn - style.recovered))
