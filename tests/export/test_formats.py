"""Every row of EXPORTERS: loads without flags, is faithful, describes itself, takes any image; what each promises."""

import functools
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfpix2pix as p2p
from tests import real_pairs
from tests.conftest import run_cli
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.export import BITS, CALIBRATED, EXPORTERS, FAITHFUL, Tolerance
from tfpix2pix.export.verify import verify
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.runs.load import run_engine


@pytest.fixture(scope="module")
def exports(smoke_exports):
    """Reports by format. Each export is written when a test first asks for it."""

    class Exports(dict):
        def __missing__(self, name):
            self[name] = smoke_exports(name)
            return self[name]

    return Exports()


@pytest.fixture(scope="module")
def loaded(exports):
    """(format) -> the translator that loading its export gives."""
    return functools.cache(lambda name: p2p.load(exports[name].path))


@pytest.fixture(scope="module")
def ours(smoke_run):
    """The run's own translator."""
    return p2p.load(smoke_run.path)


@pytest.fixture(scope="module")
def view(smoke_run):
    """The run's engine in Keras, without a graph."""
    return run_engine(smoke_run.directory)


@pytest.mark.parametrize("name", EXPORTERS)
def test_parity_is_measured_and_within_tolerance(exports, name):
    report = exports[name]
    assert report.max_abs_error <= 1e-4
    assert report.psnr_db > 80
    assert report.images == 9  # five held-out inputs, three drawings and one of noise
    assert report.max_error_levels == pytest.approx(report.max_abs_error * 127.5)
    assert report.keras_max_abs_error < 1e-5
    assert report.latency_s > 0
    assert report.size_mb > 0.1


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("size", [(32, 32), (1, 1), (20, 50), (90, 40)])
def test_one_call_loads_it_and_takes_any_size(loaded, ours, name, size, rng):
    translator = loaded(name)
    x = rng.integers(0, 256, (*size, 1), np.uint8)
    out = translator(x)
    assert (out.shape, out.dtype) == ((*size, 3), np.uint8)
    if max(size) <= 32 or name == "saved_model":  # a static export goes over larger images in tiles
        assert np.abs(out.astype(int) - ours(x)).max() <= 1


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_card_travels_with_it(loaded, smoke_run, name):
    card = loaded(name).card
    assert card.config.generator == smoke_run.card.config.generator
    assert card.step == 4
    assert card.metrics.keys() == {"untrained", "trained", "best"}
    assert card.statistics == "image"


@pytest.mark.parametrize("name", EXPORTERS)
def test_no_export_holds_a_path_of_this_machine(name, smoke_run, tmp_path):
    """Exports are passed on. The run keeps the folder of its data; `translate EXPORT --split val` asks for it."""
    secret = tmp_path / "home-of-ann"
    run = secret / "run"
    shutil.copytree(smoke_run.path, run)
    for file in ("model_card.json", "config.yaml"):
        content = (run / file).read_text(encoding="utf-8")
        changed = content.replace('"dir": null', f'"dir": "{secret}"').replace("  dir: null", f"  dir: {secret}")
        assert changed != content
        changed = changed.replace("sample_photographs", "photographs")
        (run / file).write_text(changed, encoding="utf-8")
    path = Path(p2p.export_run(run, name, tmp_path / "out").path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    assert [file for file in files if b"home-of-ann" in file.read_bytes()] == []
    assert p2p.load(path).card.config.data.dir is None
    code, _, err = run_cli("translate", path, "--split", "val", "--out", tmp_path / "out" / "val")
    assert code == 2 and "Received none. Add --data" in err


def test_signatures_by_plain_tensorflow_alone(exports, ours, tmp_path, rng):
    """In a process where this package cannot be imported."""
    x = rng.integers(0, 256, (2, 45, 33, 1), np.uint8)
    expected = ours(x)
    code = f"""
import sys; sys.modules["tfpix2pix"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load({exports["saved_model"].path!r})
x = np.load(sys.argv[1])
out = model.signatures["translate_uint8"](image=tf.constant(x))["image"].numpy()
signed = model.signatures["serving_default"](image=tf.constant(x / np.float32(127.5) - 1))["image"].numpy()
noise = np.random.default_rng(0).random((2, model.signatures["sample"].structured_input_signature[1]["noise"].shape[1]))
variant = model.signatures["sample"](image=tf.constant(x / np.float32(127.5) - 1), noise=tf.constant(noise, tf.float32))
assert np.abs(variant["image"] - signed).max() > 1e-4
assert np.abs((signed + 1) * 127.5 - out).max() <= 0.51
np.save(sys.argv[1], out)
"""
    path = tmp_path / "x.npy"
    np.save(path, x)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120)
    assert np.abs(np.load(path).astype(int) - expected).max() <= 1


def test_requests_change_no_state(exports, rng):
    model = tf.saved_model.load(exports["saved_model"].path)
    x = tf.constant(rng.uniform(-1, 1, (1, 32, 32, 1)).astype(np.float32))
    first = model.signatures["serving_default"](image=x)["image"].numpy()
    for _ in range(20):
        model.signatures["serving_default"](image=tf.random.uniform((3, 40, 50, 1), -1, 1))
    np.testing.assert_array_equal(first, model.signatures["serving_default"](image=x)["image"])


def test_versions_count_up(exports, smoke_run, tmp_path):
    shutil.copytree(exports["saved_model"].path, tmp_path / "smoke" / "1")
    paths = [exports["saved_model"].path, p2p.export_run(smoke_run.path, "saved_model", tmp_path).path]
    assert [path.rsplit("/", 2)[1:] for path in paths] == [["smoke", "1"], ["smoke", "2"]]
    assert sorted(entry.name for entry in (tmp_path / "smoke").iterdir()) == ["1", "2"]


def test_a_tflite_file_is_builtin_static_and_carries_its_card(exports):
    from ai_edge_litert.interpreter import Interpreter

    path = exports["tflite"].path
    card = json.loads(zipfile.ZipFile(path).read("model_card.json"))
    assert card["fixed_size_px"] == 32
    interpreter = Interpreter(path)
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["image"]}}
    operations = {op["op_name"] for op in interpreter._get_ops_details()}
    assert not {name for name in operations if "VARIABLE" in name or name.startswith(("Flex", "Custom"))}
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 32, 32, 1]


def test_a_tflite_file_with_noise(smoke_run, ours, tmp_path, rng):
    report = p2p.export_run(smoke_run.path, "tflite", tmp_path, noise="on")
    assert report.max_abs_error <= 1e-4
    x = rng.integers(0, 256, (32, 32, 1), np.uint8)
    exported = p2p.load(report.path)
    assert np.abs(exported(x, noise="on", seed=4).astype(int) - ours(x, noise="on", seed=4)).max() <= 1
    assert np.abs(exported(x, noise="off").astype(int) - ours(x)).max() <= 1


def test_noise_from_a_model_without_is_refused(loaded):
    with pytest.raises(UserError, match="`noise` must go with a model that has noise. Received it for .*, without"):
        loaded("tflite")(np.zeros((32, 32, 1), np.uint8), noise="on")


@pytest.mark.parametrize(
    ("asked", "value"), [("noise", "on"), ("samples", 2), ("uncertainty", True), ("between", (0, 1))]
)
def test_files_that_need_noise_are_refused_in_the_words_of_the_request(loaded, tmp_path, asked, value):
    Image.new("L", (32, 32)).save(tmp_path / "one.png")
    with pytest.raises(UserError, match=f"`{asked}` must go with a model that has noise"):
        p2p.translate_files(loaded("tflite"), [tmp_path / "one.png"], out=tmp_path / "out", **{asked: value})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [64, 50])  # the second is padded and cropped inside
def test_another_static_size(smoke_run, ours, tmp_path, size, rng):
    report = p2p.export_run(smoke_run.path, "tflite", tmp_path, size_px=size)
    assert report.path.endswith(f"smoke-{size}px.tflite")
    x = rng.integers(0, 256, (size, size, 1), np.uint8)
    assert np.abs(p2p.load(report.path)(x).astype(int) - ours(x)).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("saved_model", {"size_px": 64}), "takes any size. Leave it out"),
        (("coreml", {}), "must be one of: saved_model, tflite, keras, onnx, web, html. Received 'coreml'"),
    ],
)
def test_unfit_requests_are_refused(smoke_run, tmp_path, arguments, message):
    format, options = arguments
    with pytest.raises(UserError, match=message):
        p2p.export_run(smoke_run.path, format, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_export_is_not_overwritten(exports, smoke_run, tmp_path):
    shutil.copy(exports["tflite"].path, tmp_path)
    with pytest.raises(UserError, match="must not overwrite another"):
        p2p.export_run(smoke_run.path, "tflite", tmp_path)


def test_files_without_a_card_are_refused(exports, tmp_path):
    content = open(exports["tflite"].path, "rb").read()
    (tmp_path / "bare.tflite").write_bytes(content[: content.rindex(b"PK\x03\x04")])
    with pytest.raises(UserError, match="must be whole and hold model_card.json"):
        p2p.load(tmp_path / "bare.tflite")
    shutil.copytree(exports["saved_model"].path, tmp_path / "bare")
    (tmp_path / "bare" / "assets" / "model_card.json").unlink()
    with pytest.raises(UserError, match="must hold model_card.json among its assets"):
        p2p.load(tmp_path / "bare")


class Off:
    """An engine that is the Keras view but for `error`."""

    def __init__(self, view, error):
        self.view, self.error, self.card = view, error, view.card

    def __call__(self, images, noise):
        return self.view(images, noise) + np.float32(self.error)


def verified(view, exported, path, images=None, tolerance=FAITHFUL):
    path.touch()
    return verify(view, exported, images or [np.zeros((1, 32, 32, 1), np.float32)], tolerance, "tflite", path, path)


@pytest.mark.parametrize("error", [1e-3, np.nan])
def test_an_unfaithful_export_is_an_error(view, tmp_path, error):
    with pytest.raises(RunError, match="must agree with the trained generator in float64 within 0.0001"):
        verified(view, Off(view, error), tmp_path / "file")


def test_the_error_says_levels_and_decibels_and_what_keras_is_off(view, tmp_path):
    with pytest.raises(
        RunError, match=r"Received a largest difference of 0.001 \(0.13 levels of 255, 66.0 dB\)"
    ) as error:
        verified(view, Off(view, 1e-3), tmp_path / "file")
    assert "or within 2 times the difference of Keras in float32" in str(error.value)
    assert ", while Keras is off by " in str(error.value)


class Rough(KerasEngine):
    """A Keras view that float32 serves badly: off by `error` on images that are brighter than dark."""

    error = 1e-3

    def __call__(self, images, noise):
        return super().__call__(images, noise) + np.float32(self.error if np.mean(images) > 0 else 0.0)


@pytest.mark.parametrize(("times", "kept"), [(-1.9, True), (2.1, False)])
def test_an_export_may_be_twice_as_far_off_as_keras_in_float32(view, tmp_path, times, kept):
    rough, exported = Rough(view.generator, view.card), Off(view, times * Rough.error)
    bright = [np.full((1, 32, 32, 1), 0.5, np.float32)]
    if kept:
        report = verified(rough, exported, tmp_path / "file", bright)
        assert report.max_abs_error == pytest.approx(1.9e-3, abs=1e-5)
        assert report.keras_max_abs_error == pytest.approx(1e-3, abs=1e-5)
        return
    with pytest.raises(RunError, match="must agree"):
        verified(rough, exported, tmp_path / "file", bright)


def test_what_keras_is_off_on_one_image_excuses_nothing_on_another(view, tmp_path):
    rough, exported = Rough(view.generator, view.card), Off(view, 1.5e-3)
    both = [np.full((1, 32, 32, 1), value, np.float32) for value in (0.5, -0.5)]
    with pytest.raises(RunError, match="must agree"):
        verified(rough, exported, tmp_path / "file", both)


@pytest.mark.timeout(1500)  # 54 million weights in every format, and in float64
@pytest.mark.slow
def test_the_full_size_network_survives_export(tmp_path, quiet):
    """One at the paper's size: 256 px, 64 filters, 54 M parameters, on label maps of drawings."""
    folder = real_pairs.write(tmp_path / "pairs", real_pairs.label_maps(3, size_px=256), held_out=2)
    config = p2p.resolve_config("facades", ["training.steps=1", "training.validation_images=0"], data_dir=str(folder))
    run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    for name in ("saved_model", "tflite"):  # the two that take another path than small ones do
        assert p2p.export_run(run.path, name, tmp_path / "out").max_abs_error <= 1e-4


def test_a_name_of_its_own_and_replacing(smoke_run, tmp_path):
    first = p2p.export_run(smoke_run.path, "tflite", tmp_path, name="other")
    assert first.path.endswith("other-32px.tflite")
    with pytest.raises(UserError, match="Add `overwrite`, or change `out` or `name`"):
        p2p.export_run(smoke_run.path, "tflite", tmp_path, name="other")
    p2p.export_run(smoke_run.path, "tflite", tmp_path, name="other", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["other-32px.tflite"]
    assert p2p.load(first.path).card.name == "other"
    with pytest.raises(UserError, match="it names a file"):
        p2p.export_run(smoke_run.path, "tflite", tmp_path, name="../other")


def test_a_folder_of_versions_means_the_newest(exports, smoke_run, tmp_path):
    for step in (9, 10):
        shutil.copytree(exports["saved_model"].path, tmp_path / "smoke" / str(step))
    card = tmp_path / "smoke" / "10" / "assets" / "model_card.json"
    card.write_text(card.read_text().replace('"step": 4', '"step": 77'))
    assert p2p.load(tmp_path / "smoke").card.step == 77


def test_a_row_of_a_format_may_be_a_tolerance_alone():
    """As in a user's own format."""
    strict = Tolerance(other_classes=0.0, max_abs_error=1e-6)
    rows = replace(EXPORTERS["keras"], quantizations={"none": strict, "int8": strict, "mine": strict}).quantizations
    assert [(row.bits, row.calibrated) for row in rows.values()] == [(32, False), (8, True), (32, False)]
    assert all(row.tolerance is strict for row in rows.values())


def test_every_format_says_how_its_weights_are_stored():
    assert BITS == {"none": 32, "float16": 16, "bfloat16": 16, "dynamic": 8, "int8": 8}
    assert CALIBRATED == ("int8",)
    for exporter in EXPORTERS.values():
        bits = [row.bits for row in exporter.quantizations.values()]
        assert bits == sorted(bits, reverse=True)  # from the most faithful to the smallest
    assert all(row.tflite for row in EXPORTERS["tflite"].quantizations.values())
