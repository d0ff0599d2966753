"""What a run writes for TensorBoard."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.histogram.metadata import create_summary_metadata
from tensorboard.plugins.hparams import api as hparams_plugin

BUCKETS = 30  # of a histogram, as many as `tf.summary.histogram` makes
# Values of a variable at most, evenly spread: of millions a histogram looks the same, and takes seconds.
COUNTED = 2**18


class TensorBoard:
    """A run's events in `directory`; with None every call does nothing, as in workers that are not the chief.

    A run resumed after `first_step` writes into the folder it wrote into before: TensorBoard then no longer shows what
    was written there of later steps.
    """

    def __init__(self, directory: Path | None, first_step: int = 0) -> None:
        self.directory, self.first_step = directory, first_step
        if directory is None:
            self.writer = tf.summary.create_noop_writer()
            return
        self.writer = tf.summary.create_file_writer(str(directory))
        if first_step > 0:
            self._supersede(first_step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def image(self, step: int, name: str, grid: np.ndarray) -> None:
        """`grid` uint8 (H, W, C)."""
        with self.writer.as_default(step=step):
            tf.summary.image(name, grid[np.newaxis])

    def text(self, step: int, name: str, markdown: str) -> None:
        with self.writer.as_default(step=step):
            tf.summary.text(name, markdown)

    def histograms(self, step: int, variables: Mapping[str, Any]) -> None:
        """The finite values of each variable or array (of a large one, `COUNTED`), as `weights/<name>`; nothing of one
        that has none."""
        if self.directory is None:
            return
        with self.writer.as_default(step=step):
            for name, variable in variables.items():
                buckets = _buckets(keras.ops.convert_to_numpy(variable))
                if len(buckets):
                    tf.summary.write(f"weights/{name}", buckets, metadata=create_summary_metadata(None, None))

    def hparams(self, flat: Mapping[str, object]) -> None:
        """The configuration, for TensorBoard's HParams; what is no bool, number or text is written as text."""
        plain = (bool, int, float, str)
        values = {name: value if isinstance(value, plain) else str(value) for name, value in flat.items()}
        with self.writer.as_default():
            hparams_plugin.hparams(values)

    def profile(self, first_step: int, last_step: int) -> Trace:
        """A trace of the steps after `first_step` up to `last_step`; of none where the run resumed later than that."""
        return Trace(self.directory if self.first_step < last_step else None, first_step, last_step)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

    def _supersede(self, step: int) -> None:
        """Marks the start of a session: TensorBoard drops what it read before of `step` and later ones.

        It takes the first mark in a folder for the start of the run, so there are two. They must stand in the file of
        the writer itself, by an operation that `tf.summary` has no name for: of a folder's files TensorBoard follows
        the last one alone.
        """
        mark = Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START))
        for _ in range(2):
            tf.raw_ops.ImportEvent(writer=self.writer._resource, event=mark.SerializeToString())


class Trace:
    """TensorFlow's profiler over some steps of a run; for TensorBoard's Profile page, in plugins/profile."""

    def __init__(self, directory: Path | None, first_step: int, last_step: int) -> None:
        self.directory, self.first_step, self.last_step = directory, first_step, last_step
        self.running = False

    def at(self, step: int) -> None:
        """To be called after each call of steps, with the number of steps done; a trace holds one call at least."""
        if self.running:
            if step >= self.last_step:
                self.close()
        elif self.directory is not None and step >= self.first_step:
            self.running = self._tried(tf.profiler.experimental.start, str(self.directory))
            if not self.running:
                self.directory = None

    def close(self) -> None:
        """Writes the trace, if there is one that is not written yet."""
        if self.running:
            self._tried(tf.profiler.experimental.stop)
        self.running, self.directory = False, None

    def _tried(self, action: Callable[..., None], *arguments: str) -> bool:
        try:
            action(*arguments)
        except Exception as error:  # of whatever kind: no run shall end for its trace
            reason = str(error).partition("\n")[0]
            warnings.warn(
                f"No trace of the steps {self.first_step} to {self.last_step} is written, training goes on without: "
                f"{reason}",
                stacklevel=3,
            )
            return False
        return True


def _buckets(values: np.ndarray) -> np.ndarray:
    """float64 (BUCKETS, 3) of left and right edges and counts; (0, 3) where no value is finite.

    `tf.summary.histogram` draws nothing where one value is NaN, and takes 240 bytes of memory a value.
    """
    values = values.ravel()
    values = values[:: -(-values.size // COUNTED) or 1].astype(np.float32)
    values = values[np.isfinite(values)].astype(np.float64)  # the width of float32's whole range is no float32
    if not values.size:
        return np.zeros((0, 3))
    counts, edges = np.histogram(values, BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)
