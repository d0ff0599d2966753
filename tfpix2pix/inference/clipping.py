"""Counts the values of inputs that are clipped because they lie outside a model's range, to say so once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from tfpix2pix.data.ranges import Share, are_few, clipped_in_parts, is_outside, percent, share_outside
from tfpix2pix.data.regions import Mapped, Regions
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import listed, plural
from tfpix2pix.inference.items import INPUT

MOST_NAMES = 3  # of files in a sentence


class Clipped:
    """Counts the clipped values of inputs, from any number of threads.

    Attributes:
        data: the section `data` of a model.
        may_be: whether values are clipped at all.
    """

    def __init__(self, data: DataConfig) -> None:
        self.data, self.may_be = data, data.clips[INPUT] and not data.input_classes
        self._shares: list[tuple[str, Sequence[Share]]] = []  # name of an input with clipped values, share of each part
        self._counting: list[tuple[str, _Counting]] = []
        self._lock = Lock()

    def add(self, name: str, stored: np.ndarray | Sequence[np.ndarray | float]) -> None:
        """Counts the values of an input that lie outside, from its image (H, W, C), or from its parts as files hold
        them."""
        if self.data.inputs:
            shares = clipped_in_parts(stored, self.data)
        else:
            shares = [share_outside(stored, self.data.ranges[INPUT])]
        if any(shares):
            with self._lock:
                self._shares.append((name, shares))

    def counting(self, image: Regions | Mapped, fit: Callable[[np.ndarray], np.ndarray], name: str) -> Mapped:
        """Returns an image that is read by region through `fit`, which clips. The values that are read are counted,
        each once."""
        counting = _Counting(image, fit, self.data)
        with self._lock:
            self._counting.append((name, counting))
        return counting

    def plain(self) -> list[Any]:
        """Returns the counts as plain data, for another process."""
        by_region = [(name, [counting.share()]) for name, counting in self._counting]
        rows = [(name, shares) for name, shares in [*self._shares, *by_region] if any(shares)]
        return [[name, [[float(share), share.count] for share in shares]] for name, shares in rows]

    def update(self, plain: Sequence[Any]) -> None:
        """Adds the counts of another process."""
        self._shares += [(name, [Share(*share) for share in shares]) for name, shares in plain]

    def clear(self) -> None:
        """Forgets all counts."""
        self._shares, self._counting = [], []

    def sentence(self, count: int, noun: str = "images") -> str:
        """Says how many values were clipped in which of `count` inputs, and for parts of an input in which part.
        Returns "" if no value was."""
        rows = [(name, [Share(*share) for share in shares]) for name, shares in self.plain()]
        if not rows:
            return ""
        parts = self.data.inputs
        what = "the ranges of `data.inputs`" if parts else "`data.input_range`"
        amounts = []
        for part, of_part in zip(parts or (None,), zip(*(shares for _, shares in rows), strict=True), strict=True):
            if any(of_part):
                names = sorted({name for (name, _), share in zip(rows, of_part, strict=True) if share})
                amount = f"{_amount(of_part, count, noun)} in {listed(names, MOST_NAMES)}"
                amounts.append(f"{part.name} {amount}" if part else amount)
        return f"{len(rows)} of {count} {noun} have values outside {what}, which were clipped: {'; '.join(amounts)}."


class _Counting(Mapped):
    """Counts the values outside the range of an image that is read by region, from the top. Values that are read again
    are not counted again."""

    def __init__(self, image: Regions | Mapped, fit: Callable[[np.ndarray], np.ndarray], data: DataConfig) -> None:
        super().__init__(image, fit, image.shape[-1])
        self._range, self._outside, self._lock = data.ranges[INPUT], 0, Lock()
        self._next_rows = np.zeros(image.shape[1], np.int64)  # of each column, the first that has not been counted

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        part = self._image[place]
        fitting = self._function(part)
        (top, bottom), (left, right) = (
            bounds.indices(side)[:2] for bounds, side in zip(place, self.shape[:2], strict=True)
        )
        with self._lock:
            next_rows = self._next_rows[left:right]
            if fitting is not part:
                is_new = np.arange(top, bottom)[:, np.newaxis] >= next_rows
                self._outside += int((is_outside(part, self._range) & is_new[..., np.newaxis]).sum())
            np.maximum(next_rows, bottom, out=next_rows)
        return fitting

    def share(self) -> Share:
        """Returns the share of the image's values that lie outside, of those that have been read."""
        return Share(self._outside / np.prod(self.shape, dtype=np.float64), self._outside)


def _amount(shares: Sequence[Share], count: int, noun: str) -> str:
    """Words the clipped values of `count` inputs, of which `shares` has those with any."""
    values, mean = sum(share.count for share in shares), sum(map(float, shares)) / count
    if are_few(values, mean):
        return plural(values, "value")
    share = f"{percent(mean)} of all values"
    each = "an image" if noun == "images" else "a frame"
    return f"{share}, {percent(max(shares))} of {each} at most," if count > 1 else share
