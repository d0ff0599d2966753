"""What metrics see: one translation at a time, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Example:
    """One translated image and what it is compared with. Images are float (H, W, C) in [-1, 1]; label maps are images
    of one channel, index / 127.5 - 1."""

    name: str
    translation: np.ndarray
    input: np.ndarray | None = None
    target: np.ndarray | None = None
    labels: np.ndarray | None = None  # int (H, W): what a segmenter should see in the translation
    variants: np.ndarray | None = None  # (K, H, W, C): translations by different noise


def examples_of(translate: Callable, batches: Iterable[tuple]) -> Iterator[Example]:
    """Of batches (input, target), each (N, H, W, C), the examples, named by their number.

    The next batch is translated while one is looked at: networks and metrics take about as long.
    """
    waiting, number = iter(batches), 0

    def following() -> list[np.ndarray] | None:
        batch = next(waiting, None)
        return batch and [np.asarray(each) for each in (translate(batch[0]), *batch)]

    with ThreadPoolExecutor(1, thread_name_prefix="translate") as thread:
        batch = thread.submit(following).result()
        while batch:
            coming = thread.submit(following)
            for translation, image, target in zip(*batch, strict=True):
                yield Example(str(number), translation, image, target)
                number += 1
            batch = coming.result()


@dataclass(frozen=True)
class Setting:
    """What metrics are made with: sizes of label maps, networks that some of them look through, and their seed."""

    classes: int | None = None  # of the targets, where they are label maps
    segmenter: Callable[[np.ndarray], np.ndarray] | None = None  # (H, W, C) in [-1, 1] -> int (H, W)
    segmenter_classes: int | None = None
    features: Callable[[np.ndarray], np.ndarray] | None = None  # (H, W, C) in [-1, 1] -> float (D,)
    seed: int = 0
    also: dict[str, Any] = field(default_factory=dict)  # for metrics of one's own


class Accumulator(Protocol):
    """Takes examples one at a time, in memory that does not grow with them."""

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        """Counts the example `weights[r]` times in replicate r (evaluation/bootstrap.py); the first weight is 1.

        Returns the figures of this image alone, by name; {} where there are none.
        """

    def result(self) -> dict[str, np.ndarray]:
        """name -> float (1 + replicates,): the figure, then its bootstrap replicates; (1,) where it has none."""
