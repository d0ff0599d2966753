"""Training images that are not square: `data.image_size_px: [32, 64]`, from the pairs to every export."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config, write_image
from tfpix2pix.data.images import read_image
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.folder import read_record
from tfpix2pix.training.checkpoints import Checkpoints

ON_DEVICE = Path(__file__).parents[2] / "export" / "on_device" / "translator.py"
IMAGE = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
LARGER = np.random.default_rng(2).integers(0, 256, (50, 150, 3), np.uint8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Combined images whose halves are twice as wide as high."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 2)):
        for index in range(count):
            left = rng.integers(0, 256, (40, 80, 3), np.uint8)
            write_image(folder / split / f"{index}.png", np.concatenate([left, 255 - left], axis=1))
    return folder


def config_of(pairs, steps=2, **sections):
    data = {"dir": str(pairs), "image_size_px": [32, 64], **sections.pop("data", {})}
    return tiny_config(data=data, training={"steps": steps, "validation_images": 1}, **sections)


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory, quiet):
    return p2p.train(config_of(pairs), run_dir=tmp_path_factory.mktemp("run") / "wide", console=quiet)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """format -> path of an export of the training size."""
    out = tmp_path_factory.mktemp("exports")
    return {format: p2p.export_run(run.path, format, out).path for format in ("saved_model", "tflite")}


def test_a_run_records_the_size_as_it_was_given_and_shows_it(run):
    assert run.card.config.data.image_size_px == (32, 64)
    assert json.loads((run.path / "model_card.json").read_text())["config"]["data"]["image_size_px"] == [32, 64]
    assert p2p.resolve_config(str(run.path / "config.yaml")) == run.card.config
    sheet = read_image(run.directory.samples / "step-000002.png")
    assert sheet.shape[1] == 3 * 64 + 2 * 4  # input, translation, target


def test_it_resumes_to_the_bit(pairs, run, tmp_path, quiet):
    p2p.train(config_of(pairs, steps=1), run_dir=tmp_path / "run", console=quiet)
    resumed = p2p.train(config_of(pairs), run_dir=tmp_path / "run", resume=True, console=quiet)
    (step, whole), (_, again) = (Checkpoints(each.directory.checkpoints).load() for each in (run, resumed))
    assert step == 2
    assert all(np.array_equal(whole[part][name], again[part][name]) for part in whole for name in whole[part])
    with pytest.raises(UserError, match=r"data\.image_size_px \[32, 64\] -> \[64, 32\]"):
        p2p.train(run_dir=run.path, resume=True, console=quiet, overrides=("data.image_size_px=64x32",))


def test_it_is_evaluated_at_the_size_of_training(run, tmp_path):
    out = tmp_path / "evaluation"
    evaluate = ("evaluate", run.path, "--metrics", "l1,ssim", "--variants", "0")
    assert run_cli(*evaluate, "--out", out)[0] == 0
    record = json.loads((out / "metrics.json").read_text())
    assert record["protocol"]["size_px"] == [32, 64]
    assert record["at_own_size"]["images"] == 2  # the files have 40x80 px
    assert "brought to 32x64 px" in (out / "report.html").read_text()
    assert read_record(out).protocol.size_px == [32, 64]  # as `compare` reads it
    assert run_cli(*evaluate, "--out", out, "--overwrite", "--size", "16x32")[0] == 0
    assert read_record(out).protocol.size_px == [16, 32]


def test_files_are_translated_at_the_size_of_training(run, tmp_path):
    write_image(tmp_path / "in" / "a.png", LARGER)
    for size in ("training", "32x64"):
        assert run_cli("translate", run.path, tmp_path / "in", "--out", tmp_path / size, "--size", size)[0] == 0
        assert read_image(tmp_path / size / "a.png").shape == (21, 64, 3)  # the file keeps its shape


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_exports_translate_as_the_run_does(run, exports, format):
    ours, exported = p2p.load(run.path), p2p.load(exports[format])
    assert np.abs(exported(IMAGE).astype(int) - ours(IMAGE)).max() <= 1
    if format == "tflite":
        assert exported.card.fixed_size_px == (32, 64)
        assert Path(exports[format]).name == "wide-32x64px.tflite"
        assert exported(LARGER, size="own").shape == LARGER.shape  # in tiles
    else:
        assert np.abs(exported(LARGER).astype(int) - ours(LARGER)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("format", ["keras", "onnx"])
def test_other_formats_translate_as_the_run_does(run, format, tmp_path):
    exported = p2p.load(p2p.export_run(run.path, format, tmp_path).path)
    assert exported.card.fixed_size_px == (32, 64)
    assert np.abs(exported(IMAGE).astype(int) - p2p.load(run.path)(IMAGE)).max() <= 1


def test_the_on_device_program_agrees_with_load(exports, monkeypatch):
    monkeypatch.syspath_prepend(str(ON_DEVICE.parent))
    monkeypatch.setitem(sys.modules, "translator_of_rectangles", None)
    spec = importlib.util.spec_from_file_location("translator_of_rectangles", ON_DEVICE)
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    alone, ours = module.Translator(exports["tflite"]), p2p.load(exports["tflite"])
    for image in (IMAGE, LARGER, IMAGE[:20, :50]):
        assert np.abs(alone(image).astype(int) - ours(image, size="own")).max() <= 1


def test_sizes_of_an_export_are_given_as_the_command_takes_them(run, tmp_path):
    options = ("--format", "tflite", "--out", tmp_path, "--json")
    assert run_cli("export", run.path, *options, "--size", "64x32")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wide-64x32px.tflite"]
    assert p2p.load(tmp_path / "wide-64x32px.tflite").card.fixed_size_px == (64, 32)
    for size in ("0", "64x", "64x9000", "-3", "1x2x3"):
        code, _, said = run_cli("export", run.path, *options, f"--size={size}")
        assert code == 2
        assert "--size must be 1 to 8192 px, as 256 for a square or 512x1024" in " ".join(said.split())


@pytest.mark.parametrize("format", ["web", "html"])
def test_a_web_page_takes_squares_and_says_so(run, format, tmp_path):
    with pytest.raises(UserError, match=r"must be of a square size\. Received 32x64 px\. Set `size_px` to 64, say"):
        p2p.export_run(run.path, format, tmp_path)
    single = ["--single-file"] if format == "html" else []
    code, out, said = run_cli("export", run.path, "--format", "web", "--out", tmp_path / "page", *single)
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert "Received 32x64 px. Set --size to 64, say" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(32, 128), (64, 64)])
def test_whole_pairs_are_known_by_the_shape_of_training(run, shape):
    from tfpix2pix.inference.reader import looks_like_a_pair

    image = np.asarray(Image.new("RGB", shape[::-1]))
    assert looks_like_a_pair(image, run.card) == (shape == (32, 128))


def test_data_are_checked_against_both_sides(pairs):
    code, said, _ = run_cli("data", "check", pairs, "--set", "data.image_size_px=[32,64]")
    assert code == 0, said
    code, said, _ = run_cli("data", "check", pairs, "--set", "data.image_size_px=[32,400]", "--json")
    assert code != 0
    assert "at least 8 px high and 100 px wide to be enlarged 4 times at most" in said
