"""Prepares examples for a figure of a paper: their values in the unit of the target, and the signed error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tfpix2pix.data.images import as_picture
from tfpix2pix.data.labels import class_colors
from tfpix2pix.data.ranges import from_signed, full_range
from tfpix2pix.data.scalars import in_words
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import channels_of_targets
from tfpix2pix.evaluation.examples.originals import Original
from tfpix2pix.evaluation.examples.pairs import INPUT, TARGET
from tfpix2pix.evaluation.report.example_figure import Column, ExampleRow
from tfpix2pix.metrics.example import Example

MOST_INPUTS = 3  # columns
SHOWN_KINDS = ("image", "labels")  # of the parts of an input
GRAY = 204  # level of pixels that do not count, in pictures
WRONG, RIGHT = (213, 94, 0), (255, 255, 255)  # colours of pixels whose class is wrong and right


@dataclass(frozen=True)
class Part:
    """Holds what an image, or a part of one, shows: some channels, as classes or as values."""

    name: str
    channels: slice
    classes: int | None = None
    bounds: tuple[float, float] | None = None  # values that are -1 and 1; None: they are not known
    unit: str = ""

    @property
    def has_one_channel(self) -> bool:
        return self.channels.stop - self.channels.start == 1

    @property
    def has_values(self) -> bool:
        """Returns True if its one channel is shown as values, not as a picture."""
        return self.has_one_channel and not self.classes and self.bounds is not None

    def values(self, image: np.ndarray) -> np.ndarray:
        """Returns the values of an image, float64 (H, W, C)."""
        low, high = self.bounds or (-1.0, 1.0)
        return low + (np.asarray(image[..., self.channels], np.float64) + 1) / 2 * (high - low)

    def picture(self, image: np.ndarray, data: DataConfig) -> np.ndarray:
        """Returns an image as a picture, uint8 (H, W, 3). Classes have their colours, and no class is black."""
        levels = from_signed(image[..., self.channels])
        if not self.classes:
            return as_picture(levels)
        table = np.zeros((256, 3), np.uint8)
        table[: self.classes] = class_colors(data, self.classes)
        return table[levels[..., 0]]


def target_parts_of(data: DataConfig, original: Original | None) -> list[Part]:
    """Returns the parts of the target, or the whole as one part without a name."""
    if data.targets:
        return [
            Part(part.name, channels, part.classes, part.bounds, part.unit or "")
            for part, channels in channels_of_targets(data)
        ]
    channels, unit = slice(0, data.target_channels), data.target_unit or ""
    return [Part("", channels, data.target_classes, _bounds(data, TARGET, original), unit)]


def input_parts_of(data: DataConfig, original: Original | None) -> list[Part]:
    """Returns the images and label maps of the input that a figure shows, at most 3. Of neighbouring slices it is the
    middle. An image of 8 bits without a range is a picture, not values."""
    before = data.neighbour_slices
    if not data.inputs:
        channels = slice(before, before + 1) if before else slice(0, data.input_channels)
        is_picture = data.ranges[INPUT] is None and original is not None and original.dtypes[INPUT] == np.uint8
        bounds = None if is_picture else _bounds(data, INPUT, original)
        return [Part("input", channels, data.input_classes, bounds)]
    ends, parts = accumulate(part.stacked_channels for part in data.inputs), []
    for part, end in zip(data.inputs, ends, strict=True):
        channels = slice(end - part.stacked_channels, end)
        if before and part.kind == "image":
            channels = slice(channels.start + before, channels.start + before + 1)
        if part.kind in SHOWN_KINDS:
            parts.append(Part(part.name, channels, part.classes, part.range))
    return parts[:MOST_INPUTS]


def columns_of(inputs: Sequence[Part], target: Part) -> list[Column]:
    """Returns the columns of a figure: inputs, output, target and error."""
    words = [target.name, target.unit or ("" if target.name else "value")]
    shared = ("values", ", ".join(filter(None, words))) if target.has_values else ()
    of_error = target.unit or ("on [−1, 1]" if target.bounds is None else "output − target")
    error = () if target.classes else ("error", of_error, True)
    return [
        *(Column(part.name, f"of {part.name}", "value") if part.has_values else Column(part.name) for part in inputs),
        Column("output", *shared),
        Column("target", *shared),
        Column("error", *error),
    ]


def row_of(
    example: Example, inputs: Sequence[Part], target: Part, data: DataConfig, original: Original | None, heading: str
) -> ExampleRow:
    """Returns the images of an example. Where no pixel counts, output and error are masked."""
    masked = np.zeros(example.target.shape[:2], bool) if example.weight is None else example.weight[..., 0] == 0
    output, true = (_shown(target, image, data) for image in (example.translation, example.target))
    images = [_shown(part, example.input, data) for part in inputs]
    images += [_without(output, masked), true, _without(_error(target, example), masked)]
    facts = "" if example.input is None else in_words(example.input, data)
    pixel_mm = original and original.pixel_mm_at(*example.target.shape[:2], data)
    return ExampleRow(heading, facts, images, pixel_mm)


def _bounds(data: DataConfig, side: int, original: Original | None) -> tuple[float, float] | None:
    """Returns the values of a side that are -1 and 1: its range, or that of the files' type. None if they are not
    known, or if channels have ranges of their own."""
    value_range = data.ranges[side]
    if value_range is None and original is None:
        return None
    low, high = full_range(original.dtypes[side] if original else np.float32, value_range)
    return None if np.ndim(low) else (float(low), float(high))


def _shown(part: Part, image: np.ndarray, data: DataConfig) -> np.ndarray:
    return np.ma.array(part.values(image)[..., 0]) if part.has_values else part.picture(image, data)


def _error(part: Part, example: Example) -> np.ndarray:
    """Returns output minus target, of several channels the mean, or the colours of right and wrong classes."""
    if part.classes:
        output, true = (from_signed(image[..., part.channels]) for image in (example.translation, example.target))
        known = true < part.classes  # pixels of no class are not scored
        return np.where(known, np.where(output == true, RIGHT, WRONG), GRAY).astype(np.uint8)
    output, true = (part.values(image) for image in (example.translation, example.target))
    return np.ma.array((output - true).mean(axis=-1))


def _without(image: np.ndarray, masked: np.ndarray) -> np.ndarray:
    if isinstance(image, np.ma.MaskedArray):
        return np.ma.array(image, mask=masked)
    return np.where(masked[..., np.newaxis], np.uint8(GRAY), image)
