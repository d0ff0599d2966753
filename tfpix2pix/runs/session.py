"""Holds a run while it trains: the loop's hooks, which report, sample, validate and save, the roll-back and the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from rich.console import Console

from tfpix2pix.config import Config
from tfpix2pix.config.card import DataPeriod, ModelCard
from tfpix2pix.config.resolve import to_yaml
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import Batches, evaluation_batches
from tfpix2pix.data.scalars import in_words
from tfpix2pix.data.scale import stretch_of
from tfpix2pix.errors import RunError
from tfpix2pix.inference.batching import batch_of
from tfpix2pix.inference.view import InferenceView
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.example import Setting, examples_of
from tfpix2pix.metrics.scoring import measure
from tfpix2pix.models.noise import noise_size
from tfpix2pix.runs.directory import Run, RunDirectory, flat
from tfpix2pix.runs.stages import best_after, stage_after
from tfpix2pix.training import loop
from tfpix2pix.training.checkpoints import TRANSLATING, Checkpoints, State, get_state, holding, set_state
from tfpix2pix.training.devices import Devices
from tfpix2pix.training.health import Finding, Monitor, NotFinite, advice, check_losses, check_weights
from tfpix2pix.training.pix2pix import Pix2Pix
from tfpix2pix.training.probe import Probe, RealSigns
from tfpix2pix.training.progress import length_sentence
from tfpix2pix.training.reporting import Reporter, held_out_table
from tfpix2pix.training.samples import sample_grid
from tfpix2pix.training.trackers import Trackers

SAMPLE_ROWS = 6
FIRST_SAMPLES = (50, 100, 200, 400)  # steps of the first sample grids, before `training.sample_every_steps`
MAX_ROLL_BACKS = 5
LEAST_TOLD_S = 60.0  # of a training, for its length to be told
STYLES = 256  # that a model card holds
MEASURED = (*TRANSLATING, "discriminator")  # parts of the state that samples, validations and the card depend on


def hyperparameters_of(config: Config) -> dict[str, object]:
    """Returns the values of a configuration by dotted key, without the sections `data` and `inference`."""
    sections = {"recipe", "seed", "generator", "discriminator", "objective", "training"}
    return dict(flat(config.model_dump(mode="json", include=sections)))


class Best:
    """Keeps the best score of a metric, and counts the validations since.

    Args:
        metric: a row of `METRICS`.
        state: `state()` of a run that is resumed.
    """

    def __init__(self, metric: str, state: Mapping[str, Any] | None = None) -> None:
        row, state = METRICS[metric], state or {}
        self.name, self.higher = row.score, row.better == "higher"
        self.value: float | None = state.get("value")
        self.worse: int = state.get("worse", 0)  # validations since the best

    def state(self) -> dict[str, Any]:
        """Returns the state that a resumed run needs, for JSON."""
        return {"value": self.value, "worse": self.worse}

    def update(self, values: Mapping[str, float]) -> bool:
        """Takes metrics of a validation. Returns True if they are the best so far. Ignores a missing or NaN score."""
        value = values.get(self.name)
        if value is None or math.isnan(value):
            return False
        if self.value is None or (value > self.value if self.higher else value < self.value):
            self.value, self.worse = value, 0
            return True
        self.worse += 1
        return False


@dataclass
class Start:
    """Holds the step where a training starts, and the notes of its checkpoint."""

    step: int = 0
    untouched: bool = False  # a new run, whose untrained generator has not been validated
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    meter: dict[str, Any] = field(default_factory=dict)
    finding: Finding | None = None  # reason why the run was rolled back to this step


class Untrained(NamedTuple):
    """Holds the untrained generator of a new run until it is measured, after the first steps."""

    grid: np.ndarray  # of its samples
    state: State  # parts in `MEASURED`
    examine: Callable[[], None]


class Session:
    """Holds what the hooks of a training share. Of several workers, only the chief reports, validates and saves.

    Args:
        initial: computes the state before the first step of the stage.
        data_periods: pairs that the steps see, for the model card.
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
        shown = sources["val"] if len(sources["val"]) else sources["train"]
        self.shown = list(evaluation_batches(shown, data, count=SAMPLE_ROWS))
        self.real_signs = RealSigns(model.judge_whole, model.objective.boundary, data.encoding)
        self.probe = Probe(self.translate, model.translator, data.encoding.encode_input, self.shown)
        self.target_dtype = sources["train"].sample(0)[1].dtype.name
        self.stretch = stretch_of(sources["train"], data)
        self.saved_s = time.monotonic()
        self.roll_backs = 0
        self.length_told = False
        self.untrained: Untrained | None = None

    @cached_property
    def measured(self) -> dict[str, Batches]:
        """Returns the pairs of a validation by split: held-out ones, and as many to train on, without augmentation."""
        data, count = self.config.data, self.held_out_count
        batch_size = batch_of(*data.size_px)
        return {
            split: evaluation_batches(self.sources[split], data, count=count, batch_size=batch_size)
            for split in ("val", "train")
        }

    @contextmanager
    def reporting(self, start: Start, trackers: Trackers, examine: Callable[[], None]) -> Iterator[None]:
        """Reports the steps of the block, to trackers too. A new run draws samples of its untrained generator first,
        and calls `examine` after its first steps."""
        chief = self.devices.is_chief
        self._begin(start)
        self.reporter.trackers = trackers
        with self.reporter:
            if start.finding and chief:
                self.reporter.finding(start.step, start.finding)
            if start.untouched and chief:
                self.reporter.view.doing("Draws samples of the untrained generator")
                grid = self._grid()
                self.reporter.write_grid(0, grid)
                self._write_card(0)
                self.untrained = Untrained(grid, get_state(self.model, MEASURED), examine)
            if chief:
                self.reporter.view.doing("Compiles the training step")
            try:
                yield
            except NotFinite:
                self._report_untrained()
                raise

    def hooks(self) -> list[loop.Hook]:
        """Returns the hooks that the loop calls after its steps, in this order."""
        spec = self.spec
        hooks = [
            loop.Hook(None, check_losses),
            loop.Hook(None, self.reporter.collect),
            loop.Hook(spec.log_every_steps, self._log),
            loop.Hook(spec.sample_every_steps, self._sample, early_steps=FIRST_SAMPLES),
            loop.Hook(spec.validate_every_steps, self._validate),
            loop.Hook(spec.checkpoint_every_steps, self._check_weights, when_stopped=True),
            # Last, so that everything up to a checkpoint has been reported and validated.
            loop.Hook(spec.checkpoint_every_steps, self._save, when_stopped=True),
            loop.Hook(None, self._save_in_time),
        ]
        if self.devices.is_chief:
            return hooks
        # The other workers check too. All hooks keep their cadences, so that all workers make the same calls of steps.
        checks = (check_losses, self._check_weights)
        return [hook if hook.action in checks else hook._replace(action=lambda *_: None) for hook in hooks]

    def should_stop(self, signalled: bool = False) -> bool:
        """Returns True if any worker was signalled, or if `training.stop_after_worse` is reached.

        All workers call it after the same steps.
        """
        return self.devices.agree(signalled or self._stops_early())

    def _begin(self, start: Start) -> None:
        self.start, self.stage = start, stage_after(self.config, start.step)
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
        first = self.stage.first_step  # lines up to there are of networks and images of another size
        lines = [line for line in self.reporter.metrics.lines if line["step"] > first or not first]
        self.monitor = Monitor(lines, adversarial=adversarial)

    def _report_untrained(self) -> None:
        """Reports the untrained generator of a new run, once, with its weights in place meanwhile.

        That can wait for the first steps. It comes before all that they report, so that every file is in order.
        """
        if self.untrained is None:
            return
        (grid, state, examine), self.untrained = self.untrained, None
        with self.reporter.paused():
            self.reporter.view.doing("Examines some pairs and measures the untrained generator")
            examine()
            self.reporter.begin(f"```yaml\n{to_yaml(self.config)}```", hyperparameters_of(self.config))
            with holding(self.model, state):
                self.reporter.sample(0, grid, self._weights())
                self._measure(0)
                self._write_card(0)

    def _log(self, step: int, _: loop.Losses) -> None:
        self._report_untrained()
        pace = self.reporter.step_s()
        rates = {"learning_rate": self.model.generator_optimizer.learning_rate}
        if self.spec.discriminator_learning_rate:
            rates["discriminator_learning_rate"] = self.model.discriminator_optimizer.learning_rate
        rates = {name: float(f"{float(np.asarray(rate)):.6g}") for name, rate in rates.items()}  # as float32 has it
        self._detect(self.reporter.log(step, rates))
        if pace and not self.length_told:
            self._tell_length(step, pace)

    def _tell_length(self, step: int, pace_s: float) -> None:
        """Prints how long the rest of the stage takes, unless that is less than a minute."""
        self.length_told, left = True, self.stage.last_step - step
        if left * pace_s < LEAST_TOLD_S:
            return
        is_free = self.start.untouched and self.spec.minutes is None  # a run that is resumed keeps its length
        text = length_sentence(left, pace_s, datetime.now(), shorten=is_free)
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _sample(self, step: int, _: loop.Losses) -> None:
        self._report_untrained()
        self.reporter.sample(step, self._grid(), self._weights())
        self.reporter.restart_clock()

    def _grid(self) -> np.ndarray:
        data = self.config.data
        pictures, caption = pictures_of(data, every_part=True), partial(in_words, data=data)
        return sample_grid(self.translate, self.shown, pictures, caption)

    def _weights(self) -> dict[str, Any]:
        return {v.path: v for v in (*self.model.generator.weights, *self.model.discriminator.weights)}

    def _validate(self, step: int, _: loop.Losses) -> None:
        self._report_untrained()
        self._measure(step)
        self.reporter.restart_clock()

    def _measure(self, step: int) -> None:
        metrics = {}
        if self.held_out_count:
            setting = Setting.of(self.config.data)
            metrics = measure(examples_of(self.translate, self.measured["val"]), self.spec.validation_metrics, setting)
            self.metrics["trained" if step else "untrained"] = metrics
        named = {**{f"val/{name}": value for name, value in metrics.items()}, **self._probed()}
        if named:
            self._detect(self.reporter.validated(step, named))
        if self.best and step and self.best.update(metrics):
            self.metrics["best"] = {**metrics, "step": step}
            self.checkpoints.save_best(step, get_state(self.model, TRANSLATING))

    def _probed(self) -> dict[str, float]:
        if not self.spec.health:
            return {}
        judged = self.held_out_count and self.model.objective.adversarial
        signs = self.real_signs.measure(self.measured["train"], self.measured["val"]) if judged else {}
        return {**self.probe.measure(), **signs}

    def _detect(self, line: dict[str, Any]) -> None:
        for finding in self.monitor.update(line) if self.spec.health else ():
            self.reporter.finding(line["step"], finding)

    def _check_weights(self, step: int, _: loop.Losses) -> None:
        check_weights(self.model, step)

    def _save(self, step: int, _: loop.Losses) -> None:
        self._report_untrained()
        best = self.best.state() if self.best else {}
        notes = {"metrics": self.metrics, "best": best, "meter": self.reporter.meter.state()}  # fields of `Start`
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
            return  # clocks differ, so the other workers do not check now; the next losses show it to all of them
        self._save(step, losses)

    def _stops_early(self) -> bool:
        last = self.stage.last_step == self.spec.steps  # an earlier stage goes on to its end
        return bool(last and self.best and self.spec.stop_after_worse and self.best.worse >= self.spec.stop_after_worse)

    def next_start(self) -> Start:
        """Returns the start of the stage after this one."""
        best = self.best.state() if self.best else {}
        return Start(self.stage.last_step, metrics=self.metrics, best=best_after(self.stage, best))

    def roll_back(self, trouble: NotFinite) -> Start:
        """Restores the last checkpoint, or the beginning, and halves the learning rate. Returns the new start.

        Raises:
            RunError: `training.on_non_finite` is `stop`, or this is the sixth time.
        """
        self.roll_backs += 1
        given_up = self.roll_backs > MAX_ROLL_BACKS
        chief, steps = self.devices.is_chief, self.checkpoints.steps()
        factor = float(np.asarray(self.model.learning_rate_factor)) / 2
        first = self.stage.first_step
        if steps and steps[-1] > first:
            step, state = self.checkpoints.load()
            if step <= first:
                raise RunError(f"{trouble} The checkpoints after step {step} are damaged. Resume the run from there.")
            start = Start(step, **self.checkpoints.notes(step))
        else:
            step, state, start = first, self.initial(), replace(self.start, untouched=False)
        if self.spec.on_non_finite == "stop" or given_up:
            if chief:
                self.reporter.metrics.write(trouble.step, {"finding": "not_finite", "text": str(trouble)})
                self.reporter.draw()
            weights = self.config.objective.weights
            raise RunError(
                f"{trouble} The run is saved as of step {step}. {advice(self.spec.precision, given_up, weights)}"
            )
        set_state(self.model, state)
        self.model.learning_rate_factor.assign(factor)
        self.devices.check_same(step, "checkpoint")
        text = f"{trouble} Restored step {step}, and continues at {factor:g} times the learning rate."
        start.finding = Finding("not_finite", text)
        return start

    def end(self, step: int) -> Run:
        """Prints the metrics of a finished run. Returns the run."""
        stopped_early = self._stops_early()
        finished = step == self.spec.steps or stopped_early
        self.reporter.trackers.finish("finished" if finished else "interrupted")
        if finished and self.metrics:
            shown = {name: values for name, values in self.metrics.items() if values.get("step") != step}
            self.console.print(held_out_table(shown, self.held_out_count, len(self.sources["val"])))
        if stopped_early:
            no_better = f"no better {self.best.name} than {self.best.value:.4f} in {self.best.worse} measurements"
            self.console.print(f"Stopped early at step {step}: {no_better}.", soft_wrap=True, highlight=False)
        return Run(self.directory, self._card(step), interrupted=not finished)

    def _write_card(self, step: int) -> None:
        self.directory.write_card(self._card(step))

    def _card(self, step: int) -> ModelCard:
        return ModelCard.of(
            self.config, step, noise_size=noise_size(self.model.generator), target_dtype=self.target_dtype,
            metrics=self.metrics, metrics_images=self.held_out_count, data_periods=self.data_periods,
            styles=self._styles(), stretch=self.stretch,
        )  # fmt: skip

    def _styles(self) -> np.ndarray | None:
        """Returns the noise of the styles that the encoder finds in some training targets; None without an encoder."""
        if self.model.encoder is None:
            return None
        data = self.config.data
        found = [
            self.model.noise_of_targets(data.encoding.encode_target(target), *weight)
            for _, target, *weight in evaluation_batches(
                self.sources["train"], data, count=STYLES, batch_size=batch_of(*data.size_px)
            )
        ]
        return np.concatenate(found)
