"""What a run became, loaded for translation from any of its forms."""

from __future__ import annotations

from pathlib import Path

from tfpix2pix.config import Config
from tfpix2pix.errors import UserError, row
from tfpix2pix.export import EXPORTERS
from tfpix2pix.inference import KerasEngine, Translator
from tfpix2pix.models.build import build_generator, noise_size
from tfpix2pix.recognize import RUN, model_at, recognize
from tfpix2pix.run_directory import RunDirectory
from tfpix2pix.training.checkpoints import AVERAGE, Checkpoints, assign


def load(path: str | Path, *, best: bool = False, weights: str | None = None, trust: bool = False) -> Translator:
    """The translator of a run directory, a SavedModel folder (or one of its versions), a .tflite, .keras or .onnx file.

    Args:
        best: of a run, the checkpoint that did best on held-out pairs (`training.best_by`) in place of the newest.
        weights: of a run with `training.ema_decay`, `average` (the default) or `trained`.
        trust: open a SavedModel or a .keras file that can do more than compute: read and write files, run code.

    Raises:
        UserError: `path` holds no such model, is damaged, or can do more than compute; `best` or `weights` are given
            for a model that has no checkpoints.
    """
    path = model_at(Path(path).expanduser())
    kind = recognize(path)
    if kind == RUN:
        return Translator(run_engine(RunDirectory(path), best=best, weights=weights))
    if best or weights:
        what = "The best checkpoint is" if best else "Weights are"
        raise UserError(f"{what} asked of a run directory. Received {path}. Leave it out.")
    return Translator(EXPORTERS[kind].read(path, trust))


def run_engine(
    directory: RunDirectory,
    *,
    best: bool = False,
    weights: str | None = None,
    noise_input: bool = True,
    size_px: int | None = None,
) -> KerasEngine:
    """The Keras view of a run's newest or best checkpoint: with a noise input or without, any size or a fixed one."""
    config, card = directory.config(), directory.card()
    if card is None:
        raise UserError(
            f"A run must have its model_card.json. Received {directory.path} without. Put it back, or have it written "
            f"anew by training on: --resume --set training.steps=…"
        )
    checkpoints, part = Checkpoints(directory.checkpoints), part_of(config, weights)
    step, state = checkpoints.load_best([part]) if best else checkpoints.load([part])
    generator = build_generator(config, seed=None, noise_input=noise_input, input_size_px=size_px or "any")
    assign({v.path: v for v in generator.variables}, state[part], "generator")
    changes = {"step": step, "noise_size": noise_size(generator), "fixed_size_px": size_px}
    return KerasEngine(generator, card.model_copy(update=changes))


def part_of(config: Config, weights: str | None) -> str:
    """The part of a checkpoint that a translator reads."""
    averaged = config.training.ema_decay is not None
    parts = {"trained": "generator", **({"average": AVERAGE} if averaged else {})}
    try:
        return row(parts, "`weights`", weights or ("average" if averaged else "trained"))
    except ValueError as error:
        more = "" if averaged else " The run keeps no average (`training.ema_decay`)."
        raise UserError(f"{error}{more}") from None
