"""Draws random numbers as a pure function of (seed, stream, counter), never from a generator's state.

The order of pairs, crops, mirrors and dropout noise at step t need no saved state (docs/architecture.md, "Everything
at step t is a pure function"): resumed and repeated runs draw the same.
"""

from __future__ import annotations

import zlib

import tensorflow as tf

ALGORITHM = "philox"  # TensorFlow's default differs between devices


def stream(seed: int, name: str) -> tf.Tensor:
    """Returns the key (int32, shape (2,)) of one named stream of a run's seed, for `tf.random.stateless_*`."""
    return tf.constant([seed, zlib.crc32(name.encode()) & 0x7FFFFFFF], tf.int32)


def at(key: tf.Tensor, *counters: tf.Tensor | int) -> tf.Tensor:
    """Returns the key of one draw: `key` folded with each counter (step, epoch, index of a pair) in turn."""
    for counter in counters:
        key = tf.random.fold_in(key, tf.cast(counter, tf.int32), alg=ALGORITHM)
    return key


def shuffled_index(key: tf.Tensor, position: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (epoch, index) of the pair at a global `position`. Each epoch is another permutation of `count` pairs."""
    epoch, within = position // count, position % count
    if count == 1:  # index_shuffle needs at least two
        return epoch, tf.zeros_like(within)
    return epoch, tf.random.experimental.index_shuffle(within, at(key, epoch), tf.cast(count - 1, within.dtype))


def uniform(shape: tuple, key: tf.Tensor) -> tf.Tensor:
    """Returns float32 of `shape`, uniform in [0, 1), that depends on `key` alone and is the same on every device."""
    return tf.random.stateless_uniform(shape, key, alg=ALGORITHM)
