"""Builds the PatchGAN discriminator, which gives one logit for every N×N patch (paper §3.2.2, §6.1.2)."""

from __future__ import annotations

import keras
from keras import layers

from tfpix2pix.models.blocks import LEAKY_SLOPE, MAX_FILTERS_FACTOR, NORM_EPSILON, Blocks
from tfpix2pix.models.sizes import PATCHGANS, input_sides
from tfpix2pix.size import SizePx
from tfpix2pix.tables import row


def build_patchgan(
    receptive_field_px: int = 70,
    *,
    image_size_px: SizePx | None = None,
    input_channels: int = 3,
    target_channels: int = 3,
    base_filters: int = 64,
    max_filters_factor: int = MAX_FILTERS_FACTOR,
    norm: str = "batch",
    norm_epsilon: float = NORM_EPSILON,
    bias: str = "unnormalized",
    leaky_slope: float = LEAKY_SLOPE,
    spectral_norm: bool = False,
    conditional: bool = True,
    seed: int | None = 0,
) -> keras.Model:
    """Builds D(x, y). Its output is a map of logits that judge patches of `receptive_field_px` as real or generated.

    For 70 px it is C64-C128-C256-C512 (2,768,705 trainable parameters), with LeakyReLU 0.2 and no norm on the first
    layer.

    Args:
        receptive_field_px: a key of `PATCHGANS`.
        image_size_px: fixed side, or height and width, or None for any.
        max_filters_factor: largest number of filters of a layer, as a multiple of `base_filters`.
        norm: a row of `NORMS`. The first and the last layer have no norm.
        bias: a row of `BIASES`; by default every convolution without a norm has one, as in [torch].
        spectral_norm: divide every kernel by its largest singular value (Miyato et al., ICLR 2018).
        conditional: True if D sees the input beside the target or translation (the paper's cGAN), else its GAN.

    Returns:
        A model of inputs `[input, target]` (only `target` unless conditional), each float32 (N, H, W, C) in [-1, 1];
        output float32 logits (N, H', W', 1), unbounded.

    Raises:
        ValueError: `receptive_field_px` is not a key of `PATCHGANS`.
    """
    blocks = Blocks(seed, norm, epsilon=norm_epsilon, bias=bias, spectral_norm=spectral_norm)
    hidden = row(PATCHGANS, "`receptive_field_px`", receptive_field_px)
    sides = input_sides(None, image_size_px)
    target = layers.Input((*sides, target_channels), name="target")
    inputs, x = target, target
    if conditional:
        condition = layers.Input((*sides, input_channels), name="input")
        inputs, x = [condition, target], layers.Concatenate(name="pair")([condition, target])

    for index, (factor, kernel, stride) in enumerate(hidden):
        filters = base_filters * min(factor, max_filters_factor)
        x = blocks.conv(x, filters, f"layer{index + 1}", stride=stride, kernel=kernel, normalized=index > 0)
        x = layers.LeakyReLU(leaky_slope, name=f"layer{index + 1}_act")(x)
    logits = blocks.conv(x, 1, "logits", stride=1, kernel=hidden[-1].kernel, last=True, dtype="float32")
    return keras.Model(inputs, logits, name="discriminator")
