"""Builds the U-Net generator (paper §6.1; layout checked against the authors' Torch models.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from tfpix2pix.models import NOISES, SKIP_ACTIVATIONS, UPSAMPLINGS
from tfpix2pix.models.blocks import LEAKY_SLOPE, MAX_FILTERS_FACTOR, NORM_EPSILON, Blocks
from tfpix2pix.models.noise import DIMENSIONS
from tfpix2pix.models.padding import crop_back, pad
from tfpix2pix.models.products import LARGEST_SIDE_PX
from tfpix2pix.models.scalars import Scalars
from tfpix2pix.models.sizes import input_sides, padded_size, unet_levels
from tfpix2pix.size import Size, SizePx
from tfpix2pix.tables import row

DROPOUT_LAYERS = (1, 2, 3)  # CD512-CD512-CD512: the first three decoder layers, counted from the bottleneck


def build_unet(
    image_size_px: SizePx = 256,
    *,
    input_channels: int = 3,
    output_channels: int = 3,
    base_filters: int = 64,
    max_filters_factor: int = MAX_FILTERS_FACTOR,
    levels: int | None = None,
    norm: str = "batch",
    norm_epsilon: float = NORM_EPSILON,
    bottleneck_norm: bool = False,
    bias: str = "last",
    leaky_slope: float = LEAKY_SLOPE,
    skip_activation: str = "after",
    upsampling: str = "transposed",
    last_upsampling: str | None = None,
    noise: str = "dropout",
    dropout_rate: float = 0.5,
    dropout_layers: Sequence[int] = DROPOUT_LAYERS,
    noise_dimensions: int = DIMENSIONS,
    noise_input: bool = True,
    scalar_channels: Sequence[int] = (),
    statistics: str = "image",
    skips: bool = True,
    input_size_px: SizePx | Literal["any"] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Builds G(x, z): encoder and mirrored decoder with a skip connection at every level.

    Encoder C64-C128-C256-C512-C512-C512-C512-C512, decoder CD512-CD512-CD512-C512-C256-C128-C64 and a transposed
    convolution to `output_channels` with tanh. At 256 px and 8 levels it has 54,413,955 trainable parameters.

    Args:
        image_size_px: side of a training image, or its height and width. With `levels` it fixes the layout of the
            noise.
        max_filters_factor: largest number of filters of a layer, as a multiple of `base_filters`.
        levels: number of halvings; by default as many as suit the size, 8 at most (`sizes.py`). An image whose sides
            are not multiples of 2^levels is padded to the next by reflection, and the translation is cropped back.
        norm: a row of `NORMS`. The first layer has no norm. The bottleneck, whose map may be 1×1, has one only with
            `bottleneck_norm` ([tut]).
        bias: a row of `BIASES`; by default only the last convolution has one, as in [torch].
        skip_activation: `after` the concatenation of a skip connection (the paper), or `before` it ([tut]).
        upsampling: a row of `UPSAMPLINGS`.
        last_upsampling: the same for the layer that makes the translation; None: as the others.
        noise: a row of `NOISES`: `dropout`, `gaussian`, `modulation` or `none` (`noise.py`).
        dropout_rate: fraction of units dropped in `dropout_layers`; 0 drops none.
        dropout_layers: decoder layers with dropout, counted from the bottleneck, 1 the first.
        noise_dimensions: number of normals of `modulation`, which is even.
        noise_input: True for a second input that feeds the noise, in training and at test; False for no noise.
        scalar_channels: channels of the input, each of one value, that modulate the maps in place of being seen
            (`scalars.py`).
        statistics: statistics that `batch` norm uses at inference, `image` or `moving`.
        skips: True if encoder level i is concatenated to the decoder's input of the same size.
        input_size_px: side of the input, or its height and width, if they differ from training's; `any` for all.
        seed: seed of the initial weights; None leaves them zero until weights are loaded.

    Returns:
        A model of inputs `image` float32 (N, H, W, input_channels) in [-1, 1] and, with noise, `noise` float32
        (N, noise_size) uniform in [0, 1); output float32 (N, H, W, output_channels) in [-1, 1].

    Raises:
        ValueError: the image cannot be halved `levels` times, a norm, bias, activation, upsampling or noise is
            unknown, or `noise_dimensions` is odd or below 2.
    """
    levels = unet_levels(image_size_px, levels)
    multiple_px = 2**levels
    up = row(UPSAMPLINGS, "`upsampling`", upsampling)
    before = row(SKIP_ACTIVATIONS, "`skip_activation`", skip_activation)
    last_up = row(UPSAMPLINGS, "`last_upsampling`", last_upsampling or upsampling)
    filters = [base_filters * min(2**level, max_filters_factor) for level in range(levels)]
    image = layers.Input((*input_sides(input_size_px, image_size_px), input_channels), name="image")  # (B, H, W, C)
    padded = padded_size(Size.of(image_size_px), multiple_px)
    sizes = [Size(padded.height >> level, padded.width >> level) for level in range(levels + 1)]  # of maps in training
    decoder = list(reversed(range(1, levels)))  # level of each layer's result
    dropped = [level for position, level in enumerate(decoder, 1) if position in dropout_layers]
    shapes = [(*sizes[level], filters[level - 1]) for level in dropped]
    z = row(NOISES, "`noise`", noise).build(
        dropout_rate, shapes, padded, has_input=noise_input, dimensions=noise_dimensions, seed=seed
    )
    scalars = Scalars(scalar_channels, seed)
    blocks = Blocks(seed, norm, epsilon=norm_epsilon, statistics=statistics, bias=bias, after_norm=scalars.after(z))

    x, encoded = z.beside(scalars.taken_from(pad(image, multiple_px))), []
    for level in range(levels):  # (B, H/2, W/2, 64) … (B, H/2^levels, W/2^levels, 512)
        if level > 0 and not before:
            encoded.append(x)  # before the activation: the decoder's ReLU follows the concatenation
            x = layers.LeakyReLU(leaky_slope, name=f"down{level + 1}_act")(x)
        normalized = level > 0 and (level < levels - 1 or bottleneck_norm)
        x = x if normalized else scalars.before_conv(z.before_conv(x, f"down{level + 1}"), f"down{level + 1}")
        small = max(sizes[level + 1]) <= LARGEST_SIDE_PX
        x = blocks.conv(x, filters[level], f"down{level + 1}", stride=2, normalized=normalized, small=small)
        if before:
            x = layers.LeakyReLU(leaky_slope, name=f"down{level + 1}_act")(x)
            if level < levels - 1:
                encoded.append(x)

    for level in decoder:  # (B, H/2^level, W/2^level, filters of that level)
        if not before:
            x = layers.ReLU(name=f"up{level + 1}_act")(x)
        x = up(blocks, x, filters[level - 1], f"up{level + 1}", side_px=max(sizes[level + 1]))
        if level in dropped:
            x = z.drop(x, f"up{level + 1}_dropout")
        if before:
            x = layers.ReLU(name=f"up{level + 1}_act")(x)
        if skips:
            x = layers.Concatenate(name=f"up{level + 1}_skip")([x, encoded.pop()])

    if not before:
        x = layers.ReLU(name="up1_act")(x)
    x = last_up(blocks, x, output_channels, "up1", last=True, side_px=max(sizes[1]))
    x = crop_back(x, image, multiple_px)
    x = layers.Activation("tanh", dtype="float32", name="translation")(x)  # (B, H, W, output_channels)
    return keras.Model(z.inputs(image), x, name="generator")


def build_encoder_decoder(image_size_px: SizePx = 256, **options: Any) -> keras.Model:
    """Builds `build_unet`'s network without skip connections: the paper's ablation (§4.3, §6.1.1)."""
    return build_unet(image_size_px, skips=False, **options)
