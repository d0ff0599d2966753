"""What is asked to be evaluated, opened: a model of any form, or a folder of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tfpix2pix.artefacts import load
from tfpix2pix.config import Config
from tfpix2pix.data.guess import guess_source
from tfpix2pix.examples.folders import of_folder
from tfpix2pix.examples.layouts import asked_layout
from tfpix2pix.examples.models import of_model
from tfpix2pix.examples.pairs import Examples
from tfpix2pix.examples.request import IMAGES, OWN, Request, kind_of
from tfpix2pix.resolve import make_config, read_settings, with_overrides


def open_examples(request: Request) -> Examples:
    """The examples of a request; raises UserError where there is nothing to evaluate or it cannot be read."""
    kind = kind_of(request)
    examples = _images(request) if kind == IMAGES else _model(request)
    return replace(examples, about={"kind": kind, **examples.about})


def _model(request: Request) -> Examples:
    translator = load(request.model, best=request.best, weights=request.weights, trust=request.trust)
    settings = translator.card.config.model_dump(mode="json")
    for side in ("input", "target"):  # one channel, where they become label maps
        if any(change.startswith(f"data.{side}_classes=") for change in request.overrides):
            settings["data"].pop(f"{side}_channels")
    config = make_config(with_overrides(settings, request.overrides, data_dir=request.data), "the model card")
    examples = of_model(
        translator, config, request.split, size_px=request.size_px, own_size=request.size == OWN, noise=request.noise
    )
    return replace(examples, about={"dir": config.data.dir, "split": request.split, **examples.about})


def _images(request: Request) -> Examples:
    layout = asked_layout(request.model, request.outputs)
    layout = replace(layout, target=request.targets or layout.target, input=request.inputs or layout.input)
    settings = read_settings(request.config) if request.config else {}
    if request.data is not None:
        settings["data"] = {**guess_source(Path(request.data)), **settings.get("data", {})}
    config: Config = make_config(
        with_overrides(settings, request.overrides, data_dir=request.data), request.config or "the command"
    )
    split = request.split if request.data is not None or config.data.is_given else None
    examples = of_folder(request.model, layout, config, split=split, size_px=request.size_px)
    name = f"{request.model.name} {request.outputs}" if request.outputs else request.model.name
    return replace(examples, about={"dir": config.data.dir, "split": split, **examples.about, "name": name})
