"""What happens to a pair before the networks see it: pure functions of the pair and a key; both halves move together.

A pair is (input, target), each float32 (H, W, C) in [-1, 1].
"""

from __future__ import annotations

import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.config import DataConfig
from tfpix2pix.data import COLOR_SPACES

Pair = tuple[tf.Tensor, tf.Tensor]


def resize(pair: Pair, size_px: int) -> Pair:
    """Both to (size_px, size_px), antialiased bilinear; aspect ratio not kept."""
    return tuple(tf.image.resize(image, (size_px, size_px), antialias=True) for image in pair)


def random_crop(pair: Pair, size_px: int, key: tf.Tensor) -> Pair:
    """The same square of side size_px from both, uniform over all places."""
    room = tf.shape(pair[0])[:2] - size_px + 1  # (2,)
    fraction = rng.uniform((2,), key)
    corner = tf.minimum(tf.cast(fraction * tf.cast(room, tf.float32), tf.int32), room - 1)
    return _crop(pair, corner, size_px)


def center_crop(pair: Pair, size_px: int) -> Pair:
    """The square of side size_px in the middle of both."""
    return _crop(pair, (tf.shape(pair[0])[:2] - size_px) // 2, size_px)


def random_mirror(pair: Pair, key: tf.Tensor) -> Pair:
    """Both mirrored left to right, with probability one half."""
    mirrored = rng.uniform((), key) < 0.5
    return tuple(tf.where(mirrored, tf.reverse(image, axis=(1,)), image) for image in pair)


def for_training(pair: Pair, config: DataConfig, key: tf.Tensor) -> Pair:
    """Fit to size, jitter and mirror (paper §6.2: resize to 286, crop to 256, mirror), in what the networks see."""
    if config.fit == "resize":
        pair = resize(pair, config.jitter_size_px)
    pair = random_crop(pair, config.image_size_px, rng.at(key, 0))
    if config.mirror:
        pair = random_mirror(pair, rng.at(key, 1))
    space = COLOR_SPACES[config.color_space]
    return space.encode_input(pair[0]), space.encode_target(pair[1])


def for_evaluation(pair: Pair, config: DataConfig) -> Pair:
    """Fit to size and nothing random; images, not what the networks see of them."""
    if config.fit == "resize":
        return resize(pair, config.image_size_px)
    return center_crop(pair, config.image_size_px)


def _crop(pair: Pair, corner: tf.Tensor, size_px: int) -> Pair:
    return tuple(
        tf.ensure_shape(
            image[corner[0] : corner[0] + size_px, corner[1] : corner[1] + size_px], (size_px, size_px, image.shape[-1])
        )
        for image in pair
    )
