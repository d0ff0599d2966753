"""Builds the model and the compiled steps of a training, and measures how many steps fit in `training.minutes`."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfpix2pix.config import Config
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.runs.networks import build_model
from tfpix2pix.runs.stages import Stage
from tfpix2pix.training.devices import Devices
from tfpix2pix.training.execution import Execution
from tfpix2pix.training.hardware import resolve_xla
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.progress import duration

WARM_UP_CALLS = 3  # the first compiles the step, and batches are read ahead meanwhile
LEAST_CALLS = 3
MOST_S = 10.0
MOST_SHARE = 0.05  # of `training.minutes`
ENDLESS = 2**31  # more steps than a measurement takes


@dataclass(frozen=True)
class Frozen:
    """Holds the trained networks that a training uses and does not change, as `Pix2Pix` takes them."""

    teacher: Callable[[Any], Any] | None = None
    perceptual_network: Callable[[Any], Any] | None = None


NO_NETWORKS = Frozen()


def build_on(devices: Devices, config: Config, frozen: Frozen = NO_NETWORKS, stage: Stage | None = None) -> Pix2Pix:
    """Builds the model of a stage, None for the first, with its variables on every device."""
    with devices.scope():
        return build_model(config, frozen.teacher, frozen.perceptual_network, stage=stage)


def execution(
    config: Config, source: Source, model: Pix2Pix, devices: Devices, *, first_step: int, total_steps: int | None = None
) -> Execution:
    """Returns the steps of a training after `first_step`, up to `total_steps`; None: `training.steps`."""
    spec = config.training
    batches = training_batches(
        source, config.data, batch_size=spec.batch_size, seed=config.seed, first_step=first_step,
        total_steps=total_steps or spec.steps, worker=devices.worker, workers=devices.workers,
    )  # fmt: skip
    return Execution(
        model.train_step, batches.dataset, devices.strategy, workers=devices.workers,
        jit_compile=resolve_xla(spec.xla, devices.replicas), own_errors=batches.own_errors,
    )  # fmt: skip


def measure_pace(
    advance: Callable[[int], Any],
    *,
    minutes: float,
    steps_per_call: int = 1,
    agree: Callable[[bool], bool] = lambda wish: wish,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measures the time of a step, s: the median over calls, after three that do not count.

    It measures for 10 s, or for 5 % of `minutes` if that is less, and for at least three calls.

    Args:
        advance: trains a number of steps, and returns when they are done.
        minutes: time limit of the training, min.
        steps_per_call: number of steps in a call, as in the training.
        agree: returns True if any worker wishes to end. All workers call it after the same calls (`Devices.agree`).
        clock: returns the time, s, from any origin.
    """
    for _ in range(WARM_UP_CALLS):
        advance(steps_per_call)
    enough_s = min(MOST_S, MOST_SHARE * 60 * minutes)
    calls_s: list[float] = []
    began_s = clock()
    while len(calls_s) < LEAST_CALLS or not agree(clock() - began_s >= enough_s):
        call_began_s = clock()
        advance(steps_per_call)
        calls_s.append(clock() - call_began_s)
    return statistics.median(calls_s) / steps_per_call


def with_steps_of_minutes(
    config: Config, source: Source, devices: Devices, say: Callable[[str], None], frozen: Frozen = NO_NETWORKS
) -> Config:
    """Returns the configuration with `training.steps` lowered to as many as fit in `training.minutes`.

    The time of a step is measured on a model that is thrown away. The number of steps is fixed before the first step
    of the run, because the learning rate of every step depends on it.
    """
    spec = config.training
    if spec.seconds_per_step is None:
        say("Measuring how long a step takes, for training.minutes.")
        spec = spec.model_copy(update={"seconds_per_step": _measured_pace(config, source, devices, frozen)})
    limit, spec = spec.steps, spec.within_minutes()
    length = f"{spec.steps} steps of {spec.seconds_per_step:.3g} s"
    if spec.steps < limit:
        say(f"{length} fit in {spec.minutes:g} minutes. Samples, validation and checkpoints take extra time.")
        if spec.steps < (spec.presentable_steps or 0):
            enough_minutes = math.ceil(spec.presentable_steps * spec.seconds_per_step / 60)
            say(
                f"These are few: with this preset, pictures can be shown from about {spec.presentable_steps:,} steps "
                f"on. Begin again with training.minutes={enough_minutes} or more, or on a GPU."
            )
    else:
        total = duration(spec.steps * spec.seconds_per_step)
        say(f"{length} take {total}, less than {spec.minutes:g} minutes. For more, raise training.steps.")
    return config.model_copy(update={"training": spec})


def _measured_pace(config: Config, source: Source, devices: Devices, frozen: Frozen) -> float:
    """Returns the time of a step, s, that the chief measures. It is the same on all workers."""
    spec = config.training
    with devices.in_reach():
        model = build_on(devices, config, frozen)
        advance = execution(config, source, model, devices, first_step=0, total_steps=ENDLESS)
        pace = measure_pace(
            advance, minutes=spec.minutes, steps_per_call=spec.steps_per_execution, agree=devices.agree
        )  # fmt: skip
        pace = devices.of_chief(pace)
    del model, advance
    gc.collect()  # graphs and variables refer to each other
    return float(f"{pace:.6g}")  # as `config.yaml` has it
