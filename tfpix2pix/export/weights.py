"""Copies a generator's weights for an export, in the type in which the export stores them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfpix2pix.models.precision import in_precision

OUTPUT = "translation"  # the last layer of every generator: tanh


def in_bfloat16(generator: keras.Model) -> keras.Model:
    """Returns the generator with weights and convolutions in bfloat16. Noise, statistics and output stay float32."""
    return in_precision(generator, "bfloat16", unchanged=(OUTPUT,))


class Stored(tf.Module):
    """Calls a generator with copies of its Keras variables, which are saved with the module.

    Weights of 16 bits take half the space on disk and in memory. float16 is widened at every use, for float32
    arithmetic. bfloat16 is also the type in which `in_bfloat16` computes, so no request converts it.
    """

    def __init__(self, generator: keras.Model, dtype: tf.DType = tf.float32) -> None:
        super().__init__(name="generator")
        variables = [*generator.trainable_variables, *generator.non_trainable_variables]
        trainable = len(generator.trainable_variables)
        self.stored = stored = [
            tf.Variable(tf.cast(v.value, dtype), trainable=False, name=v.path.replace("/", "_")) for v in variables
        ]
        computed = [v.dtype for v in variables]

        def call(inputs: Any) -> tf.Tensor:
            values = [tf.cast(variable, dtype) for variable, dtype in zip(stored, computed, strict=True)]
            return generator.stateless_call(values[:trainable], values[trainable:], inputs, training=False)[0]

        # Closures, so that the Keras model itself is not saved.
        self._call, self._inputs = call, lambda: generator.inputs

    @property
    def inputs(self) -> list:
        return self._inputs()

    def __call__(self, inputs: Any, training: bool = False) -> tf.Tensor:
        return self._call(inputs)
