"""Passes what a run reports to trackers of experiments, such as Weights & Biases and MLflow: `training.trackers`.

A tracker is an object with the four calls of `Tracker`, made by a row of `TRACKERS`. Its package is imported when a run
begins that asks for it. A tracker gets the run's name, hyperparameters, metrics and sample grids. Whatever these
packages would add of themselves about the machine (host, user, paths, commit, console) is switched off.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.files import whole_file, write_text
from tfpix2pix.safe_files import parse_json, read_regular_file
from tfpix2pix.training import TRACKERS

GROUP = "tfpix2pix"  # project of Weights & Biases or experiment of MLflow, unless their variables name another
Status = Literal["finished", "interrupted", "failed"]
WANDB_EXIT_CODES = {"finished": 0, "interrupted": 255, "failed": 1}  # 255 is shown as "killed"
WANDB_KEEPS_THE_MACHINE_PRIVATE = {
    "console": "off", "disable_code": True, "disable_git": True, "host": "", "save_code": False,
    "x_disable_machine_info": True, "x_disable_meta": True, "x_disable_stats": True, "x_save_requirements": False,
}  # fmt: skip
MLFLOW_STATUSES = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
MLFLOW_MOST_PARAMETERS = 100  # of a call
MLFLOW_LONGEST_VALUE = 500  # characters; the limit of earlier servers


class Tracker(Protocol):
    """Shows the metrics and pictures of a run. Any call may raise: the tracker is then switched off."""

    def begin(self, name: str, directory: Path, hyperparameters: Mapping[str, object], resumed: str | None) -> str:
        """Begins the tracker's run, or continues the one of the id `resumed`. Returns its id.

        Args:
            name: name of the run.
            directory: run directory, for files of the tracker.
            hyperparameters: values of the configuration by dotted key.
        """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes metrics after a step."""

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Takes a picture after a step, uint8 (H, W, 3)."""

    def finish(self, status: Status) -> None:
        """Ends the tracker's run. An interrupted one may be continued."""


class Trackers:
    """Passes calls to the trackers of a run. One that fails is named in a warning and switched off.

    It is a context manager: a run that leaves it without `finish` has failed.

    Args:
        names: rows of `TRACKERS`; none for workers that are not the chief.
        file: `trackers.json` of the run directory, which holds the ids of the trackers' runs by name.
    """

    def __init__(self, names: Iterable[str] = (), file: Path | None = None) -> None:
        self.names, self.file = tuple(dict.fromkeys(names)), file
        self.active: dict[str, Tracker] = {}

    def __enter__(self) -> Trackers:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish("failed")

    def begin(self, name: str, hyperparameters: Mapping[str, object]) -> None:
        """Begins the trackers' runs, or continues those that `trackers.json` names, and writes their ids there."""
        if not self.names:
            return
        ids = self._ids()
        for tracker_name in self.names:
            id_ = self._try(tracker_name, self._begin, tracker_name, name, hyperparameters, ids.get(tracker_name))
            if id_ is not None:
                ids[tracker_name] = id_
        if ids:
            with whole_file(self.file) as temporary:
                write_text(temporary, json.dumps(ids))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._each(lambda tracker: tracker.log(step, values))

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        self._each(lambda tracker: tracker.image(step, name, pixels))

    def finish(self, status: Status) -> None:
        """Ends the trackers' runs. Further calls do nothing."""
        self._each(lambda tracker: tracker.finish(status))
        self.active.clear()

    def _begin(
        self, tracker_name: str, name: str, hyperparameters: Mapping[str, object], resumed: str | None
    ) -> str:  # fmt: skip
        tracker = TRACKERS[tracker_name].make()
        id_ = tracker.begin(name, self.file.parent, hyperparameters, resumed)
        self.active[tracker_name] = tracker
        return str(id_)

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.active.items()):
            self._try(name, call, tracker)

    def _try(self, name: str, action: Callable[..., Any], *arguments: object) -> Any:
        """Returns what the action returns, or None with a warning if it raises an error."""
        try:
            return action(*arguments)
        except Exception as error:  # the network, the service or its package must not end a training
            self.active.pop(name, None)
            warnings.warn(
                f"The tracker {name} of {self.file.parent} has failed and is switched off: {shortly(error)}. The "
                f"training goes on, and metrics.jsonl has everything.",
                stacklevel=3,
            )
            return None

    def _ids(self) -> dict[str, str]:
        """Reads `trackers.json`. A damaged file is reported, and counts as none."""
        if not self.file.exists():
            return {}
        try:
            return {str(name): str(id_) for name, id_ in parse_json(read_regular_file(self.file)).items()}
        except (OSError, ValueError, AttributeError):
            warnings.warn(f"{self.file} is damaged. The trackers begin runs of their own.", stacklevel=2)
            return {}


def check_installed(names: Iterable[str]) -> None:
    """Raises UserError if the package of a tracker is not installed. Imports none of them."""
    for name in names:
        package = TRACKERS[name].package
        spec = importlib.util.find_spec(package) if package else None
        if package and (spec is None or spec.origin is None):  # a folder of that name, as W&B writes one, has no origin
            raise UserError(
                f"The tracker {name} needs the package {package}. Received no module {package}. Install it with pip "
                f"install 'tfpix2pix[{name}]', or leave {name} out of `training.trackers`."
            )


class WeightsAndBiases:
    """Tracks a run with Weights & Biases. Its files lie in `wandb/` of the run directory.

    It ignores values of steps before its last one, which a resumed or rolled back run does again.
    """

    def begin(self, name: str, directory: Path, hyperparameters: Mapping[str, object], resumed: str | None) -> str:
        import wandb

        self.picture = wandb.Image
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", GROUP), name=name, dir=str(directory), config=dict(hyperparameters),
            id=resumed, resume="allow", reinit="create_new", settings=wandb.Settings(**WANDB_KEEPS_THE_MACHINE_PRIVATE),
        )  # fmt: skip
        return self.run.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        self.run.log({name: self.picture(pixels)}, step=step)

    def finish(self, status: Status) -> None:
        self.run.finish(exit_code=WANDB_EXIT_CODES[status])


class MLflow:
    """Tracks a run with MLflow, by its client: `mlflow.start_run` would add user, script and commit as tags."""

    def begin(self, name: str, directory: Path, hyperparameters: Mapping[str, object], resumed: str | None) -> str:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at its import
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self.client, self.metric = MlflowClient(), Metric
        if resumed is not None:
            self.client.update_run(resumed, status="RUNNING")
            self.id = resumed
            return self.id
        group = os.environ.get("MLFLOW_EXPERIMENT_NAME", GROUP)
        experiment = self.client.get_experiment_by_name(group)
        group_id = experiment.experiment_id if experiment else self.client.create_experiment(group)
        self.id = self.client.create_run(group_id, run_name=name).info.run_id
        values = [Param(key, str(value)[:MLFLOW_LONGEST_VALUE]) for key, value in hyperparameters.items()]
        for first in range(0, len(values), MLFLOW_MOST_PARAMETERS):
            self.client.log_batch(self.id, params=values[first : first + MLFLOW_MOST_PARAMETERS])
        return self.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [self.metric(name, float(value), now_ms, step) for name, value in values.items()]
        self.client.log_batch(self.id, metrics=metrics)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        self.client.log_image(self.id, pixels, artifact_file=f"{name}/step-{step:06d}.png")

    def finish(self, status: Status) -> None:
        self.client.set_terminated(self.id, status=MLFLOW_STATUSES[status])
