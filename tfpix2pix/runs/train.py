"""Trains a run from its plan: opens pairs, builds networks, runs the steps and ends the run."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import tensorflow as tf
from rich.console import Console

from tfpix2pix.activity import doing
from tfpix2pix.config import Config
from tfpix2pix.config.resolve import recipe_override
from tfpix2pix.data import source_row
from tfpix2pix.data.doctor import examine, quick_lines
from tfpix2pix.data.fingerprints import MOST_READ, fingerprints
from tfpix2pix.data.groups import division_of
from tfpix2pix.data.opening import check_readable
from tfpix2pix.data.pairs import Source
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.memory import lacks_memory
from tfpix2pix.runs.directory import Run, RunDirectory
from tfpix2pix.runs.environment import EnvironmentRecord, sizes_of
from tfpix2pix.runs.estimate import Networks, needs
from tfpix2pix.runs.load import teaching
from tfpix2pix.runs.networks import build_model
from tfpix2pix.runs.perceptual import open_perceptual_network
from tfpix2pix.runs.plan import Plan, opened, plan_training
from tfpix2pix.runs.resuming import DataRecord, Splits
from tfpix2pix.runs.session import Session, Start, hyperparameters_of
from tfpix2pix.runs.stages import Stage, best_after, describe, enter, stage_after, stage_of, stages_of
from tfpix2pix.runs.start_from import start_from, with_start
from tfpix2pix.runs.steps import Frozen, build_on, execution, with_steps_of_minutes
from tfpix2pix.training import loop
from tfpix2pix.training.checkpoints import Checkpoints, State, get_state, set_state
from tfpix2pix.training.devices import Devices, make_devices
from tfpix2pix.training.hardware import explain, resolve_precision, resolve_xla, this_hardware
from tfpix2pix.training.health import NotFinite
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.settings import TrainingConfig
from tfpix2pix.training.trackers import Trackers

EXAMINED_AT_START = 100  # pairs
LOSSES = (
    "Below, g/… are losses of the generator and d/… of the discriminator D. D right is the share of patches that D "
    "tells apart: 0.5 is guessing, and 1 for long is too sure."
)


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
        config: a `Config`, the name of a preset, or a .yaml file; None to resume, or for your own pairs with `data`.
        data: folder of the data, in place of `data.dir`.
        recipe: a recipe's name or a .yaml file. Its values replace the preset's own.
        overrides: `dotted.key=value` strings, as `--set` takes them.
        resume: continue an interrupted run from its newest checkpoint.
        fresh: replace a run that is there.
        accept_changes: resume although the configuration or the data have changed.
        console: console for the progress; None: standard error.

    Raises:
        UserError: the configuration, the data or the directory does not fit. Nothing has been written then.
    """
    plan = plan_training(
        config, run_dir, data_dir=data, overrides=(*recipe_override(recipe), *overrides), resume=resume, fresh=fresh,
        accept_changes=accept_changes,
    )  # fmt: skip
    return run(plan, console)


def run(plan: Plan, console: Console | None = None) -> Run:
    """Trains as planned, until the last step, an early stop or a signal.

    Args:
        plan: from `plan_training`, with a run directory.
        console: console for the progress; None: standard error.

    Raises:
        UserError: the pairs or the batch do not fit. Nothing has been written then.
        RunError: the training failed.
    """
    if plan.config.objective.teacher and plan.teacher is None:
        raise UserError(
            f"A student must have its teacher, {plan.config.objective.teacher}. Received none. Use `tfpix2pix distill` "
            f"with the teacher's run directory, with `resume` to continue."
        )
    console = console or Console(stderr=True)
    devices = make_devices(plan.config.training.strategy, plan.worker)  # first: workers join before they compute
    _set_up(devices, plan.config.training)
    if not devices.is_chief:
        where = devices.describe(plan.config.training.batch_size)
        console.print(f"{where}: worker 0 reports.", highlight=False)
        console = Console(file=io.StringIO())
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)

    with doing(console, "Reads the pairs and builds the networks"):
        plan = plan if plan.sources else opened(plan)
        sources = plan.sources
        checked = sum(
            check_readable(source, trained_on=plan.config.data if split == "train" else None)
            for split, source in sources.items()
            if len(source)
        )
        splits = _compared(plan, sources, devices)
        frozen = Frozen(plan.teacher and teaching(plan.teacher), open_perceptual_network(plan.config))
        with _fitting_in_memory(plan.directory):
            config = _settled(plan, sources, devices, say, frozen)
            model, start = _beginning(plan, config, devices, frozen)
        spec = config.training
        started = start_from(model, plan.start) if plan.start else ()
    devices.check_same(start.step, "checkpoint")
    say(
        f"{config.name}: {plan.division.sentence}, {checked} of them "
        f"read without errors; {config.data.size_px} px; {devices.describe(spec.batch_size)}, {spec.precision}; "
        f"{plan.directory.path}"
        f"{f', continuing from step {start.step}' if 0 < start.step < spec.steps else ''}"
    )
    asked = plan.config.training
    if choice := explain(asked.precision, asked.xla, this_hardware(), devices.replicas):
        say(choice)
    for sentence in started:
        say(sentence)
    _report_data(plan, sources, say)
    if start.step >= spec.steps:
        advice = _how_to_continue(plan.directory.path, start.step, spec)
        say(f"{plan.directory.path} is finished: step {start.step} of {spec.steps}. {advice}")
        return Run(plan.directory, plan.directory.card())

    networks = _networks(config, model)
    for sentence in _needs(plan, config, networks, devices):
        say(sentence)
    if config.objective.weights["gan"] > 0:
        say(LOSSES)
    environment = EnvironmentRecord.of(plan.directory) if plan.resume else EnvironmentRecord()
    environment = environment.resumed(start.step, sizes_of(networks, config), devices.replicas)
    record = plan.record.resumed(start.step, splits, _division(config, sources["train"]), plan.division.group_counts)
    tracked = Trackers(spec.trackers if devices.is_chief else (), plan.directory.trackers)
    with plan.directory.in_use() if devices.is_chief else nullcontext(), tracked as trackers:
        if devices.is_chief:
            _write_beginning(plan, config, start, record)
            plan.directory.write_environment(environment.to_json())
            trackers.begin(config.name, hyperparameters_of(config))
        with _fitting_in_memory(plan.directory), loop.stop_on_signals() as signalled, devices.in_reach():
            while True:
                stage = stage_after(config, start.step)
                session = Session(
                    config, plan.directory, sources, model, devices, console,
                    partial(_first_state, config, plan.directory, stage), record.summary(),
                )  # fmt: skip
                if len(stages_of(config)) > 1:
                    say(describe(config, stage))
                step = None
                while step is None:
                    try:
                        with session.reporting(start, trackers, partial(_examine, plan, say)):
                            step = loop.run(
                                execution(
                                    config, sources["train"], model, devices, first_step=start.step,
                                    total_steps=stage.last_step,
                                ),
                                session.hooks(),
                                first_step=start.step,
                                last_step=start.step if session.should_stop() else stage.last_step,  # stopped before
                                steps_per_execution=spec.steps_per_execution,
                                should_stop=lambda session=session: session.should_stop(signalled()),
                            )  # fmt: skip
                    except NotFinite as trouble:
                        start = session.roll_back(trouble)
                if step < stage.last_step or step == spec.steps or session.should_stop(signalled()):
                    return session.end(step)
                state, start = get_state(model), session.next_start()
                del session, model
                gc.collect()  # graphs and variables refer to each other
                model = build_on(devices, config, frozen, stage_after(config, step))
                enter(model, state, before=stage)


@contextmanager
def _fitting_in_memory(directory: RunDirectory) -> Iterator[None]:
    """Raises RunError if the memory does not suffice in the block: what helps, and how the run goes on."""
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        steps = Checkpoints(directory.checkpoints).steps()
        if steps:
            again = f"The run is saved as of step {steps[-1]}: continue it with `resume`, and with `accept_changes` in "
            again += "a smaller batch or in parts"
        else:
            again = f"Then begin again{' with `fresh`' if directory.is_run() else ''}"
        raise RunError(
            f"A training step must fit in the memory of the machine and of its GPUs. Received one that did not. Lower "
            f"`training.batch_size`, `data.image_size_px` or `generator.base_filters`, raise `training.micro_batches` "
            f"or `training.recompute_levels`, or set `training.precision` to bfloat16, about half. {again}."
        ) from error


def _set_up(devices: Devices, spec: TrainingConfig) -> None:
    """Checks that the devices can share a batch, and makes TensorFlow deterministic if that is configured."""
    devices.check_batch(spec.batch_size, spec.micro_batches)
    if spec.deterministic_ops:
        tf.config.experimental.enable_op_determinism()
        # This optimiser reorders sums by the rest of the graph, which differs with the number of devices.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def _compared(plan: Plan, sources: Mapping[str, Source], devices: Devices) -> Splits:
    """Returns the fingerprints of all pairs. Raises UserError if a run to resume was trained on other pairs."""
    most_read = MOST_READ if plan.config.data.dir else 0  # pairs of a package may be drawn again on another machine
    splits = {split: fingerprints(source, most_read) for split, source in sources.items()}
    if not plan.accept_changes and Checkpoints(plan.directory.checkpoints).any():
        with devices.refusing_together():
            plan.record.check_unchanged(splits)
    return splits


def _division(config: Config, source: Source) -> dict[str, Any] | None:
    """Returns the rule, seed and groups of the split. None if folders, a column or the source divide the pairs."""
    divided = source.divided or source_row(config.data.source).brings_data
    return None if divided else division_of(config.data, config.seed)


def _settled(plan: Plan, sources: Mapping[str, Source], devices: Devices, say: partial, frozen: Frozen) -> Config:
    """Returns the configuration with precision and XLA as this machine has them, and the steps that fit in
    `training.minutes`."""
    spec = plan.config.training  # the choices are recorded, so that a resume on another machine keeps them
    chosen = {"precision": resolve_precision(spec.precision), "xla": resolve_xla(spec.xla, devices.replicas)}
    spec = spec.model_copy(update=chosen)
    config = plan.config.model_copy(update={"training": spec})
    if spec.minutes is not None and not plan.resume:  # a run that is resumed has its steps
        config = with_steps_of_minutes(config, sources["train"], devices, say, frozen)
    return config


def _beginning(plan: Plan, config: Config, devices: Devices, frozen: Frozen) -> tuple[Pix2Pix, Start]:
    """Returns the model of the stage that comes next, and the start of the training. If a run is resumed, both are
    those of its newest checkpoint."""
    checkpoints = Checkpoints(plan.directory.checkpoints)
    if not plan.resume or not checkpoints.any():
        return build_on(devices, config, frozen), Start(untouched=True)
    step, state = checkpoints.load()
    start, before, stage = Start(step, **checkpoints.notes(step)), stage_of(config, step), stage_after(config, step)
    model = build_on(devices, config, frozen, stage)
    if stage == before:
        set_state(model, state)
        return model, start
    enter(model, state, before)
    return model, replace(start, best=best_after(before, start.best))


def _first_state(config: Config, directory: RunDirectory, stage: Stage) -> State:
    """Returns the state before the first step of a stage, computed anew.

    Raises:
        UserError: the run that `training.start_from` names has been trained on meanwhile, or is gone.
    """
    if stage.first_step:
        model, (step, state) = build_model(config, stage=stage), Checkpoints(directory.checkpoints).load()
        enter(model, state, stage_of(config, step))
        return get_state(model)
    config = with_start(config)
    model = build_model(config)
    if config.training.start_from:
        start_from(model, RunDirectory.trained(config.training.start_from))
    return get_state(model)


def _networks(config: Config, model: Pix2Pix) -> Networks:
    """Returns the networks of the last stage."""
    whole = len(stages_of(config)) == 1  # else the networks of the last stage are others
    return Networks(model.generator, model.discriminator, model.encoder) if whole else Networks.of(config)


def _needs(plan: Plan, config: Config, networks: Networks, devices: Devices) -> list[str]:
    """Returns lines about what the training takes. Raises UserError if the disk cannot hold a checkpoint."""
    folder = plan.directory.path if devices.is_chief else None
    counts = len(plan.sources["train"]), len(plan.sources["val"])
    with devices.refusing_together():
        return needs(config, networks, folder, pairs=counts, replicas=devices.replicas)


def _report_data(plan: Plan, sources: Mapping[str, Source], say: partial) -> None:
    """Prints notes on the pairs, and the number of those that are skipped."""
    for note in plan.notes:
        say(note)
    if plan.resume:
        for warning in plan.division.warnings:
            say(warning)
    skipped = list(dict.fromkeys(fault.message for source in sources.values() for fault in source.skipped))
    if skipped:
        say(f"{len(skipped)} pairs skipped. The first: {skipped[0]}")


def _examine(plan: Plan, say: partial) -> None:
    """Prints the doctor's findings in some pairs of a new run."""
    if not plan.resume:
        for line in quick_lines(examine(plan.config.data, plan.config.seed, at_most=EXAMINED_AT_START)):
            say(line)


def _how_to_continue(run: Path, step: int, spec: TrainingConfig) -> str:
    """Returns advice on how to lengthen a finished run. Raises UserError if it has more than the configured steps."""
    keys = "training.steps" if spec.epochs is None else "training.epochs"
    if spec.minutes is not None:
        keys = "training.steps and training.minutes"
    if step > spec.steps:
        pace = f", with {spec.minutes:g} minutes of {spec.seconds_per_step:.3g} s a step" if spec.minutes else ""
        raise UserError(
            f"`training.steps` must be at least the run's {step}. Received {spec.steps}{pace}. Raise {keys}."
        )
    if spec.learning_rate_schedule == "constant":
        return f"To train on, raise {keys}."
    return (
        "Its learning rate has fallen to 0, so it cannot be trained on. To train further, begin another run with its "
        f"weights: the same `train` with another `run` and `--set training.start_from={quote(str(run))}`."
    )


def _write_beginning(plan: Plan, config: Config, start: Start, record: DataRecord) -> None:
    """Writes the files that a run directory holds before the first step."""
    if plan.resume:
        Checkpoints(plan.directory.checkpoints).clear_after(start.step)
        plan.directory.write_config(config)  # `training.steps` may have grown
        if plan.card:
            card = plan.card.model_copy(update={"config": config, "data_periods": record.summary()})
            plan.directory.write_card(card)
    else:
        plan.directory.start(config, fresh=plan.fresh)
    plan.directory.write_data_record(record.to_json())
