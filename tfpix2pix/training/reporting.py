"""Reports a run: metrics.jsonl, TensorBoard, trackers, samples, curves, and progress on a terminal or in a log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tfpix2pix.data.images import write_image
from tfpix2pix.files import whole_file
from tfpix2pix.metrics import titled
from tfpix2pix.safe_files import read_json_lines
from tfpix2pix.training.curves import draw_curves
from tfpix2pix.training.health import Finding
from tfpix2pix.training.loop import Losses
from tfpix2pix.training.progress import duration, gpu_memory_gb, peak_memory_gb, progress_view
from tfpix2pix.training.tensorboard import TensorBoard
from tfpix2pix.training.trackers import Trackers

REDRAW_S = 60.0  # shortest time between two drawings of the curves


class MetricsLog:
    """Writes metrics.jsonl, a JSON object on each line. A resumed run drops the lines after `known_step`."""

    def __init__(self, path: Path | None, known_step: int) -> None:
        self.path = path
        known = read_json_lines(path, "step") if path else []
        self.lines = [line for line in known if line["step"] <= known_step]
        if path:
            with whole_file(path) as temporary:
                temporary.write_text("".join(f"{json.dumps(line)}\n" for line in self.lines), encoding="utf-8")

    def write(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        line = {"step": step, **values}
        self.lines.append(line)
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return line


class Meter:
    """Computes means of losses over the steps since the last log.

    They are summed step by step in float64, so that the number of calls, or of resumed runs, makes no difference.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        known = known or {}
        self.count, self.sums = int(known.get("count", 0)), dict(known.get("sums", {}))

    def add(self, losses: Losses) -> None:
        for name, values in losses.items():
            self.sums[name] = sum(np.asarray(values, np.float64).tolist(), self.sums.get(name, 0.0))
        self.count += len(next(iter(losses.values())))

    def means(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self.sums.items() if self.count}

    def state(self) -> dict[str, Any]:
        """Returns the state that a resumed run needs, for JSON."""
        return {"count": self.count, "sums": self.sums}


class Reporter:
    """Collects the losses of every step and reports their means. It is a context manager around the loop.

    Hooks of the loop call it: `collect` after every call, `log` after every `training.log_every_steps`.

    Args:
        run: the run directory. None, for workers that are not the chief, reports nothing.
        known_step: lines of metrics.jsonl up to this step stay. None: `first_step`. -1: no line stays.
        meter: `Meter.state()` of a run that is resumed between two logs.
        profile_steps: first and last step of a profiler trace.

    Attributes:
        trackers: get metrics and sample grids too. A run that is rolled back, or enters another stage, keeps them.
    """

    trackers = Trackers()

    def __init__(
        self, run, *, first_step: int, total_steps: int, batch_size: int, console: Console,
        known_step: int | None = None, meter: Mapping[str, Any] | None = None,
        profile_steps: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        self.run, self.batch_size, self.console, self.total_steps = run, batch_size, console, total_steps
        self.metrics = MetricsLog(run and run.metrics_file, first_step if known_step is None else known_step)
        self.board = TensorBoard(run and run.tensorboard, first_step)
        self.trace = self.board.profile(*profile_steps) if profile_steps else None
        self.meter = Meter(meter)
        self.view = progress_view(console, first_step, total_steps)
        self.started_s = self.timed_from_s = time.perf_counter()
        self.drawn_s = time.monotonic()
        self.first_step, self.step, self.steps_timed = first_step, first_step, 0

    def __enter__(self) -> Reporter:
        self.view.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.meter.count:  # else the last drawing is up to date
            self._show(self.step)
        self.view.stop()
        if self.trace:
            self.trace.close()
        self.board.close()
        if kind is None:
            self.draw()

    def collect(self, step: int, losses: Losses) -> None:
        """Adds the losses of a call of steps, and shows them."""
        self.meter.add(losses)
        if self.step == self.first_step:
            self.restart_clock()  # the first call compiles the step
        else:
            self.steps_timed += step - self.step
        self.step = step
        if self.trace:
            self.trace.at(step)
        if self.view.due(step):
            self._show(step)

    def step_s(self) -> float | None:
        """Returns the time of a step, s, since the last log; None if none was timed since."""
        return self.batch_size / self._images_per_s() if self.steps_timed else None

    def log(self, step: int, rates: Mapping[str, float]) -> dict[str, Any]:
        """Writes means since the last log, and learning rates, to metrics.jsonl, TensorBoard, trackers and the log.

        Returns the line of metrics.jsonl.
        """
        means, rate = self.meter.means(), self._images_per_s()
        self.view.logged(step, self._facts(step), losses_text(means))
        values = {**means, **rates}
        self.board.scalars(step, {**values, "images_per_s": rate, "memory_gb": peak_memory_gb()})
        self.trackers.log(step, {**values, "images_per_s": rate})
        time_s = round(time.perf_counter() - self.started_s, 3)
        self.meter = Meter()
        self.restart_clock()
        return self.metrics.write(step, {**values, "images_per_s": round(rate, 3), "time_s": time_s})

    def validated(self, step: int, values: Mapping[str, float]) -> dict[str, Any]:
        """Writes metrics of a validation to metrics.jsonl, TensorBoard and trackers. Returns the line of
        metrics.jsonl."""
        self.board.scalars(step, values)
        self.trackers.log(step, values)
        return self.metrics.write(step, values)

    def write_grid(self, step: int, grid: np.ndarray) -> None:
        """Writes a sample grid to its file alone."""
        write_image(self.run.samples / f"step-{step:06d}.png", grid)

    def sample(self, step: int, grid: np.ndarray, weights: Mapping[str, Any]) -> None:
        """Writes a sample grid, to TensorBoard and trackers too, and histograms of the weights. Redraws the curves if
        the last drawing is old."""
        self.write_grid(step, grid)
        self.board.image(step, "samples", grid)
        self.trackers.image(step, "samples", grid)
        self.board.histograms(step, weights)
        if time.monotonic() - self.drawn_s >= REDRAW_S:
            self.draw()

    def finding(self, step: int, finding: Finding) -> None:
        """Prints a finding, and writes it to metrics.jsonl and TensorBoard."""
        self.console.print(
            f"Health, step {step}: {finding.text}", style="yellow", soft_wrap=True, highlight=False, markup=False
        )
        self.metrics.write(step, {"finding": finding.name, "text": finding.text})
        self.board.text(step, f"health/{finding.name}", finding.text)

    def begin(self, config: str, hyperparameters: Mapping[str, object]) -> None:
        """Writes the configuration of a new run to TensorBoard."""
        self.board.text(0, "config", config)
        self.board.hparams(hyperparameters)

    def draw(self) -> None:
        """Draws the curves of the run."""
        self.drawn_s = time.monotonic()
        if self.run:
            draw_curves(self.metrics.lines, self.run.curves)

    def restart_clock(self) -> None:
        """Restarts the clock of images/s, after work that is not a training step."""
        self.timed_from_s, self.steps_timed = time.perf_counter(), 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves the time of the block out of images/s."""
        began_s = time.perf_counter()
        yield
        self.timed_from_s += time.perf_counter() - began_s

    def _show(self, step: int) -> None:
        self.view.update(step, self._facts(step), losses_text(self.meter.means()))

    def _facts(self, step: int) -> dict[str, str]:
        rate, gpu = self._images_per_s(), gpu_memory_gb()
        # Unknown after the first call, which compiles the step.
        left = (self.total_steps - step) * self.batch_size / rate if self.steps_timed else math.inf
        memory = f"{peak_memory_gb():.1f} GB" + (f", GPU {gpu:.1f} GB" if gpu is not None else "")
        return {"left": duration(left), "rate": f"{rate:.1f} images/s", "memory": memory}

    def _images_per_s(self) -> float:
        steps, since_s = self.steps_timed, self.timed_from_s
        if not steps:  # no step was timed since the clock was restarted
            steps, since_s = self.step - self.first_step, self.started_s
        return steps * self.batch_size / max(time.perf_counter() - since_s, 1e-9)


def losses_text(means: Mapping[str, float]) -> str:
    """Returns the terms of the losses and D's accuracy as text, without the totals, which metrics.jsonl has."""
    shown = {name: value for name, value in means.items() if not name.endswith(("/total", "_accuracy"))}
    if "d/real_accuracy" in means:
        shown["D right"] = (means["d/real_accuracy"] + means["d/fake_accuracy"]) / 2
    return "  ".join(f"{name} {value:.3f}" for name, value in shown.items())


def held_out_table(metrics: Mapping[str, Mapping[str, float]], count: int, total: int) -> Table:
    """Returns a table of `untrained` and `trained` metrics, a row for each metric by its title."""
    title = f"Held out: {count} of {total} pairs never trained on"
    table = Table(title=title, title_justify="left", min_width=len(title))  # a title wraps at the table's width
    table.add_column("metric")
    table.add_column("better")
    for name in metrics:
        table.add_column(name, justify="right")
    for row in next(iter(metrics.values())):
        table.add_row(*titled(row), *(f"{column[row]:.4f}" for column in metrics.values()))
    return table
