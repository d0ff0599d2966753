"""Whether an export does what the Keras view does: measured after every export, and an error where it does not."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tfpix2pix.errors import RunError
from tfpix2pix.inference import Engine

TOLERANCE = 1e-4  # of float32 exports, on [-1, 1]
CLASS_TOLERANCE = 1e-3  # share of pixels of another class: where two classes score alike, the last digit decides
REPETITIONS = 5


@dataclass(frozen=True)
class ParityReport:
    """How an export compares with the Keras view on the same images."""

    format: str
    path: str
    images: int
    max_abs_error: float  # on [-1, 1]; of label maps, the share of pixels of another class
    psnr_db: float  # against the Keras view; infinite where equal
    keras_latency_s: float  # median of an image of the first shape
    latency_s: float
    size_mb: float

    def as_dict(self) -> dict:
        return asdict(self)


def verify(
    reference: Engine, exported: Engine, images: Sequence[np.ndarray], format: str, written: Path, path: Path
) -> ParityReport:
    """Runs both on `images` (each float32 (1, H, W, C) in [-1, 1]), with noise too where both can, and compares.

    `written` is where the export lies now, `path` where it will be.

    Raises:
        RunError: the largest difference exceeds `TOLERANCE`, or that of label maps `CLASS_TOLERANCE`.
    """
    label_maps = bool(exported.card.config.data.target_classes)
    tolerance = CLASS_TOLERANCE if label_maps else TOLERANCE
    vectors: list[np.ndarray | None] = [None]
    if exported.card.noise_size:
        vectors.append(np.random.default_rng(0).random((1, exported.card.noise_size), np.float32))
    differences = [reference(image, vector) - exported(image, vector) for image in images for vector in vectors]
    if label_maps:
        largest = max(float(np.mean(difference != 0)) for difference in differences)
    else:
        largest = max(float(np.abs(difference).max()) for difference in differences)
    mean_square = float(np.mean([np.mean(np.square(difference)) for difference in differences]))
    report = ParityReport(
        format=format,
        path=str(path),
        images=len(images),
        max_abs_error=largest,
        psnr_db=float("inf") if mean_square == 0 else 10 * float(np.log10(4.0 / mean_square)),
        keras_latency_s=_latency(reference, images[0]),
        latency_s=_latency(exported, images[0]),
        size_mb=_size_mb(written),
    )
    if not largest <= tolerance:  # also catches NaN
        raise RunError(
            f"An export must agree with the trained generator within {tolerance}. Received a difference of "
            f"{largest:.3g} for {path}. It was not kept; please report this with the model card."
        )
    return report


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
