"""The steps of a training: what does them, how long one takes, and how many `training.minutes` hold."""

from __future__ import annotations

import gc
from collections.abc import Callable

from tfpix2pix.config import Config
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.training.devices import Devices
from tfpix2pix.training.execution import Execution
from tfpix2pix.training.pace import measure_pace
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.progress import duration

ENDLESS = 2**31  # steps, more than are done while the pace is measured


def execution(
    config: Config, source: Source, model: Pix2Pix, devices: Devices, *, first_step: int, total_steps: int | None = None
) -> Execution:
    """The steps of a training from `first_step` on, up to `total_steps`; None: `training.steps`."""
    spec = config.training
    batches = training_batches(
        source, config.data, batch_size=spec.batch_size, seed=config.seed, first_step=first_step,
        total_steps=total_steps or spec.steps, worker=devices.worker, workers=devices.workers,
    )  # fmt: skip
    return Execution(
        model.train_step, batches.dataset, devices.strategy, workers=devices.workers, jit_compile=spec.xla,
        own_errors=batches.own_errors,
    )  # fmt: skip


def with_steps_of_minutes(
    config: Config, source: Source, build_model: Callable[[Config], Pix2Pix], devices: Devices,
    say: Callable[[str], None],
) -> Config:  # fmt: skip
    """The configuration with `training.steps` lowered to those that `training.minutes` hold.

    The pace is measured on networks that are thrown away, and the steps are fixed before the first one of the run: so
    each step is done at the learning rate that the number of steps gives it.
    """
    spec = config.training
    if spec.seconds_per_step is None:
        say("Measuring how long a step takes, for training.minutes.")
        spec = spec.model_copy(update={"seconds_per_step": _measured_pace(config, source, build_model, devices)})
    most, spec = spec.steps, spec.within_minutes()
    length = f"{spec.steps} steps of {spec.seconds_per_step:.3g} s"
    if spec.steps < most:
        say(f"{length} fit in {spec.minutes:g} minutes; samples, held-out pairs and checkpoints come on top.")
    else:
        lasting = duration(spec.steps * spec.seconds_per_step)
        say(f"{length} take {lasting}, less than {spec.minutes:g} minutes. For more, raise training.steps.")
    return config.model_copy(update={"training": spec})


def _measured_pace(config: Config, source: Source, build_model: Callable[[Config], Pix2Pix], devices: Devices) -> float:
    """How long a step takes, s: the chief's measurement on all workers."""
    spec = config.training
    with devices.in_reach():
        with devices.scope():
            model = build_model(config)
        advance = execution(config, source, model, devices, first_step=0, total_steps=ENDLESS)
        pace = measure_pace(
            advance, minutes=spec.minutes, steps_per_call=spec.steps_per_execution, agree=devices.agree
        )  # fmt: skip
        pace = devices.of_chief(pace)
    del model, advance
    gc.collect()  # graphs and variables refer to each other
    return float(f"{pace:.6g}")  # as it is written
