"""Writes trained generators as files that work without tfpix2pix.

A new format is a row of `EXPORTERS`, and a module with `write` and `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tfpix2pix.size import SizePx
from tfpix2pix.tables import lazy

IMAGE_DTYPES = ("float32", "uint8")  # of the image tensors: [-1, 1], or pixels from 0 to 255


@dataclass(frozen=True)
class Tolerance:
    """Limits how far an export may be from the Keras view of the same weights. A file that is farther is refused."""

    other_classes: float  # of label maps: share of pixels of another class, since two classes may score alike
    max_abs_error: float | None = None  # of images, on [-1, 1]
    min_psnr_db: float | None = None  # of images, over the held-out inputs that it is measured on


@dataclass(frozen=True)
class Quantization:
    """Describes how an export stores its weights: a row of `QUANTIZATIONS`."""

    bits: int  # of a weight
    dtype: str  # of a weight
    tolerance: Tolerance
    # (converter, samples of the graph's inputs) -> the file; None: TFLite does not have it
    tflite: Callable[..., bytes] | None = None
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
BITS = {
    name: row.bits for name, row in QUANTIZATIONS.items()
}  # kept for programs that were written for earlier versions
CALIBRATED = tuple(name for name, row in QUANTIZATIONS.items() if row.calibrated)  # likewise


@dataclass(frozen=True)
class Format:
    """Describes how a format is written, read back as a `Translator`'s engine and recognised: a row of `EXPORTERS`.

    `quantizations` go from the most faithful to the smallest. A `Tolerance` alone replaces that of the row of
    `QUANTIZATIONS` with the same name.
    """

    path: Callable[..., Path]  # (card, out) -> path of an export
    write: Callable[..., None]  # (generator, card, path, calibration images); with `runtime` also runtime, examples
    read: Callable[..., Any]  # (path, trust) -> Engine
    recognizes: Callable[[Path], bool]
    static: bool  # whether height, width and noise are fixed at export
    single_file: bool
    quantizations: Mapping[str, Quantization]
    image_dtypes: tuple[str, ...] = IMAGE_DTYPES
    one_file: bool = False  # whether an input must be one file
    one_range: bool = False  # whether all channels must have one range
    squares: bool = False  # whether height and width must be equal
    runtime: Callable[..., Any] | None = None  # (folder or None) -> the program that exports hold beside the model
    varies: bool = False  # whether exports take noise if the model was made for variety, unless told otherwise
    size_mb: Callable[[float], float] = float  # of an export, MB, from that of its model

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
    """Holds the choices of an export, which `runs.export.export_run` explains."""

    noise: str | None = None
    size_px: SizePx | None = None
    quantize: str = "none"
    image_dtype: str = "float32"
    name: str | None = None
    runtime: str | Path | None = None


def static_path(card: Any, out: Path, suffix: str) -> Path:
    """Returns `<out>/<name>-<size>px` with the suffix of a static format. Options that are not the default follow."""
    parts = [
        f"{card.name}-{card.static_size_px}px",
        "noise" if card.noise_size else "",
        card.image_dtype if card.image_dtype != "float32" else "",
        card.quantization if card.quantization != "none" else "",
    ]
    return out / ("-".join(filter(None, parts)) + suffix)


def next_version(parent: Path) -> int:
    """Returns one more than the largest number of a folder in `parent`."""
    versions = [int(path.name) for path in parent.iterdir() if path.name.isdigit()] if parent.is_dir() else []
    return max(versions, default=0) + 1


def _quantizations(*names: str) -> dict[str, Quantization]:
    return {name: QUANTIZATIONS[name] for name in names}


_OF_TFLITE = _quantizations("none", "float16", "dynamic", "int8")
_OF_PAGES = {  # a page holds a TFLite file and the program that runs it
    "static": True,
    "quantizations": _OF_TFLITE,
    "image_dtypes": ("float32",),
    "one_file": True,
    "one_range": True,
    "squares": True,
    "runtime": lazy("tfpix2pix.export.web.runtime", "obtain"),
    "varies": True,
}
EXPORTERS = {
    "saved_model": Format(
        path=lambda card, out: out / card.name / str(next_version(out / card.name)),
        write=lazy("tfpix2pix.export.saved_model", "write"),
        read=lazy("tfpix2pix.export.saved_model", "read"),
        recognizes=lambda path: (path / "saved_model.pb").is_file(),
        static=False,
        single_file=False,
        quantizations=_quantizations("none", "float16", "bfloat16"),
    ),
    "tflite": Format(
        path=partial(static_path, suffix=".tflite"),
        write=lazy("tfpix2pix.export.tflite", "write"),
        read=lazy("tfpix2pix.export.tflite", "read"),
        recognizes=lambda path: path.suffix == ".tflite" and path.is_file(),
        static=True,
        single_file=True,
        quantizations=_OF_TFLITE,
    ),
    "keras": Format(
        path=partial(static_path, suffix=".keras"),
        write=lazy("tfpix2pix.export.keras_file", "write"),
        read=lazy("tfpix2pix.export.keras_file", "read"),
        recognizes=lambda path: path.suffix == ".keras" and path.is_file(),
        static=True,
        single_file=True,
        quantizations=_quantizations("none"),
        image_dtypes=("float32",),
    ),
    "onnx": Format(
        path=partial(static_path, suffix=".onnx"),
        write=lazy("tfpix2pix.export.onnx", "write"),
        read=lazy("tfpix2pix.export.onnx", "read"),
        recognizes=lambda path: path.suffix == ".onnx" and path.is_file(),
        static=True,
        single_file=True,
        quantizations=_quantizations("none"),
        image_dtypes=("float32",),
    ),
    "web": Format(
        path=lambda card, out: out,
        write=lazy("tfpix2pix.export.web.page", "write_folder"),
        read=lazy("tfpix2pix.export.web.page", "read_folder"),
        recognizes=lazy("tfpix2pix.export.web", "is_folder"),
        single_file=False,
        size_mb=lambda model_mb: model_mb + 19.4,
        **_OF_PAGES,
    ),
    "html": Format(
        path=partial(static_path, suffix=".html"),
        write=lazy("tfpix2pix.export.web.page", "write_file"),
        read=lazy("tfpix2pix.export.web.page", "read_file"),
        recognizes=lazy("tfpix2pix.export.web", "is_file"),
        single_file=True,
        size_mb=lambda model_mb: model_mb * 4 / 3 + 8.0,  # in base64
        **_OF_PAGES,
    ),
}
