"""The curves of a run as a picture."""

import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfpix2pix.training import curves
from tfpix2pix.training.curves import BLUE, PANELS, Series, curves_figure, draw_curves


@pytest.fixture(autouse=True)
def _all_panels(monkeypatch):
    monkeypatch.setattr(curves, "PANELS", PANELS)  # runs of the other tests draw one


RECONSTRUCTION = "Reconstruction error, lower is better"
LOSSES = {"g/total": 40.0, "g/gan": 0.8, "g/l1": 0.4, "d/real": 0.7, "d/fake": 0.6, "d/total": 0.65}
ACCURACY = {"d/real_accuracy": 0.6, "d/fake_accuracy": 0.7}
VALIDATION = {"val/l1": 0.5, "val/psnr_db": 13.0, "val/ssim": 0.3, "val/sharpness": 0.9}


def training(step, **values):
    return {
        "step": step,
        **LOSSES,
        **ACCURACY,
        "learning_rate": 2e-4,
        "images_per_s": 2.1,
        "time_s": step / 2,
        **values,
    }


def run(total_steps, every_steps):
    """The lines of a run, with noise, held-out figures and findings."""
    rng = np.random.default_rng(0)
    lines = [{"step": 0, **VALIDATION}]
    for step in range(every_steps, total_steps + 1, every_steps):
        noise = {name: value * rng.uniform(0.8, 1.2) for name, value in {**LOSSES, **ACCURACY}.items()}
        lines.append(training(step, **noise))
        if step % (50 * every_steps) == 0:
            lines.append({"step": step, **VALIDATION})
    return [*lines, {"step": total_steps // 2, "finding": "d_saturated", "text": "One sentence."}]


def titles(lines):
    return [axes.get_title(loc="left") for axes in curves_figure(lines).axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_there_is_a_panel_for_each_thing_to_look_at():
    assert titles([training(1), {"step": 1, **VALIDATION}]) == [
        RECONSTRUCTION,
        "The contest of G and D, no side should win",
        "Accuracy of D, 1.0 throughout is too strong",
        "Held-out PSNR in dB, higher is better",
        "Held-out SSIM, higher is better",
        "Learning rate",
    ]


def test_training_and_held_out_errors_share_a_panel():
    axes = curves_figure([training(1), {"step": 1, **VALIDATION}]).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["g/l1 training", "val/l1 held out"]


@pytest.mark.parametrize(
    ("lines", "panels"),
    [
        ([{"step": 1, "g/total": 3.0, "g/l1": 0.3}], [RECONSTRUCTION]),
        ([{"step": 1, "g/l2": 0.3, "learning_rate": 0.0}], [RECONSTRUCTION, "Learning rate"]),
        ([{"step": 5, "val/l1": 0.3}], [RECONSTRUCTION]),
        ([{"step": 1, "g/l1": math.nan, "g/gan": math.inf, "d/real": None, "learning_rate": 1e-4}], ["Learning rate"]),
    ],
)
def test_panels_without_a_number_are_left_out(lines, panels):
    assert titles(lines) == panels


@pytest.mark.parametrize("lines", [[], [{"step": 3, "finding": "nan", "text": "…"}], [{"step": 1, "g/l1": math.nan}]])
def test_nothing_to_draw_leaves_no_file(lines, tmp_path):
    draw_curves(lines, tmp_path / "training_curves.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lines", [run(4, 1), [training(1)], [training(0)], [training(1, **{"g/gan": math.nan})]])
def test_a_picture_is_1200_px_wide_and_alone_in_its_folder(lines, tmp_path):
    path = tmp_path / "training_curves.png"
    draw_curves(lines, path)
    draw_curves(lines, path)  # again, over the first
    picture = Image.open(path)
    assert picture.format == "PNG" and picture.width == 1200
    assert np.asarray(picture.convert("L")).std() > 10
    assert list(tmp_path.iterdir()) == [path]


def test_few_points_are_drawn_as_they_are_and_many_with_their_mean():
    few, many = (
        list(curves_figure([{"step": step, "g/l1": step % 2} for step in range(count)]).axes[0].lines)
        for count in (50, 51)
    )
    assert [line.get_marker() for line in few] == ["o"]
    raw, mean = many
    assert raw.get_alpha() < 0.6 and raw.get_color() == mean.get_color() == BLUE
    assert np.ptp(raw.get_ydata()) == 1 and np.ptp(mean.get_ydata()[2:-2]) < 0.3


def test_a_mean_passes_over_what_is_no_number():
    values = np.array([1.0, 2.0, np.nan, 3.0, 5.0, 7.0])
    mean = Series(np.arange(6.0), values).mean()
    np.testing.assert_allclose(mean, [1.0, 1.5, np.nan, 17 / 4, 5.0, 5.0])


def test_one_spike_hides_no_curve():
    values = [1.0 + 0.1 * (step % 5) for step in range(2000)]
    values[1000] = 30.0
    (axes,) = curves_figure([{"step": step, "g/gan": value} for step, value in enumerate(values)]).axes
    assert axes.get_ylim()[1] < 3


def test_findings_are_named_once_in_every_panel():
    findings = [{"step": step, "finding": "d_saturated", "text": "…"} for step in (30, 60, 90)]
    for axes in curves_figure([*(training(step) for step in range(1, 101)), *findings]).axes:
        assert texts(axes) == ["d_saturated"]
        assert len(axes.collections[0].get_segments()) == 3


def test_names_of_findings_are_not_written_over_each_other():
    findings = [{"step": 500 + step, "finding": name, "text": "…"} for step, name in enumerate(("one", "two", "three"))]
    (axes,) = curves_figure([{"step": 1000, "g/l1": 0.3}, *findings]).axes
    assert texts(axes) == ["one", "two"]
    assert [text.get_verticalalignment() for text in axes.texts] == ["top", "bottom"]


def test_a_long_run_is_drawn_by_two_lines_a_curve_however_many_it_logged():
    once, twice = (curves_figure(run(steps, 20)) for steps in (80_000, 160_000))
    assert [len(axes.lines) for axes in once.axes] == [len(axes.lines) for axes in twice.axes]
    assert max(len(line.get_xdata()) for line in twice.axes[0].lines) == 160_000 // 20


def test_pyplot_and_its_state_are_left_alone(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tfpix2pix.training.curves import draw_curves;"
        f"draw_curves([{{'step': 1, 'g/l1': 0.3}}], Path({str(tmp_path / 'a.png')!r}));"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
