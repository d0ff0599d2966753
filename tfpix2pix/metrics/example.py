"""Holds the inputs of metrics: one translation at a time, and the setting that all metrics share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Example:
    """Holds one translated image and the images that it is compared with.

    Images are float (H, W, C) in [-1, 1]. Label maps are images of one channel, index / 127.5 - 1.
    """

    name: str
    translation: np.ndarray
    input: np.ndarray | None = None
    target: np.ndarray | None = None
    labels: np.ndarray | None = None  # int (H, W): the classes that a segmenter should see in the translation
    variants: np.ndarray | None = None  # (K, H, W, C): translations by different noise
    without_noise: np.ndarray | None = None  # the translation with noise off, of examples with variants
    stored_px: tuple[int, int] | None = None  # height and width of the files, if input and target share them


def examples_of(translate: Callable, batches: Iterable[tuple]) -> Iterator[Example]:
    """Translates batches (input, target), each (N, H, W, C), and yields their examples, named by their number.

    The next batch is translated while one is measured, because networks and metrics take about as long.
    """
    waiting, number = iter(batches), 0

    def next_batch() -> list[np.ndarray] | None:
        batch = next(waiting, None)
        return batch and [np.asarray(images) for images in (translate(batch[0]), *batch)]

    with ThreadPoolExecutor(1, thread_name_prefix="translate") as thread:
        batch = thread.submit(next_batch).result()
        while batch:
            coming = thread.submit(next_batch)
            for translation, image, target in zip(*batch, strict=True):
                yield Example(str(number), translation, image, target)
                number += 1
            batch = coming.result()


@dataclass(frozen=True)
class Setting:
    """Holds the numbers of classes, the networks and the seed that metrics use."""

    classes: int | None = None  # of the targets, if they are label maps
    segmenter: Callable[[np.ndarray], np.ndarray] | None = None  # (H, W, C) in [-1, 1] -> int (H, W)
    segmenter_classes: int | None = None
    features: Callable[[np.ndarray], np.ndarray] | None = None  # (H, W, C) in [-1, 1] -> float (D,)
    truth: Any = None  # what the source of the pairs knows of them (`SourceRow.truth`)
    seed: int = 0
    also: dict[str, Any] = field(default_factory=dict)  # for custom metrics


class Accumulator(Protocol):
    """Accumulates a metric over examples, one at a time, in memory that does not grow with their number."""

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        """Counts the example `weights[r]` times in replicate r (metrics/bootstrap.py). The first weight is 1.

        Returns the values of this image alone, by name, or {} if the metric has none for one image.
        """

    def result(self) -> dict[str, np.ndarray]:
        """Returns name -> float (1 + replicates,), the value and its bootstrap replicates, or (1,) without these."""
