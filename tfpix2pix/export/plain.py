"""Rebuilds a generator from Keras's own layers and operations, layer by layer, for other programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfpix2pix.errors import UserError
from tfpix2pix.models.modulation import Copy, Modulation, Normals, StyleChannels
from tfpix2pix.models.noise import NO_NOISE, SMALLEST, NoiseDropout
from tfpix2pix.models.norms import BatchNormalization, InstanceNormalization
from tfpix2pix.models.products import PLAIN
from tfpix2pix.models.pyramid import Halve
from tfpix2pix.models.resnet import ReflectionPad
from tfpix2pix.models.upsampling import Bilinear, Blur, DoublingConv2D, SubpixelConv2D, Transposed3


def with_plain_convolutions(network: keras.Model, make: Callable[[Any], Any] | None = None) -> keras.Model:
    """Returns the same function with weights of its own and Keras's convolutions.

    Args:
        make: returns the layer that replaces another, or None for the usual one.
    """

    def clone(layer: layers.Layer) -> layers.Layer:
        replacement = make(layer) if make else None
        if replacement is None and isinstance(layer, DoublingConv2D):
            replacement = layer.as_subpixel()
        return replacement or PLAIN.get(type(layer), type(layer)).from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=clone, call_function=_call)


def plain_weights(layer: layers.Layer) -> list[np.ndarray]:
    """Returns the weights of a layer for the one that `with_plain_convolutions` puts in its place."""
    return layer.subpixel_weights() if isinstance(layer, DoublingConv2D) else layer.get_weights()


def _call(layer: layers.Layer, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
    """Calls a replacement without the arguments that only our layers take: a mask of norms, two inputs of dropout."""
    if isinstance(layer, keras.Model) and len(args) > 1:
        args = (list(args),)
    return layer(*args, **kwargs)


def in_plain_keras(generator: keras.Model) -> keras.Model:
    """Returns the same function, of a fixed size, without any class of this package.

    Raises:
        UserError: Keras has no counterpart of a layer.
    """

    def make(layer: layers.Layer) -> layers.Layer | None:
        counterpart = COUNTERPARTS.get(type(layer))
        if counterpart is None and type(layer).__module__.startswith("tfpix2pix") and type(layer) not in PLAIN:
            raise UserError(
                f"A .keras file has Keras's own layers, for sizes that the network takes without padding. Received a "
                f"generator with {type(layer).__name__}, which Keras lacks. Choose `size_px` as a multiple of its "
                f"size multiple, or the format saved_model."
            )
        return counterpart and counterpart(layer)

    plain = with_plain_convolutions(generator, make)
    for layer in generator.layers:
        weights = plain_weights(layer)
        replacement = plain.get_layer(layer.name)
        replacement.set_weights(weights[: len(replacement.get_weights())])  # norms per image have no moving averages
    return plain


def _norm(layer: BatchNormalization) -> layers.Layer:
    if layer.statistics == "moving":
        return layers.BatchNormalization(epsilon=layer.epsilon, momentum=layer.momentum, name=layer.name)
    return _norm_per_image(layer)


def _norm_per_image(layer: layers.Layer) -> keras.Model:
    """Returns Keras's norm of a centred map. Its statistics are inaccurate if a map is nearly constant and not centred
    (`models/norms.py`)."""
    x = _input(layer)
    shift = ops.mean(ops.mean(x, axis=1, keepdims=True), axis=2, keepdims=True)
    y = layers.GroupNormalization(groups=-1, epsilon=layer.epsilon, center=layer.center, scale=layer.scale)(x - shift)
    return keras.Model(x, y, name=layer.name)


def _transposed(layer: Transposed3) -> keras.Model:
    x = _input(layer)
    y = layers.Conv2DTranspose(layer.filters, 3, 2, "valid", use_bias=layer.use_bias)(x)
    return keras.Model(x, layers.Cropping2D(((1, 0), (1, 0)))(y), name=layer.name)


def _subpixel(layer: SubpixelConv2D | DoublingConv2D) -> keras.Model:
    x = _input(layer)
    height, width, filters = x.shape[1], x.shape[2], layer.output.shape[-1]
    y = x if layer.edges == "zero" else ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    padding = "same" if layer.edges == "zero" else "valid"
    y = layers.Conv2D(4 * filters, 3, 1, padding, use_bias=layer.use_bias)(y)
    y = layers.Reshape((height, width, 2, 2, filters))(y)
    y = layers.Reshape((2 * height, 2 * width, filters))(layers.Permute((1, 3, 2, 4, 5))(y))
    return keras.Model(x, y, name=layer.name)


def _blurred(layer: Blur) -> keras.Model:
    x = _input(layer)
    y = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    for _ in range(2):
        y = layers.AveragePooling2D(2, strides=1)(y)
    return keras.Model(x, y, name=layer.name)


def _reflected(layer: ReflectionPad) -> keras.Model:
    x, border = _input(layer), (layer.border_px, layer.border_px)
    return keras.Model(x, ops.pad(x, ((0, 0), border, border, (0, 0)), mode="reflect"), name=layer.name)


def _halved(layer: Halve) -> keras.Model:
    """Returns the means over 3×3 pixels of a map with even sides. The mean of the first two rows stands before the
    first, so that a mean over the three is that of the two. The same goes for columns."""
    x = _input(layer)
    height, width = x.shape[1:3]
    first_rows = layers.AveragePooling2D((2, 1))(layers.Cropping2D(((0, height - 2), (0, 0)))(x))
    y = layers.Concatenate(axis=1)([first_rows, x])
    first_columns = layers.AveragePooling2D((1, 2))(layers.Cropping2D(((0, 0), (0, width - 2)))(y))
    y = layers.Concatenate(axis=2)([first_columns, y])
    return keras.Model(x, layers.AveragePooling2D(3, 2)(y), name=layer.name)


def _dropped(layer: NoiseDropout) -> keras.Model:
    x, noise = (layers.Input(tensor.shape[1:]) for tensor in layer.input)
    height, width, channels = layer.shape
    size, taken = noise.shape[1], height * width * channels
    values = layers.Cropping1D((layer.offset, size - layer.offset - taken))(layers.Reshape((size, 1))(noise))
    values = layers.Reshape(layer.shape)(values)
    rows, columns = (-(-side // period) for side, period in zip(x.shape[1:3], (height, width), strict=True))
    if (rows, columns) != (1, 1):
        values = layers.Concatenate(axis=2)([values] * columns) if columns > 1 else values
        values = layers.Concatenate(axis=1)([values] * rows) if rows > 1 else values
        over = ((0, rows * height - x.shape[1]), (0, columns * width - x.shape[2]))
        values = layers.Cropping2D(over)(values)
    kept = ops.cast(ops.greater_equal(values, layer.rate), "float32") / (1.0 - layer.rate)
    off = ops.cast(ops.greater_equal(values, NO_NOISE), "float32")
    factors = off + (1.0 - off) * kept
    return keras.Model([x, noise], layers.Multiply()([x, factors]), name=layer.name)


def _normals(layer: Normals) -> keras.Model:
    values = _input(layer)
    first, second = ops.split(values, 2, axis=-1)
    radius, angle = ops.sqrt(-2.0 * ops.log(ops.maximum(1.0 - first, SMALLEST))), (2.0 * math.pi) * second
    normal = layers.Concatenate()([radius * ops.cos(angle), radius * ops.sin(angle)])
    on = ops.cast(ops.less(values, NO_NOISE), "float32")
    return keras.Model(values, layers.Multiply()([normal, on]), name=layer.name)


def _modulated(layer: Modulation) -> layers.Layer:
    if not isinstance(layer.input, list):  # without noise
        return layers.Identity(name=layer.name)
    x, z = (layers.Input(tensor.shape[1:]) for tensor in layer.input)
    style = layers.Dense(2 * x.shape[-1], use_bias=False)(z)
    scale, offset = ops.split(layers.Reshape((1, 1, style.shape[-1]))(style), 2, axis=-1)
    return keras.Model([x, z], x * (1.0 + scale) + offset, name=layer.name)


def _with_style(layer: StyleChannels) -> keras.Model:
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    x, *z = (layers.Input(tensor.shape[1:]) for tensor in tensors)
    y = ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, layer.dimensions)))
    if z:
        style = layers.Reshape((1, 1, layer.dimensions))(z[0])
        y = y + ops.pad(style, ((0, 0), (0, 0), (0, 0), (x.shape[-1], 0)))
    return keras.Model([x, *z], y, name=layer.name)


def _input(layer: layers.Layer) -> Any:
    return layers.Input(layer.input.shape[1:])


COUNTERPARTS: dict[type, Callable[[Any], Any]] = {
    BatchNormalization: _norm,
    InstanceNormalization: _norm_per_image,
    Transposed3: _transposed,
    SubpixelConv2D: _subpixel,
    DoublingConv2D: _subpixel,
    Blur: _blurred,
    Bilinear: lambda layer: layers.UpSampling2D(2, interpolation="bilinear", name=layer.name),
    ReflectionPad: _reflected,
    Halve: _halved,
    NoiseDropout: _dropped,
    Normals: _normals,
    Modulation: _modulated,
    StyleChannels: _with_style,
    Copy: lambda layer: layers.Identity(name=layer.name),
}
