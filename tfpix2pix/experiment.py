"""The composition root: a configuration, wired to data, networks and run directory, becomes a run."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from rich.console import Console

from tfpix2pix import session
from tfpix2pix.config import Config
from tfpix2pix.data.opening import check_readable, open_sources
from tfpix2pix.doctor import examine, quick_lines
from tfpix2pix.errors import UserError
from tfpix2pix.losses.objective import Objective
from tfpix2pix.models.build import build_discriminator, build_generator
from tfpix2pix.run_directory import RunDirectory, check_same, run_config
from tfpix2pix.session import Run
from tfpix2pix.training.checkpoints import Checkpoints, set_state
from tfpix2pix.training.optimizers import FusedAdam, learning_rate
from tfpix2pix.training.pix2pix import Pix2Pix

QUICKLY_EXAMINED = 100  # pairs that the doctor looks at before a run starts


def build_model(config: Config) -> Pix2Pix:
    """Both networks with their initial weights, the optimisers and the objective of a configuration."""
    generator, discriminator = build_generator(config, seed=config.seed), build_discriminator(config, seed=config.seed)
    model = Pix2Pix(generator, discriminator, seed=config.seed)
    spec, terms = config.training, config.objective
    rate = learning_rate(spec.learning_rate, spec.learning_rate_constant_fraction, spec.steps)
    adam = {"learning_rate": rate, "beta_1": spec.beta_1, "beta_2": spec.beta_2}
    same = ("gan_loss", "lambda_gan", "discriminator_factor", "label_smoothing")
    objective = Objective(lambdas=terms.lambdas(), **{name: getattr(terms, name) for name in same})
    model.compile(FusedAdam(**adam), FusedAdam(**adam), objective, spec.update_order)
    return model


def train(
    config: Config | str | None = None,
    *,
    run_dir: str | Path,
    data: str | Path | None = None,
    overrides: tuple[str, ...] = (),
    resume: bool = False,
    fresh: bool = False,
    console: Console | None = None,
) -> Run:
    """Trains, or continues, the run of a configuration in `run_dir`.

    Args:
        config: a `Config`, the name of a preset, or a .yaml file; None to resume.
        data: folder of the data, in place of `data.dir`.
        overrides: `dotted.key=value` strings, as `--set` takes them.
        resume: continue an interrupted run from its newest checkpoint.
        fresh: replace a run that is there.
        console: where progress goes; standard error by default.

    Raises:
        UserError: the configuration, the data or the directory does not fit; nothing has been written then.
    """
    console = console or Console(stderr=True)
    if isinstance(config, Config):
        if overrides or data is not None:
            raise UserError("`data` and `overrides` go with a preset or a file. Received a Config. Set them in it.")
        directory = RunDirectory(run_dir)
        directory.check_free(resume=resume, fresh=fresh)
        if resume:
            check_same(directory.config(), config)
    else:
        config = run_config(config, run_dir, data_dir=data, overrides=overrides, resume=resume, fresh=fresh)
        directory = RunDirectory(run_dir)
    sources = open_sources(config)
    checked = sum(check_readable(source) for source in sources.values() if len(source))

    model = build_model(config)
    first_step, metrics = 0, {}
    checkpoints = Checkpoints(directory.checkpoints, config.training.keep_last)
    if resume and checkpoints.steps():
        first_step, state = checkpoints.load()
        set_state(model, state)
        card = directory.card()
        metrics = dict(card.metrics) if card else {}
    console.print(
        f"{config.name}: {len(sources['train'])} training and {len(sources['val'])} held-out pairs, {checked} of them "
        f"read and found whole; {_device()}, float32; {directory.path}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    if not resume:
        for line in quick_lines(examine(config, at_most=QUICKLY_EXAMINED)):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    skipped = list(dict.fromkeys(fault.message for source in sources.values() for fault in source.skipped))
    if skipped:
        console.print(f"{len(skipped)} pairs skipped. The first: {skipped[0]}", soft_wrap=True, highlight=False)
    if first_step > config.training.steps:
        raise UserError(
            f"`training.steps` must be at least the run's {first_step}. Received {config.training.steps}. Raise it."
        )
    if first_step == config.training.steps:
        console.print(
            f"{directory.path} is finished: step {first_step} of {config.training.steps}. To train on, raise "
            f"training.steps with --set.", soft_wrap=True, highlight=False,
        )  # fmt: skip
        return Run(directory, directory.card())
    if not resume:
        directory.start(config, fresh=fresh)
    else:
        directory.write_config(config)  # `training.steps` may have grown
    return session.run(config, directory, sources, model, first_step, metrics, console)


def _device() -> str:
    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else "CPU"
