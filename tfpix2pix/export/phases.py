"""Turns transposed convolutions of stride 2 into ordinary convolutions, which run about twice as fast in XNNPACK.

Row 2j + c of a transposed convolution's full result depends on the input's rows j - 1 and j alone, by the kernel's
rows c + 2 and c. So a 2×2 convolution to four times the channels, one set for each of the four phases (c of rows, c of
columns), computes all rows, and depth-to-space arranges them: the same sums of the same products.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfpix2pix.export.plain import plain_weights, with_plain_convolutions

KERNEL = 4  # a 3×3 kernel is a 4×4 one whose last row and column are 0


class Phases(layers.Conv2D):
    """Maps (N, H, W, C) to (N, 2H, 2W, filters), as a transposed convolution of stride 2 and kernel 4×4 (or 3×3)."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(4 * filters, kernel_size=2, padding="valid", **kwargs)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = super().call(tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
        return tf.nn.depth_to_space(x, 2)[:, 1:-1, 1:-1]  # the full result is a pixel wider on every side

    def compute_output_shape(self, shape: tuple) -> tuple:
        sides = (None if side is None else 2 * side for side in shape[1:3])
        return (shape[0], *sides, self.filters // 4)


def in_phases(generator: keras.Model) -> keras.Model:
    """Returns the same function with weights of its own, by ordinary convolutions alone."""

    def make(layer: layers.Layer) -> layers.Layer | None:
        if not _replaced(layer):
            return None
        return Phases(layer.filters, use_bias=layer.use_bias, name=layer.name, dtype=layer.dtype_policy)

    cloned = with_plain_convolutions(generator, make)
    for layer in generator.layers:
        weights = plain_weights(layer)
        cloned.get_layer(layer.name).set_weights(_converted(*weights) if _replaced(layer) else weights)
    return cloned


def _replaced(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.Conv2DTranspose) and tuple(layer.strides) == (2, 2) and max(layer.kernel_size) <= 4


def _converted(kernel: np.ndarray, bias: np.ndarray | None = None) -> list[np.ndarray]:
    """Returns the kernel (k, k, C', C) of a transposed convolution as (2, 2, C, 4C'), and the bias of every phase."""
    missing = KERNEL - len(kernel)
    kernel = np.pad(kernel, ((0, missing), (0, missing), (0, 0), (0, 0)))
    out_channels, in_channels = kernel.shape[2:]
    kernel = kernel.reshape(2, 2, 2, 2, out_channels, in_channels)  # row j, its c, column j, its c: 2j + c
    kernel = np.flip(kernel, (0, 2)).transpose(0, 2, 5, 1, 3, 4)  # the window's first row is the input's row j - 1
    kernel = kernel.reshape(2, 2, in_channels, 4 * out_channels)
    return [kernel] if bias is None else [kernel, np.tile(bias, 4)]
