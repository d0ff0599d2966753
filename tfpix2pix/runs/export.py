"""Exports a run's generator, and compares each export with the generator in float64 before it gets its name."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import SOURCES
from tfpix2pix.data.parts import check_one_file
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.data.rules import check_one_range
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.export import EXPORTERS, Options
from tfpix2pix.export.verify import ParityReport, verify
from tfpix2pix.files import whole_directory, whole_file
from tfpix2pix.inference.demo.models import example_pictures
from tfpix2pix.inference.parity import drawings
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.load import run_engine
from tfpix2pix.section import NAME
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
    directory = RunDirectory(run_dir)
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
    images = _probe_images(config, size_px, synthetic=tolerance.max_abs_error is not None)
    beside = {}
    if exporter.runtime:
        beside = {"runtime": exporter.runtime(runtime), "examples": example_pictures(config) if examples else []}
    whole = whole_file if exporter.single_file else whole_directory
    with whole(path) as temporary:  # the export gets its name after it is verified
        exporter.write(view.generator, view.card, temporary, calibration, **beside)
        return verify(view, exporter.read(temporary), images, tolerance, format, temporary, path)


def planned_card(directory: RunDirectory, format: str, options: Options) -> ModelCard:
    """Returns the card of an export, except for its step. The export's name depends on the card.

    It has no path of this machine: exports are passed on.
    """
    card, config, exporter = directory.card(), directory.config(), EXPORTERS[format]
    static = exporter.static
    usual = "on" if exporter.with_noise else config.inference.noise
    with_noise = not static or (options.noise or usual) == "on"
    data = card.config.data.model_copy(update={"dir": None})
    training = card.config.training.model_copy(update={"start_from": None})
    network = card.config.objective.perceptual_network
    objective = card.config.objective.model_copy(update={"perceptual_network": network and Path(network).name})
    return card.model_copy(
        update={
            "noise_size": card.noise_size if with_noise else 0,
            "fixed_size_px": (options.size_px or config.data.image_size_px) if static else None,
            "quantization": options.quantize,
            "image_dtype": options.image_dtype,
            "name": options.name or card.name,
            "config": card.config.model_copy(update={"data": data, "training": training, "objective": objective}),
        }
    )


def free_path(card: ModelCard, format: str, out: str | Path, *, overwrite: bool = False) -> Path:
    """Returns the path of an export.

    Raises:
        UserError: a file of that name exists, and `overwrite` is False.
    """
    path = EXPORTERS[format].path(card, Path(out))
    if path.exists() and not overwrite:
        raise UserError(
            f"An export must not overwrite another. Received {path}, which exists. Add `overwrite`, or change `out` or "
            f"`name`."
        )
    return path


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
        raise UserError(f"{error} If the run's data have moved, name their folder with `data`.") from error


def _probe_images(config: Config, size_px: SizePx | None, *, synthetic: bool) -> list[np.ndarray]:
    """Returns the images on which an export is compared: inputs of the run's held-out pairs, drawings and noise.

    Args:
        synthetic: whether drawings and noise are among them if there are held-out pairs. For rounded weights or
            activations they are not, because ranges are measured on real inputs.
    """
    data = config.data
    size, channels = Size.of(size_px or data.image_size_px), data.input_channels
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *size, channels)).astype(np.float32)
    synthetic_images = [*drawings(size, channels, data.input_classes), noise]
    try:
        real = inputs_of(config, "val", size_px, PROBE_IMAGES)
    except UserError as error:
        warnings.warn(
            f"The export is compared on drawings and noise, without the run's held-out pairs: {error}", stacklevel=3
        )
        real = []
    return real + synthetic_images if synthetic or not real else real


def check_export(run_dir: str | Path, format: str, options: Options) -> None:
    """Raises UserError if a run cannot be exported with these options, before anything slow begins."""
    if format not in EXPORTERS:
        raise UserError(unknown_name("`format`", format, EXPORTERS))
    if options.quantize not in EXPORTERS[format].quantizations:
        raise UserError(unknown_name(f"`quantize` of {format}", options.quantize, EXPORTERS[format].quantizations))
    if options.image_dtype not in EXPORTERS[format].image_dtypes:
        raise UserError(unknown_name(f"`image_dtype` of {format}", options.image_dtype, EXPORTERS[format].image_dtypes))
    if options.runtime is not None and EXPORTERS[format].runtime is None:
        fitting = " or ".join(name for name, row in EXPORTERS.items() if row.runtime)
        raise UserError(f"`runtime` must go with the format {fitting}. Received it for {format}. Leave it out.")
    directory = RunDirectory(run_dir)
    card = directory.card() if directory.is_run() else None
    if card is None:
        without = ", which has no model_card.json" if directory.is_run() else ""
        raise UserError(
            f"An export needs a run directory. Received {run_dir}{without}. Name the directory of a training."
        )
    if options.name is not None and not re.fullmatch(NAME, options.name):
        raise UserError(
            f"`name` must be letters, digits, '.', '_' and '-': it names a file. Received {options.name!r}. Change it."
        )
    if options.size_px and not EXPORTERS[format].static:
        raise UserError(
            f"`size_px` must go with a static format. Received it for {format}, which takes any size. Leave it out."
        )
    if EXPORTERS[format].one_range:
        check_one_range(card.config.data, "A web page")
    if EXPORTERS[format].one_file:
        check_one_file(card.config.data, f"An export as {format}")
    size = Size.of(options.size_px or card.config.data.image_size_px)
    if EXPORTERS[format].squares and not size.is_square:
        fitting = ", ".join(name for name, row in EXPORTERS.items() if row.static and not row.squares)
        raise UserError(
            f"An export as {format} must be of a square size. Received {size} px. Set `size_px` to {max(size)}, say "
            f"(images of other shapes are reflected to it or cut into tiles), or choose {fitting}."
        )
    if options.noise == "on" and not card.noise_size:
        raise UserError(
            f"`noise` on needs a generator with noise. Received {run_dir} with one without noise. Leave it out."
        )
    if EXPORTERS[format].runtime is not None:
        EXPORTERS[format].runtime(options.runtime)
