"""Label maps as the networks see them: a channel a class. In TensorFlow because it is part of the exported graph.

Outside, a label map is a gray image of class indices, and like every image it is float in [-1, 1] inside:
index / 127.5 - 1. One channel a class says that no class lies between two others (pix2pixHD, §3.2).
"""

from __future__ import annotations

import tensorflow as tf

HALF_RANGE = 127.5  # of 8 bits


def one_hot(label_map: tf.Tensor, classes: int) -> tf.Tensor:
    """(…, 1) class indices in [-1, 1] -> (…, classes): 1 in the channel of the class, -1 in all others.

    An index beyond the classes (pixels to ignore) is -1 in every channel.
    """
    indices = tf.cast(tf.round((label_map[..., 0] + 1.0) * HALF_RANGE), tf.int32)
    return tf.one_hot(indices, classes, on_value=1.0, off_value=-1.0, dtype=label_map.dtype)


def most_likely(network_input: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """(…, classes) -> (…, 1): the index of the class of the highest score, in [-1, 1]; the input is not needed."""
    indices = tf.argmax(scores, axis=-1, output_type=tf.int32)[..., tf.newaxis]
    return tf.cast(indices, scores.dtype) / HALF_RANGE - 1.0
