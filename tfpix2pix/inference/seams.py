"""Translates an image in tiles that equal their places in the translation of the whole image.

Two things make a tile differ from its place. The first is statistics: norms that use each image's own get those of the
whole image here. They are measured layer by layer, by a pass over all tiles for each norm, because the map of a norm
depends on the statistics of all norms before it. The second is context, of which deep layers see much: the inner part
of the network, whose maps are small, runs on the whole image at once (`models/scales.py`). Tiles begin where the
strides of the outer part do, so that its convolutions see the same pixels together.

A tile has fewer values in its largest map than the whole image, and the inner part no more than a tile or a quarter of
a value for each pixel. So memory is bounded as it is for tiles that are translated as images of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.data.rows import Encoding
from tfpix2pix.inference.tiling import Grid, Place, Readable, blended_bands
from tfpix2pix.models.noise import no_noise, noise_size
from tfpix2pix.models.norms import own_statistics, statistics_by
from tfpix2pix.models.scales import Cut, Map, Parts, cut_at, maps_of, multiple_of, shifted
from tfpix2pix.models.sizes import padded_size
from tfpix2pix.size import Size

INNER_VALUES = 0.25  # most values of an inner map for each pixel of the image: as float32, a byte
MOST_INNER_VALUES = 2**26  # of an inner map, however large the image is: as float32, 268 MB
TRACED_FROM = 8  # calls: a trace takes as long as several of them
KEPT = 4  # networks, each for one size of tiles

Statistics = dict[str, tf.Tensor]


class Moments:
    """Accumulates mean and variance of every channel over the tiles of a map, in float64. Source: Chan, Golub and
    LeVeque 1983."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._squares = np.zeros(())

    def add(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        """Adds `count` pixels with the mean (C,) and the sum of squared differences from it (C,)."""
        if count:
            total, off = self.count + count, mean - self.mean
            self.mean = self.mean + off * (count / total)
            self._squares = self._squares + squares + off**2 * (self.count * count / total)
            self.count = total

    @property
    def statistics(self) -> np.ndarray:
        """Returns mean and variance, float64 (2, C)."""
        return np.stack([self.mean, self._squares / self.count])


def owned_moments(x: tf.Tensor, owned: tf.Tensor, tile_px: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the arguments of `Moments.add` for the part of a map (1, H, W, C) that its tile owns.

    Args:
        owned: first row, end of rows, first column and end of columns of that part of the tile, px, int32 (4,).
        tile_px: height of the tile.
    """
    top, bottom, left, right = tf.unstack(owned // (tile_px // x.shape[1]))
    part = tf.cast(x[0, top:bottom, left:right], tf.float64)
    count = (bottom - top) * (right - left)
    mean = tf.reduce_sum(part, (0, 1)) / tf.cast(tf.maximum(count, 1), tf.float64)
    return count, mean, tf.reduce_sum(tf.square(part - mean), (0, 1))


class WholeTiler:
    """Translates images by a generator in tiles, as if each were translated whole.

    Args:
        generator: a generator for images of any size.
        encoding: what the network gets of an image, and what its output means.
    """

    def __init__(self, generator: keras.Model, encoding: Encoding) -> None:
        self.generator, self.encoding = generator, encoding
        self.multiple_px, self.maps = multiple_of(generator), maps_of(generator)
        self._networks = lru_cache(KEPT)(partial(_Network, generator, encoding, self.maps))

    def bands(
        self, image: Readable, noise: np.ndarray | None, tile_px: int, overlap_px: int | None = None, **options: Any
    ) -> Iterator[np.ndarray]:
        """Translates an image (H, W, C) in tiles, and yields it in bands as `blended_bands` does.

        The image is read once for each norm in the outer part of the network, once for the inner part, and once more.

        Args:
            noise: vector (1, noise_size); None: off.
            tile_px: most height and width of the tiles, which are multiples of a few pixels.
            overlap_px: least overlap; None: a quarter of `tile_px`.
            options: `blend`, `encode` and `decode` of `translate_tiles`.

        Raises:
            UserError: the tiles overlap by more than half.
        """
        length = Size(*image.shape[:2])
        padded = padded_size(length, self.multiple_px)
        cut = self.cut(padded, tile_px)
        grid = Grid.aligned(length, padded, tile_px, overlap_px, cut.stride)
        if noise is None:
            noise = no_noise(1, noise_size(self.generator))
        encode = options.get("encode", lambda tile: tile)
        work = _Work(self._networks(cut, grid.size), image, grid, encode, noise)
        work.measure()
        yield from blended_bands(work.translation, image, grid, **options)

    def cut(self, padded: Size, tile_px: int) -> Cut:
        """Returns the cut of the generator for a padded image of a size: an inner part with maps of the whole image
        that are no larger than a tile's largest, or than `INNER_VALUES` for each pixel and `MOST_INNER_VALUES`."""
        of_tile, pixels = max(map_.values for map_ in self.maps.values()) * tile_px**2, padded.height * padded.width
        most = min(INNER_VALUES, MOST_INNER_VALUES / pixels)
        return cut_at(self.maps, max(most, of_tile / pixels)) or Cut(self.multiple_px)


class _Network:
    """Runs the parts of a cut generator on tiles of one size."""

    def __init__(self, generator: keras.Model, encoding: Encoding, maps: dict[str, Map], cut: Cut, size: Size) -> None:
        self.encoding, self.maps, self.cut, self.size = encoding, maps, cut, size
        self.parts = Parts(generator, cut)
        self.shifted = partial(shifted, generator, maps)
        self.dtype = tf.as_dtype(generator.inputs[0].dtype)
        self.has_noise, self.has_scalars = noise_size(generator) > 0, self.parts.scalars is not None
        before, after = (own_statistics(part) if part else {} for part in (self.parts.before, self.parts.after))
        self.norms_before = before
        self.norms_after = {name: channels for name, channels in after.items() if name not in before}
        self.up_to = lru_cache(None)(self.parts.up_to)
        self._trace = lru_cache(None)(partial(tf.function, autograph=False))

    def function(self, method: Callable[..., Any], calls: int) -> Callable[..., Any]:
        """Returns a method of this class, or a trace of it if `calls` are worth one."""
        return method if calls < TRACED_FROM else self._trace(method)

    def entries(self, statistics: Statistics, tile: tf.Tensor, *noise: tf.Tensor) -> list[tf.Tensor]:
        """Returns the maps of a tile with which the inner part begins."""
        return tf.nest.flatten(self._run(self.parts.before, statistics, tile, *noise)[1])

    def inner(self, entries: list[tf.Tensor], noise: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the maps of the whole image with which the inner part ends, from those with which it begins, the
        noise and the scalars."""
        return tf.nest.flatten(self.parts.inner([*entries, *noise], training=False))

    def scalars(self, tile: tf.Tensor) -> list[tf.Tensor]:
        """Returns the scalars that modulate maps, from a tile, which has them everywhere."""
        return tf.nest.flatten(self.parts.scalars(self.encoding.encode_input(tile)))

    def moments(
        self, norm: str, owned: tf.Tensor, statistics: Statistics, tile: tf.Tensor, *rest: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Returns `owned_moments` of a norm's map, by the statistics of the norms before it."""
        return owned_moments(self._run(self.up_to(norm), statistics, tile, *rest)[1], owned, self.size.height)

    def translation(self, statistics: Statistics, tile: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
        """Returns the translation of a tile."""
        encoded, output = self._run(self.parts.after, statistics, tile, *rest)
        for layer in self.parts.last:
            output = layer(output)
        return self.encoding.decode(encoded, output)

    def _run(self, part: keras.Model, statistics: Statistics, tile: tf.Tensor, *rest: tf.Tensor) -> tuple[Any, Any]:
        """Returns what the network gets of a tile, and the output of a part for it."""
        encoded = self.encoding.encode_input(tile)
        with statistics_by(lambda name, x: statistics[name]):
            return encoded, part([encoded, *rest], training=False)


class _Work:
    """Holds what is known of one image while it is translated: statistics of norms, and the maps of the inner part.

    Attributes:
        statistics: mean and variance, float64 (2, C), by the name of the norm; 0 until they are measured.
        exits: maps of the whole image with which the inner part ends, (1, h, w, C) each.
    """

    def __init__(
        self, network: _Network, image: Readable, grid: Grid, encode: Callable[[np.ndarray], np.ndarray],
        noise: np.ndarray,
    ) -> None:  # fmt: skip
        self.network, self.image, self.grid, self.encode, self.noise = network, image, grid, encode, noise
        norms = {**network.norms_before, **network.norms_after}
        self.statistics: Statistics = {name: tf.zeros((2, channels), tf.float64) for name, channels in norms.items()}
        self.exits: list[tf.Tensor] = []
        self.scalars = network.scalars(next(self._tiles())[1]) if network.has_scalars else []

    def measure(self) -> None:
        """Measures the statistics of all norms in the outer part, in the order of computation, and runs the inner part
        between."""
        for name in self.network.norms_before:
            self._measure(name)
        if self.network.parts.inner is not None:
            self.exits = self.network.inner(self._entries(), self._noise())
        for name in self.network.norms_after:
            self._measure(name)

    def translation(self, place: Place, tile: np.ndarray) -> np.ndarray:
        """Returns the translation of an encoded tile (1, H, W, C)."""
        run = self._function(self.network.translation)
        tile = tf.cast(tile, self.network.dtype)
        return run(self.statistics, tile, *self._exits(place), *self._noise(place)).numpy()

    def _measure(self, name: str) -> None:
        moments, run = Moments(), self._function(self.network.moments)
        within = name in self.network.norms_after
        for place, tile in self._tiles():
            owned = tf.constant([*place.rows, *place.columns])
            exits = self._exits(place) if within else []
            count, mean, squares = run(name, owned, self.statistics, tile, *exits, *self._noise(place))
            moments.add(int(count), mean.numpy(), squares.numpy())
        self.statistics[name] = tf.constant(moments.statistics)

    def _entries(self) -> list[tf.Tensor]:
        """Returns the maps of the whole image with which the inner part begins."""
        stride, (height, width) = self.network.cut.stride, self.grid.padded
        wholes = [
            np.zeros((1, height // stride, width // stride, self.network.maps[name].channels), np.float32)
            for name in self.network.cut.entries
        ]
        run = self._function(self.network.entries)
        for place, tile in self._tiles():
            maps = run(self.statistics, tile, *self._noise(place))
            top, bottom, left, right = (edge // stride for edge in (*place.rows, *place.columns))
            down, across = place.top // stride, place.left // stride
            for whole, map_ in zip(wholes, maps, strict=True):
                owned = map_[:, top:bottom, left:right]
                whole[:, down + top : down + bottom, across + left : across + right] = owned
        return [tf.cast(whole, self.network.dtype) for whole in wholes]

    def _function(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return self.network.function(method, len(self.grid.tops) * len(self.grid.lefts))

    def _tiles(self) -> Iterator[tuple[Place, tf.Tensor]]:
        for places in self.grid.places:
            for place in places:
                tile = self.encode(self.grid.cut(self.image, place))[np.newaxis]
                yield place, tf.cast(tile, self.network.dtype)

    def _exits(self, place: Place) -> list[tf.Tensor]:
        """Returns the parts of the inner part's maps at a place."""
        sides = (place.top, self.grid.size.height, place.left, self.grid.size.width)
        top, tall, left, wide = (side // self.network.cut.stride for side in sides)
        return [whole[:, top : top + tall, left : left + wide] for whole in self.exits]

    def _noise(self, place: Place | None = None) -> list[tf.Tensor]:
        """Returns the noise vector with which a tile gets the noise of its place, that of the whole image without one,
        and the scalars, if the network has any of them."""
        if not self.network.has_noise:
            return self.scalars
        noise = self.noise if place is None else self.network.shifted(self.noise, place.top, place.left)
        return [tf.cast(noise, self.network.dtype), *self.scalars]
