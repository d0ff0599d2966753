"""Recomputes the outer levels of a generator in the backward pass, which takes less memory and more time.

For a large image, most of the memory of a step holds maps of the outer levels. Few of them must be kept: in a U-Net the
skip connections, in a residual network the map after each activation or residual block. Source: Chen et al. 2016,
"Training deep nets with sublinear memory cost". The implementation is `tf.recompute_grad`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfpix2pix.models.norms import without_moving

KEPT = re.compile(r"(enhancer\d+_)?((first|down\d+|up\d+)_act|block\d+_add)")  # layers of residual networks


def recomputing(generator: keras.Model, levels: int) -> Callable[..., tf.Tensor]:
    """Returns a function that computes `generator(inputs, training=True)` and keeps less memory between the passes.

    Args:
        generator: a network of `build_unet` with skip connections, or a residual one.
        levels: number of levels to recompute, counted from the image, fewer than a U-Net has. The first level of a
            residual network has the maps of the image's size, and each further one those of half the size.

    Raises:
        ValueError: the generator has no skip connection at that level, or has fewer levels as a residual network.
    """
    kept = [layer for layer in generator.layers if KEPT.fullmatch(layer.name)]
    if any(layer.name == "block1_add" for layer in kept):
        return _residual(generator, kept, levels)
    return _unet(generator, levels)


def _residual(generator: keras.Model, kept: list[keras.layers.Layer], levels: int) -> Callable[..., tf.Tensor]:
    """Returns a function that computes a residual network piece by piece, from each kept layer to the next."""
    outputs = {layer.output.name: layer.output for layer in kept}
    sides = {name: tensor.shape[1] for name, tensor in outputs.items()}
    scales = (max(sides.values()) // min(sides.values())).bit_length()
    if levels > scales:
        raise ValueError(
            f"`recompute_levels` must be at most the {scales} sizes of maps of this residual network. Received "
            f"{levels}. Use {scales}, or 0."
        )
    last, inputs = generator.output, generator.inputs
    outputs[last.name], sides[last.name] = last, max(sides.values())
    starts = {name: _starts(tensor, outputs) for name, tensor in outputs.items()}
    pieces: dict[str, Callable[..., tf.Tensor]] = {}
    for name, tensor in outputs.items():
        piece = keras.Model([*(outputs[start] for start in starts[name]), *inputs], tensor)
        small = max(sides.values()) // sides[name] >= 2**levels
        pieces[name] = _in_training(piece) if small else _recomputed(piece)

    def call(inputs: Any, training: bool = True) -> tf.Tensor:
        inputs, values = tf.nest.flatten(inputs), {}

        def value(name: str) -> tf.Tensor:
            if name not in values:
                values[name] = pieces[name](*map(value, starts[name]), *inputs)
            return values[name]

        return value(last.name)

    return call


def _starts(tensor: Any, outputs: dict[str, Any]) -> list[str]:
    """Returns the names of those `outputs` from which a tensor is computed without any other between, in order."""
    starts: dict[str, None] = {}
    ahead, known = list(tf.nest.flatten(_made_by(tensor).input)), set()
    while ahead:
        tensor = ahead.pop()
        if tensor.name in known:
            continue
        known.add(tensor.name)
        if tensor.name in outputs:
            starts[tensor.name] = None
        elif not isinstance(_made_by(tensor), keras.layers.InputLayer):
            ahead.extend(tf.nest.flatten(_made_by(tensor).input))
    return list(starts)


def _made_by(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _unet(generator: keras.Model, levels: int) -> Callable[..., tf.Tensor]:
    joined = [_skip(generator, level) for level in range(1, levels + 1)]
    innermost, encoded = joined[-1][0], [encoder_side for _, encoder_side in joined]
    inputs = generator.inputs
    # All get the inputs, because the layout decides which of them reads the noise, the image's size or its scalars.
    encoder = _recomputed(keras.Model(inputs, encoded))
    inner = keras.Model([encoded[-1], *inputs], innermost)
    decoder = _recomputed(keras.Model([innermost, *encoded, *inputs], generator.output))

    def call(inputs: Any, training: bool = True) -> tf.Tensor:
        inputs = tf.nest.flatten(inputs)
        maps = tf.nest.flatten(encoder(*inputs))
        x = inner([maps[-1], *inputs], training=True)
        return decoder(x, *maps, *inputs)

    return call


def _in_training(network: keras.Model) -> Callable[..., Any]:
    return lambda *inputs: network(list(inputs), training=True)


def _recomputed(network: keras.Model) -> Callable[..., Any]:
    """Returns `network` in training, recomputed for its gradient, where it does not update the moving averages."""

    def call(*inputs: tf.Tensor) -> Any:
        times = 0

        def compute(*inputs: tf.Tensor) -> Any:
            nonlocal times
            times += 1
            if times == 1:
                return network(list(inputs), training=True)
            with without_moving():
                return network(list(inputs), training=True)

        return tf.recompute_grad(compute)(*inputs)

    return call


def _skip(generator: keras.Model, level: int) -> list[Any]:
    """Returns the two maps that the skip connection of a level joins: the decoder's and the encoder's."""
    try:
        return generator.get_layer(f"up{level + 1}_skip").input
    except ValueError:
        raise ValueError(
            f"`recompute_levels` must be fewer than the levels of a U-Net with skip connections. Received {level}, and "
            f"that level has no skip connection. Use a smaller number, or 0."
        ) from None
