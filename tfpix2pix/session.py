"""One run under way: the loop with its hooks, which report, sample, measure and save, and where it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console

from tfpix2pix.batching import batch_of
from tfpix2pix.card import DataPeriod, ModelCard
from tfpix2pix.config import Config
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.errors import RunError
from tfpix2pix.evaluation.example import Setting, examples_of
from tfpix2pix.evaluation.scoring import measure
from tfpix2pix.inference import InferenceView
from tfpix2pix.models.build import noise_size
from tfpix2pix.resolve import to_yaml
from tfpix2pix.run_directory import Run, RunDirectory, flat
from tfpix2pix.steps import execution
from tfpix2pix.training import loop
from tfpix2pix.training.checkpoints import Checkpoints, State, get_state, set_state
from tfpix2pix.training.devices import Devices
from tfpix2pix.training.finite import NotFinite, advice, check_losses, check_weights
from tfpix2pix.training.health import Finding, Monitor
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.probe import Probe, RealSigns
from tfpix2pix.training.reporting import Reporter, held_out_table
from tfpix2pix.training.samples import sample_grid
from tfpix2pix.training.validation import Best

SAMPLE_ROWS = 6
MAX_ROLL_BACKS = 5


@dataclass
class Start:
    """Where a session begins: a step, and what was noted beside its checkpoint."""

    step: int = 0
    untouched: bool = False  # nothing was measured yet, not even the untrained generator
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    meter: dict[str, Any] = field(default_factory=dict)
    finding: Finding | None = None  # why a run was taken back to this step


class Session:
    """A training on one process; of several workers the chief alone reports, measures and saves.

    Args:
        initial: the state before the first step, made anew when it is needed.
        data_periods: which steps see which data, for the card.
    """

    def __init__(
        self, config: Config, directory: RunDirectory, sources: dict[str, Source], model: Pix2Pix, devices: Devices,
        console: Console, initial: Callable[[], State], data_periods: tuple[DataPeriod, ...] = (),
    ) -> None:  # fmt: skip
        self.config, self.directory, self.sources, self.model = config, directory, sources, model
        self.devices, self.console, self.initial = devices, console, initial
        self.data_periods = data_periods
        spec, data = config.training, config.data
        self.spec = spec
        self.checkpoints = Checkpoints(directory.checkpoints, spec.keep_last, spec.keep_every_steps)
        view = InferenceView(model.translator, data.encoding)
        self.translate = tf.function(view.translate, autograph=False, reduce_retracing=True)
        self.held_out_count = min(spec.validation_images, len(sources["val"]))
        together = batch_of(data.image_size_px, data.image_size_px)
        self.held_out = evaluation_batches(sources["val"], data, count=spec.validation_images, batch_size=together)
        shown = sources["val"] if len(sources["val"]) else sources["train"]
        self.shown = list(evaluation_batches(shown, data, count=SAMPLE_ROWS))
        self.trained_on = evaluation_batches(sources["train"], data, count=self.held_out_count, batch_size=together)
        self.real_signs = RealSigns(model.judge, model.objective.boundary, data.encoding)
        self.probe = Probe(self.translate, model.translator, data.encoding.encode_input, self.shown)
        self.target_dtype = sources["train"].read(0)[1].dtype.name
        self.saved_s = time.monotonic()

    def run(self, start: Start) -> Run:
        """Trains from `start` to the end, or until stopped; rolls back and goes on where the configuration says so."""
        roll_backs = 0
        with loop.stop_on_signals() as signalled, self.devices.in_reach():
            while True:
                try:
                    return self._run(start, signalled)
                except NotFinite as trouble:
                    roll_backs += 1
                    start = self._roll_back(trouble, roll_backs)

    def _run(self, start: Start, signalled: Callable[[], bool]) -> Run:
        spec, chief = self.spec, self.devices.is_chief
        self._begin(start)
        hooks = [
            loop.Hook(None, check_losses),
            loop.Hook(None, self.reporter.collect),
            loop.Hook(spec.log_every_steps, self._log),
            loop.Hook(spec.sample_every_steps, self._sample),
            loop.Hook(spec.validate_every_steps, self._validate),
            loop.Hook(spec.checkpoint_every_steps, self._check_weights, when_stopped=True),
            # Last: what is resumed from it has been reported and measured.
            loop.Hook(spec.checkpoint_every_steps, self._save, when_stopped=True),
            loop.Hook(None, self._save_in_time),
        ]
        if not chief:  # checks are everybody's; cadences stay, so that all workers make the same calls of steps
            checks = (check_losses, self._check_weights)
            hooks = [hook if hook.action in checks else hook._replace(action=lambda *_: None) for hook in hooks]
        with self.reporter:
            if start.finding and chief:
                self.reporter.finding(start.step, start.finding)
            if start.untouched and chief:
                sections = {"recipe", "seed", "generator", "discriminator", "objective", "training"}
                hyperparameters = dict(flat(self.config.model_dump(mode="json", include=sections)))
                self.reporter.begin(f"```yaml\n{to_yaml(self.config)}```", hyperparameters)
                self._sample(0, {})
                self._validate(0, {})
                self._write_card(0)
            step = start.step
            if not self.devices.agree(self._enough()):
                stop = lambda: self.devices.agree(signalled() or self._enough())  # noqa: E731
                step = loop.run(
                    execution(self.config, self.sources["train"], self.model, self.devices, first_step=start.step),
                    hooks, first_step=start.step, last_step=spec.steps,
                    steps_per_execution=spec.steps_per_execution, should_stop=stop,
                )  # fmt: skip
        return self._end(step)

    def _begin(self, start: Start) -> None:
        chief, size = self.devices.is_chief, {"first_step": start.step, "total_steps": self.spec.steps}
        self.reporter = Reporter(
            self.directory if chief else None, batch_size=self.spec.batch_size, console=self.console,
            known_step=-1 if start.untouched else start.step, meter=start.meter,
            profile_steps=self.spec.profile_steps, **size,
        )  # fmt: skip
        self.metrics = dict(start.metrics)
        self.best = (
            Best(self.config.best_metric, start.best) if self.config.best_metric and self.held_out_count else None
        )
        adversarial = self.config.objective.weights["gan"] > 0
        self.monitor = Monitor(self.reporter.metrics.lines, adversarial=adversarial)

    def _log(self, step: int, _: loop.Losses) -> None:
        rates = {"learning_rate": self.model.generator_optimizer.learning_rate}
        if self.spec.discriminator_learning_rate:
            rates["discriminator_learning_rate"] = self.model.discriminator_optimizer.learning_rate
        rates = {name: float(f"{float(np.asarray(rate)):.6g}") for name, rate in rates.items()}  # of a float32
        self._see(self.reporter.log(step, rates))

    def _sample(self, step: int, _: loop.Losses) -> None:
        grid = sample_grid(self.translate, self.shown, pictures_of(self.config.data))
        weights = {v.path: v for v in (*self.model.generator.weights, *self.model.discriminator.weights)}
        self.reporter.sample(step, grid, weights)
        self.reporter.restart_clock()

    def _validate(self, step: int, _: loop.Losses) -> None:
        figures = {}
        if self.held_out_count:
            setting = Setting(classes=self.config.data.target_classes)
            figures = measure(examples_of(self.translate, self.held_out), self.spec.validation_metrics, setting)
            self.metrics["trained" if step else "untrained"] = figures
        named = {**{f"val/{name}": value for name, value in figures.items()}, **self._probed()}
        if named:
            self._see(self.reporter.measured(step, named))
        if self.best and step and self.best.see(figures):
            self.metrics["best"] = {**figures, "step": step}
            self.checkpoints.save_best(step, get_state(self.model))
        self.reporter.restart_clock()

    def _probed(self) -> dict[str, float]:
        if not self.spec.health:
            return {}
        judged = self.held_out_count and self.model.objective.adversarial
        signs = self.real_signs.measure(self.trained_on, self.held_out) if judged else {}
        return {**self.probe.measure(), **signs}

    def _see(self, line: dict[str, Any]) -> None:
        for finding in self.monitor.see(line) if self.spec.health else ():
            self.reporter.finding(line["step"], finding)

    def _check_weights(self, step: int, _: loop.Losses) -> None:
        check_weights(self.model, step)

    def _save(self, step: int, _: loop.Losses) -> None:
        best = self.best.state() if self.best else {}
        notes = {"metrics": self.metrics, "best": best, "meter": self.reporter.meter.state()}  # of a `Start`
        self.checkpoints.save(step, get_state(self.model), notes)
        self._write_card(step)
        self.saved_s = time.monotonic()
        self.reporter.restart_clock()

    def _save_in_time(self, step: int, losses: loop.Losses) -> None:
        minutes = self.spec.checkpoint_every_minutes
        if not minutes or time.monotonic() - self.saved_s < 60 * minutes:
            return
        try:
            check_weights(self.model, step)
        except NotFinite:
            if self.devices.workers == 1:
                raise
            return  # the clock is the chief's own: all workers meet what is wrong in the next losses
        self._save(step, losses)

    def _enough(self) -> bool:
        return bool(self.best and self.spec.stop_after_worse and self.best.worse >= self.spec.stop_after_worse)

    def _roll_back(self, trouble: NotFinite, times: int) -> Start:
        """To the last checkpoint, or the beginning; raises RunError where the run shall not go on from there."""
        chief, steps = self.devices.is_chief, self.checkpoints.steps()
        factor = float(np.asarray(self.model.learning_rate_factor)) / 2
        step, state = self.checkpoints.load() if steps else (0, self.initial())
        start = Start(step, **self.checkpoints.notes(step)) if steps else Start()
        if self.spec.on_non_finite == "stop" or times > MAX_ROLL_BACKS:
            if chief:
                self.reporter.metrics.write(trouble.step, {"finding": "not_finite", "text": str(trouble)})
                self.reporter.draw()
            raise RunError(
                f"{trouble} The run is as at step {step}. {advice(self.spec.precision, times > MAX_ROLL_BACKS)}"
            )
        set_state(self.model, state)
        self.model.learning_rate_factor.assign(factor)
        self.devices.check_same(step, "checkpoint")
        text = f"{trouble} Back at step {step}, going on at {factor:g} times the learning rate."
        start.finding = Finding("not_finite", text)
        return start

    def _end(self, step: int) -> Run:
        enough = self._enough()
        finished = step == self.spec.steps or enough
        if finished and self.metrics:
            shown = {name: values for name, values in self.metrics.items() if values.get("step") != step}
            self.console.print(held_out_table(shown, self.held_out_count, len(self.sources["val"])))
        if enough:
            no_better = f"no better {self.best.name} than {self.best.value:.4f} in {self.best.worse} measurements"
            self.console.print(f"Stopped early at step {step}: {no_better}.", soft_wrap=True, highlight=False)
        return Run(self.directory, self._card(step), interrupted=not finished)

    def _write_card(self, step: int) -> None:
        self.directory.write_card(self._card(step))

    def _card(self, step: int) -> ModelCard:
        return ModelCard.of(
            self.config, step, noise_size=noise_size(self.model.generator), target_dtype=self.target_dtype,
            metrics=self.metrics, metrics_images=self.held_out_count, data_periods=self.data_periods,
        )  # fmt: skip
