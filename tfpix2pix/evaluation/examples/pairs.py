"""Holds the examples of an evaluation. They have names, and are computed when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.data import source_row
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.transforms import for_evaluation
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.originals import Original
from tfpix2pix.metrics.example import Example
from tfpix2pix.size import SizePx

INPUT, TARGET = 0, 1  # sides of a pair
SMALLEST_PX = 2  # of a pair that keeps its size


@dataclass(frozen=True)
class Examples:
    """Holds named examples, which are computed by index, the same every time.

    Args:
        compute: index -> example.
        data: describes how the targets, and so the translations, are read.
        has: the fields that every `Example` has: `target`, `input`, `variants`, `without_noise`.
        pairs: number of pairs in the split; some of them may have no example.
        notes: sentences for the record.
        original: index -> what the files of an example say, None if they are not known.
    """

    names: Sequence[str]
    compute: Callable[[int], Example]
    data: DataConfig
    has: frozenset[str]
    pairs: int
    notes: tuple[str, ...] = ()
    original: Callable[[int], Original | None] = lambda index: None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        return checked(self.compute(index))


def checked(example: Example) -> Example:
    """Returns the example. Raises UserError if its translation is not finite or differs in shape from its target."""
    if not np.isfinite(example.translation).all():
        raise UserError(
            f"A translation must hold finite numbers. Received NaN or infinity in that of {example.name!r}. Evaluate "
            f"another checkpoint (`best`), or look for the first such step in the run's metrics.jsonl."
        )
    if example.target is not None and example.translation.shape != example.target.shape:
        sizes = ["x".join(map(str, image.shape)) for image in (example.translation, example.target)]
        raise UserError(
            f"A translation must have its target's height, width and channels. Received {sizes[0]} for a target of "
            f"{sizes[1]} in {example.name!r}. Give a `size` for both, or other targets."
        )
    return example


def at_size(config: Config, size_px: SizePx | None) -> Config:
    """Returns the configuration with pairs of `size_px`. None keeps the size that they have, or are drawn at."""
    if size_px is None and source_row(config.data.source).drawn:
        return config
    size = SMALLEST_PX if size_px is None else size_px
    return config.model_copy(update={"data": config.data.model_copy(update={"image_size_px": size})})


def fitted(image: np.ndarray | None, data: DataConfig, side: int) -> np.ndarray | None:
    """Fits an image to `data.image_size_px`, as inputs (`side` 0) or targets (1) are."""
    return None if image is None else np.asarray(for_evaluation((image, image), data)[side])
