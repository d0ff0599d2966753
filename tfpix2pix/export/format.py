"""What a row of `EXPORTERS` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Format:
    """How a format is written, read back as a `Translator`'s engine, and recognised on disk."""

    path: Callable[..., Path]  # (card, out) -> where an export goes
    write: Callable[..., None]  # (generator, card, path)
    read: Callable[..., Any]  # (path) -> Engine
    recognizes: Callable[[Path], bool]
    static: bool  # whether height, width and noise are fixed at export
    single_file: bool
