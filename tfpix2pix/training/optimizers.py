"""Defines Adam in one kernel per variable, the learning-rate schedules, and loss scaling for float16."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from tfpix2pix.training import SCHEDULES


@keras.saving.register_keras_serializable("tfpix2pix")
class FusedAdam(keras.optimizers.Adam):
    """Computes Keras's Adam with TensorFlow's fused kernel: the same numbers, in about a third of the time on a CPU.

    Keras's update is seven element-wise operations, which each read and write whole arrays (54 million parameters). The
    kernel makes one pass. Source: Kingma & Ba 2015, §2 (the efficient form of the bias correction, which both use).
    """

    def __init__(self, learning_rate: Any = 2e-4, beta_1: float = 0.5, beta_2: float = 0.999, **kwargs: Any) -> None:
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, **kwargs)
        if self.amsgrad:
            raise ValueError("FusedAdam has no AMSGrad form. Received amsgrad=True. Use keras.optimizers.Adam.")

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[Any] | None = None) -> None:
        """Updates the variables, and without a distribution strategy leaves out Keras's sum over replicas.

        The sum is a custom gradient. TensorFlow keeps every graph with a custom gradient until the process ends, and
        with the graph of a training step the weights and the pairs that its reader has in memory.
        """
        if tf.distribute.has_strategy() or tf.distribute.in_cross_replica_context():
            super().apply(grads, trainable_variables)
            return
        apply = super().apply  # Keras sums in a replica's context alone
        tf.distribute.get_replica_context().merge_call(lambda _: apply(grads, trainable_variables))

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        if isinstance(variable, keras.Variable):  # Keras passes TensorFlow's variables here; users may pass these
            variable = variable.value
        index = self._get_variable_index(variable)
        steps = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), steps),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), steps),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )


@keras.saving.register_keras_serializable("tfpix2pix")
class LossScaling(keras.optimizers.LossScaleOptimizer):
    """Scales losses dynamically for float16, as Keras does, and skips a step if gradients overflow on any replica.

    Keras checks the first replica alone. Source: Micikevicius et al., ICLR 2018, §3.2.
    """

    def check_finite(self, grads: list[tf.Tensor]) -> tf.Tensor:
        overflowed = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            overflowed = replica.all_reduce(tf.distribute.ReduceOp.SUM, overflowed)
        return tf.equal(overflowed, 0.0)


def constant(progress: tf.Tensor) -> tf.Tensor:
    """Returns 1."""
    return tf.ones_like(progress)


def linear_decay(progress: tf.Tensor) -> tf.Tensor:
    """Falls from 1 to 0 in a straight line, as in [torch]."""
    return 1.0 - progress


def cosine(progress: tf.Tensor) -> tf.Tensor:
    """Falls from 1 to 0 along half a cosine. Source: Loshchilov and Hutter, ICLR 2017, eq. 5 without restarts."""
    return 0.5 * (1.0 + tf.cos(math.pi * progress))


@keras.saving.register_keras_serializable("tfpix2pix")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Computes the learning rate of a step: constant for `constant_steps`, then scaled by a row of `SCHEDULES`.

    Args:
        factor: a variable that multiplies the rate: 1 until a run is rolled back (`training.on_non_finite`).
        first_step: step of the schedule at which the optimiser begins, which counts its own steps.
    """

    def __init__(
        self,
        learning_rate: float,
        schedule: str = "constant",
        constant_steps: int = 0,
        total_steps: int = 1,
        factor: keras.Variable | None = None,
        first_step: int = 0,
    ) -> None:
        self.learning_rate, self.schedule, self.factor = learning_rate, schedule, factor
        self.constant_steps, self.total_steps, self.first_step = constant_steps, total_steps, first_step

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        after = tf.cast(tf.cast(step, tf.int64) + (self.first_step - self.constant_steps), tf.float32)
        progress = tf.clip_by_value(after / max(self.total_steps - self.constant_steps, 1), 0.0, 1.0)
        rate = self.learning_rate * SCHEDULES[self.schedule](progress)
        return rate if self.factor is None else rate * tf.convert_to_tensor(self.factor)

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "factor"}
