"""What a run trains on: one device, all GPUs of a machine, or several machines that `TF_CONFIG` names."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tensorflow as tf

from tfpix2pix.errors import RunError, UserError
from tfpix2pix.training import STRATEGIES
from tfpix2pix.training.cluster import this_worker

FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # flags of CPUs with instructions for it
FAST_BFLOAT16_GPU = (8, 0)  # compute capability: Ampere


@dataclass(frozen=True)
class Devices:
    """A distribution strategy and this process's place among its workers; the chief alone reports and saves."""

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """Devices over all workers."""
        return self.strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager:
        """Variables made inside live on every replica."""
        return self.strategy.scope()

    def check_batch(self, batch_size: int, micro_batches: int) -> None:
        """Raises UserError where replicas and their parts cannot share a batch evenly."""
        if batch_size % (self.replicas * micro_batches):
            parts = f" in {micro_batches} parts" if micro_batches > 1 else ""
            multiple = self.replicas * micro_batches
            raise UserError(
                f"`training.batch_size` is of all devices together and must be a multiple of {multiple} for "
                f"{self.replicas} devices{parts}. Received {batch_size}. Use {multiple * -(-batch_size // multiple)}, "
                f"or fewer devices."
            )

    def describe(self, batch_size: int) -> str:
        """`2 workers of 1 GPU, a batch of 4 is 2 × 2` for the log."""
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        each = self.replicas // self.workers
        own = f"{each} {kind}s" if each > 1 else kind
        where = f"worker {self.worker} of {self.workers}, {own} each" if self.workers > 1 else own
        if self.replicas == 1:
            return where
        return f"{where}, a batch of {batch_size} is {self.replicas} × {batch_size // self.replicas}"

    def agree(self, wish: bool) -> bool:
        """Whether any worker wishes so. All workers must ask at the same point of their run."""
        return wish if self.workers == 1 else self._sum(float(wish)) > 0

    def of_chief(self, number: float) -> float:
        """The chief's number on every worker, to float32. All workers must ask at the same point of their run."""
        if self.workers == 1:
            return number
        return self._sum(number if self.is_chief else 0.0) / (self.replicas // self.workers)

    def check_same(self, number: int, what: str) -> None:
        """Raises RunError where workers come with different numbers."""
        if self.workers > 1 and self._sum(float(number)) != float(number) * self.replicas:
            raise RunError(
                f"All workers must start from the same {what}. Received {number} on worker {self.worker} and "
                f"another elsewhere. Give all of them one --run on a file system that they share."
            )

    @contextmanager
    def refusing_together(self) -> Iterator[None]:
        """Around a check that each worker makes: raises on all workers what it raises on one, so that none waits for
        another that has ended.

        Raises:
            UserError: the check's own, on the worker that raised it; on the others, that one has refused.
        """
        refusal = None
        try:
            yield
        except UserError as error:
            refusal = error
        if not self.agree(refusal is not None):
            return
        raise refusal or UserError(
            "All workers must be able to begin. Received a refusal from another worker, which says why. Mend it there."
        )

    def _sum(self, value: float) -> float:
        total = self._summed(tf.constant(value))
        return float(self.strategy.experimental_local_results(total)[0])

    @cached_property
    def _summed(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def add(value: tf.Tensor) -> tf.Tensor:
            here = tf.identity(value)  # on this replica's device
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

        return tf.function(lambda value: self.strategy.run(add, args=(value,)), autograph=False)

    @contextmanager
    def in_reach(self) -> Iterator[None]:
        """Around what devices do together: one sentence where another worker is lost, or memory is too small."""
        try:
            yield
        except tf.errors.ResourceExhaustedError as error:
            raise RunError(
                "The step must fit in the device's memory. Received more than that. Raise training.micro_batches, or "
                "lower training.batch_size, data.image_size_px or generator.base_filters; training.precision=bfloat16 "
                "needs about half."
            ) from error
        except tf.errors.OpError as error:
            if self.workers == 1:
                raise
            raise RunError(
                f"All workers must stay in reach of each other. Received {type(error).__name__}: worker "
                f"{self.worker} of {self.workers} has lost another. Start all of them again with --resume: they go on "
                f"from the newest checkpoint."
            ) from error


def make_devices(name: str) -> Devices:
    """The devices of a row of `STRATEGIES`; before anything else is computed, or several machines are refused."""
    worker = this_worker(name)
    strategy = STRATEGIES[name]()
    joined = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return Devices(strategy, *worker) if joined else Devices(strategy)


def one() -> tf.distribute.Strategy:
    """TensorFlow's own choice of one device."""
    return tf.distribute.get_strategy()


def mirrored() -> tf.distribute.Strategy:
    """All GPUs of this machine; without any, all logical CPU devices."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def multiworker() -> tf.distribute.Strategy:
    """The machines of TF_CONFIG, each with all its GPUs or its CPU; waits until all have come."""
    worker = this_worker("multiworker")
    print(f"Worker {worker.index} of {worker.count}: waiting for the others of TF_CONFIG.", file=sys.stderr, flush=True)
    main = threading.current_thread() is threading.main_thread()
    # TensorFlow waits in native code, where Python's handler of Ctrl-C never runs. Nothing has begun yet.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if main else None
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise RunError(
            f"Several machines must be joined before anything else is computed. Received: {error}. Call train in a "
            f"fresh process."
        ) from error
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def auto() -> tf.distribute.Strategy:
    """Several machines where TF_CONFIG names several, all GPUs where there are several, else one device."""
    if this_worker("auto").count > 1:
        return multiworker()
    return mirrored() if len(tf.config.list_physical_devices("GPU")) > 1 else one()


def resolve_precision(name: str) -> str:
    """What `auto` is on this machine: bfloat16 where it has instructions for it, else float32."""
    if name != "auto":
        return name
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        fast = all(each.get("compute_capability", (0, 0)) >= FAST_BFLOAT16_GPU for each in details)
    else:
        fast = any(flag in _cpu_flags() for flag in FAST_BFLOAT16)
    return "bfloat16" if fast else "float32"


def _cpu_flags() -> set[str]:
    """Of the CPU, where Linux tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}
