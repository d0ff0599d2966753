"""Writes trained generators as files that work without tfpix2pix.

A new format is a row of `EXPORTERS`, and a module with `write` and `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfpix2pix.tables import lazy

IMAGE_DTYPES = ("float32", "uint8")  # of the image tensors: [-1, 1], or pixels from 0 to 255


@dataclass(frozen=True)
class Tolerance:
    """How far an export may lie from the Keras view of the same weights; a file that lies farther is refused."""

    other_classes: float  # of label maps: share of pixels of another class, since two classes may score alike
    max_abs_error: float | None = None  # of images, on [-1, 1]
    min_psnr_db: float | None = None  # of images, over the held-out inputs that it is measured on


@dataclass(frozen=True)
class Quantization:
    """A row of `QUANTIZATIONS`: how an export stores its weights."""

    bits: int  # of a weight
    dtype: str  # of a weight
    tolerance: Tolerance
    tflite: Callable[..., bytes] | None = (
        None  # (converter, samples of the graph's inputs) -> the file, if TFLite has it
    )
    calibrated: bool = False  # whether ranges are measured on real inputs


FAITHFUL = Tolerance(other_classes=1e-3, max_abs_error=1e-4)
IN_16_BITS = Tolerance(other_classes=1e-2, min_psnr_db=50.0)
IN_8_BITS = Tolerance(other_classes=5e-2, min_psnr_db=35.0)

QUANTIZATIONS = {
    "none": Quantization(32, "float32", FAITHFUL, lazy("tfpix2pix.export.quantization", "unquantized")),
    "float16": Quantization(16, "float16", IN_16_BITS, lazy("tfpix2pix.export.quantization", "float16")),
    "bfloat16": Quantization(16, "bfloat16", IN_16_BITS),
    "dynamic": Quantization(8, "int8", IN_8_BITS, lazy("tfpix2pix.export.quantization", "dynamic")),
    "int8": Quantization(8, "int8", IN_8_BITS, lazy("tfpix2pix.export.quantization", "int8"), calibrated=True),
}
BITS = {name: row.bits for name, row in QUANTIZATIONS.items()}  # for programs that imported it before the table
CALIBRATED = tuple(name for name, row in QUANTIZATIONS.items() if row.calibrated)  # likewise


@dataclass(frozen=True)
class Format:
    """A row of `EXPORTERS`: how a format is written, read back as a `Translator`'s engine, and recognised on disk.

    `quantizations` go from the most faithful to the smallest. A bare `Tolerance` takes the place of that in the row of
    `QUANTIZATIONS` with the same name.
    """

    path: Callable[..., Path]  # (card, out) -> where an export goes
    write: Callable[..., None]  # (generator, card, path, calibration images)
    read: Callable[..., Any]  # (path, trust) -> Engine
    recognizes: Callable[[Path], bool]
    static: bool  # whether height, width and noise are fixed at export
    single_file: bool
    quantizations: Mapping[str, Quantization]
    image_dtypes: tuple[str, ...] = IMAGE_DTYPES

    def __post_init__(self) -> None:
        rows = {
            name: replace(QUANTIZATIONS.get(name, QUANTIZATIONS["none"]), tolerance=row)
            if isinstance(row, Tolerance)
            else row
            for name, row in self.quantizations.items()
        }
        object.__setattr__(self, "quantizations", rows)


@dataclass(frozen=True)
class Options:
    """The choices of an export; `runs.export.export_run` explains each."""

    noise: str | None = None
    size_px: int | None = None
    quantize: str = "none"
    image_dtype: str = "float32"
    name: str | None = None


def _quantizations(*names: str) -> dict[str, Quantization]:
    return {name: QUANTIZATIONS[name] for name in names}


EXPORTERS = {
    "saved_model": Format(
        path=lazy("tfpix2pix.export.saved_model", "path_of"),
        write=lazy("tfpix2pix.export.saved_model", "write"),
        read=lazy("tfpix2pix.export.saved_model", "read"),
        recognizes=lambda path: (path / "saved_model.pb").is_file(),
        static=False,
        single_file=False,
        quantizations=_quantizations("none", "float16", "bfloat16"),
    ),
    "tflite": Format(
        path=lazy("tfpix2pix.export.tflite", "path_of"),
        write=lazy("tfpix2pix.export.tflite", "write"),
        read=lazy("tfpix2pix.export.tflite", "read"),
        recognizes=lambda path: path.suffix == ".tflite" and path.is_file(),
        static=True,
        single_file=True,
        quantizations=_quantizations("none", "float16", "dynamic", "int8"),
    ),
    "keras": Format(
        path=lazy("tfpix2pix.export.keras_file", "path_of"),
        write=lazy("tfpix2pix.export.keras_file", "write"),
        read=lazy("tfpix2pix.export.keras_file", "read"),
        recognizes=lambda path: path.suffix == ".keras" and path.is_file(),
        static=True,
        single_file=True,
        quantizations=_quantizations("none"),
        image_dtypes=("float32",),
    ),
    "onnx": Format(
        path=lazy("tfpix2pix.export.onnx", "path_of"),
        write=lazy("tfpix2pix.export.onnx", "write"),
        read=lazy("tfpix2pix.export.onnx", "read"),
        recognizes=lambda path: path.suffix == ".onnx" and path.is_file(),
        static=True,
        single_file=True,
        quantizations=_quantizations("none"),
        image_dtypes=("float32",),
    ),
}
