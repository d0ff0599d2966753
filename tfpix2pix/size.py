"""Defines `Size`, the height and width of an image, and how files, cards and options hold it.

A square is one number, its side; a rectangle is two, height and width. `Size.of` turns either into a `Size`, so that
nothing else needs to ask which of the two it got.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Union

SizePx = Union[int, tuple[int, int]]  # as it is held: the side of a square, or height and width


class Size(NamedTuple):
    """Holds the height and width of an image, px."""

    height: int
    width: int

    @classmethod
    def of(cls, size_px: SizePx) -> Size:
        """Returns the size of a square's side, or of (height, width)."""
        return cls(*size_px) if isinstance(size_px, Sequence) else cls(size_px, size_px)

    @classmethod
    def parse(cls, text: str | int) -> Size | None:
        """Returns the size that a text names, `256` or `512x1024` (height x width). None: it is no such text."""
        sides = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", str(text), re.ASCII)
        return sides and cls(int(sides[1]), int(sides[2] or sides[1]))

    @property
    def value(self) -> SizePx:
        """Returns the size as files and cards hold it: the side of a square, or (height, width)."""
        return self.height if self.is_square else tuple(self)

    @property
    def is_square(self) -> bool:
        return self.height == self.width

    def map(self, change: Callable[[int], int]) -> Size:
        """Returns the size with `change` applied to both sides."""
        return Size(change(self.height), change(self.width))

    def __str__(self) -> str:
        return str(self.height) if self.is_square else f"{self.height}x{self.width}"
