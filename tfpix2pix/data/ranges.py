"""Converts values of images between those of files and [-1, 1], by ranges that are given or measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tfpix2pix.data import SOURCES
from tfpix2pix.data.rules import LARGEST, RANGES
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.parallel import evenly_spread, in_order

if TYPE_CHECKING:
    from tfpix2pix.data.pairs import Source

Range = tuple[float, float] | tuple[tuple[float, float], ...]  # of black and white, for all channels or for each
MOST_READ = 1_000  # pairs
FEW_VALUES, LEAST_SHARE = 20, 1e-4  # clipped values: a note says the number of fewer, in place of the share
MOST_PIXELS = 20_000  # of an image
MOST_VALUES = 40_000_000  # of all images: 160 MB
EVERYTHING = (-LARGEST, LARGEST)


def full_range(dtype: np.dtype | type, value_range: Range | None = None) -> tuple[Any, Any]:
    """Returns the values that are mapped to -1 and 1: `value_range` if it is set, as arrays (C,) if each channel has
    its own.

    The default is 0 and the largest value of an integer type, or 0 and 1 for floats.
    """
    if value_range and isinstance(value_range[0], (list, tuple)):
        return tuple(np.array(value_range, np.float64).T)
    return value_range or (0.0, float(np.iinfo(dtype).max) if np.dtype(dtype).kind == "u" else 1.0)


def in_range(
    image: np.ndarray, value_range: Range | None, key: str, where: object, *, clip: bool = False, example: str = "",
) -> np.ndarray:  # fmt: skip
    """Returns the image. Values outside the range that is mapped to [-1, 1] become the nearest inside if `clip` is set.

    `example` shows how `key` is set; the default is by `--set`.

    Raises:
        UserError: values are not finite, or lie outside the range and `clip` is not set, or channels have ranges and
            the image has others.
    """
    if value_range is None and image.dtype.kind == "u":
        return image
    low, high = full_range(image.dtype, value_range)
    if by_channel := np.ndim(low) > 0:
        check_channels(image, len(low), where)
    axes = (0, 1) if by_channel else None
    least, most = image.min(axis=axes), image.max(axis=axes)
    slack = 1e-4 * (high - low)
    if not np.isfinite(image).all():
        raise UserError(
            f"Values of an image must be finite. Received NaN or infinity in {where}. Write numbers in their place, or "
            f"remove the file.",
            "finite",
        )
    if clip:
        return np.clip(image, low, high).astype(image.dtype) if np.any((least < low) | (most > high)) else image
    wrong = np.atleast_1d(~((low - slack <= least) & (most <= high + slack)))
    if wrong.any():
        channel = int(wrong.argmax())
        low, high, least, most = (np.atleast_1d(bound)[channel] for bound in (low, high, least, most))
        here = f" in channel {channel + 1}" if by_channel else " here"
        raise UserError(
            f"Values of an image must lie within `{key}`, {low:g} to {high:g}{here}. Received {least:g} to {most:g} in "
            f"{where}. Set `{key}` to the range of your data, as in {example or f'`--set {key}=[0,4095]`'}, or "
            f"`data.out_of_range` to clip.",
            "range",
        )
    return image


def check_channels(image: np.ndarray, channels: int, where: object) -> None:
    """Raises UserError if an image does not have the channels that have a range each."""
    if image.shape[-1] != channels:
        raise UserError(
            f"An image must have a channel for each range. Received {image.shape[-1]} in {where} for {channels} "
            f"ranges. Replace the file, or give two numbers for all channels.",
            "channels",
        )


def to_signed(image: np.ndarray, value_range: Range | None = None) -> np.ndarray:
    """Converts uint8, uint16 or float in `full_range` to float32 in [-1, 1]."""
    low, high = full_range(image.dtype, value_range)
    return (image.astype(np.float32) - np.float32(low)) * np.float32(2.0 / (high - low)) - np.float32(1.0)


def from_signed(image: np.ndarray, dtype: np.dtype | type = np.uint8, value_range: Range | None = None) -> np.ndarray:
    """Converts float in [-1, 1] to `full_range` of uint8, uint16 (clipped and rounded to nearest) or float32."""
    low, high = full_range(dtype, value_range)
    values = (np.asarray(image, np.float32) + 1.0) * np.float32((high - low) / 2.0) + np.float32(low)
    if np.dtype(dtype).kind != "u":
        return np.clip(values, low, high).astype(dtype)
    # A range may be wider than the type.
    low, high = (np.clip(end, 0, np.iinfo(dtype).max).astype(np.float32) for end in (low, high))
    values = np.clip(values, low, high)
    return np.rint(values, out=values).astype(dtype)


def of_depth(image: np.ndarray, dtype: np.dtype, numbers: Sequence[bool]) -> np.ndarray:
    """Converts float (…, C) in [-1, 1] to uint8 or uint16. Channels of `numbers` hold class indices in either."""
    values = from_signed(image, dtype)
    if dtype != np.uint8 and any(numbers):
        values[..., numbers] = from_signed(image[..., numbers])
    return values


def with_measured_ranges(data: DataConfig, seed: int) -> DataConfig:
    """Returns `data` with the ranges that its percentiles have over the training pairs, if they are not known yet.

    They are those of the pixels that count (`data.weight`), evenly spread over each of up to 1,000 pairs. Files that
    cannot be read are left to those who read them next. Without training pairs nothing is measured.

    Raises:
        UserError: all values are nearly the same, so that the percentiles are equal.
    """
    keys = [key for key in RANGES if getattr(data, RANGES[key]) and getattr(data, key) is None]
    if not keys:
        return data
    quiet = {"on_error": "skip", "cache_files_mb": 0}
    raw = data.model_copy(update={**quiet, **dict.fromkeys(RANGES, EVERYTHING)})
    try:
        source = SOURCES[data.source](raw, "train", seed)
    except UserError:
        return data
    indices = evenly_spread(len(source), MOST_READ)
    measured = {}
    for key in keys:
        side, percentiles = list(RANGES).index(key), getattr(data, RANGES[key])
        most = max(1, MOST_VALUES // (max(1, len(indices)) * (data.input_channels, data.target_channels)[side]))
        pixels = partial(_pixels, source, side, min(MOST_PIXELS, most))
        read = [values for values in in_order(pixels, indices) if values is not None]
        if not read:
            return data
        values = np.concatenate(read)  # (pixels, C)
        bands = values.T if data.percentiles_of == "channel" else [values.ravel()]
        ranges = [_rounded(*np.percentile(band, percentiles)) for band in bands]
        for low, high in ranges:
            if not low < high:
                raise UserError(
                    f"`data.{RANGES[key]}` must be of values that differ. Received {list(percentiles)}, which are both "
                    f"{low:g} in {data.dir}. Take percentiles that are further apart, or set `data.{key}`."
                )
        measured[key] = tuple(ranges) if len(ranges) > 1 else ranges[0]
    return data.model_copy(update=measured)


class Share(float):
    """A share of values, in [0, 1], that knows their number."""

    count: int

    def __new__(cls, share: float, count: int) -> Share:
        made = super().__new__(cls, share)
        made.count = count
        return made

    def __getnewargs__(self) -> tuple[float, int]:
        return float(self), self.count


def clipped_shares(source: Source, index: int, data: DataConfig, weight: np.ndarray | None) -> tuple[float, float]:
    """Returns the share of the values of each side of a pair, of pixels that count, that are clipped because they lie
    outside its range. Reads the files again."""
    shares = []
    for side, (clips, classes, value_range) in enumerate(zip(data.clips, data.classes, data.ranges, strict=True)):
        parts = data.inputs if side == 0 else None  # scaled as they are read, so a stack does not tell
        is_unknown = (source.parts if parts else source.stored) is None
        if not clips or classes or is_unknown or source.is_large(index):
            shares.append(Share(0.0, 0))
        elif parts:
            of_parts = clipped_in_parts(source.parts(index), data, weight)
            share = float(np.average(of_parts, weights=[part.stacked_channels for part in parts]))
            shares.append(Share(share, sum(of_part.count for of_part in of_parts)))
        else:
            shares.append(share_outside(source.stored(index, side), value_range, weight))
    return tuple(shares)


def clipped_in_parts(
    images: Sequence[np.ndarray | float], data: DataConfig, weight: np.ndarray | None = None
) -> list[Share]:
    """Returns the share of the values of each part of an input (`data.inputs`) that are clipped.

    `images`: the parts as files hold them, and numbers.
    """
    return [
        share_outside(image, part.range, weight) if part.row.clipped else Share(0.0, 0)
        for image, part in zip(images, data.inputs, strict=True)
    ]


def share_outside(image: np.ndarray | float, value_range: Range | None, weight: np.ndarray | None = None) -> Share:
    """Returns the share of the values of an image, of pixels that count, that lie outside a range. A number is one."""
    outside = is_outside(np.asarray(image), value_range)
    counts = weight is not None and weight.shape[:2] == outside.shape[:2]
    outside = outside[weight[..., 0] > 0] if counts else outside
    return Share(float(outside.mean()), int(outside.sum())) if outside.size else Share(0.0, 0)


def is_outside(image: np.ndarray, value_range: Range | None) -> np.ndarray:
    """Returns which values of an image lie outside a range, bool of the image's shape."""
    low, high = full_range(image.dtype, value_range)
    return (image < low) | (image > high)


def are_few(count: int, mean_share: float) -> bool:
    """Returns True if so few values are clipped that a note says their number."""
    return count <= FEW_VALUES and mean_share < LEAST_SHARE


def percent(share: float) -> str:
    """Words a share in percent, by two digits: `2.4 %`."""
    return f"{100 * share:.{3 if share > 0.995 else 2}g} %"


def on_clipped(shares: Sequence[tuple[float, float]], data: DataConfig) -> list[str]:
    """Returns sentences on the values of images that are clipped, from `clipped_shares` of each of them."""
    sides = (("input", data.inputs), ("target", data.targets))
    keys = [f"the ranges of `data.{side}s`" if parts else f"`data.{side}_range`" for side, parts in sides]
    values_of = "all values" if data.weight is None else "the values that count"
    lines = []
    for key, of_side in zip(keys, zip(*shares, strict=True), strict=False):
        if any(of_side):
            images = sum(share > 0 for share in of_side)
            count, mean = sum(share.count for share in of_side if share), statistics.mean(map(float, of_side))
            if are_few(count, mean):
                values, those = ("value", "lies") if count == 1 else ("values", "lie")
                lines.append(
                    f"{count} {values} in {images} of {len(of_side)} images {those} outside {key} and "
                    f"{'is' if count == 1 else 'are'} clipped."
                )
                continue
            lines.append(
                f"{images} of {len(of_side)} images have values outside {key}, which are clipped: "
                f"{percent(mean)} of {values_of}, {percent(max(of_side))} of an image at most."
            )
    return lines


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Returns the range with as many digits as tell a millionth of its width."""
    digits = 6 - math.floor(math.log10(high - low)) if high > low else 6
    return round(float(low), digits), round(float(high), digits)


def _pixels(source: Source, side: int, at_most: int, index: int) -> np.ndarray | None:
    """Returns up to `at_most` pixels of a side of a pair, evenly spread over those that count: float32 (pixels, C).

    Of a large pair they are those of its middle.
    """
    try:
        *pair, weight = (*source.sample(index), None)[:3]
    except UserError:
        return None
    image, counts = pair[side], None if weight is None else weight[..., 0] > 0
    pixels = image[counts] if counts is not None and counts.shape == image.shape[:2] else image
    pixels = pixels.reshape(-1, image.shape[-1])
    return pixels[evenly_spread(len(pixels), at_most)].astype(np.float32)
