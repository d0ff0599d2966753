"""Recomputes the outer levels of a U-Net in the backward pass, which takes less memory and more time.

For a large image, most of the memory of a step holds maps of the outer levels. Only the skip connections among them are
needed for more than their own gradient. Source: Chen et al. 2016, "Training deep nets with sublinear memory cost". The
implementation is `tf.recompute_grad`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfpix2pix.models.norms import without_moving


def recomputing(generator: keras.Model, levels: int) -> Callable[..., tf.Tensor]:
    """Returns a function that computes `generator(inputs, training=True)` and keeps less memory between the passes.

    Args:
        generator: a network of `build_unet` with skip connections.
        levels: number of levels to recompute, counted from the image, fewer than the U-Net has.

    Raises:
        ValueError: the generator has no skip connection at that level.
    """
    joined = [_skip(generator, level) for level in range(1, levels + 1)]
    innermost, encoded = joined[-1][0], [encoder_side for _, encoder_side in joined]
    inputs, noise = generator.inputs, generator.inputs[1:]
    # All get the inputs, because the layout decides which of them reads the noise or the image's size.
    encoder = _recomputed(keras.Model(inputs, encoded))
    inner = keras.Model([encoded[-1], *noise], innermost)
    decoder = _recomputed(keras.Model([innermost, *encoded, *inputs], generator.output))

    def call(inputs: Any, training: bool = True) -> tf.Tensor:
        inputs = tf.nest.flatten(inputs)
        maps = tf.nest.flatten(encoder(*inputs))
        x = inner([maps[-1], *inputs[1:]], training=True)
        return decoder(x, *maps, *inputs)

    return call


def _recomputed(network: keras.Model) -> Callable[..., Any]:
    """Returns `network` in training, recomputed for its gradient. Only the first call updates the moving averages."""
    times = 0

    def call(*inputs: tf.Tensor) -> Any:
        nonlocal times
        times += 1
        if times == 1:
            return network(list(inputs), training=True)
        with without_moving():
            return network(list(inputs), training=True)

    return tf.recompute_grad(call)


def _skip(generator: keras.Model, level: int) -> list[Any]:
    """Returns the two maps that the skip connection of a level joins: the decoder's and the encoder's."""
    try:
        return generator.get_layer(f"up{level + 1}_skip").input
    except ValueError:
        raise ValueError(
            f"`recompute_levels` must be fewer than the levels of a U-Net with skip connections. Received {level}, and "
            f"that level has no skip connection. Use a smaller number, or 0."
        ) from None
