"""Targets in several files, from the training to every export: `data.targets: [speed, photo, height]`."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tests.data.test_parts import scene, write_splits
from tests.data.test_targets import PARTS, parts_of, write_pair
from tfpix2pix.data.images import read_image
from tfpix2pix.data.target_parts import split_targets
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.folder import read_record
from tfpix2pix.evaluation.report.charts import digits
from tfpix2pix.inference.demo.serve import serve

SUFFIXES = {"speed": ".tif", "photo": ".png", "height": ".png"}
DTYPES = {"speed": np.float32, "photo": np.uint8, "height": np.uint16}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return write_splits(tmp_path_factory.mktemp("pairs"), write_pair, 32, train=(0, 1), val=(2, 3))


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory, quiet):
    data = {"dir": str(pairs), "source": "folders", "targets": PARTS}
    config = tiny_config(data=data, training={"steps": 2, "validation_images": 1})
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("run") / "several", console=quiet)


@pytest.fixture(scope="module")
def stack(run):
    """The run's translation of an input: all parts, float32 in [-1, 1]."""
    return p2p.load(run.path)(scene(2, 32)["target"].astype(np.float32) / 127.5 - 1)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """format -> path of an export."""
    out = tmp_path_factory.mktemp("exports")
    return {name: p2p.export_run(run.path, name, out).path for name in ("saved_model", "tflite", "keras")}


def by_hand(stack):
    """The values that files should have, by the ranges as they stand in the configuration."""
    return {
        "speed": stack[..., :2] * 40,
        "photo": np.rint((stack[..., 2:5] + 1) * 127.5),
        "height": np.rint((stack[..., 5] + 1) * 2047.5),
    }


def test_samples_show_every_part(run):
    grid = read_image(run.directory.samples / "step-000002.png")
    assert grid.shape[1] == 3 * 3 * 32 + 2 * 4  # three columns of three parts, and gaps


class TestTranslate:
    @pytest.mark.parametrize("how", ["files", "split"])
    def test_each_part_has_a_folder_and_its_own_depth(self, run, pairs, stack, tmp_path, how):
        inputs = (pairs / "val/input",) if how == "files" else ("--split", "val")
        code, out, error = run_cli("translate", run.path, *inputs, "--out", tmp_path / "out")
        assert code == 0, error
        assert "2 translated into" in out
        assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == sorted(
            f"{part}/{number}{suffix}" for part, suffix in SUFFIXES.items() for number in (2, 3)
        )
        for part, expected in by_hand(stack).items():
            image = read_image(tmp_path / "out" / part / f"2{SUFFIXES[part]}")
            assert image.dtype == DTYPES[part]
            np.testing.assert_allclose(np.squeeze(image), expected, atol=1 if part != "speed" else 1e-3)

    def test_a_taken_name_is_refused_before_anything_is_written(self, run, pairs, tmp_path):
        (tmp_path / "out/height").mkdir(parents=True)
        (tmp_path / "out/height/3.png").touch()
        code, _, error = run_cli("translate", run.path, pairs / "val/input", "--out", tmp_path / "out")
        assert code == 2 and "must not overwrite a file" in " ".join(error.split())
        assert not (tmp_path / "out/photo").exists()

    def test_variants_are_files_of_each_part(self, run, pairs, tmp_path):
        one = pairs / "val/input/2.png"
        assert run_cli("translate", run.path, one, "--samples", "2", "--out", tmp_path)[0] == 0
        assert sorted(path.name for path in (tmp_path / "height").iterdir()) == ["2-1.png", "2-2.png"]
        first, second = (read_image(tmp_path / f"photo/2-{number}.png") for number in (1, 2))
        assert (first != second).any()

    @pytest.mark.parametrize("options", [("--uncertainty",), ("--between", "1,2", "--gif")])
    def test_what_is_for_one_file_is_refused(self, run, pairs, tmp_path, options):
        code, _, error = run_cli("translate", run.path, pairs / "val/input", *options, "--out", tmp_path / "out")
        message = " ".join(error.split())
        assert code == 2 and "targets of one file. Received `data.targets`: speed and photo and height" in message
        assert not (tmp_path / "out").exists()


class TestExports:
    @pytest.mark.parametrize("name", ["saved_model", "tflite", "keras"])
    def test_they_translate_to_the_same_stack(self, exports, stack, name):
        translation = p2p.load(exports[name])(scene(2, 32)["target"].astype(np.float32) / 127.5 - 1)
        np.testing.assert_allclose(translation, stack, atol=1e-4)

    def test_a_client_of_the_served_model_gets_each_part_by_its_name(self, run, exports, stack):
        signature = tf.saved_model.load(str(exports["saved_model"])).signatures["translate_parts"]
        image = scene(2, 32)["target"].astype(np.float32)[np.newaxis] / 127.5 - 1
        answer = signature(image=tf.constant(image))
        assert answer.keys() == SUFFIXES.keys()
        for name, part in split_targets(stack, run.card.config.data).items():
            np.testing.assert_allclose(answer[name].numpy()[0], part, atol=1e-4)

    @pytest.mark.parametrize("format", ["web", "html"])
    def test_formats_of_one_image_are_refused(self, run, tmp_path, format):
        with pytest.raises(UserError, match=f"export as {format} must have a model with targets of one file.*speed"):
            p2p.export_run(run.path, format, tmp_path / "page")
        assert not (tmp_path / "page").exists()

    def test_the_page_to_draw_on_is_refused(self, run):
        pytest.importorskip("gradio")
        with pytest.raises(UserError, match="The page to draw on must have a model with targets of one file"):
            serve([(None, run.path, p2p.load(run.path))])


def test_errors_of_each_part_are_in_its_unit(run, stack, tmp_path):
    evaluate = ("evaluate", run.path, "--metrics", "unit_errors,unit_bias,correlation", "--variants", "0")
    code, out, error = run_cli(*evaluate, "--out", tmp_path / "evaluation")
    assert code == 0, error
    record = read_record(tmp_path / "evaluation")
    keys = ("unit_mae", "unit_rmse", "unit_bias", "pearson_r", "r2")
    assert set(record.figures) == {f"{key}_{part}" for key in keys for part in ("speed", "height")}
    assert all(sentence.endswith("; speed: m/s, height: m") for sentence in record.protocols.values())
    units = {
        f"{key}_{part}": unit if key.startswith("unit") else ""
        for key in keys
        for part, unit in (("speed", "m/s"), ("height", "m"))
    }
    assert {name: metric.unit for name, metric in record.figures.items()} == units
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert {name: unit for name, _, unit, *_ in rows} == units
    rows = (tmp_path / "evaluation/per_image.csv").read_text().splitlines()
    values = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    images, written = parts_of(2, 32), by_hand(stack)
    for part in ("speed", "height"):
        error = np.abs(np.squeeze(written[part]) - np.squeeze(images[part]).astype(float)).mean()
        assert float(values[f"unit_mae_{part}"]) == pytest.approx(error, rel=1e-3)
        with np.load(tmp_path / f"evaluation/density_{part}.npz") as arrays:
            assert str(arrays["unit"]) == {"speed": "m/s", "height": "m"}[part]
            assert arrays["mean_difference"] == pytest.approx(record.figures[f"unit_bias_{part}"].value)
    page = (tmp_path / "evaluation/report.html").read_text(encoding="utf-8")
    assert f"{digits(record.figures['unit_mae_speed'].value)} m/s" in page
    assert "target of speed, m/s" in page and "density_height.npz" in page and "density.npz" not in page
    again = run_cli(*evaluate, "--metrics", "l1", "--out", tmp_path / "evaluation", "--overwrite")
    assert again[0] == 0, again
    card = p2p.load(run.path).card.config.data.targets
    assert [part.unit for part in card] == ["m/s", None, "m"]


def test_it_is_evaluated_as_channels(run, stack, tmp_path):
    evaluate = ("evaluate", run.path, "--metrics", "l1,ssim", "--variants", "0", "--out", tmp_path / "evaluation")
    code, out, error = run_cli(*evaluate)
    assert code == 0, error
    assert "unit" not in out
    assert read_record(tmp_path / "evaluation").data.images == 2
    images, rows = parts_of(2, 32), (tmp_path / "evaluation/per_image.csv").read_text().splitlines()
    signed = [images["speed"] / 40, images["photo"] / 127.5 - 1, images["height"][..., np.newaxis] / 2047.5 - 1]
    l1 = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))["l1"]
    assert float(l1) == pytest.approx(np.abs(np.concatenate(signed, -1) - stack).mean(), rel=1e-2)
