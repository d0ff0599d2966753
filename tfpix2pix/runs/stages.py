"""Divides a training into stages: coarse to fine, as pix2pixHD is trained (Wang et al., CVPR 2018, §3.1 and its code).

A stage is a function of the configuration and the step alone. It builds its own networks, and begins with new
optimisers. Weights pass from one stage to the next by the names and shapes of layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfpix2pix.config import Config
from tfpix2pix.training import schedule_row
from tfpix2pix.training.checkpoints import AVERAGE, State, state_variables
from tfpix2pix.training.settings import TrainingConfig

COARSE, ENHANCERS_ALONE, WHOLE = "coarse", "enhancers_alone", "whole"
ABOUT = {
    COARSE: "the global generator alone, at {size} px",
    ENHANCERS_ALONE: "the enhancers alone, around a fixed global generator",
    WHOLE: "all of the generator",
}


@dataclass(frozen=True)
class Stage:
    """Describes a part of a training.

    Attributes:
        kind: the part of the generator that is trained: a key of `ABOUT`.
        first_step: number of steps before it.
        last_step: its last step.
        schedule: number of steps before the stage's schedule of the learning rate, and the last step of that schedule.
            One schedule runs over the coarse stage, another over the stages after it.
    """

    kind: str
    first_step: int
    last_step: int
    schedule: tuple[int, int]

    @property
    def schedule_steps(self) -> int:
        """Returns the number of steps of the schedule."""
        return self.schedule[1] - self.schedule[0]


def stages_of(config: Config) -> tuple[Stage, ...]:
    """Returns the stages of a training, in order. Most trainings have one, of the whole generator.

    If there are several, the number of pairs must be known (`training.pairs_per_epoch`); until then there is one.
    """
    spec = config.training
    coarse = spec.steps_of(spec.coarse_epochs)
    fine = coarse + spec.steps_of(spec.fix_global_epochs)
    stages = (
        Stage(COARSE, 0, coarse, (0, coarse)),
        Stage(ENHANCERS_ALONE, coarse, fine, (coarse, spec.steps)),
        Stage(WHOLE, fine, spec.steps, (coarse, spec.steps)),
    )
    return tuple(stage for stage in stages if stage.last_step > stage.first_step)


def stage_of(config: Config, step: int) -> Stage:
    """Returns the stage that trains `step`, counted from 1, and that a checkpoint of it holds; the first for step 0."""
    stages = stages_of(config)
    return next((stage for stage in stages if step <= stage.last_step), stages[-1])


def stage_after(config: Config, step: int) -> Stage:
    """Returns the stage that trains the step after `step`, or the last one."""
    return stage_of(config, step + 1)


def describe(config: Config, stage: Stage) -> str:
    """Returns a sentence about a stage of several."""
    stages = stages_of(config)
    size = config.coarse_size if stage.kind == COARSE else config.data.size_px
    return (
        f"Stage {stages.index(stage) + 1} of {len(stages)}, steps {stage.first_step + 1} to {stage.last_step}: "
        f"{ABOUT[stage.kind].format(size=size)}."
    )


def constant_steps(spec: TrainingConfig, stage: Stage) -> int:
    """Returns the number of steps at the full learning rate in the schedule of a stage.

    `training.decay_epochs` sets their share of the schedule of the last stage. The coarse stage has the same share.
    """
    fraction = spec.learning_rate_constant_fraction
    if spec.decay_epochs is not None:
        fraction = 1 - spec.decay_epochs / (spec.epochs - spec.coarse_epochs)
    elif fraction is None:
        fraction = schedule_row(spec.learning_rate_schedule).constant_fraction
    return round(fraction * stage.schedule_steps)


def enter(model: Any, state: State, before: Stage) -> None:
    """Sets the new `Pix2Pix` model of a stage to the weights that the stage `before` ended with. Optimisers stay new.

    After the coarse stage, the generator goes on from the averaged weights if there is an average, and the average
    begins anew, because the enhancers have none yet.
    """
    parts = dict(state)
    if before.kind == COARSE:
        parts["generator"] = parts[AVERAGE] = state.get(AVERAGE, state["generator"])
    variables = state_variables(model)
    for part in ("generator", AVERAGE, "discriminator", "training"):
        for name, variable in variables.get(part, {}).items():
            if name in parts[part]:
                variable.assign(parts[part][name])


def best_after(before: Stage, best: dict[str, Any]) -> dict[str, Any]:
    """Returns the best score with which the stage after `before` begins (`Best.state`).

    The best score of the coarse stage is dropped, because its checkpoint holds another network. The first validation of
    the next stage takes its place. Every stage counts anew for `training.stop_after_worse`.
    """
    return {**best, "worse": 0} if best and before.kind != COARSE else {}
