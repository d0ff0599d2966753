"""Computes the terms of the objective, each a mean over all its values.

GAN losses have the same arguments. `logits` have any shape. `is_real` is the answer that D should give. `for_generator`
is True in the generator's step, which passes `is_real=True` for its translations: the non-saturating form (paper §3.3).
`smoothing` moves the discriminator's label of real pairs from 1 to 1 - smoothing (one-sided label smoothing, Salimans
et al., NeurIPS 2016, §3.4).

Terms of the generator take the arguments that their row in `TERMS` needs. If D judges at several scales, a term is the
mean over the scales, so that a weight means the same for any number of them. pix2pixHD adds up its GAN losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from operator import add

import tensorflow as tf

from tfpix2pix.losses import GanLoss

FEATURE_LAYERS = 4  # of pix2pixHD's discriminator, whose terms it adds up


def vanilla(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """Returns the binary cross-entropy of logits: -log D for real, -log(1 - D) for generated. Source: paper eq. 1,
    §3.3."""
    label = _label(is_real, for_generator, smoothing)
    entropy = (
        0.0  # -log D is softplus(-logits): one operation, whose gradient is one too (models/norms.py explains why)
    )
    if label:
        entropy += label * tf.nn.softplus(-logits)
    if label < 1:
        entropy += (1.0 - label) * tf.nn.softplus(logits)
    return tf.reduce_mean(entropy)


def lsgan(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """Returns the squared distance to 1 for real, 0 for generated. Source: Mao et al., ICCV 2017, eq. 9 (a=0, b=c=1;
    without the factor 1/2)."""
    return tf.reduce_mean(tf.square(logits - _label(is_real, for_generator, smoothing)))


def _label(is_real: bool, for_generator: bool, smoothing: float) -> float:
    return float(is_real) - (smoothing if is_real and not for_generator else 0.0)


def hinge(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """Returns max(0, 1 - D) for real, max(0, 1 + D) for generated, -D for the generator. Source: Lim & Ye 2017, §2."""
    sign = 1.0 if is_real else -1.0
    return tf.reduce_mean(-sign * logits if for_generator else tf.nn.relu(1.0 - sign * logits))


def none(logits: tf.Tensor, is_real: bool, for_generator: bool = False, smoothing: float = 0.0) -> tf.Tensor:
    """Returns 0: without an adversarial term, no discriminator is trained."""
    return tf.zeros((), logits.dtype)


def l1(translation: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Returns the mean absolute difference on [-1, 1]. Source: paper eq. 3 (mean in place of the sum)."""
    return tf.reduce_mean(tf.abs(target - translation))


def l2(translation: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Returns the mean squared difference, the blurrier alternative to L1 (paper §3.1)."""
    return tf.reduce_mean(tf.square(target - translation))


def adversarial(gan_loss: GanLoss, fake_logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the generator's GAN loss, low if D takes the translation for real. It is the mean over D's scales."""
    return mean_over_scales([gan_loss.call(logits, True, for_generator=True) for logits in fake_logits])


def feature_matching(
    real_features: Sequence[Sequence[tf.Tensor]], fake_features: Sequence[Sequence[tf.Tensor]]
) -> tf.Tensor:
    """Returns the mean absolute difference of D's hidden maps for (x, y), without a gradient, and for (x, G(x)).

    It is the mean over scales of 4/T Σᵢ mean |Dᵢ(x, y) - Dᵢ(x, G(x))| over T hidden layers. For the four of a 70 px
    PatchGAN that is their sum, so that a weight means the same as in pix2pixHD. Source: Wang et al., CVPR 2018, eq. 4;
    the factors are those of the authors' code.
    """

    float32 = partial(tf.cast, dtype=tf.float32)

    def of_scale(real: Sequence[tf.Tensor], fake: Sequence[tf.Tensor]) -> tf.Tensor:
        terms = [l1(float32(y), tf.stop_gradient(float32(x))) for x, y in zip(real, fake, strict=True)]
        return FEATURE_LAYERS / len(terms) * reduce(add, terms)

    return mean_over_scales([of_scale(*maps) for maps in zip(real_features, fake_features, strict=True)])


def mean_over_scales(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the mean of the values of D's scales, summed in pairs (models/norms.py explains why)."""
    return reduce(add, values) / len(values) if len(values) > 1 else values[0]
