"""The composition root: a configuration, wired to data, networks, loop and run directory, becomes a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console

from tfpix2pix.card import ModelCard
from tfpix2pix.config import Config
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.opening import check_readable, open_sources
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.doctor import examine, quick_lines
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.held_out import measure
from tfpix2pix.inference import InferenceView
from tfpix2pix.losses.objective import Objective
from tfpix2pix.models.build import build_discriminator, build_generator, noise_size
from tfpix2pix.resolve import to_yaml
from tfpix2pix.run_directory import RunDirectory, check_same, run_config
from tfpix2pix.training import loop
from tfpix2pix.training.checkpoints import Checkpoints, get_state, set_state
from tfpix2pix.training.optimizers import FusedAdam, learning_rate
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.reporting import Reporter, held_out_table
from tfpix2pix.training.samples import sample_grid

SAMPLE_ROWS = 6
QUICKLY_EXAMINED = 100  # pairs that the doctor looks at before a run starts


@dataclass(frozen=True)
class Run:
    """A training that ended: where it is and how far it came."""

    directory: RunDirectory
    card: ModelCard
    interrupted: bool = False

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, step {self.card.step} of {self.card.config.training.steps})"

    @property
    def path(self) -> Path:
        return self.directory.path


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
    skipped = [fault for source in sources.values() for fault in source.skipped]
    if skipped:
        console.print(f"{len(skipped)} pairs skipped. The first: {skipped[0].message}", soft_wrap=True, highlight=False)
    if first_step > config.training.steps:
        raise UserError(
            f"`training.steps` must be at least the run's {first_step}. Received {config.training.steps}. Raise it."
        )
    if not len(sources["val"]):
        console.print(
            "No pairs are held out, so nothing will say how well it does on images it has not seen: add a val/ folder "
            "or raise data.held_out_fraction.", soft_wrap=True, highlight=False,
        )  # fmt: skip
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
    return _train(config, directory, sources, model, first_step, metrics, console)


def _train(
    config: Config, directory: RunDirectory, sources: dict[str, Source], model: Pix2Pix, first_step: int,
    metrics: dict[str, dict[str, float]], console: Console,
) -> Run:  # fmt: skip
    """Runs the loop with its hooks: report, sample, save, and measure the held-out pairs before and after."""
    spec, data = config.training, config.data
    checkpoints = Checkpoints(directory.checkpoints, spec.keep_last)
    view = InferenceView(model.generator, data.encoding)
    translate = tf.function(view.translate, autograph=False)
    held_out = evaluation_batches(sources["val"], data, count=spec.validation_images)
    shown = list(
        evaluation_batches(sources["val"] if len(sources["val"]) else sources["train"], data, count=SAMPLE_ROWS)
    )
    size = {"first_step": first_step, "total_steps": spec.steps}
    batches = training_batches(sources["train"], data, batch_size=spec.batch_size, seed=config.seed, **size)
    reporter = Reporter(directory, batch_size=spec.batch_size, console=console, **size)

    target_dtype = sources["train"].read(0)[1].dtype.name

    def write_card(step: int) -> None:
        directory.write_card(model_card(config, model.generator, step, metrics, len(held_out), target_dtype))

    def save(step: int, _: loop.Losses) -> None:
        checkpoints.save(step, get_state(model))
        write_card(step)

    def sample(step: int, _: loop.Losses) -> None:
        reporter.sample(step, sample_grid(translate, shown, pictures_of(data)))

    def validate(step: int, name: str) -> None:
        if len(held_out):
            metrics[name] = measure(translate, held_out, spec.validation_metrics, data)
            reporter.validation(step, metrics[name])

    hooks = [
        loop.Hook(1, reporter.collect),
        loop.Hook(spec.log_every_steps, reporter.log),
        loop.Hook(spec.sample_every_steps, sample),
        loop.Hook(spec.checkpoint_every_steps, save),
    ]
    with loop.stop_on_signals() as should_stop, reporter:
        if first_step == 0:
            reporter.text("config", f"```yaml\n{to_yaml(config)}```")
            sample(0, {})
            validate(0, "untrained")
            write_card(0)
        step_function = tf.function(model.train_step, autograph=False)
        step = loop.run(step_function, batches, hooks, should_stop=should_stop, first_step=first_step)
        if step == spec.steps:
            validate(step, "trained")
            write_card(step)
    if step == spec.steps and metrics:
        console.print(held_out_table(metrics, len(held_out), len(sources["val"])))
    return Run(directory, directory.card(), interrupted=step < spec.steps)


def model_card(
    config: Config, generator: keras.Model, step: int, metrics: dict[str, dict[str, float]], images: int,
    target_dtype: str,
) -> ModelCard:  # fmt: skip
    """The card of a generator as the run uses it."""
    return ModelCard(
        name=config.name,
        config=config,
        step=step,
        size_multiple_px=config.size_multiple_px,
        statistics=config.inference.statistics,
        noise=config.inference.noise,
        target_dtype=target_dtype,
        noise_size=noise_size(generator),
        objective=config.objective_name,
        update_order=config.training.update_order,
        metrics=metrics,
        metrics_images=images,
    )


def _device() -> str:
    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else "CPU"
