"""Computes 4×4 convolutions of stride 2 on small maps as matrix products: half the time, the same sums of products.

If a map has few pixels and a kernel millions of weights, the time of a convolution is that of moving the kernel. On a
CPU, TensorFlow's convolutions rearrange the kernel in memory in every pass of every step. A matrix product reads it in
place, and only the few pixels are rearranged. `patches` and `fold` do that. Each is the gradient of the other, so all
six passes (of a convolution and of a transposed one: forward, to the input, to the kernel) are products of these.
Automatic differentiation derives that by itself, because slices and pads are each other's gradients.
(`tf.custom_gradient` would keep every graph that it was ever part of.) docs/performance-step.md has the time of each
layer in both forms.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

KERNEL, STRIDE = 4, 2
LARGEST_SIDE_PX = 16  # of the smaller map; on larger ones convolutions are as fast (docs/performance-step.md)


@keras.saving.register_keras_serializable("tfpix2pix")
class ProductConv2D(layers.Conv2D):
    """Computes the same as `Conv2D` of kernel 4×4, stride 2 and `same` padding, with the same weights."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return super().call(x) if on_gpu() else with_bias(self, convolved(x, _kernel(self)))


@keras.saving.register_keras_serializable("tfpix2pix")
class ProductConv2DTranspose(layers.Conv2DTranspose):
    """Computes the same as `Conv2DTranspose` of kernel 4×4, stride 2 and `same` padding, with the same weights."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return super().call(x) if on_gpu() else with_bias(self, convolved_transposed(x, _kernel(self)))


PLAIN = {ProductConv2D: layers.Conv2D, ProductConv2DTranspose: layers.Conv2DTranspose}


def on_gpu() -> bool:
    """Returns True if TensorFlow has a GPU. Its convolutions are left to cuDNN."""
    return bool(tf.config.list_logical_devices("GPU"))


def convolved(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves (N, 2h, 2w, C) to (N, h, w, C') by a kernel (4, 4, C, C')."""
    rows = patches(x)
    y = tf.matmul(_flat(rows), tf.reshape(kernel, (-1, kernel.shape[-1])))
    return _like(rows, y)


def convolved_transposed(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Applies a transposed convolution to (N, h, w, C): (N, 2h, 2w, C') by a kernel (4, 4, C', C)."""
    y = tf.matmul(_flat(x), tf.reshape(kernel, (-1, kernel.shape[-1])), transpose_b=True)
    return fold(_like(x, y))


def patches(x: tf.Tensor) -> tf.Tensor:
    """Returns the windows of (N, 2h, 2w, C) under the kernel: (N, h, w, 16C), in the kernel's order (row, column, C).

    Row 2a + b of a window that starts at row 2i of the padded map is row b of the pair i + a. So windows are two pairs
    of rows of two pairs of columns, and no single pixels need to be gathered.
    """
    height, width, channels = _sizes(x)
    h, w = height // STRIDE, width // STRIDE
    pairs = tf.reshape(tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (-1, h + 1, 2, w + 1, 2 * channels))
    columns = tf.concat([pairs[:, :, :, :-1], pairs[:, :, :, 1:]], -1)
    rows = tf.reshape(tf.transpose(columns, (0, 1, 3, 2, 4)), (-1, h + 1, w, 8 * channels))
    return tf.concat([rows[:, :-1], rows[:, 1:]], -1)


def fold(windows: tf.Tensor) -> tf.Tensor:
    """Sums windows (N, h, w, 16C) to a map (N, 2h, 2w, C): the transpose of `patches`."""
    h, w, size = _sizes(windows)
    channels = size // KERNEL**2
    rows = _overlapped(windows, axis=1)
    columns = tf.transpose(tf.reshape(rows, (-1, h + 1, w, 2, 4 * channels)), (0, 1, 3, 2, 4))
    pairs = _overlapped(columns, axis=3)
    padded = tf.reshape(pairs, (-1, STRIDE * h + 2, STRIDE * w + 2, channels))
    return padded[:, 1:-1, 1:-1]


def _overlapped(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Moves the second half of the channels by one along `axis`, and adds it to the first half."""
    first, second = tf.split(x, 2, -1)
    return tf.pad(first, _padding_of(x, axis, (0, 1))) + tf.pad(second, _padding_of(x, axis, (1, 0)))


def _padding_of(x: tf.Tensor, axis: int, padding: tuple[int, int]) -> list[tuple[int, int]]:
    return [padding if index == axis else (0, 0) for index in range(x.shape.rank)]


def _sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Returns height, width and channels, as integers if they are known when the graph is built, else as tensors."""
    return [static or tf.shape(x)[axis] for axis, static in enumerate(x.shape) if axis]


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (-1, x.shape[-1]))


def _like(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Reshapes the rows of a product to the height and width of `x`."""
    height, width, _ = _sizes(x)
    return tf.reshape(rows, (-1, height, width, rows.shape[-1]))


def _kernel(layer: layers.Layer) -> tf.Tensor:
    return tf.cast(tf.convert_to_tensor(layer.kernel), layer.compute_dtype)


def with_bias(layer: layers.Layer, y: tf.Tensor) -> tf.Tensor:
    """Adds a convolution's bias, if it has one, in the type of `y`."""
    return y + tf.cast(tf.convert_to_tensor(layer.bias), y.dtype) if layer.use_bias else y
