"""Ways to double the height and width of a map. A new one is a function and a row.

Each is told the kernel of a transposed convolution and the side of the map in training (None: any), and may not care.

Where the strides of a transposed convolution divide unevenly into its kernel, or its weights differ between the
phases of the output grid, its result carries a checkerboard (Odena et al., "Deconvolution and checkerboard
artifacts", Distill 2016). `resize` and `bilinear` cannot make one, `blurred` takes it away, `subpixel` starts without
one. Nearest neighbour leaves straight streaks of its own, because its pixels come in blocks of four equal ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.models.blocks import Blocks, initializer
from tfpix2pix.models.products import LARGEST_SIDE_PX, ProductConv2DTranspose

RESIZE_KERNEL = 3


def transposed(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Transposed convolution of stride 2, 4×4 as in the paper or 3×3 as in the [torch] resnet."""
    sizes = {"kernel_size": kernel, "strides": 2}
    if kernel == 4:
        small = side_px is not None and side_px <= LARGEST_SIDE_PX
        kind = ProductConv2DTranspose if small else layers.Conv2DTranspose
        return blocks.convolution(x, kind, filters, name, padding="same", **sizes, **options)
    # 3×3: Torch's padding 1 with output padding 1 drops the first row and column of the full result.
    x = blocks.convolution(x, Transposed3, filters, name, **options)
    return x


def blurred(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """`transposed`, then the fixed filter [1, 2, 1]/4 along both axes, before the norm (Karras et al., "A style-based
    generator architecture …", CVPR 2019, §2.1): it is zero at the frequency of a checkerboard.

    A map of one pixel is not blurred: filtered, its 2×2 result is constant, and a norm makes zero of a constant.
    """
    blur = None if side_px == 1 else Blur(name=f"{name}_blur")
    return transposed(blocks, x, filters, name, kernel, side_px, then=blur, **options)


def resize(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Nearest neighbour, then a 3×3 convolution: every output pixel has had the same treatment."""
    return _convolved(blocks, layers.UpSampling2D(2, name=f"{name}_resize")(x), filters, name, **options)


def bilinear(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """Bilinear, then a 3×3 convolution: a smooth map stays smooth, where nearest neighbour makes steps of it."""
    return _convolved(blocks, Bilinear(name=f"{name}_resize")(x), filters, name, **options)


def _convolved(blocks: Blocks, x: Any, filters: int, name: str, **options: Any) -> Any:
    return blocks.convolution(x, layers.Conv2D, filters, name, kernel_size=RESIZE_KERNEL, padding="same", **options)


def subpixel(
    blocks: Blocks, x: Any, filters: int, name: str, kernel: int = 4, side_px: int | None = None, **options: Any
) -> Any:
    """A 3×3 convolution to four times the channels, rearranged to twice the side (Shi et al., CVPR 2016).

    The four kernels of one output channel start equal (ICNR, Aitken et al. 2017): the first output is `resize`'s.
    """
    start = Repeated(initializer(blocks.seed, name))
    return blocks.convolution(x, SubpixelConv2D, filters, name, kernel_initializer=start, **options)


UPSAMPLINGS: dict[str, Callable[..., Any]] = {
    "transposed": transposed,
    "blurred": blurred,
    "resize": resize,
    "bilinear": bilinear,
    "subpixel": subpixel,
}


@keras.saving.register_keras_serializable("tfpix2pix")
class Blur(layers.Layer):
    """(N, H, W, C) by the filter [1, 2, 1]/4 along both axes, mirrored at the edge pixel: constants stay constant, and
    what changes its sign from pixel to pixel becomes zero, at the edges too.

    As two means of 2×2 pixels: pooling is quick forward and back, and there are no weights to keep.
    """

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="REFLECT") if training else _mirrored(x)
        for _ in range(2):
            x = tf.nn.avg_pool2d(x, 2, 1, "VALID")
        return x

    def compute_output_shape(self, shape: tuple) -> tuple:
        return shape


def _mirrored(x: tf.Tensor) -> tf.Tensor:
    """A pixel more on every side, by operations that XNNPACK has; their gradients would be sums of three."""
    x = tf.concat([x[:, 1:2], x, x[:, -2:-1]], 1)
    return tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)


@keras.saving.register_keras_serializable("tfpix2pix")
class Bilinear(layers.Layer):
    """(N, H, W, C) -> (N, 2H, 2W, C), bilinear between the pixels' centres."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        sides = [2 * (side or tf.shape(x)[axis]) for axis, side in ((1, x.shape[1]), (2, x.shape[2]))]
        return tf.cast(tf.image.resize(x, sides, "bilinear"), x.dtype)  # it gives float32 of any type

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], *(None if side is None else 2 * side for side in shape[1:3]), shape[3])


@keras.saving.register_keras_serializable("tfpix2pix")
class Transposed3(layers.Conv2DTranspose):
    """3×3 transposed convolution of stride 2 with Torch's alignment (padding 1, output padding 1)."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        kwargs.update(kernel_size=3, strides=2, padding="valid")
        super().__init__(filters, **kwargs)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return super().call(x)[:, 1:, 1:]  # 2n + 1 -> 2n

    def compute_output_shape(self, shape: tuple) -> tuple:
        sides = (None if side is None else 2 * side for side in shape[1:3])
        return (shape[0], *sides, self.filters)


@keras.saving.register_keras_serializable("tfpix2pix")
class SubpixelConv2D(layers.Conv2D):
    """3×3 convolution and depth-to-space: (N, H, W, C) -> (N, 2H, 2W, filters)."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        kwargs.update(kernel_size=RESIZE_KERNEL, strides=1, padding="same")
        super().__init__(4 * filters, **kwargs)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(super().call(x), 2)

    def compute_output_shape(self, shape: tuple) -> tuple:
        sides = (None if side is None else 2 * side for side in shape[1:3])
        return (shape[0], *sides, self.filters // 4)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters // 4}


@keras.saving.register_keras_serializable("tfpix2pix")
class Repeated(keras.initializers.Initializer):
    """Four times the same kernel, in the order of depth-to-space, which takes the position before the channel."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = keras.initializers.get(kernel)

    def __call__(self, shape: tuple, dtype: Any = None) -> tf.Tensor:
        return tf.tile(self.kernel((*shape[:-1], shape[-1] // 4), dtype), (1, 1, 1, 4))

    def get_config(self) -> dict[str, Any]:
        return {"kernel": keras.initializers.serialize(self.kernel)}
