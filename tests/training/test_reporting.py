"""What a run tells, and to whom."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from tests.training.test_tensorboard import read
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.training.health import Finding
from tfpix2pix.training.reporting import Meter, MetricsLog, Reporter, held_out_table, losses_text
from tfpix2pix.training.samples import picture_grid, sample_grid


def reporter(tmp_path, **options):
    run = RunDirectory(tmp_path)
    console = Console(file=io.StringIO(), width=80)
    settings = {"first_step": 0, "total_steps": 4, "batch_size": 2, **options}
    return Reporter(run, console=console, **settings), run, console


def lines_of(run):
    return [json.loads(line) for line in run.metrics_file.read_text().splitlines()]


def test_means_over_the_steps_between(tmp_path):
    report, run, console = reporter(tmp_path)
    with report:
        for step, value in ((1, 1.0), (2, 3.0)):
            report.collect(step, {"g/total": np.array([9.0]), "g/l1": np.array([value]), "d/real": np.array([0.5])})
        report.log(2, {"learning_rate": 2e-4})
    (line,) = lines_of(run)
    assert (line["step"], line["g/l1"], line["g/total"], line["learning_rate"]) == (2, 2.0, 9.0, 2e-4)
    assert line["images_per_s"] > 0
    (text,) = console.file.getvalue().splitlines()
    for part in ("step 2/4  ", "s left", "images/s", " GB", "g/l1 2.000", "d/real 0.500"):
        assert part in text
    assert "\x1b" not in text
    assert run.curves.is_file()


def test_a_mean_does_not_depend_on_how_many_calls_or_runs_its_steps_were_done_in():
    values = np.random.default_rng(0).uniform(0, 1e3, 7).astype(np.float32)
    once, twice, resumed = Meter(), Meter(), Meter()
    once.add({"x": values})
    for part in (values[:3], values[3:]):
        twice.add({"x": part})
    resumed.add({"x": values[:5]})
    resumed = Meter(json.loads(json.dumps(resumed.state())))
    resumed.add({"x": values[5:]})
    assert once.means() == twice.means() == resumed.means()
    assert once.means()["x"] == pytest.approx(float(np.mean(values, dtype=np.float64)), rel=1e-12)
    assert Meter().means() == {}


def test_a_pause_is_no_time_of_the_steps_around_it(tmp_path, monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr("tfpix2pix.training.reporting.time.perf_counter", lambda: now_s[0])
    report, run, _ = reporter(tmp_path)
    with report:
        for step, passed_s in ((1, 9.0), (2, 0.5), (3, 0.5)):  # the first step compiles
            now_s[0] += passed_s
            report.collect(step, {"g/l1": np.ones(1)})
        with report.paused():
            now_s[0] += 70.0
        assert report.step_s() == 0.5
        report.log(3, {})
    assert lines_of(run)[0]["images_per_s"] == 4.0


def test_losses_are_shown_without_totals_and_with_what_d_is_right_about():
    text = losses_text({"g/total": 9.0, "g/l1": 0.25, "d/real_accuracy": 0.5, "d/fake_accuracy": 1.0})
    assert text == "g/l1 0.250  D right 0.750"


def test_a_resumed_log_drops_what_its_checkpoint_does_not_know(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "half')
    log = MetricsLog(path, known_step=2)
    assert log.write(3, {"x": 1.0}) == {"step": 3, "x": 1.0}
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert [line["step"] for line in log.lines] == [1, 2, 3]


def test_tensorboard_has_scalars_pictures_histograms_and_the_configuration(tmp_path):
    report, run, _ = reporter(tmp_path)
    with report:
        report.begin("seed: 0", {"seed": 0})
        report.validated(3, {"val/l1": 0.25})
        report.sample(3, np.zeros((8, 8, 3), np.uint8), {"down1/kernel": np.ones((2, 2))})
        report.finding(3, Finding("collapsed", "All the same."))
    tags = set(read(run.tensorboard).Tags()["tensors"])
    assert {"val/l1", "samples", "config", "weights/down1/kernel", "health/collapsed"} <= tags


def test_a_finding_is_one_sentence_on_the_console_and_in_the_log(tmp_path):
    report, run, console = reporter(tmp_path)
    with report:
        report.finding(3, Finding("collapsed", "All [the] same."))
    assert "Health, step 3: All [the] same." in console.file.getvalue()
    assert lines_of(run) == [{"step": 3, "finding": "collapsed", "text": "All [the] same."}]


def test_workers_that_are_not_the_chief_write_nothing(tmp_path):
    report = Reporter(None, first_step=0, total_steps=4, batch_size=2, console=Console(file=io.StringIO()))
    with report:
        report.collect(1, {"g/l1": np.ones(1)})
        report.log(1, {"learning_rate": 2e-4})
    assert list(tmp_path.iterdir()) == []


def test_a_profiler_trace_is_left_where_tensorboard_looks(tmp_path):
    report, run, _ = reporter(tmp_path, profile_steps=(2, 3))
    with report:
        for step in range(1, 5):
            report.collect(step, {"g/l1": np.ones(1)})
    assert list(run.tensorboard.rglob("*.xplane.pb"))


def test_the_table_of_figures_has_a_row_a_metric():
    console = Console(file=io.StringIO(), width=80)
    console.print(held_out_table({"untrained": {"l1": 0.5}, "trained": {"l1": 0.25}}, 5, 10))
    assert "5 of 10 pairs" in console.file.getvalue()
    assert re.search(r"Mean absolute difference \(L1\) *. lower", console.file.getvalue())
    assert [part for part in console.file.getvalue().split() if part.startswith("0.")] == ["0.5000", "0.2500"]


def test_grids_show_input_output_target_of_any_channels():
    image = np.linspace(-1, 1, 16 * 16, dtype=np.float32).reshape(1, 16, 16, 1)
    target = np.repeat(-image, 5, axis=-1)
    grid = sample_grid(lambda x: np.repeat(x, 5, axis=-1), [(image, target)] * 2)
    assert grid.shape == (16 + 2 * (16 + 4), 3 * 16 + 2 * 4, 3)
    np.testing.assert_array_equal(grid[16:32, :16], grid[16:32, 20:36])
    np.testing.assert_array_equal(grid[16:32, 40:56], 255 - grid[16:32, :16])


@pytest.mark.parametrize(("count", "columns", "lines"), [(1, 1, 1), (5, 2, 3), (4, 3, 2), (3, 8, 1)])
def test_rows_of_pictures_stand_side_by_side_in_columns(count, columns, lines):
    rows = [[np.full((10, 12, 3), 20 * row + number, np.uint8) for number in range(2)] for row in range(count)]
    grid = picture_grid(rows, ("input", "output"), columns=columns)
    used = -(-count // lines)
    assert grid.shape == (16 + lines * (10 + 4), used * (2 * 12 + 4 + 24) - 24, 3)
    for place, pictures in enumerate(rows):
        column, line = divmod(place, lines)
        for number, shown in enumerate(pictures):
            left, top = column * (2 * 12 + 4 + 24) + number * (12 + 4), 16 + line * 14
            np.testing.assert_array_equal(grid[top : top + 10, left : left + 12], shown)


def test_pictures_of_a_grid_take_one_size():
    rows = [[np.full(size, 9, np.uint8)] for size in ((40, 40, 3), (20, 30, 3))]
    grid = picture_grid(rows, ("output",), size=(10, 20))
    assert grid.shape == (16 + 2 * (20 + 4), 10, 3)
    assert (grid[16:36] == 9).all() and (grid[40:60] == 9).all()
