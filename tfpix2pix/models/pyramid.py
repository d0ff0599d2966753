"""Builds discriminators at several scales, and returns the maps of hidden layers (pix2pixHD: Wang et al., CVPR 2018,
§3.2).

Scale 1 judges the images at full size. Each further scale judges images of half the side by a separate network of the
same kind, whose patches cover twice the side at half the resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.errors import within
from tfpix2pix.models.blocks import seed_of
from tfpix2pix.models.sizes import halved_px
from tfpix2pix.size import Size, SizePx

POOL_PX, HALF = 3, 2
ACTIVATION = "_act"  # ending of the names of layers whose outputs are features


@keras.saving.register_keras_serializable("tfpix2pix")
class Halve(layers.Layer):
    """Halves the sides of (N, H, W, C), rounded up: means over 3×3 pixels, centred on every second one.

    At the border, only pixels inside the image count. At inference, a constant image stays exactly constant in every
    runtime: each pixel is a mean of nine, where the mean of the two outermost pixels stands beyond them. The norms of a
    generator would enlarge a difference in the last digit. In training the gradient of that would be a sum of three
    terms, which no step may have (models/norms.py explains why).
    """

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        def means_of_nine(x: tf.Tensor) -> tf.Tensor:
            return tf.nn.avg_pool2d(x, POOL_PX, HALF, "VALID")

        if not training:
            first, last = (tf.reduce_mean(rows, 1, keepdims=True) for rows in (x[:, :2], x[:, -2:]))
            x = tf.concat([first, x, last], 1)
            first, last = (tf.reduce_mean(columns, 2, keepdims=True) for columns in (x[:, :, :2], x[:, :, -2:]))
            return means_of_nine(tf.concat([first, x, last], 2))
        height, width = (x.shape[axis] or tf.shape(x)[axis] for axis in (1, 2))
        zeros = ((0, 0), (1, 1), (1, 1), (0, 0))
        inside = tf.ones((1, height, width, 1), x.dtype)
        return means_of_nine(tf.pad(x, zeros)) / means_of_nine(tf.pad(inside, zeros))

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], *(None if side is None else halved_px(side) for side in shape[1:3]), shape[3])


class Pyramid(keras.Model):
    """Joins the discriminators of all scales to one network: the same inputs, and the logits of each, finest first."""

    @property
    def scales(self) -> list[keras.Model]:
        """Returns the discriminators of all scales, finest first."""
        return sorted((layer for layer in self.layers if isinstance(layer, keras.Model)), key=lambda scale: scale.name)


def build_pyramid(
    build: Callable[[SizePx | None, int | None], keras.Model],
    scales: int,
    *,
    image_size_px: SizePx | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Builds D at several scales. For one scale, returns `build`'s discriminator.

    Args:
        build: (image_size_px, seed) -> a discriminator, such as `build_patchgan` with other arguments bound.
        scales: number of scales, each with its own weights. Names of the weights of scale n begin with `scaleN/`, those
            of scale 1 have no prefix, so that a checkpoint's names do not depend on the number.

    Raises:
        ValueError: there are fewer than one scale, or more than nine.
    """
    within(1 <= scales <= 9, "`scales`", "1 to 9", scales)
    finest = build(image_size_px, seed)
    if scales == 1:
        return finest
    name, networks, size_px = finest.name, [finest], image_size_px
    for number in range(2, scales + 1):
        size_px = size_px and Size.of(size_px).map(halved_px).value
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
    """Returns the networks of a discriminator with one scale or several, finest first."""
    return discriminator.scales if isinstance(discriminator, Pyramid) else [discriminator]


class Judgement(NamedTuple):
    """Holds D's outputs for a batch of pairs, for each scale, finest first."""

    logits: list[tf.Tensor]  # float32 (N, H', W', 1)
    features: list[list[tf.Tensor]]  # (N, H", W", C") of every hidden layer after its activation; may be empty


def judging(discriminator: keras.Model, *, features: bool = False) -> Callable[..., Judgement]:
    """Returns a function (image, candidate, training) by which D judges `candidate`, a target or a translation.

    Args:
        discriminator: a model of inputs `[input, target]` or `target`, or a `Pyramid` of them.
        features: also return the maps of hidden layers, as further outputs of the same pass.

    Raises:
        ValueError: `features` is set, and no layer has a name that ends with `_act`.
    """
    networks = [_with_features(scale) if features else scale for scale in scales_of(discriminator)]

    def judge(image: tf.Tensor, candidate: tf.Tensor, training: bool = True) -> Judgement:
        logits, maps = [], []
        for number, network in enumerate(networks):
            if number:
                candidate = Halve()(candidate, training=training)
                image = Halve()(image, training=training) if len(network.inputs) > 1 else image
            if number + 1 < len(networks):
                candidate = tf.identity(candidate)  # gradients are summed in pairs (models/norms.py explains why)
            outputs = network([image, candidate] if len(network.inputs) > 1 else candidate, training=training)
            *hidden, last = outputs if features else [outputs]
            logits.append(tf.cast(last, tf.float32))
            maps.append(hidden)
        return Judgement(logits, maps)

    return judge


def _with_features(network: keras.Model) -> keras.Model:
    """Returns a network of the same layers, with the maps of hidden layers as outputs before the logits."""
    hidden = [layer.output for layer in network.layers if layer.name.endswith(ACTIVATION)]
    if not hidden:
        raise ValueError(
            f"`feature_matching` must have a discriminator with layers with names that end with {ACTIVATION}. Received "
            f"{network.name} without them. Rename its activations, or leave the term out."
        )
    return keras.Model(network.inputs, [*hidden, network.output], name=network.name)
