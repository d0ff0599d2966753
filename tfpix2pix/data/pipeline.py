"""Makes batches. The batch of step t is a pure function of (configuration, seed, t), so a run can resume anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.data import transforms
from tfpix2pix.data.crops import Window, at_random, middle
from tfpix2pix.data.images import Cache
from tfpix2pix.data.pairs import Pair, Source, Weighted, signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.parallel import evenly_spread
from tfpix2pix.size import Size

PREFETCHED_BATCHES = 4
PARALLEL_READS = os.cpu_count() or 2


class Batches:
    """Iterates over batches `(input, target)`, float32 (N, H, W, C) in [-1, 1], or with `data.weight` `(input, target,
    weight)`, the weight float32 (N, H, W, 1) in [0, 1].

    tf.data wraps the errors of its functions in errors of its own. This class raises a `UserError` of the reader
    unchanged.
    """

    def __init__(self, dataset: tf.data.Dataset, reader: Reader) -> None:
        self.dataset, self.reader = dataset, reader

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[tf.Tensor, ...]]:
        with self.own_errors():
            yield from self.dataset

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Replaces tf.data's errors in the block by the reader's. Use it wherever `dataset` is read."""
        try:
            yield
        except tf.errors.OpError:
            if self.reader.error is not None:
                raise self.reader.error from None
            raise


def training_batches(
    source: Source, config: DataConfig, *, batch_size: int, seed: int, first_step: int, total_steps: int,
    worker: int = 0, workers: int = 1,
) -> Batches:  # fmt: skip
    """Returns the batches of steps `first_step` to `total_steps` - 1. Order, crops and mirrors differ in every epoch.

    With several `workers`, each reads its part of every batch, `batch_size` / `workers` pairs. Together they are the
    batch that a single worker would read.

    Raises:
        ValueError: the workers cannot share a batch evenly.
    """
    if batch_size % workers or not 0 <= worker < workers:
        raise ValueError(f"Workers must share a batch evenly. Received worker {worker} of {workers} for {batch_size}.")
    reader, share = Reader(source, config), batch_size // workers
    order, augmentation = rng.stream(seed, "order"), rng.stream(seed, "augmentation")

    def read_pair(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        step, offset = position // share, position % share
        epoch, index = rng.shuffled_index(order, step * batch_size + worker * share + offset, len(source))
        key = rng.at(augmentation, epoch, index)
        if config.fit == "crop":
            fraction = transforms.crop_fraction(transforms.crop_key(key))
            return transforms.augmented(reader.crop(index, epoch, fraction), config, key)
        return transforms.for_training(reader(index, epoch), config, key)

    return _batches(tf.data.Dataset.range(first_step * share, total_steps * share), read_pair, share, reader)


def evaluation_batches(source: Source, config: DataConfig, *, count: int | None = None, batch_size: int = 1) -> Batches:
    """Returns batches of `count` pairs (default: all), evenly spread over a source and in order, without augmentation.

    The last batch may be smaller.
    """
    reader = Reader(source, config)
    indices = np.asarray(evenly_spread(len(source), count), np.int64)

    def read_pair(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pair = reader.crop(index) if config.fit == "crop" else reader(index)
        return transforms.for_evaluation(pair, config)

    return _batches(tf.data.Dataset.from_tensor_slices(indices), read_pair, batch_size, reader, drop_remainder=False)


def _batches(
    positions: tf.data.Dataset, read_pair: Callable, batch_size: int, reader: Reader, *, drop_remainder: bool = True
) -> Batches:
    # It traces faster unconverted, and has no Python control flow on tensors.
    read_pair = tf.autograph.experimental.do_not_convert(read_pair)
    pairs = positions.map(read_pair, num_parallel_calls=PARALLEL_READS, deterministic=True)
    options = tf.data.Options()
    # Tuning has no use here, and its thread can take seconds to stop: the longer it ran, the more.
    options.autotune.enabled = False
    batches = pairs.batch(batch_size, drop_remainder=drop_remainder).prefetch(PREFETCHED_BATCHES)
    return Batches(batches.with_options(options), reader)


class Reader:
    """Reads pairs by index inside tf.data, and keeps up to `config.cache_mb` of decoded pairs in memory."""

    def __init__(self, source: Source, config: DataConfig) -> None:
        self.source, self.config = source, config
        self.error: UserError | None = None
        self._decoded = Cache(config.cache_mb)

    def __call__(self, index: tf.Tensor, epoch: tf.Tensor | int = 0) -> tuple[tf.Tensor, ...]:
        return self._call(self._read, [index, epoch], (None, None))

    def crop(
        self, index: tf.Tensor, epoch: tf.Tensor | int = 0, fraction: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Returns the crop of a pair at its own scale that `transforms.random_crop` takes by the random numbers
        `fraction`, (2,), or without them `transforms.center_crop`. Of large files it reads only the crop."""
        arguments = [index, epoch] if fraction is None else [index, epoch, fraction]
        return self._call(self._read_crop, arguments, self.config.size_px)

    def _call(self, function: Callable, arguments: list, size: tuple[int | None, int | None]) -> tuple[tf.Tensor, ...]:
        channels = [self.config.input_channels, self.config.target_channels, *([1] if self.source.weighted else [])]
        images = tf.numpy_function(function, arguments, (tf.float32,) * len(channels), stateful=False)
        for image, count in zip(images, channels, strict=True):
            image.set_shape((*size, count))
        return tuple(images)

    def _read(self, index: np.int64, epoch: np.int64) -> Pair | Weighted:
        return signed(self._whole(int(index), int(epoch)), self.config)

    def _read_crop(self, index: np.int64, epoch: np.int64, fraction: np.ndarray | None = None) -> Pair | Weighted:
        size = self.config.size_px

        def window(length: Size) -> Window:
            return middle(length, size) if fraction is None else at_random(length, size, fraction)

        def part(other: int) -> Pair | Weighted:
            large = self.source.opened(other) if self.source.opened else None
            if large is None:
                pair = self._whole(other, int(epoch))
                place = window(Size(*pair[0].shape[:2])).slices
                return tuple(image[place] for image in pair)
            with large:
                return large.read(window(large.size))

        return signed(self._readable(int(index), part), self.config)

    def _whole(self, index: int, epoch: int) -> Pair | Weighted:
        if self.source.at_epoch is not None:
            return self._readable(index, lambda other: self.source.at_epoch(other, epoch))
        make = partial(self._readable, index, self.source.whole)
        return self._decoded.get(index, make, lambda pair: sum(image.nbytes for image in pair))

    def _readable(self, index: int, read: Callable[[int], Pair | Weighted]) -> Pair | Weighted:
        """Reads the pair, or with `on_error: skip` the next one that can be read."""
        for other in range(index, index + len(self.source)):
            try:
                return read(other % len(self.source))
            except UserError as error:  # the file was readable when the run started
                self.error = error
                if self.config.on_error == "stop":
                    break
        raise self.error
