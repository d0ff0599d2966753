"""What a run became: loaded for translation from any of its forms, and exported, measured, into others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.errors import UserError, row
from tfpix2pix.export import EXPORTERS
from tfpix2pix.export.verify import ParityReport, verify
from tfpix2pix.files import whole_directory, whole_file
from tfpix2pix.inference import KerasEngine, Translator
from tfpix2pix.models.build import build_generator, noise_size
from tfpix2pix.recognize import RUN, check_export, recognize
from tfpix2pix.run_directory import RunDirectory
from tfpix2pix.training.checkpoints import AVERAGE, Checkpoints, assign

PROBE_IMAGES = 3


def load(path: str | Path, *, best: bool = False, weights: str | None = None) -> Translator:
    """The translator of a run directory, a SavedModel folder or a .tflite file.

    Args:
        best: of a run, the checkpoint that did best on held-out pairs (`training.best_by`) in place of the newest.
        weights: of a run with `training.ema_decay`, `average` (the default) or `trained`.

    Raises:
        UserError: `path` is none of these, or `best` or `weights` are asked of what has none.
    """
    path = Path(path).expanduser()
    kind = recognize(path)
    if kind == RUN:
        return Translator(run_engine(RunDirectory(path), best=best, weights=weights))
    if best or weights:
        what = "The best checkpoint is" if best else "Weights are"
        raise UserError(f"{what} asked of a run directory. Received {path}. Leave it out.")
    return Translator(EXPORTERS[kind].read(path))


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


def export_run(
    run_dir: str | Path,
    format: str,
    out: str | Path,
    *,
    noise: str | None = None,
    size_px: int | None = None,
    best: bool = False,
    weights: str | None = None,
) -> ParityReport:
    """Writes a run's generator in one of `EXPORTERS`, and measures that it does what the Keras view does.

    Args:
        noise: `on` gives a static export a noise input; None: as the run says. A SavedModel has both signatures.
        size_px: height and width of a static export; None: the training size.
        best: the best checkpoint in place of the newest.
        weights: as of `load`.

    Raises:
        UserError: no such format, no run, or a size for a format that takes any.
        RunError: the export differs from the Keras view by more than the tolerance; nothing is left of it.
    """
    check_export(run_dir, format, noise=noise, size_px=size_px)
    directory = RunDirectory(run_dir)
    exporter, config = EXPORTERS[format], directory.config()
    noise = noise or config.inference.noise
    if exporter.static:
        size_px = size_px or config.data.image_size_px
    view = run_engine(
        directory, best=best, weights=weights, noise_input=not exporter.static or noise == "on", size_px=size_px
    )
    path = exporter.path(view.card, Path(out))
    if path.exists():
        raise UserError(f"An export must not overwrite another. Received {path}, which exists. Change --out.")
    whole = whole_file if exporter.single_file else whole_directory
    with whole(path) as temporary:  # takes its name when it has been found faithful
        exporter.write(view.generator, view.card, temporary)
        return verify(view, exporter.read(temporary), _probe_images(config, size_px), format, temporary, path)


def _probe_images(config: Config, size_px: int | None) -> list[np.ndarray]:
    """What exports are measured on: noise and, where the run's held-out pairs are at hand, real inputs."""
    size, channels = size_px or config.data.image_size_px, config.data.input_channels
    images = [np.random.default_rng(0).uniform(-1, 1, (1, size, size, channels)).astype(np.float32)]
    if size == config.data.image_size_px:
        try:
            source = SOURCES[config.data.source](config.data, "val", config.seed)
            images = [x.numpy() for x, _ in evaluation_batches(source, config.data, count=PROBE_IMAGES)] + images
        except UserError:  # the data has moved since: the noise remains
            pass
    return images
