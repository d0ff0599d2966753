"""A U-Net whose outer levels are computed again in the backward pass: less memory, more time.

Of a large image nearly all of what a step remembers are maps of the outer levels, of which only the skip connections
are needed for anything else than their own gradient. Source: Chen et al. 2016, "Training deep nets with sublinear
memory cost"; `tf.recompute_grad` does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfpix2pix.models.norms import without_moving


def recomputing(generator: keras.Model, levels: int) -> Callable[..., tf.Tensor]:
    """What `generator(inputs, training=True)` is, of the same weights, remembering less between its passes.

    Args:
        generator: of `build_unet`, with skip connections.
        levels: how many are computed again, counted from the image; fewer than it has.

    Raises:
        ValueError: the generator has no skip connection at that level.
    """
    joined = [_skip(generator, level) for level in range(1, levels + 1)]
    innermost, encoded = joined[-1][0], [encoder_side for _, encoder_side in joined]
    inputs, noise = generator.inputs, generator.inputs[1:]
    # Each is given all that it may need; which of them reads the noise, or the image's size, depends on the layout.
    encoder = _again(keras.Model(inputs, encoded))
    inner = keras.Model([encoded[-1], *noise], innermost)
    decoder = _again(keras.Model([innermost, *encoded, *inputs], generator.output))

    def call(inputs: Any, training: bool = True) -> tf.Tensor:
        inputs = tf.nest.flatten(inputs)
        maps = tf.nest.flatten(encoder(*inputs))
        x = inner([maps[-1], *inputs[1:]], training=True)
        return decoder(x, *maps, *inputs)

    return call


def _again(network: keras.Model) -> Callable[..., Any]:
    """`network` in training, called a second time for its gradient; moving averages move the first time alone."""
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
    """What the skip connection of a level joins: the decoder's map and the encoder's."""
    try:
        return generator.get_layer(f"up{level + 1}_skip").input
    except ValueError:
        raise ValueError(
            f"`recompute_levels` must be fewer than the levels of a U-Net with skip connections. Received {level}, "
            f"where there is none. Use a smaller number, or 0."
        ) from None
