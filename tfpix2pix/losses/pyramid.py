"""Computes L1 at four scales of a Gaussian pyramid, for pairs that are not aligned to the pixel."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import tensorflow as tf

SCALES = 4  # full size, 1/2, 1/4 and 1/8
KERNEL_PX, SIGMA_PX, PASSES = 3, 1.0, 4  # Gaussian smoothing before each halving


def pyramid_l1(translation: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Returns the mean over four scales of the mean absolute difference on [-1, 1], in float32.

    Each next scale is smoothed and has every second row and column. Smoothing is four passes of a Gaussian of 3 x 3 px
    and sigma 1 px, together sigma 1.48 px, so halving aliases little, and a shift of a px or two, which moves every
    edge at full size, hardly counts at 1/8. At the border, weights outside the image are left out. Images below 8 px
    have as many scales as halve them to 1 px or more. Source: Liu et al., "BCI: Breast Cancer Immunohistochemical Image
    Generation through Pyramid Pix2pix", CVPRW 2022, which adds up the scales.

    Args:
        translation: (N, H, W, C) in [-1, 1], as is `target`.
    """
    # A pyramid is linear: that of the difference is the difference of the pyramids.
    difference = tf.cast(target, tf.float32) - tf.cast(translation, tf.float32)
    least_px = min(side or 2**SCALES for side in translation.shape[1:3])  # None: not known in this graph
    scales = min(SCALES, int(least_px).bit_length())
    values = [tf.reduce_mean(tf.abs(difference))]
    for _ in range(scales - 1):
        difference = _smoothed(difference)[:, ::2, ::2]
        values.append(tf.reduce_mean(tf.abs(difference)))
    return reduce(add, values) / scales


def _smoothed(maps: tf.Tensor) -> tf.Tensor:
    """Smooths (N, H, W, C) along both axes."""
    once = np.exp(-0.5 * (np.arange(KERNEL_PX) - KERNEL_PX // 2) ** 2 / SIGMA_PX**2)
    weights = reduce(np.convolve, [once] * PASSES)
    for axis in (1, 2):
        shape = [1, 1, 1, 1]
        shape[axis - 1] = len(weights)
        kernel = tf.constant(np.reshape(weights, shape), tf.float32)
        inside = _convolved(tf.ones_like(maps[:1, :, :1, :1] if axis == 1 else maps[:1, :1, :, :1]), kernel)
        maps = _convolved(maps, tf.tile(kernel, [1, 1, tf.shape(maps)[-1], 1])) / inside
    return maps


def _convolved(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.depthwise_conv2d(maps, kernel, [1, 1, 1, 1], "SAME")
