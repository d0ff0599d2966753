"""Makes the devices that a run trains on: one, all GPUs of a machine, or the machines that `TF_CONFIG` names."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from tfpix2pix.errors import RunError, UserError
from tfpix2pix.training import STRATEGIES
from tfpix2pix.training.cluster import Worker


@dataclass(frozen=True)
class Devices:
    """Holds a distribution strategy, the number of this worker, and the number of workers. The chief is worker 0."""

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """Returns the number of devices over all workers."""
        return self.strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager:
        """Returns a context in which new variables live on every replica."""
        return self.strategy.scope()

    def check_batch(self, batch_size: int, micro_batches: int) -> None:
        """Raises UserError if the batch does not divide evenly by replicas and micro-batches."""
        if batch_size % (self.replicas * micro_batches):
            parts = f" in {micro_batches} parts" if micro_batches > 1 else ""
            multiple = self.replicas * micro_batches
            raise UserError(
                f"`training.batch_size` is of all devices together and must be a multiple of {multiple} for "
                f"{self.replicas} devices{parts}. Received {batch_size}. Use {multiple * -(-batch_size // multiple)}, "
                f"or fewer devices."
            )

    def describe(self, batch_size: int) -> str:
        """Returns a text for the log: `worker 0 of 2, GPU each, a batch of 4 is 2 × 2`."""
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        count = self.replicas // self.workers
        local = f"{count} {kind}s" if count > 1 else kind
        where = f"worker {self.worker} of {self.workers}, {local} each" if self.workers > 1 else local
        if self.replicas == 1:
            return where
        return f"{where}, a batch of {batch_size} is {self.replicas} × {batch_size // self.replicas}"

    def agree(self, wish: bool) -> bool:
        """Returns True on all workers if any of them passes True. All must call it at the same point of the run."""
        return wish if self.workers == 1 else self._sum(float(wish)) > 0

    def of_chief(self, number: float) -> float:
        """Returns the chief's number on all workers, in float32. All must call it at the same point of the run."""
        if self.workers == 1:
            return number
        return self._sum(number if self.is_chief else 0.0) / (self.replicas // self.workers)

    def check_same(self, number: int, noun: str) -> None:
        """Raises RunError if workers pass different numbers."""
        if self.workers > 1 and self._sum(float(number)) != float(number) * self.replicas:
            raise RunError(
                f"All workers must start from the same {noun}. Received {number} on worker {self.worker} and "
                f"another elsewhere. Give all of them one `run_dir` on a file system that they share."
            )

    @contextmanager
    def refusing_together(self) -> Iterator[None]:
        """Stops all workers if the check inside fails on one of them, so that no worker waits for one that has ended.

        Raises:
            UserError: the check's error, on the workers where it fails. On the others, a note that another worker has
                refused.
        """
        refusal = None
        try:
            yield
        except UserError as error:
            refusal = error
        if not self.agree(refusal is not None):
            return
        raise refusal or UserError(
            "All workers must be able to begin. Received a refusal from another worker. Correct its error."
        )

    def _sum(self, value: float) -> float:
        total = self._summed(tf.constant(value))
        return float(self.strategy.experimental_local_results(total)[0])

    @cached_property
    def _summed(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def add(value: tf.Tensor) -> tf.Tensor:
            here = tf.identity(value)  # a copy on this replica's device
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

        return tf.function(lambda value: self.strategy.run(add, args=(value,)), autograph=False)

    @contextmanager
    def in_reach(self) -> Iterator[None]:
        """Raises RunError if another worker is lost in the block."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.workers == 1 or isinstance(error, tf.errors.ResourceExhaustedError):
                raise
            raise RunError(
                f"All workers must stay connected. Received {type(error).__name__}: worker "
                f"{self.worker} of {self.workers} has lost another. Start all of them again with `resume`: they "
                f"continue from the newest checkpoint."
            ) from error


def make_devices(name: str, worker: Worker) -> Devices:
    """Makes the devices of a row of `STRATEGIES`. Several workers join, which must come before any computation.

    Args:
        name: a row of `STRATEGIES`. `auto` is `multiworker` if there are several workers.
        worker: this process, by TF_CONFIG (`this_worker`).
    """
    if name == "auto" and worker.count > 1:
        name = "multiworker"
    if name == "multiworker":
        waiting = f"Worker {worker.index} of {worker.count}: waiting for the others of TF_CONFIG."
        print(waiting, file=sys.stderr, flush=True)
    strategy = STRATEGIES[name]()
    joined = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return Devices(strategy, *worker) if joined else Devices(strategy)


def one() -> tf.distribute.Strategy:
    """Returns TensorFlow's default strategy, which uses one device."""
    return tf.distribute.get_strategy()


def mirrored() -> tf.distribute.Strategy:
    """Returns a strategy of all GPUs of this machine, or of all logical CPU devices if it has no GPU."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def multiworker() -> tf.distribute.Strategy:
    """Waits until all machines of TF_CONFIG have joined. Returns a strategy of their GPUs, or of their CPUs."""
    main = threading.current_thread() is threading.main_thread()
    # TensorFlow waits in native code, where Python's handler of Ctrl-C never runs. There is nothing to save yet.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if main else None
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise RunError(
            f"Several machines must be joined before anything else is computed. Received: {error}. Call train in a "
            f"new process."
        ) from error
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def auto() -> tf.distribute.Strategy:
    """Returns a strategy of all GPUs if there are several, else of one device."""
    return mirrored() if len(tf.config.list_physical_devices("GPU")) > 1 else one()
