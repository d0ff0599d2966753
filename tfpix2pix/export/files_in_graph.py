"""Decodes PNG and JPEG files to images and encodes PNG inside a graph, for the `image_bytes` of a server.

The graph reads a file as `tfpix2pix translate` does: 8 and 16 bits, `data.input_range`, channels matched, label maps of
indices or of colours. It reads the header before it decodes, so a file that claims more than `MAX_MEGAPIXELS` takes
neither time nor memory.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import full_range
from tfpix2pix.data.labels import class_colors

MAX_MEGAPIXELS = 16  # 4096×4096
HEADER_BYTES = 26  # of a PNG: signature, length and name of the first chunk, width, height, bits, colour type
PNG_SIGNATURE = np.frombuffer(b"\x89PNG\r\n\x1a\n", np.uint8)
JPEG_SIGNATURE = np.frombuffer(b"\xff\xd8\xff", np.uint8)
DECODABLE = (1, 3, 4)  # channels that the decoders of both formats can return
ENCODABLE = (1, 2, 3, 4)
STEPS_8_IN_16 = 257.0  # 255 × 257 = 65535: steps of 8 bits in 16


def can_be_files(card: ModelCard) -> bool:
    """Returns True if PNG can hold the model's inputs and translations."""
    data = card.config.data
    return (
        data.input_channels in DECODABLE
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
    deep = is_png & (header[24] == 16)
    scale = tf.where(deep, 1.0, STEPS_8_IN_16)
    if data.input_classes:
        return _label_map(_decoded(content, is_png, 0) / scale, card)
    values = _decoded(content, is_png, data.input_channels)
    if data.ranges[0] is None:
        return values * (2.0 / 65535.0) - 1.0
    low, high = data.ranges[0]
    return (values / scale - low) * (2.0 / (high - low)) - 1.0


def write_file(image: tf.Tensor, card: ModelCard) -> tf.Tensor:
    """Encodes float32 (H, W, C') in [-1, 1] as a PNG file of the targets' depth, a scalar string."""
    low, high = full_range(np.dtype(card.target_dtype), card.config.data.ranges[1])
    values = tf.clip_by_value((image + 1.0) * ((high - low) / 2.0) + low, low, high)
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


def _label_map(picture: tf.Tensor, card: ModelCard) -> tf.Tensor:
    """Returns index / 127.5 - 1 of a label map from 0 to 255: indices in a channel, or a picture in class colours."""
    data = card.config.data
    colors = tf.constant(class_colors(data, data.input_classes), tf.float32)  # (classes, 3)

    def nearest() -> tf.Tensor:
        # |p - c|² without the term |p|², which is the same for every class
        scores = 2.0 * tf.tensordot(picture[..., :3], colors, [[2], [1]]) - tf.reduce_sum(tf.square(colors), axis=1)
        return tf.cast(tf.argmax(scores, axis=-1), tf.float32)[..., tf.newaxis]

    indices = tf.cond(tf.shape(picture)[2] >= 3, nearest, lambda: picture[..., :1])
    allowed = indices < data.input_classes
    if data.ignore_class is not None:
        allowed |= indices == data.ignore_class
    message = f"A label map must hold the class indices 0 to {data.input_classes - 1}. Received the largest value:"
    indices = only_if(tf.reduce_all(allowed), indices, message, tf.reduce_max(indices))
    return tf.ensure_shape(indices, (None, None, 1)) / 127.5 - 1.0


def only_if(condition: tf.Tensor, value: tf.Tensor, *message: object) -> tf.Tensor:
    """Returns `value`. Stops the graph with the message before the value is used if the condition does not hold.

    `tf.debugging.Assert` would put the operation in a branch. In an optimised graph, later operations do not wait for
    a branch.
    """
    with tf.control_dependencies([tf.raw_ops.Assert(condition=condition, data=list(message))]):
        return tf.identity(value)
