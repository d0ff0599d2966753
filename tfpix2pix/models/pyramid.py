"""A discriminator at several scales, and the maps of its hidden layers (pix2pixHD: Wang et al., CVPR 2018, §3.2).

Scale 1 judges the images as they are, every further one images of half the side, by a network of its own of the same
kind: it sees twice as far and half as fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.errors import within
from tfpix2pix.models.blocks import seed_of
from tfpix2pix.models.patches import halved_px

POOL_PX, HALF = 3, 2
ACTIVATION = "_act"  # what the names of layers end with whose outputs are features


@keras.saving.register_keras_serializable("tfpix2pix")
class Halve(layers.Layer):
    """(N, H, W, C) at half the side, rounded up: means over 3×3 pixels, centred on every second one, of those that the
    image has."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        def sums_over_nine(x: tf.Tensor) -> tf.Tensor:
            return tf.nn.avg_pool2d(tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), POOL_PX, HALF, "VALID")

        return sums_over_nine(x) / sums_over_nine(tf.ones_like(x[:1, ..., :1]))

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], *(None if side is None else halved_px(side) for side in shape[1:3]), shape[3])


class Pyramid(keras.Model):
    """The discriminators of all scales as one network: inputs as theirs, output the logits of each, finest first."""

    @property
    def scales(self) -> list[keras.Model]:
        """The discriminator of every scale, finest first."""
        return sorted((layer for layer in self.layers if isinstance(layer, keras.Model)), key=lambda scale: scale.name)


def build_pyramid(
    build: Callable[[int | None, int | None], keras.Model],
    scales: int,
    *,
    image_size_px: int | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """D at one scale or several; at one it is what `build` gives.

    Args:
        build: (image_size_px, seed) -> a discriminator, such as `build_patchgan`'s with other arguments bound.
        scales: how many, each with weights of its own; the names of those of scale n begin with `scaleN/`, of scale 1
            with nothing, so that a checkpoint's names do not depend on the number.

    Raises:
        ValueError: fewer than one scale, or more than nine.
    """
    within(1 <= scales <= 9, "`scales`", "1 to 9", scales)
    finest = build(image_size_px, seed)
    if scales == 1:
        return finest
    name, networks, size_px = finest.name, [finest], image_size_px
    for number in range(2, scales + 1):
        size_px = size_px and halved_px(size_px)
        with keras.name_scope(f"scale{number}"):
            networks.append(build(size_px, seed if seed is None else seed_of(seed, f"scale{number}")))
    for number, network in enumerate(networks, 1):
        network.name = f"scale{number}"
    inputs = [layers.Input(tensor.shape[1:], name=tensor.name) for tensor in finest.inputs]
    images, logits = inputs, []
    for number, network in enumerate(networks, 1):
        if number > 1:
            names = [f"{tensor.name}_scale{number}" for tensor in inputs]
            images = [Halve(name=name)(image) for name, image in zip(names, images, strict=True)]
        logits.append(network(images if len(images) > 1 else images[0]))
    return Pyramid(inputs if len(inputs) > 1 else inputs[0], logits, name=name)


def scales_of(discriminator: keras.Model) -> list[keras.Model]:
    """The networks of a discriminator of one scale or several, finest first."""
    return discriminator.scales if isinstance(discriminator, Pyramid) else [discriminator]


class Judgement(NamedTuple):
    """What D says of a batch of pairs, for each of its scales, finest first."""

    logits: list[tf.Tensor]  # float32 (N, H', W', 1)
    features: list[list[tf.Tensor]]  # (N, H", W", C") of every hidden layer after its activation; empty unless wanted


def judging(discriminator: keras.Model, *, features: bool = False) -> Callable[..., Judgement]:
    """A function (image, candidate, training) that has D judge `candidate`, a target or a translation.

    Args:
        discriminator: a model of inputs `[input, target]` or `target`, or a `Pyramid` of them.
        features: whether to give the maps of hidden layers: no other pass, but more outputs of the same one.

    Raises:
        ValueError: `features`, and there is no layer whose name ends with `_act`.
    """
    networks = [_with_features(scale) if features else scale for scale in scales_of(discriminator)]

    def judge(image: tf.Tensor, candidate: tf.Tensor, training: bool = True) -> Judgement:
        logits, maps = [], []
        for number, network in enumerate(networks):
            if number:
                candidate = Halve()(candidate)
                image = Halve()(image) if len(network.inputs) > 1 else image
            if number + 1 < len(networks):
                candidate = tf.identity(candidate)  # what flows back is summed in pairs (models/norms.py says why)
            outputs = network([image, candidate] if len(network.inputs) > 1 else candidate, training=training)
            *hidden, last = outputs if features else [outputs]
            logits.append(tf.cast(last, tf.float32))
            maps.append(hidden)
        return Judgement(logits, maps)

    return judge


def _with_features(network: keras.Model) -> keras.Model:
    """The same layers, with the maps of the hidden ones as outputs before the logits."""
    hidden = [layer.output for layer in network.layers if layer.name.endswith(ACTIVATION)]
    if not hidden:
        raise ValueError(
            f"`feature_matching` must have a discriminator with layers whose names end with {ACTIVATION}, whose maps "
            f"it compares. Received {network.name}, which has none. Name its activations so, or leave the term out."
        )
    return keras.Model(network.inputs, [*hidden, network.output], name=network.name)
