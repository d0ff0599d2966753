"""Measures the ranges of values of the training pairs, by percentiles (`data.input_percentiles`)."""

from __future__ import annotations

import numpy as np

from tfpix2pix.data import SOURCES
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.rules import LARGEST, RANGES
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.parallel import evenly_spread, in_order

MOST_READ = 1_000  # pairs
MOST_VALUES = 20_000  # of an image
EVERYTHING = (-LARGEST, LARGEST)


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
    read = [values for values in in_order(lambda index: _values(source, index), indices) if values is not None]
    if not read:
        return data
    measured = {}
    for key in keys:
        side, percentiles = list(RANGES).index(key), getattr(data, RANGES[key])
        values = np.concatenate([pair[side] for pair in read])
        low, high = (float(f"{value:.6g}") for value in np.percentile(values, percentiles))
        if not low < high:
            raise UserError(
                f"`data.{RANGES[key]}` must be of values that differ. Received {list(percentiles)}, which are both "
                f"{low:g} in {data.dir}. Take percentiles that are further apart, or set `data.{key}`."
            )
        measured[key] = (low, high)
    return data.model_copy(update=measured)


def _values(source: Source, index: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns values of the input and of the target of a pair, float64, of the pixels that count."""
    try:
        image, target, *weight = source.whole(index)
    except UserError:
        return None
    counts = weight[0][..., 0] > 0 if weight else None
    return _spread(image, counts), _spread(target, counts)


def _spread(image: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    """Returns up to `MOST_VALUES` values of an image, evenly spread over its pixels that count."""
    pixels = image[counts] if counts is not None and counts.shape == image.shape[:2] else image
    values = pixels.reshape(-1)
    return values[evenly_spread(len(values), MOST_VALUES)].astype(np.float64)
