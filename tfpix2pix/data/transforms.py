"""Resizes, crops and augments pairs: pure functions of a pair and a random key, the same for input and target.

A pair is (input, target), each float32 (H, W, C) in [-1, 1], or (input, target, weight), the weight float32 (H, W, 1)
in [0, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import groupby

import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.data.images import LUMA, reflected_indices
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.size import Size, SizePx

Pair = tuple[tf.Tensor, ...]
Numbers = Sequence[bool]  # for each channel, or one for all: it holds numbers of classes or instances
PHOTOGRAPHS = ((False,), (False,))


METHODS = {False: "bilinear", True: "nearest"}  # for photographs, and for numbers of classes or instances


def resize(pair: Pair, size_px: SizePx, numbers: Sequence[Numbers] = PHOTOGRAPHS) -> Pair:
    """Resizes both to `size_px`, a side or height and width, without keeping the aspect ratio.

    Photographs are antialiased. Channels of `numbers` take the nearest neighbour.
    """
    sides = zip(pair, numbers, strict=True)
    return tuple(_resize(image, tuple(Size.of(size_px)), channels) for image, channels in sides)


def random_crop(pair: Pair, size_px: SizePx, key: tf.Tensor) -> Pair:
    """Crops the same rectangle of `size_px`, a side or height and width, from both, uniform over all positions."""
    size = Size.of(size_px)
    room = tf.shape(pair[0])[:2] - size + 1  # (2,)
    fraction = crop_fraction(key)
    corner = tf.minimum(tf.cast(fraction * tf.cast(room, tf.float32), tf.int32), room - 1)
    return _crop(pair, corner, size)


def crop_fraction(key: tf.Tensor) -> tf.Tensor:
    """Returns the random numbers by which `random_crop` chooses its place, float32 (2,) in [0, 1): down and across."""
    return rng.uniform((2,), key)


def center_crop(pair: Pair, size_px: SizePx) -> Pair:
    """Crops the rectangle of `size_px`, a side or height and width, in the middle of both."""
    size = Size.of(size_px)
    return _crop(pair, (tf.shape(pair[0])[:2] - size) // 2, size)


def random_mirror(pair: Pair, key: tf.Tensor) -> Pair:
    """Mirrors both left to right, with probability one half."""
    mirrored = rng.uniform((), key) < 0.5
    return tuple(tf.where(mirrored, tf.reverse(image, axis=(1,)), image) for image in pair)


def random_vertical_flip(pair: Pair, key: tf.Tensor) -> Pair:
    """Flips both top to bottom, with probability one half."""
    flipped = rng.uniform((), key) < 0.5
    return tuple(tf.where(flipped, tf.reverse(image, axis=(0,)), image) for image in pair)


def random_rotation(pair: Pair, key: tf.Tensor) -> Pair:
    """Rotates both, which must be square, by the same random number of right angles."""
    turns = tf.cast(rng.uniform((), key) * 4.0, tf.int32)
    return tuple(tf.ensure_shape(tf.image.rot90(image, turns), image.shape) for image in pair)


def color_jitter(image: tf.Tensor, strength: float, key: tf.Tensor) -> tf.Tensor:
    """Shifts brightness and scales contrast and, for RGB, saturation by up to `strength` each. Clips to [-1, 1]."""
    brightness, contrast, saturation = tf.unstack((rng.uniform((3,), key) * 2.0 - 1.0) * strength)
    mean = tf.reduce_mean(image)
    image = (image - mean) * (1.0 + contrast) + mean + brightness
    if image.shape[-1] == 3:
        gray = tf.reduce_sum(image * tf.constant(LUMA, image.dtype), axis=-1, keepdims=True)
        image = gray + (image - gray) * (1.0 + saturation)
    return tf.clip_by_value(image, -1.0, 1.0)


def to_fit(pair: Pair, config: DataConfig, size: Size) -> Pair:
    """Brings both to `size` by the row `config.fit` of `FITS`, so that a rectangle of that size can be cropped.

    Pixels of a target count in the resized one by their weight. So those of weight 0 leave no trace beside others.
    """
    if len(pair) == 2:
        return FITS[config.fit](pair, size, config.numbers)
    image, target, weight = pair
    of_image, of_target = config.numbers
    if config.fit == "crop" or all(of_target):
        return FITS[config.fit](pair, size, (of_image, of_target, (False,)))
    both = tf.concat([target, target * weight], axis=-1)
    image, both, weight = FITS[config.fit]((image, both, weight), size, (of_image, of_target * 2, (False,)))
    target, weighted = tf.split(both, 2, axis=-1)
    mean = tf.clip_by_value(tf.math.divide_no_nan(weighted, weight), -1.0, 1.0)
    has_mean = (weight > 0.0) & ~tf.constant(of_target)  # class indices have none
    return image, tf.where(has_mean, mean, target), tf.clip_by_value(weight, 0.0, 1.0)


def for_training(pair: Pair, config: DataConfig, key: tf.Tensor) -> Pair:
    """Fits, jitters, mirrors (paper §6.2: resize to 286, crop to 256, mirror) and encodes a pair for the networks."""
    return augmented(
        random_crop(to_fit(pair, config, config.jitter_size_px), config.size_px, crop_key(key)), config, key
    )


def crop_key(key: tf.Tensor) -> tf.Tensor:
    """Returns the key of the crop of a pair, from that of all its changes."""
    return rng.at(key, 0)


def augmented(pair: Pair, config: DataConfig, key: tf.Tensor) -> Pair:
    """Mirrors, turns and encodes a pair of `config.size_px`, as `for_training` does after the crop."""
    if config.mirror:
        pair = random_mirror(pair, rng.at(key, 1))
    if config.vertical_flip:
        pair = random_vertical_flip(pair, rng.at(key, 2))
    if config.rotate:
        pair = random_rotation(pair, rng.at(key, 3))
    if config.color_jitter:
        jitter = functools.partial(color_jitter, strength=config.color_jitter, key=rng.at(key, 4))
        image, target, *weight = pair
        pair = (jitter(image), target) if config.color_jitter_side == "input" else (image, jitter(target))
        pair = (*pair, *weight)
    image, target, *weight = pair
    return config.encoding.encode_input(image), config.encoding.encode_target(target), *weight


def for_evaluation(pair: Pair, config: DataConfig) -> Pair:
    """Fits a pair to `image_size_px` without augmentation. The result is images, not encoded for the networks."""
    return center_crop(to_fit(pair, config, config.size_px), config.size_px)


def _resize(image: tf.Tensor, size: tuple[int, int] | tf.Tensor, numbers: Numbers) -> tf.Tensor:
    """Resizes an image, with antialiasing only if it shrinks.

    Antialiasing does not change an enlargement, and TensorFlow's kernel for it takes three times as long.
    """
    runs = [(nearest, len(list(channels))) for nearest, channels in groupby(numbers)]
    if len(runs) > 1:
        parts = zip(tf.split(image, [length for _, length in runs], axis=-1), runs, strict=True)
        return tf.concat([_resize(part, size, (nearest,)) for part, (nearest, _) in parts], axis=-1)
    nearest = runs[0][0]
    if nearest:
        return tf.image.resize(image, size, METHODS[nearest])
    shrinks = tf.reduce_any(tf.shape(image)[:2] > tf.convert_to_tensor(size))
    smooth, plain = (
        functools.partial(tf.image.resize, image, size, METHODS[nearest], antialias=a) for a in (True, False)
    )
    return tf.cond(shrinks, smooth, plain)


def _covering(pair: Pair, size: Size, numbers: Sequence[Numbers]) -> Pair:
    return _scaled(pair, size, tf.maximum, numbers)


def _within_and_reflected(pair: Pair, size: Size, numbers: Sequence[Numbers]) -> Pair:
    """Resizes both to lie within `size`, and pads them to it by reflection."""
    reflected = []
    for image in _scaled(pair, size, tf.minimum, numbers):
        for axis in (0, 1):
            indices = reflected_indices(tf.shape(image)[axis], size[axis], tf.range, tf.minimum, tf.maximum)
            image = tf.gather(image, indices, axis=axis)
        reflected.append(image)
    return tuple(reflected)


def _scaled(pair: Pair, size: Size, chosen: Callable, numbers: Sequence[Numbers]) -> Pair:
    """Resizes both by one factor, to cover `size` (`chosen=tf.maximum`) or to lie within it (`tf.minimum`)."""
    scaled = []
    for image, channels in zip(pair, numbers, strict=True):
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        factor = chosen(size.height / shape[0], size.width / shape[1])
        scaled.append(_resize(image, tf.cast(tf.round(shape * factor), tf.int32), channels))
    return tuple(scaled)


# Ways to bring a pair to a size, from which a rectangle of at most that size is cropped.
FITS: dict[str, Callable[[Pair, Size, Sequence[Numbers]], Pair]] = {
    "resize": resize,
    "resize_crop": _covering,
    "crop": lambda pair, size, numbers: pair,
    "pad": _within_and_reflected,
}


def _crop(pair: Pair, corner: tf.Tensor, size: Size) -> Pair:
    top, left = corner[0], corner[1]
    return tuple(
        tf.ensure_shape(image[top : top + size.height, left : left + size.width], (*size, image.shape[-1]))
        for image in pair
    )
