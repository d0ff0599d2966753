"""Encodes images for the networks as CIE Lab or as one channel per class, and decodes the networks' output.

Written in TensorFlow, because an encoding is part of the exported graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfpix2pix.data.parts import InputPart

AB_RANGE = 110.0  # a and b of every sRGB colour lie within (-110, 110)
WHITE_XYZ = (0.95047, 1.0, 1.08883)  # D65, 2 degrees
RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float64
)
CUT, SLOPE, OFFSET = 0.008856, 7.787, 16.0 / 116.0  # below CUT a line replaces the cube root


def gray_to_lightness(gray: tf.Tensor) -> tf.Tensor:
    """Converts a gray picture (…, 1) in [-1, 1] to its L in [-1, 1] (for 0 to 100)."""
    luminance = _to_linear(gray)
    return (116.0 * _root(luminance) - 16.0) / 50.0 - 1.0


def rgb_to_ab(rgb: tf.Tensor) -> tf.Tensor:
    """Converts a picture (…, 3) in [-1, 1] to its a and b in [-1, 1] (for -110 to 110), shape (…, 2)."""
    xyz = tf.matmul(_to_linear(rgb), tf.constant((RGB_TO_XYZ.T / WHITE_XYZ), rgb.dtype))
    x, y, z = tf.unstack(_root(xyz), axis=-1)
    return tf.stack([500.0 * (x - y), 200.0 * (y - z)], axis=-1) / AB_RANGE


def lab_to_rgb(lightness: tf.Tensor, ab: tf.Tensor) -> tf.Tensor:
    """Converts L (…, 1) and a, b (…, 2), both in [-1, 1], to RGB (…, 3) in [-1, 1]. Clips colours outside sRGB."""
    y = ((lightness + 1.0) * 50.0 + 16.0) / 116.0
    x = y + ab[..., :1] * (AB_RANGE / 500.0)
    z = tf.maximum(y - ab[..., 1:] * (AB_RANGE / 200.0), 0.0)
    f = tf.concat([x, y, z], axis=-1)
    xyz = tf.where(f > CUT ** (1 / 3), f * f * f, (f - OFFSET) / SLOPE)
    linear = tf.matmul(xyz, tf.constant((np.linalg.inv(RGB_TO_XYZ) * WHITE_XYZ).T, ab.dtype))
    linear = tf.clip_by_value(linear, 0.0, 1.0)
    curved = 1.055 * tf.pow(tf.maximum(linear, 1e-6), 1.0 / 2.4) - 0.055
    return tf.clip_by_value(tf.where(linear > 0.0031308, curved, linear * 12.92), 0.0, 1.0) * 2.0 - 1.0


def _to_linear(signed: tf.Tensor) -> tf.Tensor:
    """Converts sRGB in [-1, 1] to linear light in [0, 1]."""
    value = (signed + 1.0) * 0.5
    curved = tf.pow((tf.maximum(value, 0.0) + 0.055) / 1.055, 2.4)
    return tf.where(value > 0.04045, curved, value / 12.92)


def _root(value: tf.Tensor) -> tf.Tensor:
    """Computes the function f of CIE Lab: a cube root, and a line near 0."""
    return tf.where(value > CUT, tf.pow(tf.maximum(value, 1e-6), 1.0 / 3.0), SLOPE * value + OFFSET)


HALF_RANGE = 127.5  # of 8 bits


def one_hot(label_map: tf.Tensor, classes: int) -> tf.Tensor:
    """Converts class indices (…, 1) in [-1, 1] to (…, classes): 1 in the channel of the class, -1 in all others.

    An index beyond the classes, of pixels to ignore, becomes -1 in every channel.
    """
    indices = tf.cast(tf.round((label_map[..., 0] + 1.0) * HALF_RANGE), tf.int32)
    return tf.one_hot(indices, classes, on_value=1.0, off_value=-1.0, dtype=label_map.dtype)


def most_likely(network_input: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Converts scores (…, classes) to the index (…, 1), in [-1, 1], of the class with the highest score.

    `network_input` is not used; `Encoding.decode` passes it.
    """
    return most_likely_class(scores)


def most_likely_class(scores: tf.Tensor) -> tf.Tensor:
    """Converts scores (…, classes) to the index (…, 1), in [-1, 1], of the class with the highest score."""
    indices = tf.argmax(scores, axis=-1, output_type=tf.int32)[..., tf.newaxis]
    return tf.cast(indices, scores.dtype) / HALF_RANGE - 1.0


def encoded_parts(stack: tf.Tensor, parts: Sequence[InputPart]) -> tf.Tensor:
    """Encodes the stack of the parts of an input or a target, (…, C) in [-1, 1], for the networks: the encoded parts
    side by side."""
    channels = tf.split(stack, [part.stacked_channels for part in parts], axis=-1)
    encoded = [part.row.encode(values, part) for values, part in zip(channels, parts, strict=True)]
    return tf.concat(encoded, axis=-1) if len(encoded) > 1 else encoded[0]


def decoded_parts(network_input: tf.Tensor, output: tf.Tensor, parts: Sequence[InputPart]) -> tf.Tensor:
    """Converts the generator's output (…, C') to the stack of a target's parts, (…, C) in [-1, 1].

    `network_input` is not used; `Encoding.decode` passes it.
    """
    channels = tf.split(output, [part.network_channels for part in parts], axis=-1)
    decoded = [part.row.decode(values) for values, part in zip(channels, parts, strict=True)]
    return tf.concat(decoded, axis=-1) if len(decoded) > 1 else decoded[0]


def unchanged_part(channels: tf.Tensor, part: InputPart) -> tf.Tensor:
    """Returns the channels of a picture, a distance field or a scalar as they are."""
    return channels


def classes_part(label_map: tf.Tensor, part: InputPart) -> tf.Tensor:
    """Returns the channels of a label map's classes (`one_hot`)."""
    return one_hot(label_map, part.classes)


def boundaries_part(instances: tf.Tensor, part: InputPart) -> tf.Tensor:
    """Returns the boundaries of instances (`boundaries`)."""
    return boundaries(instances)


def boundaries(instances: tf.Tensor) -> tf.Tensor:
    """Converts an instance map (…, H, W, 1) to its boundaries, of the same shape: 1 there, -1 elsewhere.

    A pixel is on a boundary if one of its four neighbours has another number, so a boundary is two pixels wide. Numbers
    may be any. Source: Wang et al., CVPR 2018, §3.3.
    """
    across = tf.cast(instances[..., :, 1:, :] != instances[..., :, :-1, :], instances.dtype)
    down = tf.cast(instances[..., 1:, :, :] != instances[..., :-1, :, :], instances.dtype)
    sides = [[0, 0]] * (len(instances.shape) - 3)
    padded = [
        tf.pad(across, [*sides, [0, 0], [1, 0], [0, 0]]),  # differs from the left neighbour
        tf.pad(across, [*sides, [0, 0], [0, 1], [0, 0]]),
        tf.pad(down, [*sides, [1, 0], [0, 0], [0, 0]]),
        tf.pad(down, [*sides, [0, 1], [0, 0], [0, 0]]),
    ]
    either = tf.maximum(tf.maximum(padded[0], padded[1]), tf.maximum(padded[2], padded[3]))
    return either * 2.0 - 1.0
