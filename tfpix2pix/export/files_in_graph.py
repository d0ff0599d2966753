"""Decodes PNG and JPEG files to images and encodes PNG inside a graph, for the `image_bytes` of a server.

The graph reads a file as `tfpix2pix translate` does: 8 and 16 bits, `data.input_range`, channels matched, label maps of
indices, of values or of colours. TensorFlow decodes a palette PNG to its colours, so the graph refuses one if its
indices count. It reads the header before it decodes, so a file that claims more than `MAX_MEGAPIXELS` takes neither
time nor memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.labels import FAR, MOST_FAR
from tfpix2pix.data.ranges import full_range
from tfpix2pix.data.settings import DataConfig

MAX_MEGAPIXELS = 16  # 4096×4096
HEADER_BYTES = 26  # of a PNG: signature, length and name of the first chunk, width, height, bits, colour type
PNG_SIGNATURE = np.frombuffer(b"\x89PNG\r\n\x1a\n", np.uint8)
JPEG_SIGNATURE = np.frombuffer(b"\xff\xd8\xff", np.uint8)
DECODABLE = (1, 3, 4)  # channels that the decoders of both formats can return
ENCODABLE = (1, 2, 3, 4)
BITS, COLOR_TYPE = 24, 25  # bytes of a PNG's header
GRAY_TYPE, PALETTE_TYPE = 0, 3
STEPS_8_IN_16 = 257.0  # 255 × 257 = 65535: steps of 8 bits in 16


def can_be_files(card: ModelCard) -> bool:
    """Returns True if PNG can hold the model's inputs and translations."""
    data = card.config.data
    return (
        not (data.inputs or data.targets)
        and data.input_channels in DECODABLE
        and data.target_channels in ENCODABLE
        and card.target_dtype in ("uint8", "uint16")
    )


def read_file(content: tf.Tensor, card: ModelCard) -> tf.Tensor:
    """Decodes a scalar string to float32 (H, W, C) in [-1, 1]; class indices become index / 127.5 - 1.

    The graph raises InvalidArgument if the file is not PNG or JPEG, is too large, or is truncated.
    """
    data = card.config.data
    header = tf.io.decode_raw(
        tf.strings.substr(tf.strings.join([content, b"\0" * HEADER_BYTES]), 0, HEADER_BYTES), tf.uint8
    )
    is_png = tf.reduce_all(header[:8] == PNG_SIGNATURE)
    is_jpeg = tf.reduce_all(header[:3] == JPEG_SIGNATURE)
    known = tf.debugging.Assert(
        is_png | is_jpeg, ["An image must be a PNG or JPEG file. Received another. Convert it."]
    )
    with tf.control_dependencies([known]):
        height, width = _size(tf.identity(content), header, is_png)
    fits = (height >= 1) & (width >= 1) & (height * width <= MAX_MEGAPIXELS * 2**20)
    message = f"An image must have at least a pixel and at most {MAX_MEGAPIXELS} megapixels. Received height and width:"
    content = only_if(fits, content, message, height, width, "Send it in parts.")  # before decoding
    deep = is_png & (header[BITS] == 16)
    scale = tf.where(deep, 1.0, STEPS_8_IN_16)
    if data.input_classes:
        if data.class_colors is None or data.input_class_values == "palette_indices":
            message = "A label map must be a gray file, or a picture in `data.class_colors` if the model has them."
            received = "Received a palette PNG, whose indices a server cannot read. Convert it to gray."
            content = only_if(~(is_png & (header[COLOR_TYPE] == PALETTE_TYPE)), content, message, received)
        one_bit = is_png & (header[BITS] == 1) & (header[COLOR_TYPE] == GRAY_TYPE)
        return _label_map(_decoded(content, is_png, 0), scale, one_bit, data)
    values = _decoded(content, is_png, data.input_channels)
    if data.ranges[0] is None:
        return values * (2.0 / 65535.0) - 1.0
    low, high = full_range(np.float32, data.ranges[0])
    signed = (values / scale - np.float32(low)) * np.float32(2.0 / (high - low)) - 1.0
    return tf.clip_by_value(signed, -1.0, 1.0) if data.clips[0] else signed


def write_file(image: tf.Tensor, card: ModelCard) -> tf.Tensor:
    """Encodes float32 (H, W, C') in [-1, 1] as a PNG file of the targets' depth, a scalar string."""
    low, high = full_range(np.dtype(card.target_dtype), card.config.data.ranges[1])
    values = (image + 1.0) * np.float32((high - low) / 2.0) + np.float32(low)
    values = tf.clip_by_value(values, np.float32(low), np.float32(high))
    return tf.io.encode_png(tf.saturate_cast(tf.round(values), tf.dtypes.as_dtype(card.target_dtype)))


def _size(content: tf.Tensor, header: tf.Tensor, is_png: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (height, width), int64, of the header."""
    bytes_ = tf.cast(header, tf.int64)

    def big_endian(start: int) -> tf.Tensor:
        return tf.reduce_sum(bytes_[start : start + 4] * tf.constant([2**24, 2**16, 2**8, 1], tf.int64))

    def jpeg_size() -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.cast(tf.io.extract_jpeg_shape(content), tf.int64)
        return shape[0], shape[1]

    return tf.cond(is_png, lambda: (big_endian(20), big_endian(16)), jpeg_size)


def _decoded(content: tf.Tensor, is_png: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns float32 (H, W, channels) from 0 to 65535 for any depth; 0 channels: as many as the file has."""

    def png() -> tf.Tensor:
        return tf.cast(tf.io.decode_png(content, channels, tf.uint16), tf.float32)

    def jpeg() -> tf.Tensor:
        stored = 3 if channels == 4 else channels
        image = tf.cast(tf.io.decode_jpeg(content, stored, dct_method="INTEGER_ACCURATE"), tf.float32) * STEPS_8_IN_16
        if channels == 4:
            image = tf.concat([image, tf.fill(tf.shape(image[..., :1]), 65535.0)], axis=-1)
        return image

    image = tf.cond(is_png, png, jpeg)
    return tf.ensure_shape(image, (None, None, channels or None))


def _label_map(decoded: tf.Tensor, scale: tf.Tensor, one_bit: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """Returns index / 127.5 - 1 of a label map, read as `data.labels.to_classes` reads it.

    Args:
        decoded: the file's values, from 0 to 65535 for any depth.
        scale: divides them to those in the file.
        one_bit: whether the file is gray of one bit.
    """
    classes, values, ignored = data.input_classes, data.input_class_values, data.ignore_class
    by_indices = values in (None, "indices", "palette_indices", "colors")
    table = range(classes) if by_indices else values
    has_white = 255 in (*table, ignored) or values == "palette_indices"
    numbers = decoded[..., :1] / tf.where(one_bit & (not has_white), 65535.0, scale)

    def is_among(known: Sequence[int]) -> tf.Tensor:
        return tf.reduce_any(numbers == tf.constant([*known], tf.float32), axis=-1, keepdims=True)

    not_ignored = tf.fill(tf.shape(numbers), True) if ignored is None else numbers != ignored
    fits = tf.reduce_all(is_among(table) | ~not_ignored)

    def of_gray() -> tf.Tensor:
        message = f"A label map must hold {f'the class indices 0 to {classes - 1}' if by_indices else [*table]}."
        every = fits | tf.reduce_all((numbers < classes) | ~not_ignored)
        checked = only_if(every, numbers, message, "Received the largest value:", tf.reduce_max(numbers))
        if by_indices:
            return checked
        places = tf.argmax(tf.cast(numbers == tf.constant([*table], tf.float32), tf.int32), axis=-1)
        return tf.where(fits & not_ignored, tf.cast(places, tf.float32)[..., tf.newaxis], checked)

    def of_colors() -> tf.Tensor:
        if data.class_colors is None:
            message = "A label map must hold class indices. Received colours, and the model has no `data.class_colors`."
            return only_if(tf.shape(decoded)[2] < 3, numbers, message)
        is_gray = tf.shape(decoded)[2] < 3
        picture = tf.cond(is_gray, lambda: tf.repeat(decoded[..., :1], 3, axis=-1), lambda: decoded[..., :3])
        picture = picture / STEPS_8_IN_16
        colors = tf.constant(data.class_colors, tf.float32)  # (classes, 3)
        # |p - c|² without the term |p|², which is the same for every class
        scores = 2.0 * tf.tensordot(picture, colors, [[2], [1]]) - tf.reduce_sum(tf.square(colors), axis=1)
        far = tf.reduce_sum(tf.square(picture), axis=-1) - tf.reduce_max(scores, axis=-1) > FAR**2
        share = tf.reduce_mean(tf.cast(far, tf.float32))
        message = "A label map must be drawn in the colours of `data.class_colors`. Received others in this fraction:"
        scores = only_if(share <= MOST_FAR, scores, message, share)
        nearest = tf.cast(tf.argmax(scores, axis=-1), tf.float32)[..., tf.newaxis]
        if ignored is None or (ignored,) * 3 in data.class_colors:
            return nearest
        return tf.where(is_gray & (numbers == ignored), float(ignored), nearest)

    in_colors = tf.shape(decoded)[2] >= 3
    if data.class_colors and values != "colors":
        # as `labels._is_gray_indices`
        grays = [red for red, green, blue in data.class_colors if red == green == blue and red]
        is_index = tf.reduce_all((numbers < classes) & (decoded[..., :3] == decoded[..., :1]) & ~is_among([*grays, -1]))
        in_colors &= ~(is_index & tf.reduce_any(numbers > 0))
    if values == "colors":
        in_colors |= True
    elif data.class_colors and values != "palette_indices":
        in_colors |= one_bit
    indices = tf.cond(in_colors, of_colors, of_gray)
    return tf.ensure_shape(indices, (None, None, 1)) / 127.5 - 1.0


def only_if(condition: tf.Tensor, value: tf.Tensor, *message: object) -> tf.Tensor:
    """Returns `value`. Stops the graph with the message before the value is used if the condition does not hold.

    `tf.debugging.Assert` would put the operation in a branch. In an optimised graph, later operations do not wait for
    a branch.
    """
    with tf.control_dependencies([tf.raw_ops.Assert(condition=condition, data=list(message))]):
        return tf.identity(value)
