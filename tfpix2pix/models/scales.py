"""Cuts a generator into an outer part, which sees little around a pixel, and an inner part, of few values a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.models.noise import NO_NOISE, GaussianChannel, NoiseDropout
from tfpix2pix.models.noise_path import normals_from, uniforms_from
from tfpix2pix.models.padding import CropBack, PadToMultiple
from tfpix2pix.models.scalars import scalars_of


@dataclass(frozen=True)
class Map:
    """Holds what a layer of a generator returns.

    Attributes:
        stride: pixels of the image to one of the map, along each side.
        channels: number of channels.
        is_even: True if the map has exactly the image's side divided by `stride`: it has no border.
        parents: names of the layers whose maps the layer takes.
    """

    stride: int
    channels: int
    is_even: bool
    parents: tuple[str, ...]

    @property
    def values(self) -> float:
        """Returns the number of values for each pixel of the image."""
        return self.channels / self.stride**2


@dataclass(frozen=True)
class Cut:
    """Holds where a generator is cut: its inner part begins with the maps of the layers `entries`, and the outer part
    takes those of `exits`. All of them have the stride `stride`. Without entries there is no inner part."""

    stride: int
    entries: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()


def multiple_of(generator: keras.Model) -> int:
    """Returns the size multiple to which a generator pads, 1 if it does not."""
    return next((layer.multiple_px for layer in generator.layers if isinstance(layer, PadToMultiple)), 1)


def maps_of(generator: keras.Model) -> dict[str, Map]:
    """Returns the map of every layer of a generator for any size, in the order of computation, from the padded image
    to the last before it is cropped."""
    side = 8 * multiple_of(generator)  # so that a border changes little
    layers = [layer for layer in generator.layers if not isinstance(layer, keras.layers.InputLayer)]
    layers = [layer for layer in layers if len(layer.output.shape) == 4]
    image, *noise = generator.inputs
    specs = [tf.TensorSpec((1, side, side, image.shape[-1]), image.dtype)]
    specs += [tf.TensorSpec((1, tensor.shape[-1]), tensor.dtype) for tensor in noise]
    every = keras.Model(generator.inputs, [layer.output for layer in layers])
    traced = tf.function(lambda *inputs: every(list(inputs), training=False), autograph=False)
    shapes = [output.shape for output in tf.nest.flatten(traced.get_concrete_function(*specs).structured_outputs)]
    names = {layer.output.name: layer.name for layer in layers}
    maps = {}
    for layer, shape in zip(layers, shapes, strict=True):
        if isinstance(layer, CropBack):
            break
        stride = 2 ** round(math.log2(side / shape[1]))
        parents = [names[tensor.name] for tensor in tf.nest.flatten(layer.input) if tensor.name in names]
        maps[layer.name] = Map(stride, shape[-1], shape[1] * stride == side, tuple(parents))
    return maps


def cut_at(maps: dict[str, Map], most_values: float) -> Cut | None:
    """Returns the outermost cut with an inner part whose maps have at most `most_values` values for each pixel, or None
    if no cut has one."""
    for stride in sorted({map_.stride for map_ in maps.values()} - {1}):
        inner = {name for name, map_ in maps.items() if map_.stride >= stride}
        entries = [name for name in maps if name in inner and not inner.issuperset(maps[name].parents)]
        used = {parent for name, map_ in maps.items() if name not in inner for parent in map_.parents}
        exits = [name for name in maps if name in inner & used]
        ends = [maps[name] for name in (*entries, *exits)]
        if max(maps[name].values for name in inner) <= most_values and all(
            map_.is_even and map_.stride == stride for map_ in ends
        ):
            return Cut(stride, tuple(entries), tuple(exits))
    return None


class Parts:
    """Cuts a generator into models that share its weights. Where the padded image is an input, the generator's `pad` is
    left out, and so is its `crop`.

    Attributes:
        before: (padded image[, noise][, scalars]) -> the maps of `cut.entries`; None without an inner part.
        inner: (those maps[, noise][, scalars]) -> the maps of `cut.exits`; None without an inner part.
        after: (padded image, the maps of `cut.exits`[, noise][, scalars]) -> the map before it is cropped.
        scalars: padded image -> the scalars that modulate maps; None without them.
        last: layers that follow the crop, which change each pixel by itself.
    """

    def __init__(self, generator: keras.Model, cut: Cut) -> None:
        self.generator = generator
        padding = [layer for layer in generator.layers if isinstance(layer, PadToMultiple)]
        cropping = [layer for layer in generator.layers if isinstance(layer, CropBack)]
        self._image, scalars = (padding[0].output if padding else generator.inputs[0]), scalars_of(generator)
        self._noise = [*generator.inputs[1:], *scalars]
        self.scalars = keras.Model(self._image, scalars) if scalars else None
        entries, self._exits = (self._outputs(names) for names in (cut.entries, cut.exits))
        self.before = keras.Model([self._image, *self._noise], entries) if entries else None
        self.inner = keras.Model([*entries, *self._noise], self._exits) if entries else None
        end, self.last = generator.output, ()
        if cropping:
            end = cropping[0].input[0]
            self.last = tuple(generator.layers[generator.layers.index(cropping[0]) + 1 :])
        self.after = keras.Model([self._image, *self._exits, *self._noise], end)

    def up_to(self, norm: str) -> keras.Model:
        """Returns the part of `before` or `after`, whichever has it, with the input of a norm as its output."""
        is_before = self.before is not None and any(layer.name == norm for layer in self.before.layers)
        exits = [] if is_before else self._exits
        return keras.Model([self._image, *exits, *self._noise], self.generator.get_layer(norm).input)

    def _outputs(self, names: tuple[str, ...]) -> list:
        return [self.generator.get_layer(name).output for name in names]


def shifted(generator: keras.Model, maps: dict[str, Map], noise: np.ndarray, top: int, left: int) -> np.ndarray:
    """Returns a noise vector (1, noise_size) with which a tile gets the noise that its place has in the whole image.

    Args:
        maps: those of `maps_of`.
        top: row of the padded image at which the tile begins, a multiple of the strides of maps with noise.
        left: column.
    """
    if (noise == NO_NOISE).all():
        return noise
    shifted = noise.copy()
    for layer in generator.layers:
        if isinstance(layer, (NoiseDropout, GaussianChannel)):
            begin, end = layer.offset, layer.offset + math.prod(layer.shape)
            by = (-(top // maps[layer.name].stride), -(left // maps[layer.name].stride))
            is_normal = isinstance(layer, GaussianChannel)  # places are those of normals, not of uniform values
            values = normals_from(noise[0, begin:end].astype(np.float64)) if is_normal else noise[0, begin:end]
            rolled = np.roll(values.reshape(layer.shape), by, (0, 1)).reshape(-1)
            shifted[0, begin:end] = uniforms_from(rolled) if is_normal else rolled
    return shifted
