"""What a run tells: metrics.jsonl, TensorBoard, sample pictures, and progress on a terminal or in a log."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tfpix2pix.data.images import write_image
from tfpix2pix.training.loop import Losses

REFRESH_S = 0.2


class MetricsLog:
    """metrics.jsonl: one JSON object a line. A resumed run drops the lines that its checkpoint does not know of."""

    def __init__(self, path: Path, first_step: int) -> None:
        lines = [(line, json.loads(line)) for line in self._lines(path)]
        lines = [(line, values) for line, values in lines if values["step"] <= first_step]
        path.write_text("".join(f"{line}\n" for line, _ in lines), encoding="utf-8")
        self.path, self.before = path, [values for _, values in lines]

    def write(self, step: int, values: Mapping[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    @staticmethod
    def _lines(path: Path) -> list[str]:
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.endswith("}")]  # a killed run may leave half a line


class Reporter:
    """Collects the losses of every step and reports their means; a context manager around the loop.

    Its methods are hooks of the loop: `collect` every step, `log` at the logging cadence.
    """

    def __init__(self, run, *, first_step: int, total_steps: int, batch_size: int, console: Console) -> None:
        self.metrics = MetricsLog(run.metrics_file, first_step)
        self.samples = run.samples
        self.writer = tf.summary.create_file_writer(str(run.tensorboard))
        self.batch_size, self.console = batch_size, console
        self.sums: dict[str, tf.Tensor] = {}
        self.count = 0
        self.total_steps, self.shown_s = total_steps, 0.0
        self.bar = Progress(
            TextColumn("step"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
        )  # fmt: skip
        self.task = self.bar.add_task("", total=total_steps, completed=first_step, rate="")
        self.live = Live(self.bar, console=console, auto_refresh=False) if _can_redraw(console) else None
        self.started_s = self.logged_s = time.perf_counter()

    def __enter__(self) -> Reporter:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()
        self.writer.close()

    def collect(self, step: int, losses: Losses) -> None:
        """Adds the losses of a step; redraws the progress on a terminal, a few times a second."""
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1
        now_s = time.perf_counter()
        if self.live and (now_s - self.shown_s >= REFRESH_S or step == self.total_steps):
            self.shown_s = now_s
            rate = f"{self._images_per_s(now_s):.1f} images/s"
            self.bar.update(self.task, completed=step, rate=rate)
            self.live.update(Group(self.bar, _losses_text(self._means())), refresh=True)

    def log(self, step: int, _: Losses) -> None:
        """Means since the last call -> metrics.jsonl, TensorBoard and, without a terminal, a line."""
        means, now_s = self._means(), time.perf_counter()
        rate = self._images_per_s(now_s)
        self.metrics.write(step, {**means, "images_per_s": round(rate, 3), "time_s": round(now_s - self.started_s, 3)})
        self.scalars(step, {**means, "images_per_s": rate})
        if not self.live:
            left_s = (self.total_steps - step) * self.batch_size / rate
            self.console.print(
                f"step {step}/{self.total_steps}  {left_s:.0f} s left  {rate:.1f} images/s  {_losses_text(means)}",
                soft_wrap=True, highlight=False,
            )  # fmt: skip
        self.sums, self.count, self.logged_s = {}, 0, now_s

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        named = {f"val/{name}": value for name, value in values.items()}
        self.metrics.write(step, named)
        self.scalars(step, named)

    def sample(self, step: int, grid: np.ndarray) -> None:
        write_image(self.samples / f"step-{step:06d}.png", grid)
        with self.writer.as_default(step=step):
            tf.summary.image("samples", grid[np.newaxis])

    def text(self, name: str, text: str) -> None:
        with self.writer.as_default(step=0):
            tf.summary.text(name, text)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def _images_per_s(self, now_s: float) -> float:
        return self.count * self.batch_size / max(now_s - self.logged_s, 1e-9)

    def _means(self) -> dict[str, float]:
        return {name: float(total) / self.count for name, total in self.sums.items()}


def _can_redraw(console: Console) -> bool:
    """Whether progress can be redrawn in place; a log, or a notebook without widgets, gets lines instead."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def _losses_text(means: Mapping[str, float]) -> str:
    """The terms; totals stand in metrics.jsonl."""
    return "  ".join(f"{name} {value:.3f}" for name, value in means.items() if not name.endswith("/total"))


def held_out_table(metrics: Mapping[str, Mapping[str, float]], measured: int, of: int) -> Table:
    """`untrained` beside `trained`, a row a metric."""
    title = f"Held out: {measured} of {of} pairs never trained on"
    table = Table(title=title, title_justify="left", min_width=len(title))  # a title wraps at the table's width
    table.add_column("metric")
    for name in metrics:
        table.add_column(name, justify="right")
    for row in next(iter(metrics.values())):
        table.add_row(row, *(f"{column[row]:.4f}" for column in metrics.values()))
    return table
