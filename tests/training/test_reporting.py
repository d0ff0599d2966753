"""What a run tells, and to whom."""

import io
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from tfpix2pix.run_directory import RunDirectory
from tfpix2pix.training.reporting import MetricsLog, Reporter
from tfpix2pix.training.samples import sample_grid


def reporter(tmp_path, terminal, **options):
    run = RunDirectory(tmp_path)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    settings = {"first_step": 0, "total_steps": 4, "batch_size": 2, **options}
    return Reporter(run, console=console, **settings), run, console


def report_two_steps(tmp_path, terminal):
    report, run, console = reporter(tmp_path, terminal)
    with report:
        for step, value in ((1, 1.0), (2, 3.0)):
            losses = {"g/total": tf.constant(9.0), "g/l1": tf.constant(value), "d/real": tf.constant(0.5)}
            report.shown_s = 0
            report.collect(step, losses)
        report.log(2, losses)
    return run, console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_means_over_the_steps_between(tmp_path, terminal):
    run, _ = report_two_steps(tmp_path, terminal)
    (line,) = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert (line["step"], line["g/l1"], line["g/total"]) == (2, 2.0, 9.0)
    assert line["images_per_s"] > 0


def test_a_log_gets_plain_lines(tmp_path):
    _, text = report_two_steps(tmp_path, terminal=False)
    (line,) = text.splitlines()
    assert line.startswith("step 2/4  ")
    for part in ("s left", "images/s", "g/l1 2.000", "d/real 0.500"):
        assert part in line
    assert "\x1b" not in text


def test_a_terminal_gets_a_bar_with_all_of_it_in_80_columns(tmp_path):
    _, text = report_two_steps(tmp_path, terminal=True)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert max(map(len, text.splitlines())) <= 2 * 80  # a line and its redrawn form
    for part in ("━", "2/4", "images/s", "g/l1 2.000", "d/real 0.500"):
        assert part in text, text


def test_a_resumed_log_drops_what_its_checkpoint_does_not_know(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "half')
    MetricsLog(path, first_step=2).write(3, {"x": 1.0})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_tensorboard_has_scalars_and_pictures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report, run, _ = reporter(tmp_path, terminal=False)
    with report:
        report.validation(3, {"l1": 0.25})
        report.sample(3, np.zeros((8, 8, 3), np.uint8))
        report.text("config", "seed: 0")
    events = EventAccumulator(str(run.tensorboard))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"val/l1", "samples", "config"}


def test_grids_show_input_output_target_of_any_channels():
    image = np.linspace(-1, 1, 16 * 16, dtype=np.float32).reshape(1, 16, 16, 1)
    target = np.repeat(-image, 5, axis=-1)
    grid = sample_grid(lambda x: np.repeat(x, 5, axis=-1), [(image, target)] * 2)
    assert grid.shape == (16 + 2 * (16 + 4), 3 * 16 + 2 * 4, 3)
    np.testing.assert_array_equal(grid[16:32, :16], grid[16:32, 20:36])
    np.testing.assert_array_equal(grid[16:32, 40:56], 255 - grid[16:32, :16])
