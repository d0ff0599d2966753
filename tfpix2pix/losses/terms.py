"""Computes the terms of the objective, each a mean over all its values.

GAN losses have the same arguments. `logits` have any shape. `is_real` is the answer that D should give. `for_generator`
is True in the generator's step, which passes `is_real=True` for its translations: the non-saturating form (paper §3.3).
`smoothing` moves the discriminator's label of real pairs from 1 to 1 - smoothing (one-sided label smoothing, Salimans
et al., NeurIPS 2016, §3.4).

Terms of the generator take the arguments that their row in `TERMS` needs. If D judges at several scales, a term is the
mean over the scales, so that a weight means the same for any number of them. pix2pixHD adds up its GAN losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
import tensorflow as tf

from tfpix2pix.losses import GanLoss

FEATURE_LAYERS = 4  # of pix2pixHD's discriminator, whose terms it adds up
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM, at full size and at halves of it
WINDOW_PX, SIGMA_PX, C1, C2 = 11, 1.5, 0.01**2, 0.03**2  # of SSIM
LEAST_SIMILARITY = 0.01


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


def structural_dissimilarity(translation: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Returns 1 - MS-SSIM, the mean over images and channels.

    It is computed as the metric `ms_ssim` is, on [0, 1], except that similarities below `LEAST_SIMILARITY` count as
    this number, because the gradient of a power has no limit at 0. Images below 11 px are compared as a whole. Source:
    Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", 2003.
    """
    pair = [tf.cast(image, tf.float32) * 0.5 + 0.5 for image in (translation, target)]
    least_px = min(translation.shape[1:3])
    scales = max(1, sum(least_px >= WINDOW_PX * 2**scale for scale in range(len(SCALE_WEIGHTS))))
    weights = SCALE_WEIGHTS[:scales]
    total = 1.0 if scales == len(SCALE_WEIGHTS) else sum(weights)  # all five keep the paper's weights: 1.0001
    similarity: tf.Tensor | float = 1.0
    for scale, weight in enumerate(weights):
        (coarser, image), other = _in_pairs(pair[0], 2), pair[1]
        whole, structure = _similarities(image, other)
        last = scale == scales - 1
        similarity = similarity * tf.maximum(whole if last else structure, LEAST_SIMILARITY) ** (weight / total)
        pair = () if last else [tf.nn.avg_pool2d(picture, 2, 2, "VALID") for picture in (coarser, other)]
    return 1.0 - tf.reduce_mean(similarity)


def _similarities(image: tf.Tensor, other: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the mean over pixels of SSIM and of its contrast-structure term, each (N, C)."""
    first, second, third = _in_pairs(image, 3)
    maps = tf.concat([first, other, second * other, tf.square(third) + tf.square(other)], axis=-1)
    mean, other_mean, product, squares = tf.split(_windowed(maps), 4, axis=-1)
    of_means, squared_means = mean * other_mean, tf.square(mean) + tf.square(other_mean)
    structure = (2 * (product - of_means) + C2) / (squares - squared_means + C2)
    luminance = (2 * of_means + C1) / (squared_means + C1)
    return tf.reduce_mean(luminance * structure, axis=(1, 2)), tf.reduce_mean(structure, axis=(1, 2))


def _in_pairs(tensor: tf.Tensor, uses: int) -> list[tf.Tensor]:
    """Returns `tensor` for several uses, whose gradients are summed in pairs (models/norms.py explains why)."""
    tensors = [tensor]
    for _ in range(uses - 1):
        tensors.append(tf.identity(tensors[-1]))
    return tensors


def _windowed(maps: tf.Tensor) -> tf.Tensor:
    """Returns the means over the Gaussian windows of 11 px and sigma 1.5 px that lie inside the maps, or over less if
    the maps are smaller."""
    for axis in (1, 2):
        size = min(WINDOW_PX, maps.shape[axis])
        weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / SIGMA_PX) ** 2)
        shape = [1, 1, 1, 1]
        shape[axis - 1] = size
        window = tf.constant(np.reshape(weights / weights.sum(), shape), tf.float32)
        maps = tf.nn.depthwise_conv2d(maps, tf.tile(window, [1, 1, maps.shape[-1], 1]), [1, 1, 1, 1], "VALID")
    return maps


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

    def of_scale(real: Sequence[tf.Tensor], fake: Sequence[tf.Tensor]) -> tf.Tensor:
        return FEATURE_LAYERS / len(real) * _sum_of_differences(real, fake)

    return mean_over_scales([of_scale(*maps) for maps in zip(real_features, fake_features, strict=True)])


def perceptual(translation: tf.Tensor, target: tf.Tensor, network: Callable[[tf.Tensor], Any]) -> tf.Tensor:
    """Returns Σᵢ mean |Fᵢ(y) - Fᵢ(G(x))| over the maps Fᵢ of `network`. Each map has its weight as a factor.

    The maps of the target have no gradient. `network` returns a tensor, or any structure of tensors. Source: Johnson et
    al., ECCV 2016, §3.2; the absolute difference is that of Wang et al., CVPR 2018 (pix2pixHD).
    """
    real, fake = (tf.nest.flatten(network(tf.cast(image, tf.float32))) for image in (target, translation))
    return _sum_of_differences(real, fake)


def _sum_of_differences(real: Sequence[tf.Tensor], fake: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the sum, in pairs, of the mean absolute differences of maps, in float32. `real` gets no gradient."""
    float32 = partial(tf.cast, dtype=tf.float32)
    return reduce(add, [l1(float32(y), tf.stop_gradient(float32(x))) for x, y in zip(real, fake, strict=True)])


def mean_over_scales(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the mean of the values of D's scales, summed in pairs (models/norms.py explains why)."""
    return reduce(add, values) / len(values) if len(values) > 1 else values[0]
