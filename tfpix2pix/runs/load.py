"""Loads models for translation: runs and exports of every format."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.errors import UserError
from tfpix2pix.export import EXPORTERS
from tfpix2pix.inference.job import Origin
from tfpix2pix.inference.seams import WholeTiler
from tfpix2pix.inference.style import style_finder
from tfpix2pix.inference.translator import Translator
from tfpix2pix.inference.view import Engine, KerasEngine
from tfpix2pix.losses import TERMS
from tfpix2pix.models.noise import noise_size
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.networks import build_encoder, build_generator
from tfpix2pix.runs.recognize import RUN, Recognized, recognize
from tfpix2pix.runs.stages import COARSE, stage_of
from tfpix2pix.size import SizePx
from tfpix2pix.tables import import_and_call, row
from tfpix2pix.training.checkpoints import AVERAGE, ENCODER, Checkpoints, assign

CHECKED_PX = 32  # side of the image on which a network and its SavedModel are compared
MOST_OFF = 0.02  # largest difference of the two, on [-1, 1]; a network in bfloat16 rounds in another order


def load(
    path: str | Path | Recognized,
    *,
    best: bool = False,
    weights: str | None = None,
    trust: bool = False,
    tile_as: str | None = None,
) -> Translator:
    """Returns the translator of a run directory, a SavedModel folder (or one of its versions), a .tflite, .keras or
    .onnx file, or an exported page (its folder, or its .html).

    Args:
        path: path of the model, or the result of `recognize` for it.
        best: load a run's checkpoint that did best on held-out pairs (`training.best_by`) in place of the newest.
        weights: `average` (the default) or `trained`, for a run with `training.ema_decay`.
        trust: open a SavedModel or a .keras file that can do more than compute: read and write files, run code.
        tile_as: how images are translated in tiles, `whole` or `alone`, as `Translator` describes.

    Raises:
        UserError: `path` is not a model, is damaged, or can do more than compute. Or `best` or `weights` are given for
            a model without checkpoints, or `tile_as` is `whole` for a model of a fixed size.
    """
    model = path if isinstance(path, Recognized) else recognize(path)
    translator = _load(model, best=best, weights=weights, trust=trust, tile_as=tile_as)
    options = {"best": best, "weights": weights, "trust": trust, "tile_as": tile_as}
    again = partial(import_and_call, load.__module__, load.__name__, model.path.absolute(), **options)
    translator.origin = Origin(again, partial(_files_of, model))
    return translator


def _files_of(model: Recognized) -> Iterator[Path]:
    """Yields the files that decide what a model translates."""
    folder = RunDirectory(model.path).checkpoints if model.kind == RUN else model.path
    yield from (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else (folder,)


def _load(model: Recognized, *, best: bool, weights: str | None, trust: bool, tile_as: str | None) -> Translator:
    if model.kind == RUN:
        engine = run_engine(RunDirectory(model.path), best=best, weights=weights)
        tiler = partial(WholeTiler, engine.generator, engine.card.config.data.encoding)
        return Translator(engine, tiler, tile_as, run_style_finder(RunDirectory(model.path), best=best))
    if best or weights:
        argument = "best" if best else "weights"
        raise UserError(f"`{argument}` must go with a run directory. Received it for {model.path}. Leave it out.")
    engine = EXPORTERS[model.kind].read(model.path, trust)
    has_weights = isinstance(engine, WithWeights) and not engine.card.static_size_px
    return Translator(engine, partial(tiler_of_export, engine) if has_weights else None, tile_as)


@runtime_checkable
class WithWeights(Engine, Protocol):
    """Runs an export that holds the weights of its network."""

    def weights(self) -> list[np.ndarray]:
        """Returns the weights, in the order of the generator's trainable and then its other variables."""


def tiler_of_export(engine: WithWeights) -> WholeTiler | None:
    """Returns the tiler of an export: by the generator that its card describes, with the export's weights.

    Returns None, with a warning, if the two translate differently: another program may have written the graph.
    """
    card = engine.card
    coarse = stage_of(card.config, card.step).kind == COARSE
    generator = build_generator(
        card.config, seed=None, noise_input=card.noise_size > 0, input_size_px="any", coarse=coarse
    )
    variables, weights = [*generator.trainable_variables, *generator.non_trainable_variables], engine.weights()
    fits = [tuple(variable.shape) for variable in variables] == [value.shape for value in weights]
    if fits:
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)
        size, channels = (
            card.config.data.size_px.map(lambda side: min(side, CHECKED_PX)),
            card.config.data.input_channels,
        )
        image = np.random.default_rng(0).uniform(-1, 1, (1, *size, channels)).astype(np.float32)
        off = np.abs(KerasEngine(generator, card)(image, None) - engine(image, None)).max()
        fits = off <= MOST_OFF
    if not fits:
        warnings.warn(
            f"{card.name!r} has a graph that its card does not describe, so each tile is translated as an image of "
            f"its own, and colours may differ from tile to tile.",
            stacklevel=2,
        )
        return None
    return WholeTiler(generator, card.config.data.encoding)


def run_engine(
    directory: RunDirectory,
    *,
    best: bool = False,
    weights: str | None = None,
    noise_input: bool = True,
    size_px: SizePx | None = None,
) -> KerasEngine:
    """Opens a run's newest or best checkpoint as a Keras model.

    Args:
        noise_input: build the generator with an input for its noise.
        size_px: build the generator for this side, or height and width; None: for any size.

    Raises:
        UserError: the run has no model card or no whole checkpoint, or `weights` is not one of its parts.
    """
    config, card = directory.config(), directory.card()
    if card is None:
        raise UserError(
            f"A run must have its model_card.json. Received {directory.path} without it. Put it back, or resume with "
            f"more training.steps to write it again."
        )
    checkpoints, part = Checkpoints(directory.checkpoints), part_of(config, weights)
    step, state = checkpoints.load_best([part]) if best else checkpoints.load([part])
    coarse = stage_of(config, step).kind == COARSE
    generator = build_generator(
        config, seed=None, noise_input=noise_input, input_size_px=size_px or "any", coarse=coarse
    )
    assign({v.path: v for v in generator.variables}, state[part], "generator")
    size = noise_size(generator)
    changes = {"step": step, "noise_size": size, "fixed_size_px": size_px, "styles": card.styles if size else ""}
    return KerasEngine(generator, card.model_copy(update=changes))


def run_style_finder(directory: RunDirectory, *, best: bool = False) -> Callable[[np.ndarray], np.ndarray] | None:
    """Returns the function of `style_finder` by a run's newest or best checkpoint, or None if it has no encoder. The
    encoder is read when it is first needed."""
    config, checkpoints = directory.config(), Checkpoints(directory.checkpoints)
    if not any(weight and TERMS[name].needs_encoder for name, weight in config.objective.weights.items()):
        return None

    @lru_cache(1)
    def finder() -> Callable[[np.ndarray], np.ndarray]:
        encoder = build_encoder(config, seed=None)
        _, state = checkpoints.load_best([ENCODER]) if best else checkpoints.load([ENCODER])
        assign({v.path: v for v in encoder.variables}, state[ENCODER], ENCODER)
        return style_finder(encoder, config.data)

    return lambda image: finder()(image)


def teaching(directory: RunDirectory) -> Callable[[Any], Any]:
    """Returns a run's newest translator as the teacher of a student: a function from images, as networks get them, to
    its translations without noise."""
    generator = run_engine(directory, noise_input=False).generator
    return lambda images: generator(images, training=False)


def part_of(config: Config, weights: str | None) -> str:
    """Returns the name of the part of a checkpoint that a translator reads."""
    averaged = config.training.ema_decay is not None
    parts = {"trained": "generator", **({"average": AVERAGE} if averaged else {})}
    try:
        return row(parts, "`weights`", weights or ("average" if averaged else "trained"))
    except ValueError as error:
        more = "" if averaged else " The run keeps no average (`training.ema_decay`)."
        raise UserError(f"{error}{more}") from None
