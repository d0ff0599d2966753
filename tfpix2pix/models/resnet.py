"""Builds residual generators: that of [torch] (Johnson et al., "Perceptual losses …", ECCV 2016) and deeper ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.models import NOISES, UPSAMPLINGS
from tfpix2pix.models.blocks import NORM_EPSILON, Blocks
from tfpix2pix.models.noise import DIMENSIONS, Noise, Shape
from tfpix2pix.models.padding import crop_back, pad
from tfpix2pix.models.pyramid import Halve
from tfpix2pix.models.scalars import Scalars
from tfpix2pix.models.sizes import GLOBAL_HALVINGS, RESNET_HALVINGS, input_sides, padded_size, residual_multiple_px
from tfpix2pix.models.upsampling import Bilinear
from tfpix2pix.size import Size, SizePx
from tfpix2pix.tables import row

MAX_DROPPED_PX = 16  # a full map of noise for every block would be 9.4 million values at 256 px; the mask repeats


def build_resnet(
    image_size_px: SizePx = 256,
    *,
    residual_blocks: int = 9,
    halvings: int = RESNET_HALVINGS,
    scales_left_out: int = 0,
    input_channels: int = 3,
    output_channels: int = 3,
    base_filters: int = 64,
    norm: str = "batch",
    norm_epsilon: float = NORM_EPSILON,
    bias: str = "last",
    upsampling: str = "transposed",
    noise: str = "dropout",
    dropout_rate: float = 0.5,
    noise_dimensions: int = DIMENSIONS,
    noise_input: bool = True,
    scalar_channels: Sequence[int] = (),
    statistics: str = "image",
    input_size_px: SizePx | Literal["any"] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Builds c7s1-64, d128, d256, residual blocks R256, u128, u64, c7s1-3.

    With 9 blocks it has 11,383,427 trainable parameters. Dropout is between the two convolutions of every residual
    block. Its mask covers at most `MAX_DROPPED_PX` px of the map and repeats beyond. Every convolution but the last has
    a norm, so `modulation` follows all of them, and no convolution gets z beside its input. Other arguments are those
    of `build_unet`.

    Args:
        residual_blocks: number of residual blocks; [torch] has 9 for 256 px and 6 for 128 px.
        halvings: number of halvings before the blocks and of doublings after them; each doubles the filters.
        scales_left_out: number of times that the image itself is halved, by means, before the network. The output of
            the network is doubled as often, bilinearly, before the tanh.

    Returns:
        A model with inputs and output as those of `build_unet`.
    """
    image = layers.Input((*input_sides(input_size_px, image_size_px), input_channels), name="image")  # (B, H, W, C)
    multiple_px = residual_multiple_px(halvings + scales_left_out)
    padded = padded_size(Size.of(image_size_px), multiple_px).map(lambda side: side >> scales_left_out)
    deepest = base_filters * 2**halvings
    z = row(NOISES, "`noise`", noise).build(
        dropout_rate, dropped_shapes(padded.map(lambda side: side >> halvings), deepest, residual_blocks), padded,
        has_input=noise_input, dimensions=noise_dimensions, seed=seed,
    )  # fmt: skip
    scalars = Scalars(scalar_channels, seed)
    blocks = Blocks(seed, norm, epsilon=norm_epsilon, statistics=statistics, bias=bias, after_norm=scalars.after(z))
    network = ResidualParts(blocks, z, upsampling)
    x = pad(image, multiple_px)
    for number in range(1, scales_left_out + 1):
        x = Halve(name=f"halved{number}")(x)
    x = network.halved(z.beside(scalars.taken_from(x)), base_filters, halvings)  # (B, H/4, W/4, 256)
    x = network.doubled(network.changed(x, deepest, residual_blocks), base_filters, halvings)  # (B, H, W, 64)
    x = network.last(x, output_channels)
    for number in range(1, scales_left_out + 1):
        x = Bilinear(name=f"enlarged{number}")(x)
    x = crop_back(x, image, multiple_px)
    x = layers.Activation("tanh", dtype="float32", name="translation")(x)  # (B, H, W, output_channels)
    return keras.Model(z.inputs(image), x, name="generator")


def build_global(image_size_px: SizePx = 256, **options: Any) -> keras.Model:
    """Builds `build_resnet`'s network with four halvings, to 1,024 filters of 64: the global generator of pix2pixHD
    (Wang et al., CVPR 2018, §3.1).

    With 9 blocks, `norm="instance_non_affine"` and `bias="all"` it has 182,443,267 trainable parameters.
    """
    return build_resnet(image_size_px, halvings=GLOBAL_HALVINGS, **options)


def dropped_shapes(size: Size, filters: int, count: int) -> list[Shape]:
    """Returns the shapes of noise for dropout in `count` residual blocks on maps of this size."""
    return [(*size.map(lambda side: min(side, MAX_DROPPED_PX)), filters)] * count


class ResidualParts:
    """Builds the parts of a residual network.

    Args:
        blocks: builds the convolutions.
        z: the noise.
        upsampling: a row of `UPSAMPLINGS`.
        prefix: beginning of the names of all layers.
    """

    def __init__(self, blocks: Blocks, z: Noise, upsampling: str, prefix: str = "") -> None:
        self.blocks, self.z, self.prefix = blocks, z, prefix
        self.up = row(UPSAMPLINGS, "`upsampling`", upsampling)

    def halved(self, x: Any, filters: int, halvings: int) -> Any:
        """Applies a 7×7 convolution and `halvings` of stride 2: (B, H/2^n, W/2^n, 2^n · filters)."""
        x = layers.ReLU(name=f"{self.prefix}first_act")(self.reflected(x, filters, "first", 7))  # (B, H, W, filters)
        for level in range(1, halvings + 1):
            name = f"{self.prefix}down{level}"
            x = self.blocks.conv(x, filters * 2**level, name, stride=2, kernel=3)
            x = layers.ReLU(name=f"{name}_act")(x)
        return x

    def changed(self, x: Any, filters: int, residual_blocks: int) -> Any:
        """Applies residual blocks, which keep the shape of `x`."""
        for index in range(1, residual_blocks + 1):
            name, shortcut = f"block{index}", x
            x = layers.ReLU(name=f"{self.prefix}{name}_act")(self.reflected(x, filters, f"{name}_a", 3))
            x = self.z.drop(x, f"{self.prefix}{name}_dropout")
            x = self.reflected(x, filters, f"{name}_b", 3)
            x = layers.Add(name=f"{self.prefix}{name}_add")([shortcut, x])
        return x

    def doubled(self, x: Any, filters: int, doublings: int) -> Any:
        """Doubles the side `doublings` times: (B, H, W, filters)."""
        for level in reversed(range(1, doublings + 1)):
            name = f"{self.prefix}up{level}"
            x = self.up(self.blocks, x, filters * 2 ** (level - 1), name, kernel=3)
            x = layers.ReLU(name=f"{name}_act")(x)
        return x

    def last(self, x: Any, channels: int) -> Any:
        """Applies the 7×7 convolution that makes the translation, before its tanh."""
        return self.reflected(x, channels, "last", 7, last=True)

    def reflected(self, x: Any, filters: int, name: str, kernel: int, **kwargs: Any) -> Any:
        """Applies a convolution after padding by reflection, so that the size stays."""
        name = f"{self.prefix}{name}"
        x = ReflectionPad(kernel // 2, name=f"{name}_reflect")(x)
        return self.blocks.convolution(x, layers.Conv2D, filters, name, kernel_size=kernel, **kwargs)


@keras.saving.register_keras_serializable("tfpix2pix")
class ReflectionPad(layers.Layer):
    """Pads (N, H, W, C) by `border_px` on every side, mirrored at the edge pixel."""

    def __init__(self, border_px: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.border_px = border_px

    def call(self, x: tf.Tensor) -> tf.Tensor:
        border = (self.border_px, self.border_px)
        return tf.pad(x, ((0, 0), border, border, (0, 0)), mode="REFLECT")

    def compute_output_shape(self, shape: tuple) -> tuple:
        sides = (None if side is None else side + 2 * self.border_px for side in shape[1:3])
        return (shape[0], *sides, shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "border_px": self.border_px}
