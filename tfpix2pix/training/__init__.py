"""Trains networks: the step (`pix2pix`), the loop, checkpoints and reports, each usable alone.

The tables hold the choices of a configuration. A new row is a function in the module that it names and a line here.
"""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from tfpix2pix.tables import lazy


@dataclass(frozen=True)
class Schedule:
    """Holds a learning-rate schedule.

    Attributes:
        function: progress -> fraction of the learning rate. Progress goes from 0, after the steps at the full rate, to
            1 at the last step.
        constant_fraction: fraction of the steps at the full rate, if `training.learning_rate_constant_fraction` is
            null.
    """

    function: Callable[[Any], Any]
    constant_fraction: float = 0.0

    def __call__(self, progress: Any) -> Any:
        return self.function(progress)


# A row may also be a function alone, with a constant fraction of 0
SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "constant": Schedule(lazy("tfpix2pix.training.optimizers", "constant"), constant_fraction=1.0),
    "linear_decay": Schedule(lazy("tfpix2pix.training.optimizers", "linear_decay"), constant_fraction=0.5),
    "cosine": Schedule(lazy("tfpix2pix.training.optimizers", "cosine")),
}
_CONSTANT_FRACTIONS: dict[str, float] = {}  # set through `CONSTANT_FRACTIONS`


def schedule_row(name: str) -> Schedule:
    """Returns a row of `SCHEDULES`, also for a row that is a function alone."""
    row = SCHEDULES[name]
    row = row if isinstance(row, Schedule) else Schedule(row)
    return replace(row, constant_fraction=_CONSTANT_FRACTIONS.get(name, row.constant_fraction))


def __getattr__(name: str) -> MutableMapping[str, float]:
    """Returns `CONSTANT_FRACTIONS`, a table of earlier versions. Values set in it replace those of `SCHEDULES`."""
    if name != "CONSTANT_FRACTIONS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        "CONSTANT_FRACTIONS is part of SCHEDULES. Use SCHEDULES[name] = Schedule(function, constant_fraction=…).",
        FutureWarning,
        stacklevel=2,
    )
    return ChainMap(_CONSTANT_FRACTIONS, {row: schedule_row(row).constant_fraction for row in SCHEDULES})


# () -> tf.distribute.Strategy
STRATEGIES = {
    "auto": lazy("tfpix2pix.training.devices", "auto"),
    "one": lazy("tfpix2pix.training.devices", "one"),
    "mirrored": lazy("tfpix2pix.training.devices", "mirrored"),
    "multiworker": lazy("tfpix2pix.training.devices", "multiworker"),
}


@dataclass(frozen=True)
class Tracking:
    """Holds a tracker of experiments.

    Attributes:
        make: () -> an object with the calls of `tfpix2pix.training.trackers.Tracker`.
        package: module that it needs, which the extra of the row's name installs; None: nothing further.
    """

    make: Callable[[], Any]
    package: str | None = None


TRACKERS: dict[str, Tracking] = {
    "wandb": Tracking(lazy("tfpix2pix.training.trackers", "WeightsAndBiases"), "wandb"),
    "mlflow": Tracking(lazy("tfpix2pix.training.trackers", "MLflow"), "mlflow"),
}
