"""Doubles the height and width of a map. A new method is a function and a row of `UPSAMPLINGS`.

Each function gets the kernel of a transposed convolution and the side of the map in training (None: any). Some ignore
them.

If the kernel of a transposed convolution is not a multiple of its stride, or its weights differ between the phases of
the output grid, its result has a checkerboard (Odena et al., "Deconvolution and checkerboard artifacts", Distill 2016).
`resize` and `bilinear` cannot make one, `blurred` removes it, and `subpixel` starts without one. Nearest neighbour
leaves straight streaks, because its pixels come in blocks of four equal ones.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfpix2pix.models import UPSAMPLINGS  # noqa: F401  (its place in earlier versions)
from tfpix2pix.models.blocks import Blocks, initializer
from tfpix2pix.models.products import LARGEST_SIDE_PX, ProductConv2DTranspose, with_bias

RESIZE_KERNEL = 3


def transposed(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Applies a transposed convolution of stride 2, 4×4 as in the paper or 3×3 as in the [torch] resnet."""
    sizes = {"kernel_size": kernel, "strides": 2}
    if kernel == 4:
        small = side_px is not None and side_px <= LARGEST_SIDE_PX
        kind = ProductConv2DTranspose if small else layers.Conv2DTranspose
        return blocks.convolution(x, kind, filters, name, padding="same", **sizes, **options)
    # 3×3: Torch's padding 1 with output padding 1 drops the first row and column of the full result.
    return blocks.convolution(x, Transposed3, filters, name, **options)


def blurred(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Applies `transposed`, then the fixed filter [1, 2, 1]/4 along both axes, before the norm.

    The filter is zero at the frequency of a checkerboard (Karras et al., "A style-based generator architecture …", CVPR
    2019, §2.1). A map of one pixel is not blurred: its filtered 2×2 result would be constant, which a norm turns to
    zero.
    """
    blur = None if side_px == 1 else Blur(name=f"{name}_blur")
    return transposed(blocks, x, filters, name, kernel, side_px, then=blur, **options)


def resize(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Resizes by nearest neighbour, then applies a 3×3 convolution: every output pixel is computed in the same way."""
    return _convolved(blocks, x, filters, name, layers.UpSampling2D(2, name=f"{name}_resize"), "nearest", **options)


def bilinear(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Resizes bilinearly, then applies a 3×3 convolution: a smooth map stays smooth, without steps."""
    return _convolved(blocks, x, filters, name, Bilinear(name=f"{name}_resize"), "bilinear", **options)


def _convolved(
    blocks: Blocks,
    x: Any,
    filters: int,
    name: str,
    double: layers.Layer,
    interpolation: str,
    last: bool = False,
    **options: Any,
) -> Any:
    if last:  # few filters on a large map: computing the doubled map would cost more than the convolution
        return blocks.convolution(x, DoublingConv2D, filters, name, interpolation=interpolation, last=True, **options)
    sizes = {"kernel_size": RESIZE_KERNEL, "padding": "same"}
    return blocks.convolution(double(x), layers.Conv2D, filters, name, **sizes, **options)


def subpixel(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Applies a 3×3 convolution to four times the channels, rearranged to twice the side (Shi et al., CVPR 2016).

    The four kernels of an output channel start equal (ICNR, Aitken et al. 2017), so the first output equals `resize`'s.
    """
    start = Repeated(initializer(blocks.seed, name))
    return blocks.convolution(x, SubpixelConv2D, filters, name, kernel_initializer=start, **options)


@keras.saving.register_keras_serializable("tfpix2pix")
class Blur(layers.Layer):
    """Filters (N, H, W, C) by [1, 2, 1]/4 along both axes, mirrored at the edge pixel.

    Constants stay constant, and values that change sign from pixel to pixel become zero, at the edges too. Computed as
    two means of 2×2 pixels: pooling is fast in both passes and has no weights.
    """

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = _mirrored(x, training)
        for _ in range(2):
            x = tf.nn.avg_pool2d(x, 2, 1, "VALID")
        return x

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape


def _mirrored(x: tf.Tensor, training: bool | None, at_the_edge: bool = False) -> tf.Tensor:
    """Pads (N, H, W, C) to (N, H + 2, W + 2, C), mirrored `at_the_edge`, or else at the outermost pixel.

    At inference it uses operations that XNNPACK has. In training their gradients would be sums of three terms.
    """
    if training:
        return tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="SYMMETRIC" if at_the_edge else "REFLECT")
    first, last = (slice(1), slice(-1, None)) if at_the_edge else (slice(1, 2), slice(-2, -1))
    x = tf.concat([x[:, first], x, x[:, last]], 1)
    return tf.concat([x[:, :, first], x, x[:, :, last]], 2)


def _doubled(shape: tuple, channels: int) -> tuple:
    """Returns the shape (N, 2H, 2W, channels) for (N, H, W, C). H and W may be None."""
    return (shape[0], *(None if side is None else 2 * side for side in shape[1:3]), channels)


@keras.saving.register_keras_serializable("tfpix2pix")
class Bilinear(layers.Layer):
    """Doubles (N, H, W, C) to (N, 2H, 2W, C), bilinear between the pixels' centres."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        sides = [2 * (side or tf.shape(x)[axis]) for axis, side in ((1, x.shape[1]), (2, x.shape[2]))]
        return tf.cast(tf.image.resize(x, sides, "bilinear"), x.dtype)  # resize returns float32 for any type

    def compute_output_shape(self, shape: tuple) -> tuple:
        return _doubled(shape, shape[3])


@keras.saving.register_keras_serializable("tfpix2pix")
class Transposed3(layers.Conv2DTranspose):
    """Applies a 3×3 transposed convolution of stride 2 with Torch's alignment (padding 1, output padding 1)."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        kwargs.update(kernel_size=3, strides=2, padding="valid")
        super().__init__(filters, **kwargs)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return super().call(x)[:, 1:, 1:]  # 2n + 1 -> 2n

    def compute_output_shape(self, shape: tuple) -> tuple:
        return _doubled(shape, self.filters)


@keras.saving.register_keras_serializable("tfpix2pix")
class SubpixelConv2D(layers.Conv2D):
    """Applies a 3×3 convolution and depth-to-space: (N, H, W, C) -> (N, 2H, 2W, filters).

    Args:
        edges: values beyond the map: `zero`, or `mirrored`, which repeats the outermost pixels.
    """

    def __init__(self, filters: int, edges: Literal["zero", "mirrored"] = "zero", **kwargs: Any) -> None:
        kwargs.update(kernel_size=RESIZE_KERNEL, strides=1, padding="same" if edges == "zero" else "valid")
        super().__init__(4 * filters, **kwargs)
        self.edges = edges

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = x if self.edges == "zero" else _mirrored(x, training, at_the_edge=True)
        return tf.nn.depth_to_space(super().call(x), 2)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return _doubled(shape, self.filters // 4)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters // 4, "edges": self.edges}


@keras.saving.register_keras_serializable("tfpix2pix")
class DoublingConv2D(layers.Conv2D):
    """Doubles the side by `interpolation` and applies a 3×3 convolution, as one convolution of the small map.

    The pixels of the doubled map are fixed means of pixels of the small one. So each of the result's four phases is a
    3×3 convolution of the small map, whose kernel is a fixed linear function of the learned one. The large map of many
    channels is never computed. Beyond the edge `nearest` has zeros, and `bilinear` the mirrored map.
    """

    def __init__(self, filters: int, interpolation: Literal["nearest", "bilinear"], **kwargs: Any) -> None:
        kwargs.update(kernel_size=RESIZE_KERNEL, strides=1, padding="same")
        super().__init__(filters, **kwargs)
        self.interpolation = interpolation
        self.edges = "zero" if interpolation == "nearest" else "mirrored"

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        kernel = tf.cast(self.phases(tf.convert_to_tensor(self.kernel)), self.compute_dtype)
        if self.edges == "zero":
            y = tf.nn.conv2d(x, kernel, 1, "SAME")
        else:
            y = tf.nn.conv2d(_mirrored(x, training, at_the_edge=True), kernel, 1, "VALID")
        return with_bias(self, tf.nn.depth_to_space(y, 2))

    def phases(self, kernel: tf.Tensor) -> tf.Tensor:
        """Returns the kernels of the four phases, (3, 3, C, 4 · filters) in the order of depth-to-space, of
        `kernel` (3, 3, C, filters)."""
        means = tf.constant(MEANS[self.interpolation], kernel.dtype)  # phase, offset in the small map, in the large one
        kernel = tf.einsum("pai,qbj,ijcf->abcpqf", means, means, kernel)
        return tf.reshape(kernel, (*kernel.shape[:3], 4 * self.filters))

    def as_subpixel(self) -> SubpixelConv2D:
        """Returns a layer that computes the same with the phases' kernels as weights (`subpixel_weights`)."""
        shared = {"use_bias": self.use_bias, "name": self.name, "dtype": self.dtype_policy}
        return SubpixelConv2D(self.filters, self.edges, **shared)

    def subpixel_weights(self) -> list[np.ndarray]:
        """Returns the weights for `as_subpixel`."""
        kernel, *bias = self.get_weights()
        return [self.phases(tf.constant(kernel)).numpy(), *(np.tile(values, 4) for values in bias)]

    def compute_output_shape(self, shape: tuple) -> tuple:
        return _doubled(shape, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


# Weights of the pixels at -1, 0 and 1 of the small map (rows) in those at -1, 0 and 1 of the doubled one (columns),
# counted from a pixel of the first phase and of the second.
MEANS = {
    "nearest": [[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]],
    "bilinear": [
        [[0.75, 0.25, 0], [0.25, 0.75, 0.75], [0, 0, 0.25]],
        [[0.25, 0, 0], [0.75, 0.75, 0.25], [0, 0.25, 0.75]],
    ],
}


@keras.saving.register_keras_serializable("tfpix2pix")
class Repeated(keras.initializers.Initializer):
    """Repeats a kernel four times, in the order of depth-to-space, in which the position comes before the channel."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = keras.initializers.get(kernel)

    def __call__(self, shape: tuple, dtype: Any = None) -> tf.Tensor:
        return tf.tile(self.kernel((*shape[:-1], shape[-1] // 4), dtype), (1, 1, 1, 4))

    def get_config(self) -> dict[str, Any]:
        return {"kernel": keras.initializers.serialize(self.kernel)}
