"""Builds the residual generator, the alternative of [torch] (Johnson et al., "Perceptual losses …", ECCV 2016)."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.models import NOISES, UPSAMPLINGS
from tfpix2pix.models.blocks import NORM_EPSILON, Blocks
from tfpix2pix.models.noise import DIMENSIONS
from tfpix2pix.models.padding import crop_back, pad
from tfpix2pix.models.sizes import RESNET_MULTIPLE_PX, padded_px
from tfpix2pix.tables import row

HALVINGS = 2
MAX_DROPPED_PX = 16  # a full map of noise for every block would be 9.4 million values at 256 px; the mask repeats


def build_resnet(
    image_size_px: int = 256,
    *,
    residual_blocks: int = 9,
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
    statistics: str = "image",
    input_size_px: int | Literal["any"] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Builds c7s1-64, d128, d256, residual blocks R256, u128, u64, c7s1-3.

    With 9 blocks it has 11,383,427 trainable parameters. Dropout is between the two convolutions of every residual
    block. Its mask covers at most `MAX_DROPPED_PX` px of the map and repeats beyond. Every convolution but the last has
    a norm, so `modulation` follows all of them, and no convolution gets z beside its input. Other arguments are those
    of `build_unet`.

    Args:
        residual_blocks: number of residual blocks; [torch] has 9 for 256 px and 6 for 128 px.

    Returns:
        A model with inputs and output as those of `build_unet`.
    """
    up = row(UPSAMPLINGS, "`upsampling`", upsampling)
    side = None if input_size_px == "any" else input_size_px or image_size_px
    image = layers.Input((side, side, input_channels), name="image")  # (B, H, W, C)
    padded_side = padded_px(image_size_px, RESNET_MULTIPLE_PX)
    deepest = base_filters * 2**HALVINGS
    dropped_px = min(padded_side // 2**HALVINGS, MAX_DROPPED_PX)
    shapes = [(dropped_px, dropped_px, deepest)] * residual_blocks
    z = row(NOISES, "`noise`", noise).build(
        dropout_rate, shapes, padded_side, has_input=noise_input, dimensions=noise_dimensions, seed=seed
    )
    blocks = Blocks(seed, norm, epsilon=norm_epsilon, statistics=statistics, bias=bias, after_norm=z.after_norm)

    def reflected(x: Any, filters: int, name: str, kernel: int, **kwargs: Any) -> Any:
        """Applies a convolution after padding by reflection, so that the size stays."""
        x = ReflectionPad(kernel // 2, name=f"{name}_reflect")(x)
        return blocks.convolution(x, layers.Conv2D, filters, name, kernel_size=kernel, **kwargs)

    x = z.beside(pad(image, RESNET_MULTIPLE_PX))
    x = layers.ReLU(name="first_act")(reflected(x, base_filters, "first", 7))  # (B, H, W, 64)
    for level in range(1, HALVINGS + 1):  # (B, H/2, W/2, 128), (B, H/4, W/4, 256)
        x = blocks.conv(x, base_filters * 2**level, f"down{level}", stride=2, kernel=3)
        x = layers.ReLU(name=f"down{level}_act")(x)
    for index in range(1, residual_blocks + 1):  # (B, H/4, W/4, 256)
        name, shortcut = f"block{index}", x
        x = layers.ReLU(name=f"{name}_act")(reflected(x, deepest, f"{name}_a", 3))
        x = z.drop(x, f"{name}_dropout")
        x = layers.Add(name=f"{name}_add")([shortcut, reflected(x, deepest, f"{name}_b", 3)])
    for level in reversed(range(1, HALVINGS + 1)):  # (B, H/2, W/2, 128), (B, H, W, 64)
        x = up(blocks, x, base_filters * 2 ** (level - 1), f"up{level}", kernel=3)
        x = layers.ReLU(name=f"up{level}_act")(x)
    x = reflected(x, output_channels, "last", 7, last=True)
    x = crop_back(x, image, RESNET_MULTIPLE_PX)
    x = layers.Activation("tanh", dtype="float32", name="translation")(x)  # (B, H, W, output_channels)
    return keras.Model(z.inputs(image), x, name="generator")


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
