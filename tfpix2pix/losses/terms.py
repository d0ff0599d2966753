"""The terms of the objective, each a mean over everything it is given.

GAN losses share one call shape: `logits` of any shape, `is_real` what the discriminator should say of them,
`for_generator` whose step it is: the generator calls with `is_real=True` on its own translations, the
non-saturating form (paper §3.3). `smoothing` moves the discriminator's label of real pairs from 1 to 1 - smoothing
(one-sided label smoothing, Salimans et al., NeurIPS 2016, §3.4).
"""

from __future__ import annotations

import tensorflow as tf


def vanilla(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """Binary cross-entropy on logits: -log D for real, -log(1 - D) for generated. Source: paper eq. 1, §3.3."""
    label = _label(is_real, for_generator, smoothing)
    entropy = 0.0  # -log D is softplus(-logits): one operation, whose gradient is one too (models/norms.py says why)
    if label:
        entropy += label * tf.nn.softplus(-logits)
    if label < 1:
        entropy += (1.0 - label) * tf.nn.softplus(logits)
    return tf.reduce_mean(entropy)


def lsgan(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """Squared distance to 1 for real, 0 for generated. Source: Mao et al., ICCV 2017, eq. 9 (a=0, b=c=1; no half)."""
    return tf.reduce_mean(tf.square(logits - _label(is_real, for_generator, smoothing)))


def _label(is_real: bool, for_generator: bool, smoothing: float) -> float:
    return float(is_real) - (smoothing if is_real and not for_generator else 0.0)


def hinge(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """max(0, 1 - D) for real, max(0, 1 + D) for generated; -D for the generator. Source: Lim & Ye 2017, §2."""
    sign = 1.0 if is_real else -1.0
    return tf.reduce_mean(-sign * logits if for_generator else tf.nn.relu(1.0 - sign * logits))


def none(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """0: no adversarial term, and no discriminator to train."""
    return tf.zeros((), logits.dtype)


def l1(translation: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference, in units of the [-1, 1] range. Source: paper eq. 3 (mean in place of the sum)."""
    return tf.reduce_mean(tf.abs(target - translation))


def l2(translation: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean squared difference: the blurrier alternative to L1 (paper §3.1)."""
    return tf.reduce_mean(tf.square(target - translation))
