"""What an evaluation goes over: named examples, read and made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfpix2pix.config import Config, DataConfig
from tfpix2pix.data import SPLITS, source_row
from tfpix2pix.data.images import to_signed
from tfpix2pix.data.opening import open_source
from tfpix2pix.data.pairs import Pair, Source
from tfpix2pix.data.transforms import for_evaluation
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.evaluation.example import Example

INPUT, TARGET = 0, 1  # sides of a pair
SMALLEST_PX = 2  # of a pair that is read as it is


@dataclass(frozen=True)
class Examples:
    """Named examples, made by index, each as often as asked for and the same every time."""

    names: Sequence[str]
    make: Callable[[int], Example]
    data: DataConfig  # how the targets, and so the translations, are to be read
    has: frozenset[str]  # which of an Example's fields there are: `target`, `input`, `variants`
    of: int  # pairs in the split
    about: dict[str, Any] = field(default_factory=dict)  # for the record: kind, name, step, protocol
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        return checked(self.make(index))


def checked(example: Example) -> Example:
    """The example; raises UserError where its translation has no place in a mean."""
    if not np.isfinite(example.translation).all():
        raise UserError(
            f"A translation must be finite numbers. Received NaN or infinity in that of {example.name!r}. Evaluate "
            f"another checkpoint (--best), or look at the run's metrics.jsonl for where it went wrong."
        )
    if example.target is not None and example.translation.shape != example.target.shape:
        sizes = ["x".join(map(str, image.shape)) for image in (example.translation, example.target)]
        raise UserError(
            f"A translation must have its target's height, width and channels. Received {sizes[0]} for a target of "
            f"{sizes[1]} in {example.name!r}. Give a --size for both, or other targets."
        )
    return example


def split_of(config: Config, split: str) -> Source:
    """The pairs of a split; raises UserError where there are none."""
    if split not in SPLITS:
        raise UserError(unknown_name("--split", split, SPLITS))
    source = open_source(config, split)
    if not len(source):
        others = [name for name in SPLITS if name != split and len(open_source(config, name))]
        advice = f"Use --split {' or '.join(others)}." if others else "Check --data."
        raise UserError(f"The split must hold pairs. Received {split!r}, empty in {config.data.dir}. {advice}")
    return source


def at_size(config: Config, size_px: int | None) -> Config:
    """The configuration with pairs of `size_px`; None: of whatever size they have, or are drawn at."""
    if size_px is None and source_row(config.data.source).drawn:
        return config
    size = SMALLEST_PX if size_px is None else size_px
    return config.model_copy(update={"data": config.data.model_copy(update={"image_size_px": size})})


def pair_reader(source: Source, data: DataConfig) -> Callable[[int], Pair]:
    """index -> (input, target), each float32 (H, W, C) in [-1, 1], of the files' own sizes."""
    return lambda index: tuple(
        to_signed(image, each) for image, each in zip(source.read(index), data.ranges, strict=True)
    )


def fitted(image: np.ndarray | None, data: DataConfig, side: int) -> np.ndarray | None:
    """An image at `data.image_size_px`, brought to it as inputs or targets are."""
    return None if image is None else np.asarray(for_evaluation((image, image), data)[side])
