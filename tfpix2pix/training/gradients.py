"""From gradients to new weights: in parts of a batch, on one replica or many, clipped, and averaged over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from tfpix2pix.errors import within

SUM = tf.distribute.ReduceOp.SUM


def replicas() -> int:
    """How many replicas train in step; 1 outside a distribution strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def weights_of(network: keras.Model) -> list[tf.Variable]:
    """The trainable variables of one network, as a tape knows them."""
    return [v.value for v in network.trainable_variables]


@contextmanager
def tape_on(network: keras.Model) -> Iterator[tf.GradientTape]:
    """A tape on the trainable variables of one network."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights_of(network))
        yield tape


def summed(
    gradients_of: Callable[..., tuple[list[tf.Tensor], dict[str, tf.Tensor]]], batch: Sequence[tf.Tensor], parts: int
) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
    """Gradients summed, and losses averaged, over equal parts of a batch.

    `gradients_of` takes a part of each of `batch`. A part waits for the gradients of the one before, so that no more
    than one part's activations are in memory. Written out rather than looped over: replicas cannot meet in a loop.
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
            own = [tf.identity(values[part * size : (part + 1) * size]) for values in batch]
        new, new_losses = gradients_of(*own)
        gradients = [old + gradient for old, gradient in zip(gradients, new, strict=True)] if part else new
        losses = {name: losses[name] + value for name, value in new_losses.items()} if part else new_losses
    return gradients, {name: value / parts for name, value in losses.items()}


def update(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    gradients: list[tf.Tensor],
    clip_norm: float | None = None,
) -> None:
    """Applies `gradients`, summed over replicas, to the trainable variables of a network."""
    if clip_norm is not None:
        factor = _clip_factor(gradients, optimizer.scale_loss(clip_norm))
        gradients = [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]
    optimizer.apply(gradients, network.trainable_variables)


def _clip_factor(gradients: list[tf.Tensor], limit: tf.Tensor | float) -> tf.Tensor:
    """What brings the norm of the gradients of the whole batch down to `limit`; 1 where it is not above."""
    if replicas() > 1:  # the optimiser sums them too, but after it is too late to clip
        gradients = tf.distribute.get_replica_context().all_reduce(SUM, gradients)
    return tf.minimum(1.0, limit / tf.linalg.global_norm(gradients))


def update_average(average: keras.Model, network: keras.Model, decay: float, step: keras.Variable) -> None:
    """`average`'s weights take a step towards `network`'s: an exponential moving average that starts short.

    Its decay is min(decay, (1 + t)/(10 + t)) at step t. What is no weight (moving statistics) is copied.
    """
    t = tf.cast(step.value, tf.float32)
    share = 1.0 - tf.minimum(decay, (1.0 + t) / (10.0 + t))
    trained = {id(v) for v in network.trainable_variables}
    pairs = [(a.value, v.value, id(v) in trained) for a, v in zip(average.variables, network.variables, strict=True)]

    def move(strategy: tf.distribute.Strategy, share: tf.Tensor) -> None:
        for averaged, variable, weight in pairs:
            step_to = _towards if weight else _to
            strategy.extended.update(averaged, step_to, args=(variable, share), group=False)

    tf.distribute.get_replica_context().merge_call(move, args=(share,))


def _towards(averaged: tf.Variable, variable: tf.Tensor, share: tf.Tensor) -> None:
    averaged.assign_add((variable - averaged) * share)


def _to(averaged: tf.Variable, variable: tf.Tensor, share: tf.Tensor) -> None:
    averaged.assign(variable)
