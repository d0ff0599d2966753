"""Writes a run's events for TensorBoard."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.histogram.metadata import create_summary_metadata
from tensorboard.plugins.hparams import api as hparams_plugin

from tfpix2pix.files import make_directory, plain_path

BUCKETS = 30  # of a histogram, as in `tf.summary.histogram`
MOST_VALUES = 2**18  # most values of a variable in a histogram; millions would take seconds and look the same


class TensorBoard:
    """Writes events to `directory`. With None, for workers that are not the chief, it writes nothing.

    A run that is resumed after `first_step` writes to the same folder as before. TensorBoard then hides the
    earlier events of later steps.
    """

    def __init__(self, directory: Path | None, first_step: int = 0) -> None:
        self.directory, self.first_step = directory, first_step
        self._plain = ExitStack()  # holds the link that the writer writes through
        if directory is None:
            self.writer = tf.summary.create_noop_writer()
            return
        make_directory(directory)  # TensorFlow makes none behind a link
        self.writer = tf.summary.create_file_writer(self._plain.enter_context(plain_path(directory)))
        if first_step > 0:
            self._supersede(first_step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def image(self, step: int, name: str, grid: np.ndarray) -> None:
        """Writes a picture, uint8 (H, W, C)."""
        with self.writer.as_default(step=step):
            tf.summary.image(name, grid[np.newaxis])

    def text(self, step: int, name: str, markdown: str) -> None:
        with self.writer.as_default(step=step):
            tf.summary.text(name, markdown)

    def histograms(self, step: int, variables: Mapping[str, Any]) -> None:
        """Writes histograms of variables or arrays, `weights/<name>`: of their finite values, at most `MOST_VALUES`. A
        variable without finite values is left out."""
        if self.directory is None:
            return
        with self.writer.as_default(step=step):
            for name, variable in variables.items():
                buckets = _buckets(keras.ops.convert_to_numpy(variable))
                if len(buckets):
                    tf.summary.write(f"weights/{name}", buckets, metadata=create_summary_metadata(None, None))

    def hparams(self, flat: Mapping[str, object]) -> None:
        """Writes the configuration for TensorBoard's HParams. Lists and other values become texts."""
        plain = (bool, int, float, str)
        values = {name: value if isinstance(value, plain) else str(value) for name, value in flat.items()}
        with self.writer.as_default():
            hparams_plugin.hparams(values)

    def profile(self, first_step: int, last_step: int) -> Trace:
        """Returns a trace of the steps after `first_step`, up to `last_step`. A run resumed later than that traces
        nothing."""
        return Trace(self.directory if self.first_step < last_step else None, first_step, last_step)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
        self._plain.close()

    def _supersede(self, step: int) -> None:
        """Marks the start of a session, so that TensorBoard drops earlier events of `step` and of later steps.

        TensorBoard takes the first mark in a folder for the start of the run, so two are written. They must be in the
        writer's file, because TensorBoard follows only the last file of a folder. `tf.summary` cannot write them.
        """
        mark = Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START))
        for _ in range(2):
            tf.raw_ops.ImportEvent(writer=self.writer._resource, event=mark.SerializeToString())


class Trace:
    """Runs TensorFlow's profiler over some steps, for TensorBoard's Profile page (plugins/profile)."""

    def __init__(self, directory: Path | None, first_step: int, last_step: int) -> None:
        self.directory, self.first_step, self.last_step = directory, first_step, last_step
        self.running = False
        self._plain = ExitStack()  # holds the link that the trace is written through

    def at(self, step: int) -> None:
        """Starts or ends the trace. The loop calls it after each call of steps, so a trace holds at least one call."""
        if self.running:
            if step >= self.last_step:
                self.close()
        elif self.directory is not None and step >= self.first_step:
            make_directory(self.directory)
            self.running = self._try(
                tf.profiler.experimental.start, self._plain.enter_context(plain_path(self.directory))
            )
            if not self.running:
                self.directory = None

    def close(self) -> None:
        """Writes the trace if it is running."""
        if self.running:
            self._try(tf.profiler.experimental.stop)
        self._plain.close()
        self.running, self.directory = False, None

    def _try(self, action: Callable[..., None], *arguments: str) -> bool:
        try:
            action(*arguments)
        except Exception as error:  # a failed trace must not end the run
            reason = str(error).partition("\n")[0]
            warnings.warn(
                f"The trace of the steps {self.first_step} to {self.last_step} cannot be written: {reason}. Training "
                f"continues without it.",
                stacklevel=3,
            )
            return False
        return True


def _buckets(values: np.ndarray) -> np.ndarray:
    """Returns left edges, right edges and counts, float64 (BUCKETS, 3); (0, 3) if no value is finite.

    `tf.summary.histogram` draws nothing if one value is NaN, and takes 240 bytes of memory for a value.
    """
    values = values.ravel()
    values = values[:: -(-values.size // MOST_VALUES) or 1].astype(np.float32)
    values = values[np.isfinite(values)].astype(np.float64)  # float32 cannot hold the width of its own range
    if not values.size:
        return np.zeros((0, 3))
    counts, edges = np.histogram(values, BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)
