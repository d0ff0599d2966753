"""Opens the model of a request, or its folder of another program's images."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.config.resolve import make_config, read_settings, with_overrides
from tfpix2pix.data import source_row
from tfpix2pix.data.guess import direction_note, guess_source, keys_of
from tfpix2pix.data.opening import decided, split_of
from tfpix2pix.data.parts import check_one_target
from tfpix2pix.data.rules import RANGES
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.folders import folder_examples
from tfpix2pix.evaluation.examples.layouts import find_layout
from tfpix2pix.evaluation.examples.models import model_examples
from tfpix2pix.evaluation.examples.pairs import Examples, at_size
from tfpix2pix.evaluation.request import IMAGES, NATIVE, TRAINING, Request, ResolvedRequest, resolve
from tfpix2pix.runs.load import load
from tfpix2pix.size import SizePx


@dataclass(frozen=True)
class Protocol:
    """Describes how the examples of a subject are computed.

    Args:
        size_px: size at which images are compared, px, or `own`, that of the files.
        fit: how pairs are fitted to the size; None: they are not.
        statistics: statistics of a model's normalization; None for images.
        noise: noise of a model, `on` or `off`; None for images.
        seed: seed of the noise, the resampling and the patches.
        variants: number of translations of each image with different noise.
    """

    size_px: SizePx | str
    fit: str | None
    statistics: str | None
    noise: str | None
    seed: int
    variants: int


@dataclass(frozen=True)
class Subject:
    """Holds the model or folder that is evaluated, and its examples.

    Args:
        kind: `run`, an export format, or `images`.
        path: path of the model or folder.
        name: name of the model or folder.
        step: training steps of a model; None for images.
        dir: folder of the pairs.
        split: split of the pairs; None: images lie beside their targets, or have none.
        protocol: how the examples are computed.
        examples: translations, or images, with their inputs and targets.
        card: card of a model.
        trained_on: configurations of the pairs that the model may have been trained on, the likeliest first.
        at_own_size: the examples at the size of their files, at which `translate` takes them; None: the request names
            the size, or both are of one scale.
    """

    kind: str
    path: Path
    name: str
    step: int | None
    dir: str | None
    split: str | None
    protocol: Protocol
    examples: Examples
    card: ModelCard | None = None
    at_own_size: Examples | None = None
    trained_on: tuple[Config, ...] = ()


def open_subject(request: Request | ResolvedRequest) -> Subject:
    """Opens the model or folder of a request, and its pairs.

    Raises:
        UserError: there is nothing to evaluate, or it cannot be read.
    """
    resolved = resolve(request)
    return _open_images(resolved) if resolved.model.kind == IMAGES else _open_model(resolved)


def check_needs_no_pairs(data: DataConfig) -> None:
    """Raises UserError if images without their pairs cannot be evaluated by the section `data`."""
    for key, by in RANGES.items():
        if getattr(data, by) and getattr(data, key) is None:
            raise UserError(
                f"`data.{key}` must be known to evaluate images without their pairs. Received `data.{by}`, which is "
                f"measured over pairs. Give `data`, the folder of the pairs, or set `data.{key}`."
            )
    if data.weight:
        raise UserError(
            f"Weights of pixels must come with the pairs. Received `data.weight: {data.weight}` without. Give `data`, "
            f"the folder of the pairs, or set `data.weight: null`."
        )


def _open_model(resolved: ResolvedRequest) -> Subject:
    request, model = resolved.request, resolved.model
    translator = load(model, best=request.best, weights=request.weights, trust=request.trust)
    card = translator.card
    settings = card.config.model_dump(mode="json")
    for side in ("input", "target"):  # one channel, if they become label maps
        if any(change.startswith(f"data.{side}_classes=") for change in request.overrides):
            for key in (f"{side}_channels", f"{side}_class_values"):
                settings["data"].pop(key)
    config = make_config(with_overrides(settings, request.overrides, data_dir=request.data), "the model card")
    if config.data.classes != card.config.data.classes:
        config = config.model_copy(update={"data": decided(config.data, config.seed)})
    noise = request.noise if card.noise_size else replace(request.noise, variants=0)
    size = config.data.image_size_px if request.size in (None, TRAINING) else request.size
    size_px = None if size == NATIVE else size
    protocol = Protocol(
        size_px=size,
        fit=None if size == NATIVE else config.data.fit,
        statistics=card.statistics,
        noise=noise.mode or card.noise,
        seed=noise.seed,
        variants=noise.variants,
    )
    source = split_of(at_size(config, size_px).data, request.split, config.seed)
    examples = model_examples(translator, config, source, size_px=size_px, noise=noise)
    at_own_size = None
    if request.size is None and config.data.fit != "crop" and not source_row(config.data.source).drawn:
        at_own_size = model_examples(translator, config, source, size_px=None, noise=replace(noise, variants=0))
    return Subject(
        model.kind, model.path, card.name, card.step, config.data.dir, request.split, protocol, examples, card,
        at_own_size, _trained_on(request, card.config, config),
    )  # fmt: skip


def _trained_on(request: Request, *configs: Config) -> tuple[Config, ...]:
    """Returns the configurations that name pairs. A training split has its own targets, so it gets no configuration.

    An export does not say where its training pairs lie: then they are those of `data`.
    """
    named = [config for config in configs if config.data.is_given]
    return () if request.split == "train" else tuple(named)


def _open_images(resolved: ResolvedRequest) -> Subject:
    request, folder = resolved.request, resolved.model.path
    layout = find_layout(folder, request.outputs)
    layout = replace(layout, target=request.targets or layout.target, input=request.inputs or layout.input)
    settings = read_settings(request.config) if request.config else {}
    if request.data is not None:
        given = settings.get("data", {})
        guess = guess_source(Path(request.data), {*given, *keys_of(request.overrides)})
        settings["data"] = {**guess, **given}
        if not given and not request.overrides and (note := direction_note(guess)):
            warnings.warn(note, stacklevel=2)
    config = make_config(
        with_overrides(settings, request.overrides, data_dir=request.data), request.config or "the command"
    )
    split = request.split if request.data is not None or config.data.is_given else None
    if config.data.inputs and not split:
        if request.inputs:
            raise UserError(
                f"`inputs` must be of one file each. Received {request.inputs} with `data.inputs` of "
                f"{len(config.data.inputs)} parts. Leave it out, or give `data`, the folder of the pairs."
            )
        layout = replace(layout, input=None)  # one file beside the outputs is not the whole input
    check_one_target(config.data, "Outputs of another program must have", "Evaluate a run or an export")
    if not split:
        check_needs_no_pairs(config.data)
    if split:
        config = config.model_copy(update={"data": decided(config.data, config.seed)})
    examples = folder_examples(folder, layout, config, split=split, size_px=request.size_px)
    protocol = Protocol(
        size_px=request.size_px or NATIVE,
        fit=config.data.fit if request.size_px else None,
        statistics=None,
        noise=None,
        seed=request.noise.seed,
        variants=0,
    )
    name = f"{folder.name} {request.outputs}" if request.outputs else folder.name
    trained_on = _trained_on(request, config) if split else ()
    return Subject(
        IMAGES, folder, name, None, config.data.dir, split, protocol, examples, trained_on=trained_on
    )  # fmt: skip
