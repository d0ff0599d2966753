"""Plans an export without TensorFlow: whether a run can be exported so, its card and its path."""

from __future__ import annotations

import re
from pathlib import Path

from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.parts import check_one_file
from tfpix2pix.data.rules import check_one_range
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.export import EXPORTERS, Options
from tfpix2pix.losses import TERMS
from tfpix2pix.models import NOISES
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.section import NAME
from tfpix2pix.size import Size


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
    directory = RunDirectory.trained(run_dir)
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
    if EXPORTERS[format].one_file:
        check_one_file(card.config.data, f"An export as {format}")
    if EXPORTERS[format].one_range:
        check_one_range(card.config.data, "A web page")
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


def planned_card(directory: RunDirectory, format: str, options: Options) -> ModelCard:
    """Returns the card of an export, except for its step. The export's name depends on the card.

    It has no path of this machine: exports are passed on.
    """
    card, config, exporter = directory.card(), directory.config(), EXPORTERS[format]
    static = exporter.static
    usual = "on" if exporter.varies and made_for_variety(config) else config.inference.noise
    with_noise = not static or (options.noise or usual) == "on"
    data = card.config.data.model_copy(update={"dir": None})
    training = card.config.training.model_copy(update={"start_from": None})
    network = card.config.objective.perceptual_network
    objective = card.config.objective.model_copy(update={"perceptual_network": network and Path(network).name})
    return card.model_copy(
        update={
            "noise_size": card.noise_size if with_noise else 0,
            "styles": card.styles if with_noise else "",
            "fixed_size_px": (options.size_px or config.data.image_size_px) if static else None,
            "quantization": options.quantize,
            "image_dtype": options.image_dtype,
            "name": options.name or card.name,
            "config": card.config.model_copy(update={"data": data, "training": training, "objective": objective}),
        }
    )


def made_for_variety(config: Config) -> bool:
    """Returns True if translations by different noise differ so much that people want to see several: by a style, or
    by a term of the objective that asks for it. Dropout alone gives "only minor stochasticity" (paper, §3.1)."""
    terms = (TERMS[name] for name, weight in config.objective.weights.items() if weight)
    return NOISES[config.generator.noise].varies or any(term.needs_noise for term in terms)


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
