"""Turns gradients into new weights: sums over parts of a batch and replicas, clips, updates, and averages over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from tfpix2pix.errors import within

SUM = tf.distribute.ReduceOp.SUM


def replicas() -> int:
    """Returns the number of replicas, 1 outside a distribution strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def weights_of(*networks: keras.Model) -> list[tf.Variable]:
    """Returns the trainable variables of networks, as a tape takes them."""
    return [v.value for network in networks for v in network.trainable_variables]


@contextmanager
def tape_on(*networks: keras.Model) -> Iterator[tf.GradientTape]:
    """Yields a gradient tape that watches the trainable variables of networks, and no others."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights_of(*networks))
        yield tape


def summed(
    gradients_of: Callable[..., tuple[list[tf.Tensor], dict[str, tf.Tensor]]],
    batch: Sequence[tf.Tensor | None],
    parts: int,
) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns gradients summed, and losses averaged, over equal parts of a batch.

    `gradients_of` takes one part of every tensor in `batch`, and None for None. A part waits for the gradients of the
    part before, so that the activations of only one part are in memory. The loop is unrolled, because replicas cannot
    communicate inside a TensorFlow loop.
    """
    if parts == 1:
        return gradients_of(*batch)
    count = batch[0].shape[0] or tf.shape(batch[0])[0]
    if isinstance(count, int):
        within(count % parts == 0, "`micro_batches`", f"a divisor of the batch of {count}", parts)
    size = count // parts
    gradients: list[tf.Tensor] = []
    losses: dict[str, tf.Tensor] = {}
    for part in range(parts):
        with tf.control_dependencies(gradients):
            inputs = [
                None if values is None else tf.identity(values[part * size : (part + 1) * size]) for values in batch
            ]
        new, new_losses = gradients_of(*inputs)
        gradients = [old + gradient for old, gradient in zip(gradients, new, strict=True)] if part else new
        losses = {name: losses[name] + value for name, value in new_losses.items()} if part else new_losses
    return gradients, {name: value / parts for name, value in losses.items()}


def update(
    variables: list[keras.Variable],
    optimizer: keras.optimizers.Optimizer,
    gradients: list[tf.Tensor],
    clip_norm: float | None = None,
) -> None:
    """Updates trainable variables by `gradients`, which the optimiser sums over replicas."""
    if clip_norm is not None:
        factor = _clip_factor(gradients, optimizer.scale_loss(clip_norm))
        gradients = [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]
    optimizer.apply(gradients, variables)


def _clip_factor(gradients: list[tf.Tensor], limit: tf.Tensor | float) -> tf.Tensor:
    """Returns the factor that scales the gradients of the whole batch to a norm of at most `limit`."""
    if replicas() > 1:  # the optimiser sums over replicas only after clipping
        gradients = tf.distribute.get_replica_context().all_reduce(SUM, gradients)
    return tf.minimum(1.0, limit / tf.linalg.global_norm(gradients))


def update_average(
    average: keras.Model, network: keras.Model, decay: float, step: keras.Variable, first_step: int = 0
) -> None:
    """Updates `average`, the exponential moving average of a network's weights.

    The decay is min(decay, (1 + t)/(10 + t)) at step t after `first_step`. Moving statistics and other variables that
    are not trained are copied.
    """
    t = tf.cast(step.value - first_step, tf.float32)
    share = 1.0 - tf.minimum(decay, (1.0 + t) / (10.0 + t))
    trained = {id(v) for v in network.trainable_variables}
    pairs = [(a.value, v.value, id(v) in trained) for a, v in zip(average.variables, network.variables, strict=True)]

    def move(strategy: tf.distribute.Strategy, share: tf.Tensor) -> None:
        for averaged, variable, weight in pairs:
            assign = _assign_mean if weight else _assign_copy
            strategy.extended.update(averaged, assign, args=(variable, share), group=False)

    tf.distribute.get_replica_context().merge_call(move, args=(share,))


def _assign_mean(averaged: tf.Variable, variable: tf.Tensor, share: tf.Tensor) -> None:
    averaged.assign_add((variable - averaged) * share)


def _assign_copy(averaged: tf.Variable, variable: tf.Tensor, share: tf.Tensor) -> None:
    averaged.assign(variable)
