"""Exports a run's generator, and compares each export with the generator in float64 before it gets its name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.images import resized_channels
from tfpix2pix.data.labels import read_side
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.export import EXPORTERS, Options
from tfpix2pix.export.verify import ParityReport, verify
from tfpix2pix.files import whole_directory, whole_file
from tfpix2pix.inference.demo.models import example_pictures
from tfpix2pix.inference.parity import drawings
from tfpix2pix.inference.translator import Translator
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.load import run_engine
from tfpix2pix.runs.planned_export import check_export, free_path, planned_card
from tfpix2pix.runs.pretrained import examples_of
from tfpix2pix.size import Size, SizePx

PROBE_IMAGES = 5
CALIBRATION_IMAGES = 64


def export_run(
    run_dir: str | Path,
    format: str,
    out: str | Path,
    *,
    noise: str | None = None,
    size_px: SizePx | None = None,
    quantize: str = "none",
    image_dtype: str = "float32",
    best: bool = False,
    weights: str | None = None,
    data: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    runtime: str | Path | None = None,
    examples: bool = True,
) -> ParityReport:
    """Exports a run's generator in a format, and measures how far the export is from the generator in float64.

    Args:
        run_dir: directory of the run.
        format: a row of `EXPORTERS`.
        out: folder to write into.
        noise: `on` gives a static export a noise input; None: as in the run. A SavedModel has both signatures.
        size_px: side of the images of a static export, or (height, width); None: the training size.
        quantize: type of the weights, one of the format's `quantizations`.
        image_dtype: type of the image tensors (SavedModel: of `serving_default`), `float32` in [-1, 1] or `uint8`.
        best: export the best checkpoint in place of the newest.
        weights: as for `load`.
        data: folder of the run's data, if it has moved. The export is calibrated (int8) and compared on these data.
        name: name of the model, and of the file or folder; None: the run's.
        overwrite: replace a file of the same name. A SavedModel becomes the next version.
        runtime: folder of the unpacked npm package that a web page runs by; None: it is fetched once into the cache.
        examples: put held-out inputs into a web page, to begin with. Whoever has the page has them.

    Returns:
        The comparison of the export with the generator.

    Raises:
        UserError: the format or quantisation is unknown, `run_dir` is not a run, a size is set for a format that takes
            any, there are no data for int8, or `runtime` is not the package that a web page needs.
        RunError: the export is farther from the generator in float64 than its tolerance, and than twice the float32
            Keras view. The export is removed.
    """
    options = Options(noise, size_px and Size.of(size_px).value, quantize, image_dtype, name, runtime)
    check_export(run_dir, format, options)
    directory = RunDirectory.trained(run_dir)
    exporter, config = EXPORTERS[format], directory.config()
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"dir": str(data)})})
    card = planned_card(directory, format, options)
    path, size_px = free_path(card, format, out, overwrite=overwrite), card.fixed_size_px
    view = run_engine(directory, best=best, weights=weights, noise_input=bool(card.noise_size), size_px=size_px)
    view.card = view.card.model_copy(
        update={key: getattr(card, key) for key in ("quantization", "image_dtype", "name", "config")}
    )
    quantization = exporter.quantizations[quantize]
    calibration = inputs_of(config, "train", size_px, CALIBRATION_IMAGES) if quantization.calibrated else []
    tolerance = quantization.tolerance
    shipped = examples_of(directory.path) if data is None else []
    images = _probe_images(config, size_px, shipped, synthetic=tolerance.max_abs_error is not None)
    beside = {}
    if exporter.runtime:
        beside = {
            "runtime": exporter.runtime(runtime),
            "examples": example_pictures(config, None, shipped, Translator(view)) if examples else [],
        }
    whole = whole_file if exporter.single_file else whole_directory
    with whole(path) as temporary:  # the export gets its name after it is verified
        exporter.write(view.generator, view.card, temporary, calibration, **beside)
        return verify(view, exporter.read(temporary), images, tolerance, format, temporary, path)


def inputs_of(config: Config, split: str, size_px: SizePx | None, count: int) -> list[np.ndarray]:
    """Returns at most `count` inputs of a split as the model takes them, each float32 (1, H, W, C) in [-1, 1].

    Raises:
        UserError: the run's data are not where its configuration says.
    """
    data = config.data.model_copy(update={"image_size_px": size_px or config.data.image_size_px})
    try:
        source = SOURCES[data.source](data, split, config.seed)
        return [batch[0].numpy() for batch in evaluation_batches(source, data, count=min(count, len(source)))]
    except UserError as error:
        raise UserError(f"{error} If the run's data have moved, name their new place by `data`.") from error


def _read(files: Sequence[Path], size: Size, data: DataConfig) -> list[np.ndarray]:
    """Returns inputs in files as `inputs_of` does."""
    pictures = [read_side(path, 0, data) for path in files[:PROBE_IMAGES]]
    return [to_signed(resized_channels(one, (size.width, size.height), data.numbers[0]))[None] for one in pictures]


def _probe_images(
    config: Config, size_px: SizePx | None, shipped: Sequence[Path], *, synthetic: bool
) -> list[np.ndarray]:  # fmt: skip
    """Returns the images on which an export is compared: inputs of the run's held-out pairs, drawings and noise.

    Args:
        shipped: files of held-out inputs that come with the model, in place of those of its data.
        synthetic: whether drawings and noise are among them if there are held-out pairs. For rounded weights or
            activations they are not, because ranges are measured on real inputs.
    """
    data = config.data
    size, channels = Size.of(size_px or data.image_size_px), data.input_channels
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *size, channels)).astype(np.float32)
    synthetic_images = [*drawings(size, channels, data.input_classes), noise]
    try:
        real = _read(shipped, size, data) if shipped else inputs_of(config, "val", size_px, PROBE_IMAGES)
    except UserError as error:
        warnings.warn(
            f"The export is compared on drawings and noise, without the run's held-out pairs: {error}", stacklevel=3
        )
        real = []
    return real + synthetic_images if synthetic or not real else real
