"""`train --dry-run`: what a training would be, without one."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.text import Text

from tfpix2pix.config import Config, TrainingConfig
from tfpix2pix.data.opening import open_sources
from tfpix2pix.errors import UserError
from tfpix2pix.experiment import build_model
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
    weights = {"lambda_gan": terms.lambda_gan, **{f"lambda_{name}": value for name, value in terms.lambdas().items()}}
    rests = "" if terms.gan_loss != "none" else ", not trained (gan_loss: none)"
    return Group(
        Text(to_yaml(config)),
        Text(f"Generator: {config.generator.kind}, size multiple {config.size_multiple_px} px"),
        layer_table(model.generator, receptive_field=False),
        Text(f"\nDiscriminator: receptive field {patch} px{rests}"),
        layer_table(model.discriminator, receptive_field=True),
        Text(
            f"\nMFLOP: convolutions, one image, forward.\n"
            f"Recipe: {config.recipe or 'none named'}.\nLength: {_length(spec)}.\n"
            f"Objective: {config.objective_name} ({', '.join(f'{key} {value:g}' for key, value in weights.items())}), "
            f"{terms.gan_loss}, update order {spec.update_order}.\n{pairs}\n"
            f"{f'Would write {run_dir}; nothing' if run_dir else 'Nothing'} was written."
        ),
    )


def _length(spec: TrainingConfig) -> str:
    if spec.minutes is None or spec.seconds_per_step is not None:
        return f"{spec.within_minutes().steps} steps"
    return (
        f"{spec.minutes:g} minutes, and {spec.steps} steps at the most; how long a step takes is measured when the run "
        f"begins"
    )
