"""Builds networks from a configuration: those of every inference view, and the model that is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfpix2pix.config import Config
from tfpix2pix.data.parts import scalar_channels
from tfpix2pix.losses.objective import Objective
from tfpix2pix.models import DISCRIMINATORS, GENERATORS, PRECISIONS, SCALARS
from tfpix2pix.models.encoder import build_style_encoder
from tfpix2pix.models.enhancer import fix_global
from tfpix2pix.models.norms import BatchNormalization, InstanceNormalization
from tfpix2pix.models.pyramid import build_pyramid, scales_of
from tfpix2pix.runs.stages import COARSE, ENHANCERS_ALONE, Stage, constant_steps, stage_after
from tfpix2pix.size import SizePx
from tfpix2pix.training.hardware import resolve_precision
from tfpix2pix.training.optimizers import FusedAdam, LearningRate, LossScaling
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.styled import StyledPix2Pix

DISCRIMINATOR_OPTIONS = (
    "base_filters", "max_filters_factor", "norm", "norm_epsilon", "bias", "leaky_slope", "spectral_norm", "conditional",
)  # fmt: skip


def build_generator(
    config: Config,
    *,
    seed: int | None,
    noise_input: bool = True,
    input_size_px: SizePx | str | None = None,
    precision: str = "float32",
    coarse: bool = False,
) -> keras.Model:
    """Builds the configured generator.

    Args:
        coarse: build the network that is trained in the coarse stage (`runs/stages.py`).
        seed: seed of the initial weights. None: the weights are 0, to be loaded.
        noise_input: give the network a second input for the noise.
        input_size_px: side of the input, or its height and width, px. None: the training size. `any`: not fixed.
        precision: number format of the layers, a row of `PRECISIONS`. Weights and output are float32.
    """
    architecture = GENERATORS[config.generator.kind]
    input_channels, output_channels = config.data.network_channels
    options = {name: getattr(config.generator, name) for name in architecture.options}
    if SCALARS[config.generator.scalars]:
        options["scalar_channels"] = scalar_channels(config.data)
    with computing_in(precision):
        build = architecture.coarse if coarse else architecture.build
        return build(
            config.data.image_size_px,
            input_channels=input_channels,
            output_channels=output_channels,
            statistics=config.inference.statistics,
            noise_input=noise_input,
            input_size_px=input_size_px,
            seed=seed,
            **options,
        )


def build_discriminator(
    config: Config, *, seed: int | None, input_size_px: SizePx | str | None = None, precision: str = "float32"
) -> keras.Model:
    """Builds the configured discriminator. The arguments are as for `build_generator`."""
    spec = config.discriminator
    input_channels, target_channels = config.data.network_channels

    def build(image_size_px: SizePx | None, seed: int | None) -> keras.Model:
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


def build_encoder(config: Config, *, seed: int | None, precision: str = "float32") -> keras.Model:
    """Builds the encoder of styles, for an objective with terms of it. The arguments are as for `build_generator`."""
    spec = config.generator
    with computing_in(precision):
        return build_style_encoder(
            config.data.image_size_px,
            target_channels=config.data.network_channels[1],
            dimensions=spec.noise_dimensions,
            base_filters=config.objective.encoder_filters,
            leaky_slope=spec.leaky_slope,
            seed=seed,
        )


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Builds layers inside that compute in `precision`. Keras's policy, one for the process, is restored after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_model(
    config: Config,
    teacher: Callable[[Any], Any] | None = None,
    perceptual_network: Callable[[Any], Any] | None = None,
    *,
    stage: Stage | None = None,
) -> Pix2Pix:
    """Builds both networks with their initial weights, the optimisers and the objective of a configuration.

    Args:
        teacher: that of `Pix2Pix`, for a student.
        perceptual_network: that of `Pix2Pix`.
        stage: stage of the training; None: the first.
    """
    spec, terms = config.training, config.objective
    stage = stage or stage_after(config, 0)
    coarse, precision = stage.kind == COARSE, resolve_precision(spec.precision)
    generator = build_generator(config, seed=config.seed, precision=precision, coarse=coarse)
    size_px = config.coarse_size.value if coarse else None
    discriminator = build_discriminator(config, seed=config.seed, input_size_px=size_px, precision=precision)
    average = build_generator(config, seed=None, coarse=coarse) if spec.ema_decay else None
    if stage.kind == ENHANCERS_ALONE:
        fix_global(generator)
    for layer in (layer for network in (generator, *scales_of(discriminator)) for layer in network.layers):
        if isinstance(layer, BatchNormalization):
            layer.across_replicas = spec.synchronized_norm
        if isinstance(layer, (BatchNormalization, InstanceNormalization)):
            layer.fused = not spec.deterministic_ops
    objective = Objective(
        terms.gan_loss, terms.weights, terms.discriminator_factor, terms.label_smoothing, terms.diversity_clip
    )
    networks = {"average": average, "seed": config.seed, "perceptual_network": perceptual_network}
    if objective.style_terms:
        encoder = build_encoder(config, seed=config.seed, precision=precision)
        model: Pix2Pix = StyledPix2Pix(generator, discriminator, encoder=encoder, **networks)
    else:
        model = Pix2Pix(
            generator, discriminator, recompute_levels=spec.recompute_levels, teacher=teacher, coarse=coarse, **networks
        )

    def optimizer(learning_rate: float) -> keras.optimizers.Optimizer:
        rate = LearningRate(
            learning_rate, spec.learning_rate_schedule, constant_steps(spec, stage), stage.schedule_steps,
            model.learning_rate_factor, stage.first_step - stage.schedule[0],
        )  # fmt: skip
        adam = FusedAdam(rate, spec.beta_1, spec.beta_2)
        return LossScaling(adam) if precision == "float16" else adam

    model.compile(
        optimizer(spec.learning_rate), optimizer(spec.discriminator_learning_rate or spec.learning_rate), objective,
        spec.update_order, micro_batches=spec.micro_batches, clip_gradient_norm=spec.clip_gradient_norm,
        ema_decay=spec.ema_decay or 0.0, ema_first_step=stage.schedule[0],
    )  # fmt: skip
    return model
