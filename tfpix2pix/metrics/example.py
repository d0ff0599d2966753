"""Holds the inputs of metrics: one translation at a time, and the setting that all metrics share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from tfpix2pix.data.target_parts import LabelPart, label_parts

if TYPE_CHECKING:
    from tfpix2pix.data.settings import DataConfig


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
    # Height and width of the files, if input and target share them and are read whole
    stored_px: tuple[int, int] | None = None
    group: str = ""  # that the image was taken with others of, such as a patient; "": it stands alone
    weight: np.ndarray | None = None  # (H, W, 1) in [0, 1]: how much each pixel counts; None: all count
    clipped: tuple[float, float] = (0.0, 0.0)  # share of the values of input and target files that were clipped

    @cached_property
    def counted(self) -> Example:
        """Returns the example with targets and translations times the weight of each pixel.

        Pixels of weight 0 are equal on both sides, so they make no difference to metrics of windows, patches and
        features.
        """
        if self.weight is None:
            return self
        return self._changed(lambda image: (image * self.weight).astype(image.dtype))

    def without(self, channels: Sequence[int]) -> Example:
        """Returns the example without some channels of targets and translations."""
        return self._changed(lambda image: np.delete(image, channels, axis=-1)) if channels else self

    def _changed(self, change: Callable[[np.ndarray], np.ndarray]) -> Example:
        """Returns the example with `change` of its target and of its translations."""
        images = {name: getattr(self, name) for name in ("translation", "target", "variants", "without_noise")}
        return replace(self, **{name: change(image) for name, image in images.items() if image is not None})


def mean_over_pixels(values: np.ndarray, weight: np.ndarray | None) -> float:
    """Returns the mean of `values` (H, W, C) over pixels, which count by `weight` (H, W, 1), and channels."""
    if weight is None:
        return float(np.mean(values))
    return float(
        np.sum(values * np.asarray(weight, np.float64)) / (np.sum(weight, dtype=np.float64) * values.shape[-1])
    )


def examples_of(translate: Callable, batches: Iterable[tuple]) -> Iterator[Example]:
    """Translates batches (input, target), each (N, H, W, C), or (input, target, weight), and yields their examples,
    named by their number.

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
            for translation, image, target, *weight in zip(*batch, strict=True):
                yield Example(str(number), translation, image, target, weight=weight[0] if weight else None)
                number += 1
            batch = coming.result()


class Unit(NamedTuple):
    """Holds the unit of the targets, or of one of their parts (`data.targets`), and the values in it that are -1 and 1
    in images."""

    name: str
    low: float
    high: float
    part: str = ""  # name of the part; "": all channels of the targets
    channels: slice = slice(None)  # those of the part

    @property
    def step(self) -> float:
        """Returns what a step of 1 on [-1, 1] is in the unit."""
        return (self.high - self.low) / 2

    def of(self, name: str) -> str:
        """Returns the name of a value, or of a file, that is of the part alone: `unit_mae` becomes `unit_mae_speed`."""
        return f"{name}_{self.part}" if self.part else name

    def channels_of(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """Returns the channels of the translation and of the target that have the unit, float64 (H, W, C)."""
        images = (example.translation, example.target)
        return tuple(np.asarray(image[..., self.channels], np.float64) for image in images)


@dataclass(frozen=True)
class Setting:
    """Holds the numbers of classes, the networks and the seed that metrics use."""

    classes: int | None = None  # of the targets, if they are label maps
    segmenter: Callable[[np.ndarray], np.ndarray] | None = None  # (H, W, C) in [-1, 1] -> int (H, W)
    segmenter_classes: int | None = None
    features: Callable[[np.ndarray], np.ndarray] | None = None  # (H, W, C) in [-1, 1] -> float (D,)
    units: tuple[Unit, ...] = ()  # of the targets, or of their parts that have one
    truth: Any = None  # what the source of the pairs knows of them (`SourceRow.truth`)
    training: Any = None  # the training targets, a `TrainingTargets` (metrics/nearest.py)
    parts: tuple[LabelPart, ...] = ()  # label maps among the parts of the targets
    channels: int | None = None  # of the targets, if some parts are label maps
    seed: int = 0
    also: dict[str, Any] = field(default_factory=dict)  # for custom metrics

    @classmethod
    def of(cls, data: DataConfig, **more: Any) -> Setting:
        """Returns the setting for the targets of `data`. `more`: the other fields."""
        return cls(data.target_classes, parts=label_parts(data), channels=data.target_channels, **more)

    @property
    def label_maps(self) -> tuple[LabelPart, ...]:
        """Returns the label maps among the targets. One that is the whole target has no name."""
        return (LabelPart("", self.classes, 0),) if self.classes else self.parts

    @property
    def kinds(self) -> frozenset[bool]:
        """Returns the kinds of the targets: True for label maps, False for images."""
        if self.classes or (self.parts and len(self.parts) == self.channels):
            return frozenset({True})
        return frozenset({False, bool(self.parts)})

    def images_of(self, example: Example) -> Example:
        """Returns an example of which targets and translations lack the channels of label maps among their parts."""
        return example.without([part.channel for part in self.parts]) if False in self.kinds else example


class Accumulator(Protocol):
    """Accumulates a metric over examples, one at a time, in memory that does not grow with their number."""

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        """Counts the example `weights[r]` times in replicate r (metrics/bootstrap.py). The first weight is 1.

        Returns the values of this image alone, by name, or {} if the metric has none for one image.
        """

    def result(self) -> dict[str, np.ndarray]:
        """Returns name -> float (1 + replicates,), the value and its bootstrap replicates, or (1,) without these."""
