"""The U-Net generator (paper §6.1; layout checked against the authors' Torch models.lua)."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import layers

from tfpix2pix.models.blocks import LEAKY_SLOPE, Blocks, NoiseDropout
from tfpix2pix.models.depth import unet_levels

DROPOUT_LAYERS = 3  # CD512-CD512-CD512: dropout on the first three decoder layers
MAX_FILTERS_FACTOR = 8  # 64 base filters grow to 512


def build_unet(
    image_size_px: int = 256,
    *,
    input_channels: int = 3,
    output_channels: int = 3,
    base_filters: int = 64,
    levels: int | None = None,
    norm: str = "batch",
    dropout_rate: float = 0.5,
    statistics: str = "image",
    noise: str = "on",
    skips: bool = True,
    input_size_px: int | Literal["any"] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """G(x, z): encoder and mirrored decoder with a skip connection at every level.

    Encoder C64-C128-C256-C512-C512-C512-C512-C512, decoder CD512-CD512-CD512-C512-C256-C128-C64 and a transposed
    convolution to `output_channels` with tanh; at 256 px and 8 levels 54,413,955 trainable parameters.

    Args:
        image_size_px: height and width in training; with `levels` it fixes the layout of the noise.
        levels: number of halvings; by default as many as the size allows, 8 at the most (`depth.py`).
        norm: a row of `NORMS`. None on the first layer, nor at the bottleneck, whose map may be 1×1.
        dropout_rate: share of units dropped in the first three decoder layers, 0 for none.
        statistics: `image` or `moving`, what `batch` norm uses at inference.
        noise: `on`: the second input feeds dropout, in training and at test. `off`: no dropout and no second input.
        skips: whether encoder level i is concatenated to the decoder's input of the same size.
        input_size_px: height and width of the input where they differ from training's; `any` for every multiple of
            2^levels.
        seed: of the initial weights; None leaves them zero, to be loaded.

    Returns:
        A model of inputs `image` float32 (N, H, W, input_channels) in [-1, 1] and, with noise, `noise` float32
        (N, noise_size) uniform in [0, 1); output float32 (N, H, W, output_channels) in [-1, 1].

    Raises:
        ValueError: 2^levels does not divide `image_size_px`, or no depth suits it.
    """
    levels = unet_levels(image_size_px, levels)
    blocks = Blocks(seed, norm, statistics)
    filters = [base_filters * min(2**level, MAX_FILTERS_FACTOR) for level in range(levels)]
    side = None if input_size_px == "any" else input_size_px or image_size_px
    image = layers.Input((side, side, input_channels), name="image")  # (B, H, W, C)

    x, encoded = image, []
    for level in range(levels):  # (B, H/2, W/2, 64) … (B, H/2^levels, W/2^levels, 512)
        if level > 0:
            encoded.append(x)  # before the activation: the decoder's ReLU follows the concatenation
            x = layers.LeakyReLU(LEAKY_SLOPE, name=f"down{level + 1}_act")(x)
        inner = 0 < level < levels - 1
        # Only a layer with a norm could do without a bias; the Torch code leaves it out of the encoder altogether.
        x = blocks.conv(x, filters[level], f"down{level + 1}", stride=2, normalized=inner, use_bias=norm == "none")

    dropouts = dropout_shapes(image_size_px, levels, filters) if dropout_rate and noise == "on" else []
    noise_input = layers.Input((sum(map(math.prod, dropouts)),), name="noise") if dropouts else None
    offset = 0
    for level in reversed(range(1, levels)):  # (B, H/2^level, W/2^level, filters of that level)
        x = layers.ReLU(name=f"up{level + 1}_act")(x)
        x = blocks.up(x, filters[level - 1], f"up{level + 1}")
        if dropouts:
            shape = dropouts.pop(0)
            x = NoiseDropout(dropout_rate, offset, shape, name=f"up{level + 1}_dropout")(x, noise_input)
            offset += math.prod(shape)
        if skips:
            x = layers.Concatenate(name=f"up{level + 1}_skip")([x, encoded.pop()])

    x = layers.ReLU(name="up1_act")(x)
    x = blocks.up(x, output_channels, "up1", normalized=False)
    x = layers.Activation("tanh", dtype="float32", name="translation")(x)  # (B, H, W, output_channels)
    inputs = image if noise_input is None else [image, noise_input]
    return keras.Model(inputs, x, name="generator")


def build_encoder_decoder(image_size_px: int = 256, **options: Any) -> keras.Model:
    """`build_unet` without its skip connections: the paper's ablation (§4.2, §6.1.1)."""
    return build_unet(image_size_px, skips=False, **options)


def dropout_shapes(image_size_px: int, levels: int, filters: list[int]) -> list[tuple[int, int, int]]:
    """(height, width, channels) of the decoder maps that dropout falls on, at the training size."""
    inner = list(reversed(range(1, levels)))[:DROPOUT_LAYERS]
    return [(image_size_px // 2**level, image_size_px // 2**level, filters[level - 1]) for level in inner]
