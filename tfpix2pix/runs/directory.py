"""Defines the run directory: where its files are, and when a training may write to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.config import Config
from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.config.resolve import make_config, read_settings, to_yaml
from tfpix2pix.data.settings import of_earlier_run
from tfpix2pix.destinations import RUN, check_writable, holds_something
from tfpix2pix.errors import UserError
from tfpix2pix.files import make_directory, remove_leftovers, whole_file, write_text
from tfpix2pix.runs.pretrained import trained_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CONFIG = "config.yaml"
INSTEAD = "Continue it with `resume`, replace it with `fresh`, or choose another `run_dir`."


class RunDirectory:
    """Reads and writes a run: `config.yaml`, `data.json`, `environment.json`, `model_card.json`, `metrics.jsonl`,
    `trackers.json` if it is tracked, and the folders `checkpoints/`, `samples/`, `tensorboard/`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.metrics_file = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.data_record = self.path / "data.json"
        self.environment = self.path / "environment.json"
        self.trackers = self.path / "trackers.json"
        self.curves = self.path / "training_curves.png"

    @classmethod
    def trained(cls, path: str | Path) -> RunDirectory:
        """Returns the directory at a path or, if it does not exist, that of the model of the package of this name."""
        return cls(trained_path(path))

    def is_run(self) -> bool:
        return (self.path / CONFIG).is_file()

    def config(self) -> Config:
        """Reads the resolved configuration of the run."""
        path = str(self.path / CONFIG)
        return make_config(of_earlier_run(read_settings(path)), path)

    def card(self) -> ModelCard | None:
        """Reads the model card of the run. Returns None if there is no card."""
        path = self.path / FILE_NAME
        return ModelCard.from_json(path.read_bytes(), path) if path.is_file() else None

    def check_free(self, *, resume: bool, fresh: bool, instead: str = INSTEAD) -> None:
        """Raises UserError, and changes nothing, if a training may not start here.

        A run is resumed or replaced only with `resume` or `fresh`. A folder that holds something else is never changed.
        Files in a run directory that are not the run's stay.
        """
        if resume and not self.is_run():
            raise UserError(
                f"To resume, `run_dir` must be a run directory. Received {self.path}. Leave `resume` out to start one."
            )
        card = self.card() if self.is_run() else None
        if resume and card and card.origin:
            raise UserError(
                f"A run to resume must have been trained here: weights come without the state of their optimisers. "
                f"Received {self.path}, imported from {card.origin.file}. Translate with it, export it, or "
                f"train a new run with `training.start_from={self.path}`."
            )
        if self.is_run() and not (resume or fresh):
            steps, step = self.config().training.steps, card.step if card else 0
            state = f"a finished run of {steps} steps" if step >= steps else f"a run at step {step} of {steps}"
            if card and card.origin:
                state = f"weights imported from {card.origin.file}"
            raise UserError(f"A run must not overwrite another. Received {self.path}, which holds {state}. {instead}")
        if fresh and self.is_run() and not RUN.is_at(self.path):
            raise UserError(
                f"`fresh` must replace a run. Received {self.path} with a {CONFIG} that is not a run's. Choose "
                f"another `run_dir`."
            )
        if self.path.exists() and not self.is_run() and (not self.path.is_dir() or holds_something(self.path)):
            raise UserError(
                f"A run directory must be new or empty. Received {self.path}, which holds something else. "
                f"Choose another `run_dir`."
            )
        check_writable(self.path)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Locks the run for one training. The system releases the lock when the process ends, however it ends.

        Raises:
            UserError: another process trains in this directory.
        """
        make_directory(self.path)
        if not fcntl:
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"A run must be trained by one process. Received {self.path}, which another process is training. "
                f"Stop that process, or choose another `run_dir`."
            ) from None
        except OSError:  # the file system has no locks
            pass
        try:
            yield
        finally:
            os.close(descriptor)

    def start(self, config: Config, *, fresh: bool) -> None:
        """Creates the directory and writes `config.yaml`. `fresh`: removes the previous run first."""
        if fresh and self.is_run():
            RUN.remove_from(self.path)  # the folder stays, because `in_use` has locked it
        make_directory(self.path)
        for folder in (self.path, self.checkpoints, self.samples):
            remove_leftovers(folder)
        self.write_config(config)

    def write_config(self, config: Config) -> None:
        self._write(CONFIG, to_yaml(config))

    def write_card(self, card: ModelCard) -> None:
        self._write(FILE_NAME, card.to_json())

    def write_data_record(self, text: str) -> None:
        self._write(self.data_record.name, text)

    def write_environment(self, text: str) -> None:
        self._write(self.environment.name, text)

    def _write(self, name: str, text: str) -> None:
        with whole_file(self.path / name) as temporary:
            write_text(temporary, text)


@dataclass(frozen=True)
class Run:
    """Holds a training that has ended: its directory, and its model card with the last step."""

    directory: RunDirectory
    card: ModelCard
    interrupted: bool = False

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, step {self.card.step} of {self.card.config.training.steps})"

    @property
    def path(self) -> Path:
        return self.directory.path


def flat(settings: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields `(dotted.key, value)` of nested settings."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
