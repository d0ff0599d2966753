"""What a row of `EXPORTERS` is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_DTYPES = ("float32", "uint8")  # of the image tensors: [-1, 1], or pixels from 0 to 255


@dataclass(frozen=True)
class Tolerance:
    """How far an export may lie from the Keras view of the same weights; a file that lies farther is refused."""

    other_classes: float  # of label maps: share of pixels of another class, where two classes score alike
    max_abs_error: float | None = None  # of images, on [-1, 1]
    min_psnr_db: float | None = None  # of images, over the held-out inputs that it is measured on


@dataclass(frozen=True)
class Format:
    """How a format is written, read back as a `Translator`'s engine, and recognised on disk."""

    path: Callable[..., Path]  # (card, out) -> where an export goes
    write: Callable[..., None]  # (generator, card, path, calibration images)
    read: Callable[..., Any]  # (path, trust) -> Engine
    recognizes: Callable[[Path], bool]
    static: bool  # whether height, width and noise are fixed at export
    single_file: bool
    quantizations: Mapping[str, Tolerance]  # the types that weights can have, from the most faithful to the smallest
    image_dtypes: tuple[str, ...] = IMAGE_DTYPES


@dataclass(frozen=True)
class Options:
    """What an export is asked to be; `exporting.export_run` says what each means."""

    noise: str | None = None
    size_px: int | None = None
    quantize: str = "none"
    image_dtype: str = "float32"
    name: str | None = None
