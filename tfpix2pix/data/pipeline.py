"""Step -> batch: what step t sees is a pure function of (configuration, seed, t), so a resumed run starts later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.config import DataConfig
from tfpix2pix.data import transforms
from tfpix2pix.data.cache import Cache
from tfpix2pix.data.images import to_signed
from tfpix2pix.data.pairs import Pair, Source
from tfpix2pix.errors import UserError

PREFETCHED_BATCHES = 4
PARALLEL_READS = os.cpu_count() or 2


class Batches:
    """An iterable over batches `(input, target)`, float32 (N, H, W, C) in [-1, 1], that raises a reader's own error.

    tf.data wraps whatever its functions raise in an error of its own; a `UserError` about a file comes through
    as it was raised.
    """

    def __init__(self, dataset: tf.data.Dataset, reader: Reader) -> None:
        self.dataset, self.reader = dataset, reader

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        with self.own_errors():
            yield from self.dataset

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Around whatever takes from `dataset`: the reader's error in place of tf.data's."""
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
    """The batches of steps `first_step` to `total_steps` - 1: every epoch its own order, crops and mirrors.

    With several `workers` each reads its own part of every batch, of `batch_size` / `workers` pairs: together they are
    the batch that one would read.

    Raises:
        ValueError: the workers cannot share a batch evenly.
    """
    if batch_size % workers or not 0 <= worker < workers:
        raise ValueError(f"Workers must share a batch evenly. Received worker {worker} of {workers} for {batch_size}.")
    reader, own = Reader(source, config), batch_size // workers
    order, augmentation = rng.stream(seed, "order"), rng.stream(seed, "augmentation")

    def example(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step, place = position // own, position % own
        epoch, index = rng.shuffled_index(order, step * batch_size + worker * own + place, len(source))
        return transforms.for_training(reader(index, epoch), config, rng.at(augmentation, epoch, index))

    return _batches(tf.data.Dataset.range(first_step * own, total_steps * own), example, own, reader)


def evaluation_batches(source: Source, config: DataConfig, *, count: int | None = None, batch_size: int = 1) -> Batches:
    """`count` pairs evenly spread over a source (all by default), in order, without anything random; the last batch may
    be smaller."""
    reader = Reader(source, config)
    count = len(source) if count is None else min(count, len(source))

    def example(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return transforms.for_evaluation(reader(position * len(source) // count), config)

    return _batches(tf.data.Dataset.range(count), example, batch_size, reader, whole=False)


def _batches(positions: tf.data.Dataset, example, batch_size: int, reader: Reader, *, whole: bool = True) -> Batches:
    examples = positions.map(example, num_parallel_calls=PARALLEL_READS, deterministic=True)
    options = tf.data.Options()
    # There is nothing to tune, and its thread, once asked to end, may sleep on for seconds, more the longer it ran.
    options.autotune.enabled = False
    batches = examples.batch(batch_size, drop_remainder=whole).prefetch(PREFETCHED_BATCHES)
    return Batches(batches.with_options(options), reader)


class Reader:
    """Reads pairs by index inside tf.data, keeping decoded ones in memory up to `config.cache_mb`."""

    def __init__(self, source: Source, config: DataConfig) -> None:
        self.source, self.config = source, config
        self.error: UserError | None = None
        self._decoded = Cache(config.cache_mb)

    def __call__(self, index: tf.Tensor, epoch: tf.Tensor | int = 0) -> tuple[tf.Tensor, tf.Tensor]:
        image, target = tf.numpy_function(self._read, [index, epoch], (tf.float32, tf.float32), stateful=False)
        image.set_shape((None, None, self.config.input_channels))
        target.set_shape((None, None, self.config.target_channels))
        return image, target

    def _read(self, index: np.int64, epoch: np.int64) -> Pair:
        index = int(index)
        if self.source.at_epoch is not None:
            pair = self._readable(index, lambda other: self.source.at_epoch(other, int(epoch)))
        else:
            make = partial(self._readable, index, self.source.read)
            pair = self._decoded.get(index, make, lambda pair: pair[0].nbytes + pair[1].nbytes)
        return tuple(to_signed(image, each) for image, each in zip(pair, self.config.ranges, strict=True))

    def _readable(self, index: int, read: Callable[[int], Pair]) -> Pair:
        """The pair, or the next that can be read where those that cannot be read are skipped."""
        for other in range(index, index + len(self.source)):
            try:
                return read(other % len(self.source))
            except UserError as error:  # a file that was whole when the run started
                self.error = error
                if self.config.on_error == "stop":
                    break
        raise self.error
