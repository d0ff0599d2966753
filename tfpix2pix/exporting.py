"""A run's generator written in other forms, each measured against the generator in float64 before it takes its name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from tfpix2pix.artefacts import run_engine
from tfpix2pix.card import ModelCard
from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.errors import UserError
from tfpix2pix.export import CALIBRATED, EXPORTERS
from tfpix2pix.export.format import Options
from tfpix2pix.export.verify import ParityReport, verify
from tfpix2pix.files import whole_directory, whole_file
from tfpix2pix.parity import drawings
from tfpix2pix.recognize import check_export
from tfpix2pix.run_directory import RunDirectory

PROBE_IMAGES = 5
CALIBRATION_IMAGES = 64


def export_run(
    run_dir: str | Path,
    format: str,
    out: str | Path,
    *,
    noise: str | None = None,
    size_px: int | None = None,
    quantize: str = "none",
    image_dtype: str = "float32",
    best: bool = False,
    weights: str | None = None,
    data: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> ParityReport:
    """Writes a run's generator in one of `EXPORTERS`, and measures that it does what the generator does in float64.

    Args:
        noise: `on` gives a static export a noise input; None: as the run says. A SavedModel has both signatures.
        size_px: height and width of a static export; None: the training size.
        quantize: type of the weights, one of the format's `quantizations`.
        image_dtype: of the image tensors (of a SavedModel, `serving_default`'s): `float32` in [-1, 1] or `uint8`.
        best: the best checkpoint in place of the newest.
        weights: as of `artefacts.load`.
        data: where the run's data lie now, if they have moved: they calibrate int8, and are what is measured on.
        name: of the model, in place of the run's; it names the file or folder.
        overwrite: replace a file of the same name. A SavedModel is the next version.

    Raises:
        UserError: no such format or quantisation, no run, a size for a format that takes any, or no data for int8.
        RunError: the export is further from the generator in float64 than the tolerance, and than twice what the
            float32 Keras view is; nothing is left of it.
    """
    options = Options(noise, size_px, quantize, image_dtype, name)
    check_export(run_dir, format, options)
    directory = RunDirectory(run_dir)
    exporter, config = EXPORTERS[format], directory.config()
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"dir": str(data)})})
    card = planned_card(directory, format, options)
    path, size_px = free_path(card, format, out, overwrite=overwrite), card.fixed_size_px
    view = run_engine(directory, best=best, weights=weights, noise_input=bool(card.noise_size), size_px=size_px)
    view.card = view.card.model_copy(
        update={key: getattr(card, key) for key in ("quantization", "image_dtype", "name")}
    )
    calibration = inputs_of(config, "train", size_px, CALIBRATION_IMAGES) if quantize in CALIBRATED else []
    tolerance = exporter.quantizations[quantize]
    images = _probe_images(config, size_px, made_too=tolerance.max_abs_error is not None)
    whole = whole_file if exporter.single_file else whole_directory
    with whole(path) as temporary:  # takes its name when it has been found faithful
        exporter.write(view.generator, view.card, temporary, calibration)
        return verify(view, exporter.read(temporary), images, tolerance, format, temporary, path)


def planned_card(directory: RunDirectory, format: str, options: Options) -> ModelCard:
    """The card that an export will carry, but for its step: what its name depends on."""
    card, config, static = directory.card(), directory.config(), EXPORTERS[format].static
    with_noise = not static or (options.noise or config.inference.noise) == "on"
    return card.model_copy(
        update={
            "noise_size": card.noise_size if with_noise else 0,
            "fixed_size_px": (options.size_px or config.data.image_size_px) if static else None,
            "quantization": options.quantize,
            "image_dtype": options.image_dtype,
            "name": options.name or card.name,
        }
    )


def free_path(card: ModelCard, format: str, out: str | Path, *, overwrite: bool = False) -> Path:
    """Where an export goes.

    Raises:
        UserError: there is one already.
    """
    path = EXPORTERS[format].path(card, Path(out))
    if path.exists() and not overwrite:
        raise UserError(
            f"An export must not overwrite another. Received {path}, which exists. Add --overwrite, or change --out or "
            f"--name."
        )
    return path


def inputs_of(config: Config, split: str, size_px: int | None, count: int) -> list[np.ndarray]:
    """Inputs of a split as the model will see them, at most `count`: each float32 (1, S, S, C) in [-1, 1].

    Raises:
        UserError: the run's data are not where its configuration says.
    """
    data = config.data.model_copy(update={"image_size_px": size_px or config.data.image_size_px})
    try:
        source = SOURCES[data.source](data, split, config.seed)
        return [image.numpy() for image, _ in evaluation_batches(source, data, count=min(count, len(source)))]
    except UserError as error:
        raise UserError(f"{error} If the run's data have moved, say where they are by --data.") from error


def _probe_images(config: Config, size_px: int | None, *, made_too: bool) -> list[np.ndarray]:
    """What exports are measured on: real inputs where the run's held-out pairs are at hand, drawings and noise.

    Not drawings and noise where weights or activations are rounded: ranges were found on what the model is for.
    """
    data = config.data
    size, channels = size_px or data.image_size_px, data.input_channels
    noise = np.random.default_rng(0).uniform(-1, 1, (1, size, size, channels)).astype(np.float32)
    made = [*drawings(size, channels, data.input_classes), noise]
    try:
        real = inputs_of(config, "val", size_px, PROBE_IMAGES)
    except UserError as error:
        warnings.warn(
            f"It is measured on drawings and noise, on no image of the run's held-out pairs: {error}", stacklevel=3
        )
        real = []
    return real + made if made_too or not real else real
