"""Runs many steps in one call of a compiled function, on one device or many, and returns the losses of every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

Losses = dict[str, np.ndarray]  # of shape (steps,)


class Execution:
    """Trains `count` steps on the next batches when called, and returns the losses of every step.

    The compiled graph is the same for any count, so `training.steps_per_execution` does not change the results.

    Args:
        step: `(input, target) -> losses by name`, on one replica's share of a batch: `Pix2Pix.train_step`.
        batches: a tf.data.Dataset of `(input, target)` or `(input, target, weight)`, each this worker's share of a
            batch.
        strategy: the distribution strategy. Its replicas share a batch.
        workers: number of machines, which have the same number of replicas.
        jit_compile: compile the step with XLA.
        own_errors: makes a context that raises a reader's error in place of tf.data's.
    """

    def __init__(
        self,
        step: Any,
        batches: Iterable,
        strategy: tf.distribute.Strategy,
        *,
        workers: int = 1,
        jit_compile: bool = False,
        own_errors: Any = nullcontext,
    ) -> None:
        self.strategy, self.own_errors = strategy, own_errors
        self.local_replicas = strategy.num_replicas_in_sync // workers
        self.step = tf.function(step, autograph=False, jit_compile=True) if jit_compile else step
        self.names: list[str] = []
        self._batches, self._iterator = batches, None
        self._run = tf.function(self._steps, autograph=False, reduce_retracing=True)

    def __call__(self, count: int) -> Losses:
        with self.own_errors():
            if self._iterator is None:
                self._iterator: Iterator = iter(self._batches)
            values = self._run(self._iterator, tf.constant(count, tf.int32))
        return dict(zip(self.names, values.numpy().T, strict=True))

    def _steps(self, iterator: Any, count: tf.Tensor) -> tf.Tensor:
        """Returns losses, float32 (count, names)."""

        def next_step(done: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            values = self.strategy.run(self._replica_step, args=next(iterator))
            return done + 1, losses.write(done, self.strategy.experimental_local_results(values)[0])

        losses = tf.TensorArray(tf.float32, size=count, element_shape=(None,))
        return tf.while_loop(lambda done, _: done < count, next_step, (0, losses), parallel_iterations=1)[1].stack()

    def _replica_step(self, *batch: tf.Tensor) -> tf.Tensor:
        """Returns the losses of one step, means over the whole batch, in the order of `names`."""
        replica, local = tf.distribute.get_replica_context(), self.local_replicas
        if local > 1:
            share = batch[0].shape[0] // local
            first = tf.cast(replica.replica_id_in_sync_group, tf.int32) % local * share
            batch = tuple(values[first : first + share] for values in batch)
        losses = self.step(batch)
        self.names = list(losses)
        values = tf.stack(list(losses.values()))
        if replica.num_replicas_in_sync > 1:
            values = replica.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        return values
