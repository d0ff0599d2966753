"""`train --dry-run`: what a training would be, without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tfpix2pix.config import Config, TrainingConfig
from tfpix2pix.data.opening import open_sources
from tfpix2pix.errors import UserError
from tfpix2pix.experiment import build_model
from tfpix2pix.losses import GAN_LOSSES
from tfpix2pix.models.patches import receptive_field_of_scale
from tfpix2pix.models.pyramid import scales_of
from tfpix2pix.resolve import to_yaml
from tfpix2pix.summary import layer_table


def describe(config: Config, run_dir: str | Path | None = None) -> Group:
    """What a training would be: the resolved configuration, the networks' layers and where it would write."""
    try:
        sources = open_sources(config)
        pairs = f"{len(sources['train'])} training and {len(sources['val'])} held-out pairs."
    except UserError:
        if config.data.is_given:
            raise
        pairs = "No data given: add --data DIR to check it."
    model = build_model(config)
    spec, terms, patch = config.training, config.objective, config.discriminator.receptive_field_px
    weights = ", ".join(f"{name} {weight:g}" for name, weight in terms.weights.items() if weight)
    rests = "" if GAN_LOSSES[terms.gan_loss].adversarial else f", not trained (gan_loss: {terms.gan_loss})"
    return Group(
        Text(to_yaml(config)),
        Text(f"Generator: {config.generator.kind}, size multiple {config.size_multiple_px} px"),
        layer_table(model.generator, receptive_field=False),
        *_discriminators(model.discriminator, patch, rests),
        Text(
            f"\nMFLOP: convolutions, one image, forward.\n"
            f"Recipe: {config.recipe or 'none named'}.\nLength: {_length(spec)}.\n"
            f"Objective: {config.objective_name} ({weights}), "
            f"{terms.gan_loss}, update order {spec.update_order}.\n{pairs}\n"
            f"{f'Would write {run_dir}; nothing' if run_dir else 'Nothing'} was written."
        ),
    )


def _discriminators(discriminator: keras.Model, patch_px: int, rests: str) -> Iterator[Text | Table]:
    """A heading and a table for each scale."""
    scales = scales_of(discriminator)
    for number, scale in enumerate(scales, 1):
        where = f", scale {number} of {len(scales)}" if len(scales) > 1 else ""
        whole_px = receptive_field_of_scale(patch_px, number)
        there = f" at 1/{2 ** (number - 1)} of the side, {whole_px} px of the whole image" if number > 1 else ""
        yield Text(f"\nDiscriminator{where}: receptive field {patch_px} px{there}{rests}")
        yield layer_table(scale, receptive_field=True)


def _length(spec: TrainingConfig) -> str:
    if spec.minutes is None or spec.seconds_per_step is not None:
        return f"{spec.within_minutes().steps} steps"
    return (
        f"{spec.minutes:g} minutes, and {spec.steps} steps at the most; how long a step takes is measured when the run "
        f"begins"
    )
