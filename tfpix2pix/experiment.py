"""The composition root: a configuration, wired to data, networks and run directory, becomes a run."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console

from tfpix2pix.config import Config, TrainingConfig
from tfpix2pix.data.fingerprints import MOST_READ, fingerprints
from tfpix2pix.data.opening import check_readable, open_sources
from tfpix2pix.doctor import examine, quick_lines
from tfpix2pix.errors import UserError
from tfpix2pix.losses.objective import Objective
from tfpix2pix.models.build import build_discriminator, build_generator
from tfpix2pix.models.norms import BatchNormalization, InstanceNormalization
from tfpix2pix.models.pyramid import scales_of
from tfpix2pix.resolve import recipe_override
from tfpix2pix.resuming import DataRecord, check_unedited, run_config, to_resume
from tfpix2pix.run_directory import RunDirectory
from tfpix2pix.session import Run, Session, Start
from tfpix2pix.steps import with_steps_of_minutes
from tfpix2pix.training import CONSTANT_FRACTIONS
from tfpix2pix.training.checkpoints import Checkpoints, get_state, set_state
from tfpix2pix.training.cluster import this_worker
from tfpix2pix.training.devices import Devices, make_devices, resolve_precision
from tfpix2pix.training.optimizers import FusedAdam, LearningRate, LossScaling
from tfpix2pix.training.pix2pix import Pix2Pix

QUICKLY_EXAMINED = 100  # pairs that the doctor looks at before a run starts


def build_model(config: Config) -> Pix2Pix:
    """Both networks with their initial weights, the optimisers and the objective of a configuration."""
    spec, terms = config.training, config.objective
    precision = resolve_precision(spec.precision)
    generator = build_generator(config, seed=config.seed, precision=precision)
    discriminator = build_discriminator(config, seed=config.seed, precision=precision)
    average = build_generator(config, seed=None) if spec.ema_decay else None
    for layer in (layer for network in (generator, *scales_of(discriminator)) for layer in network.layers):
        if isinstance(layer, BatchNormalization):
            layer.across_replicas = spec.synchronized_norm
        if isinstance(layer, (BatchNormalization, InstanceNormalization)):
            layer.fused = not spec.deterministic_ops
    model = Pix2Pix(generator, discriminator, average=average, seed=config.seed, recompute_levels=spec.recompute_levels)

    fraction = spec.learning_rate_constant_fraction
    fraction = CONSTANT_FRACTIONS[spec.learning_rate_schedule] if fraction is None else fraction
    constant_steps = round(fraction * spec.steps)

    def optimizer(learning_rate: float) -> keras.optimizers.Optimizer:
        rate = LearningRate(
            learning_rate, spec.learning_rate_schedule, constant_steps, spec.steps, model.learning_rate_factor
        )
        adam = FusedAdam(rate, spec.beta_1, spec.beta_2)
        return LossScaling(adam) if precision == "float16" else adam

    objective = Objective(terms.gan_loss, terms.weights, terms.discriminator_factor, terms.label_smoothing)
    model.compile(
        optimizer(spec.learning_rate), optimizer(spec.discriminator_learning_rate or spec.learning_rate), objective,
        spec.update_order, micro_batches=spec.micro_batches, clip_gradient_norm=spec.clip_gradient_norm,
        ema_decay=spec.ema_decay or 0.0,
    )  # fmt: skip
    return model


def train(
    config: Config | str | None = None,
    *,
    run_dir: str | Path,
    data: str | Path | None = None,
    recipe: str | None = None,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    fresh: bool = False,
    accept_changes: bool = False,
    console: Console | None = None,
) -> Run:
    """Trains, or continues, the run of a configuration in `run_dir`.

    Args:
        config: a `Config`, the name of a preset, or a .yaml file; None to resume.
        data: folder of the data, in place of `data.dir`.
        recipe: how to train: a recipe's name or a .yaml file, whose values replace the preset's own.
        overrides: `dotted.key=value` strings, as `--set` takes them.
        resume: continue an interrupted run from its newest checkpoint.
        fresh: replace a run that is there.
        accept_changes: resume although the configuration or the data are others than before.
        console: where progress goes; standard error by default.

    Raises:
        UserError: the configuration, the data or the directory does not fit; nothing has been written then.
    """
    console = console or Console(stderr=True)
    directory = RunDirectory(run_dir)
    if isinstance(config, Config):
        if overrides or data is not None or recipe is not None:
            raise UserError(
                "`data`, `recipe` and `overrides` go with a preset or a file. Received a Config. Set them in it."
            )
        if this_worker(config.training.strategy).index == 0:
            directory.check_free(resume=resume, fresh=fresh)
        if resume:
            before = directory.config()
            if not accept_changes:
                check_unedited(directory, before)
            config = to_resume(before, config, accept_changes=accept_changes)
    else:
        overrides = (*recipe_override(recipe), *overrides)
        config = run_config(
            config, run_dir, data_dir=data, overrides=overrides, resume=resume, fresh=fresh,
            accept_changes=accept_changes,
        )  # fmt: skip
    devices = make_devices(config.training.strategy)  # first: machines join before anything is computed
    return _train(
        _for_this_machine(config),
        directory,
        devices,
        console,
        resume=resume,
        fresh=fresh,
        accept_changes=accept_changes,
    )


def _train(
    config: Config, directory: RunDirectory, devices: Devices, console: Console, *, resume: bool, fresh: bool,
    accept_changes: bool,
) -> Run:  # fmt: skip
    spec = config.training
    devices.check_batch(spec.batch_size, spec.micro_batches)
    if spec.deterministic_ops:
        tf.config.experimental.enable_op_determinism()
        # It reorders sums by what else is in the graph, which differs with the number of devices.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    if not devices.is_chief:
        console.print(f"{devices.describe(spec.batch_size)}: worker 0 reports.", highlight=False)
        console = Console(file=io.StringIO())
    sources = open_sources(config)
    checked = sum(check_readable(source) for source in sources.values() if len(source))
    looked_into = MOST_READ if config.data.dir else 0  # what comes with a package may be drawn anew elsewhere
    seen = {name: fingerprints(source, looked_into) for name, source in sources.items()}
    record = DataRecord.of(directory) if resume else DataRecord()
    if not accept_changes and Checkpoints(directory.checkpoints).any():
        with devices.refusing_together():
            record.check_unchanged(seen)
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    if spec.minutes is not None and not resume:  # a run that is resumed knows its steps
        config = with_steps_of_minutes(config, sources["train"], build_model, devices, say)
        spec = config.training

    with devices.scope():
        model = build_model(config)
    start, checkpoints = Start(untouched=True), Checkpoints(directory.checkpoints)
    card = directory.card() if resume else None
    if card and card.step and not checkpoints.any():
        raise UserError(
            f"To resume, a run must have a checkpoint. Received {directory.path}, which was at step {card.step} and "
            f"has none left. Start again with --fresh, or choose another --run."
        )
    if resume and checkpoints.any():
        step, state = checkpoints.load()
        set_state(model, state)
        start = Start(step, **checkpoints.notes(step))
    devices.check_same(start.step, "checkpoint")
    say(
        f"{config.name}: {len(sources['train'])} training and {len(sources['val'])} held-out pairs, {checked} of them "
        f"read and found whole; {devices.describe(spec.batch_size)}, {spec.precision}; {directory.path}"
        f"{f', going on from step {start.step}' if 0 < start.step < spec.steps else ''}"
    )
    if not resume:
        for line in quick_lines(examine(config, at_most=QUICKLY_EXAMINED)):
            say(line)
    skipped = list(dict.fromkeys(fault.message for source in sources.values() for fault in source.skipped))
    if skipped:
        say(f"{len(skipped)} pairs skipped. The first: {skipped[0]}")
    if start.step > spec.steps:
        raise UserError(
            f"`training.steps` must be at least the run's {start.step}. Received {spec.steps}{_of_minutes(spec)}. "
            f"Raise {_length_keys(spec)}."
        )
    if start.step == spec.steps:
        more = (
            f"To train on, raise {_length_keys(spec)} with --set."
            if spec.learning_rate_schedule == "constant"
            else "Its learning rate has fallen to 0, so it cannot be trained on."
        )
        say(f"{directory.path} is finished: step {start.step} of {spec.steps}. {more}")
        return Run(directory, directory.card())
    record = record.going_on(start.step, seen)
    under_way = Session(
        config, directory, sources, model, devices, console, lambda: get_state(build_model(config)), record.summary()
    )
    if not devices.is_chief:
        return under_way.run(start)
    with directory.in_use():
        if resume:
            checkpoints.clear_after(start.step)
            directory.write_config(config)  # `training.steps` may have grown
            if card:
                directory.write_card(card.model_copy(update={"config": config, "data_periods": record.summary()}))
        else:
            directory.start(config, fresh=fresh)
        directory.write_data_record(record.model_dump_json(indent=1))
        return under_way.run(start)


def _for_this_machine(config: Config) -> Config:
    """With the precision that `auto` is here, so that a run resumed elsewhere goes on in the same."""
    precision = {"precision": resolve_precision(config.training.precision)}
    return config.model_copy(update={"training": config.training.model_copy(update=precision)})


def _length_keys(spec: TrainingConfig) -> str:
    return "training.steps" if spec.minutes is None else "training.steps and training.minutes"


def _of_minutes(spec: TrainingConfig) -> str:
    return "" if spec.minutes is None else f", with {spec.minutes:g} minutes of {spec.seconds_per_step:.3g} s a step"
