"""Networks from a configuration: the one forward definition that training and every inference view share."""

from __future__ import annotations

import keras

from tfpix2pix.config import Config
from tfpix2pix.models import DISCRIMINATORS, GENERATORS


def build_generator(
    config: Config, *, seed: int | None, noise: str = "on", input_size_px: int | str | None = None
) -> keras.Model:
    """The configured generator.

    Args:
        seed: of the initial weights; None leaves them zero, to be loaded.
        noise: `on` for a second input that feeds dropout, `off` for none.
        input_size_px: fixed height and width of the input; None for the training size, `any` for all.
    """
    spec = config.generator
    return GENERATORS[spec.kind](
        config.data.image_size_px,
        input_channels=config.data.input_channels,
        output_channels=config.data.target_channels,
        base_filters=spec.base_filters,
        levels=config.levels,
        norm=spec.norm,
        dropout_rate=spec.dropout_rate,
        statistics=config.inference.statistics,
        noise=noise,
        input_size_px=input_size_px,
        seed=seed,
    )


def build_discriminator(config: Config, *, seed: int | None) -> keras.Model:
    """The configured discriminator, for the training size."""
    spec = config.discriminator
    return DISCRIMINATORS[spec.kind](
        spec.receptive_field_px,
        image_size_px=config.data.image_size_px,
        input_channels=config.data.input_channels,
        target_channels=config.data.target_channels,
        base_filters=spec.base_filters,
        norm=spec.norm,
        conditional=spec.conditional,
        seed=seed,
    )


def noise_size(generator: keras.Model) -> int:
    """Values of noise that one image takes; 0 for a generator without a noise input."""
    return generator.inputs[1].shape[-1] if len(generator.inputs) == 2 else 0
