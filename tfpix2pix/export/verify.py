"""Whether an export does what the Keras view does: measured after every export, and an error where it does not."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tfpix2pix.data.images import from_signed, to_signed
from tfpix2pix.errors import RunError
from tfpix2pix.export.coverage import Coverage
from tfpix2pix.export.format import Tolerance
from tfpix2pix.inference import Engine

REPETITIONS = 7
LEVEL = 2.0 / 255.0 + 1e-4  # of pixels, on [-1, 1]: where a value lies between two, the last digit decides


@dataclass(frozen=True)
class ParityReport:
    """How an export compares with the Keras view of the trained generator on the same images."""

    format: str
    path: str
    quantization: str
    images: int
    max_abs_error: float  # on [-1, 1]; of label maps, the share of pixels of another class
    psnr_db: float  # infinite where equal
    keras_latency_s: float  # median of an image of the first shape
    latency_s: float
    size_mb: float  # of 10⁶ bytes
    nodes: int | None = None  # of a TFLite file: operations, and how many of them XNNPACK runs
    delegated_nodes: int | None = None

    def as_dict(self) -> dict:
        return asdict(self)


def verify(
    reference: Engine,
    exported: Engine,
    images: Sequence[np.ndarray],
    tolerance: Tolerance,
    format: str,
    written: Path,
    path: Path,
) -> ParityReport:
    """Runs both on `images` (each float32 (1, H, W, C) in [-1, 1]), with noise too where both can, and compares.

    `written` is where the export lies now, `path` where it will be.

    Raises:
        RunError: they differ by more than the tolerance, or convolutions of a TFLite file run outside XNNPACK.
    """
    card = exported.card
    label_maps, pixels = bool(card.config.data.target_classes), card.fixed_size_px and card.image_dtype == "uint8"
    if pixels:
        images = [to_signed(from_signed(image)) for image in images]
    vectors: list[np.ndarray | None] = [None]
    if card.noise_size:
        vectors.append(np.random.default_rng(0).random((1, card.noise_size), np.float32))
    pairs = [(reference(image, vector), exported(image, vector)) for image in images for vector in vectors]
    if label_maps:
        largest = max(float(np.mean(from_signed(one) != from_signed(other))) for one, other in pairs)
    else:
        largest = max(float(np.abs(one - other).max()) for one, other in pairs)
    mean_square = float(np.mean([np.mean(np.square(one - other)) for one, other in pairs]))
    coverage: Coverage | None = getattr(exported, "coverage", None)
    report = ParityReport(
        format=format,
        path=str(path),
        quantization=card.quantization,
        images=len(images),
        max_abs_error=largest,
        psnr_db=float("inf") if mean_square == 0 else 10 * float(np.log10(4.0 / mean_square)),
        keras_latency_s=_latency(reference, images[0]),
        latency_s=_latency(exported, images[0]),
        size_mb=_size_mb(written),
        nodes=coverage and coverage.nodes,
        delegated_nodes=coverage and coverage.delegated,
    )
    _check_difference(report, tolerance, label_maps=label_maps, pixels=bool(pixels))
    if coverage and coverage.heavy_left:
        raise RunError(
            f"A TFLite file must run its convolutions in XNNPACK, or an image takes many times as long. Received "
            f"{', '.join(coverage.heavy_left)} outside of it for {path}. It was not kept; choose another --quantize."
        )
    return report


def _check_difference(report: ParityReport, tolerance: Tolerance, *, label_maps: bool, pixels: bool) -> None:
    """Raises RunError beyond the tolerance; comparisons are such that NaN is beyond it, too."""
    largest, psnr = report.max_abs_error, report.psnr_db
    if label_maps:
        allowed, kept = f"{tolerance.other_classes:g} of the pixels", largest <= tolerance.other_classes
    elif tolerance.max_abs_error is not None:
        most = max(tolerance.max_abs_error, LEVEL if pixels else 0.0)
        allowed, kept = f"{most:.4g} on [-1, 1]", largest <= most
    else:
        allowed, kept = f"{tolerance.min_psnr_db:g} dB", psnr >= tolerance.min_psnr_db
    if not kept:
        changed = report.quantization != "none"
        advice = "choose another --quantize" if changed else "please report this with the model card"
        raise RunError(
            f"An export must agree with the trained generator within {allowed}. Received a largest difference of "
            f"{largest:.3g}, {psnr:.1f} dB, for {report.path}. It was not kept; {advice}."
        )


def _latency(engine: Engine, image: np.ndarray) -> float:
    engine(image, None)
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        engine(image, None)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _size_mb(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6
