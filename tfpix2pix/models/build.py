"""Networks from a configuration: the one forward definition that training and every inference view share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from tfpix2pix.config import Config
from tfpix2pix.models import DISCRIMINATORS, GENERATORS, PRECISIONS
from tfpix2pix.models.pyramid import build_pyramid

DISCRIMINATOR_OPTIONS = (
    "base_filters", "max_filters_factor", "norm", "norm_epsilon", "bias", "leaky_slope", "spectral_norm", "conditional",
)  # fmt: skip


def build_generator(
    config: Config,
    *,
    seed: int | None,
    noise_input: bool = True,
    input_size_px: int | str | None = None,
    precision: str = "float32",
) -> keras.Model:
    """The configured generator.

    Args:
        seed: of the initial weights; None leaves them zero, to be loaded.
        noise_input: whether a second input feeds the noise.
        input_size_px: fixed height and width of the input; None for the training size, `any` for all.
        precision: what its layers compute in, a row of `PRECISIONS`; weights and output are float32.
    """
    architecture = GENERATORS[config.generator.kind]
    input_channels, output_channels = config.data.network_channels
    with computing_in(precision):
        return architecture.build(
            config.data.image_size_px,
            input_channels=input_channels,
            output_channels=output_channels,
            statistics=config.inference.statistics,
            noise_input=noise_input,
            input_size_px=input_size_px,
            seed=seed,
            **{name: getattr(config.generator, name) for name in architecture.options},
        )


def build_discriminator(
    config: Config, *, seed: int | None, input_size_px: int | str | None = None, precision: str = "float32"
) -> keras.Model:
    """The configured discriminator; the arguments as for `build_generator`."""
    spec = config.discriminator
    input_channels, target_channels = config.data.network_channels

    def build(image_size_px: int | None, seed: int | None) -> keras.Model:
        return DISCRIMINATORS[spec.kind](
            spec.receptive_field_px,
            image_size_px=image_size_px,
            input_channels=input_channels,
            target_channels=target_channels,
            seed=seed,
            **{name: getattr(spec, name) for name in DISCRIMINATOR_OPTIONS},
        )

    size_px = None if input_size_px == "any" else input_size_px or config.data.image_size_px
    with computing_in(precision):
        return build_pyramid(build, spec.scales, image_size_px=size_px, seed=seed)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers built inside compute in `precision`: Keras has one policy for the process, which is set back after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def noise_size(generator: keras.Model) -> int:
    """Values of noise that one image takes; 0 for a generator without a noise input."""
    return generator.inputs[1].shape[-1] if len(generator.inputs) == 2 else 0
