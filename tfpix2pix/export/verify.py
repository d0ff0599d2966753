"""Measures after every export how far it is from the trained generator, and refuses one that is too far."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tfpix2pix.data.ranges import from_signed, to_signed
from tfpix2pix.errors import RunError
from tfpix2pix.export import Tolerance
from tfpix2pix.export.tflite import Coverage
from tfpix2pix.inference.parity import LEVELS, Distance, distance, in_words, translations_in_float64
from tfpix2pix.inference.view import Engine, KerasEngine

REPETITIONS = 7
LEVEL = 2.0 / 255.0 + 1e-4  # of pixels, on [-1, 1]: the last digit of a value decides how it is rounded
AS_KERAS = 2.0  # an export's distance from float64 may be so many times that of the float32 Keras view


@dataclass(frozen=True)
class ParityReport:
    """Holds the comparison of an export with the trained generator in float64, on the same images.

    Attributes:
        format, quantization: rows of `EXPORTERS` and of its `quantizations`.
        path: path of the export.
        images: number of images that it was measured on, each also with noise if it takes noise.
        max_abs_error: largest difference on [-1, 1]; of label maps, the share of pixels of another class. Of targets
            in several files it is that of the images, if there are any.
        max_error_levels: the same in levels of 255; None for label maps.
        psnr_db: over all images; infinite if they are equal.
        keras_max_abs_error: largest difference of the float32 Keras view of the same weights.
        keras_latency_s, latency_s: median time of an image of the first shape.
        size_mb: size on disk in 10⁶ bytes.
        nodes, delegated_nodes: of a TFLite file, the number of operations, and of those that XNNPACK runs.
        other_classes: share of pixels of another class, of the label maps beside images (`data.targets`).
    """

    format: str
    path: str
    quantization: str
    images: int
    max_abs_error: float
    max_error_levels: float | None
    psnr_db: float
    keras_max_abs_error: float
    keras_latency_s: float
    latency_s: float
    size_mb: float
    nodes: int | None = None
    delegated_nodes: int | None = None
    other_classes: float | None = None

    def as_dict(self) -> dict:
        """Returns the attributes, for JSON."""
        return asdict(self)


def verify(
    view: KerasEngine,
    exported: Engine,
    images: Sequence[np.ndarray],
    tolerance: Tolerance,
    format: str,
    written: Path,
    path: Path,
) -> ParityReport:
    """Runs an export on `images`, also with noise if it takes noise, and compares it with its generator in float64.

    Args:
        view: the float32 Keras view of the generator.
        exported: the export, loaded by its runtime.
        images: each float32 (1, H, W, C) in [-1, 1].
        tolerance: tolerance of the format and quantisation.
        format: a row of `EXPORTERS`.
        written: present path of the export.
        path: its final path.

    Raises:
        RunError: the export is farther off than the tolerance, and than `AS_KERAS` times the Keras view on the same
            image, or convolutions of a TFLite file run outside XNNPACK.
    """
    card = exported.card
    are_numbers = np.array(card.config.data.numbers[1])  # of each channel: class indices
    label_maps, beside = bool(are_numbers.all()), are_numbers.any() and not are_numbers.all()
    pixels = bool(card.static_size_px and card.image_dtype == "uint8")
    if pixels:
        images = [to_signed(from_signed(image)) for image in images]
    vectors: list[np.ndarray | None] = [None]
    if card.noise_size:
        vectors.append(np.random.default_rng(0).random((1, card.noise_size), np.float32))
    inputs = [(image, vector) for image in images for vector in vectors]
    reference = translations_in_float64(view, inputs)
    measure = _other_classes if label_maps else distance
    translations = [[engine(*pair) for pair in inputs] for engine in (exported, view)]
    sides = [_channels(images, are_numbers == label_maps) for images in (*translations, reference)]
    of_export, of_keras = (measure(side, sides[2]) for side in sides[:2])
    maps = [_channels(images, are_numbers) for images in (*translations, reference)] if beside else []
    of_maps = [_other_classes(side, maps[2]) for side in maps[:2]]
    coverage: Coverage | None = getattr(exported, "coverage", None)
    report = ParityReport(
        format=format,
        path=str(path),
        quantization=card.quantization,
        images=len(images),
        max_abs_error=of_export.max_abs_error,
        max_error_levels=None if label_maps else of_export.max_abs_error * LEVELS,
        psnr_db=of_export.psnr_db,
        keras_max_abs_error=of_keras.max_abs_error,
        keras_latency_s=latency_of(view, images[0]),
        latency_s=latency_of(exported, images[0]),
        size_mb=_size_mb(written),
        nodes=coverage and coverage.nodes,
        delegated_nodes=coverage and coverage.delegated,
        other_classes=of_maps[0].max_abs_error if of_maps else None,
    )
    _check(report, of_export, of_keras, tolerance, label_maps=label_maps, pixels=pixels)
    if of_maps:
        _check(report, *of_maps, tolerance, label_maps=True, pixels=pixels)
    if coverage and coverage.heavy_left:
        raise RunError(
            f"A TFLite file must run its convolutions in XNNPACK, or an image takes many times as long. Received "
            f"{', '.join(coverage.heavy_left)} outside of it for {path}. It was removed. Choose another `quantize`."
        )
    return report


def _channels(images: Sequence[np.ndarray], chosen: np.ndarray) -> list[np.ndarray]:
    """Returns the channels of images (N, H, W, C) for which `chosen`, bool (C,), is True."""
    return list(images) if chosen.all() else [image[..., chosen] for image in images]


def _other_classes(translations: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> Distance:
    """Returns the distance of label maps: shares of pixels of another class in place of largest differences."""
    shares = []
    for translation, expected in zip(translations, reference, strict=True):
        same = from_signed(translation) == from_signed(expected) if np.isfinite(translation).all() else np.nan
        shares.append(float(1.0 - np.mean(same)))
    return Distance(tuple(shares), distance(translations, reference).mean_square)


def _check(
    report: ParityReport, of_export: Distance, of_keras: Distance, tolerance: Tolerance, *,
    label_maps: bool, pixels: bool,
) -> None:  # fmt: skip
    """Raises RunError if an export is out of its tolerance, as NaN always is."""
    by_image = zip(of_export.largest, of_keras.largest, strict=True)
    if label_maps:
        most, unit = tolerance.other_classes, "of the pixels"
        received = f"{of_export.max_abs_error:.3g} of the pixels of another class"
    else:
        most, unit = max(tolerance.max_abs_error or 0.0, LEVEL if pixels else 0.0), "on [-1, 1]"
        received = f"a largest difference of {in_words(of_export.max_abs_error, of_export.psnr_db)}"
    if label_maps or tolerance.max_abs_error is not None:
        allowed = f"{most:.4g} {unit}, or within {AS_KERAS:g} times the difference of Keras in float32"
        is_within = all(off <= max(most, AS_KERAS * keras) for off, keras in by_image)
        received += f", while Keras is off by {of_keras.max_abs_error:.3g},"
    else:
        allowed, is_within = f"{tolerance.min_psnr_db:g} dB", of_export.psnr_db >= tolerance.min_psnr_db
    if not is_within:
        changed = report.quantization != "none"
        advice = "Choose another `quantize`" if changed else "Please report this with the model card"
        raise RunError(
            f"An export must agree with the trained generator in float64 within {allowed}. Received {received} for "
            f"{report.path}. It was removed. {advice}."
        )


def latency_of(engine: Engine, image: np.ndarray) -> float:
    """Returns the median time, s, in which an engine translates `image` (1, H, W, C) after a first time."""
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
