"""One run under way: the loop with its hooks, which report, sample, measure and save, and where it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console

from tfpix2pix.card import ModelCard
from tfpix2pix.config import Config
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.evaluation.held_out import measure
from tfpix2pix.inference import InferenceView
from tfpix2pix.models.build import noise_size
from tfpix2pix.resolve import to_yaml
from tfpix2pix.run_directory import RunDirectory
from tfpix2pix.training import loop
from tfpix2pix.training.checkpoints import Checkpoints, get_state
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.reporting import Reporter, held_out_table
from tfpix2pix.training.samples import sample_grid
from tfpix2pix.training.validation import Best

SAMPLE_ROWS = 6


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


def run(
    config: Config, directory: RunDirectory, sources: dict[str, Source], model: Pix2Pix, first_step: int,
    metrics: dict[str, dict[str, float]], console: Console,
) -> Run:  # fmt: skip
    """Runs the loop with its hooks: report, sample, save, and measure held-out pairs, before the first step too."""
    spec, data = config.training, config.data
    checkpoints = Checkpoints(directory.checkpoints, spec.keep_last, spec.keep_every_steps)
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
    best = Best(config.best_metric) if config.best_metric and len(held_out) else None
    if best:
        best.see_all(reporter.metrics.before)
    saved_s = time.monotonic()

    def write_card(step: int) -> None:
        directory.write_card(model_card(config, model.generator, step, metrics, len(held_out), target_dtype))

    def save(step: int, _: loop.Losses) -> None:
        nonlocal saved_s
        checkpoints.save(step, get_state(model))
        write_card(step)
        saved_s = time.monotonic()

    def save_in_time(step: int, losses: loop.Losses) -> None:
        if spec.checkpoint_every_minutes and time.monotonic() - saved_s >= 60 * spec.checkpoint_every_minutes:
            save(step, losses)

    def sample(step: int, _: loop.Losses) -> None:
        reporter.sample(step, sample_grid(translate, shown, pictures_of(data)))

    def validate(step: int, _: loop.Losses) -> None:
        interrupted = step % spec.validate_every_steps and step != spec.steps  # then there may be no time for it
        if interrupted or not len(held_out):
            return
        values = metrics["trained" if step else "untrained"] = measure(
            translate, held_out, spec.validation_metrics, data
        )
        reporter.validation(step, values)
        if best and step and best.see(values):
            metrics["best"] = {**values, "step": step}
            checkpoints.save_best(step, get_state(model))

    def enough() -> bool:
        return bool(best and spec.stop_after_worse and best.worse >= spec.stop_after_worse)

    hooks = [
        loop.Hook(1, reporter.collect),
        loop.Hook(spec.log_every_steps, reporter.log),
        loop.Hook(spec.sample_every_steps, sample),
        loop.Hook(spec.validate_every_steps, validate),
        loop.Hook(spec.checkpoint_every_steps, save),  # last: what is resumed from it has been reported and measured
        loop.Hook(1, save_in_time),
    ]
    with loop.stop_on_signals() as should_stop, reporter:
        if first_step == 0:
            reporter.text("config", f"```yaml\n{to_yaml(config)}```")
            sample(0, {})
            validate(0, {})
            write_card(0)
        step_function = tf.function(model.train_step, autograph=False)
        step = first_step
        if not enough():
            stop = lambda: should_stop() or enough()  # noqa: E731
            step = loop.run(
                step_function, batches, hooks, should_stop=stop, first_step=first_step, last_step=spec.steps
            )
    finished = step == spec.steps or enough()
    if finished and metrics:
        shown_metrics = {name: values for name, values in metrics.items() if values.get("step") != step}
        console.print(held_out_table(shown_metrics, len(held_out), len(sources["val"])))
    if enough():
        console.print(
            f"Stopped early at step {step}: no better {best.name} than {best.value:.4f} in {best.worse} measurements.",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
    return Run(directory, directory.card(), interrupted=not finished)


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
