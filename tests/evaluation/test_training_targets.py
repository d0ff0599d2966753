"""An evaluation compares translations with training targets, and gives the reason if it cannot."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.conftest import run_cli, write_image
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.evaluate import evaluate
from tfpix2pix.evaluation.examples import training
from tfpix2pix.evaluation.request import NoiseOptions, Request

NEAREST = ["l1", "nearest", "copied"]


@pytest.fixture
def moved(tiny_run, tmp_path):
    """A copy of the run, whose configuration names pairs that are gone, and the pairs at another place."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    shutil.copytree(tiny_run.path.parent / "pairs", tmp_path / "pairs")
    for name in ("config.yaml", "model_card.json"):
        text = (run / name).read_text().replace(str(tiny_run.path.parent / "pairs"), str(tmp_path / "gone"))
        (run / name).write_text(text)
    return run, tmp_path / "pairs"


def record_of(model, out, metrics=NEAREST, **more):
    request = Request(model, noise=NoiseOptions(variants=0), **more)
    return evaluate(request, out=out, metrics=metrics, replicates=20).record


def page_data(folder):
    return json.loads(re.search(r'id="data">(.*?)</script>', (folder / "report.html").read_text("utf-8"))[1])


def values(record):
    return {name: figure["value"] for name, figure in record["figures"].items()}


def twin_targets(folder, size_px=32):
    """The right halves of pairs at the size of training, as TensorFlow's resizing makes them."""
    import tensorflow as tf

    targets = {}
    for path in sorted(folder.iterdir()):
        pair = np.asarray(Image.open(path)).astype(np.float32) / 127.5 - 1
        target = tf.image.resize(np.split(pair, 2, axis=1)[1], (size_px, size_px), antialias=True).numpy()
        targets[path.stem] = np.rint((np.clip(target, -1, 1) + 1) * 127.5) / 127.5 - 1
    return targets


def test_a_folder_of_copies_is_said_to_be_one(tiny_run, tmp_path):
    """Outputs are the training targets, in another order."""
    pairs = tiny_run.path.parent / "pairs"
    outputs = twin_targets(pairs / "train")
    for name, copy in {"0": "2", "1": "0"}.items():
        write_image(tmp_path / "outputs" / f"{name}.png", np.uint8(np.rint((outputs[copy] + 1) * 127.5)))
    record = record_of(tmp_path / "outputs", tmp_path / "out", data=pairs, size=32)
    assert record["protocol"]["training"] == f"3 training targets in {pairs}"
    assert values(record)["nearest_training"] == pytest.approx(0, abs=1e-3)  # a level of a field
    assert values(record)["copied"] == 1
    shown = {image["name"]: image["captions"]["nearest"] for image in page_data(tmp_path / "out")["images"]}
    assert shown == {"0": "2, distance 0.000", "1": "0, distance 0.000"}
    assert page_data(tmp_path / "out")["modes"]["nearest"] == "nearest training target"


def test_the_values_of_a_run_equal_their_twin(tiny_run, tmp_path):
    import tfpix2pix as p2p

    pairs, translator = tiny_run.path.parent / "pairs", p2p.load(tiny_run.path)
    record = record_of(tiny_run.path, tmp_path / "out")
    targets, expected = twin_targets(pairs / "train"), []
    for path in sorted((pairs / "val").iterdir()):
        import tensorflow as tf

        pair = np.asarray(Image.open(path)).astype(np.float32) / 127.5 - 1
        translation = translator(tf.image.resize(np.split(pair, 2, axis=1)[0], (32, 32), antialias=True).numpy())
        translation = np.rint((np.clip(translation, -1, 1) + 1) * 127.5) / 127.5 - 1
        expected.append(min(np.sqrt(np.mean((translation - target) ** 2)) for target in targets.values()))
    assert values(record)["nearest_training"] == pytest.approx(np.mean(expected), abs=2e-3)  # rounding of levels
    assert values(record)["nearest_training_real"] == 0  # the fixture's held-out pairs are training pairs too
    assert values(record)["copied_real"] == 1


def test_training_targets_are_looked_at_without_being_asked_for(tiny_run, tmp_path):
    record = record_of(tiny_run.path, tmp_path / "out", metrics=None)
    assert {"nearest_training", "copied"} <= record["figures"].keys()
    assert "nearest training target is the one whose picture" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_metrics_that_need_no_training_targets_read_none(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "open_source", lambda *_: pytest.fail("read"))
    record = record_of(tiny_run.path, tmp_path / "out", metrics=["l1"])
    assert record["protocol"]["training"] is None
    assert "nearest" not in page_data(tmp_path / "out")["modes"]


def test_of_many_training_targets_some_are_compared_and_it_is_said(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "MOST_PIXELS", 32 * 32 * 2)
    monkeypatch.setattr(training, "LEAST_TARGETS", 1)
    record = record_of(tiny_run.path, tmp_path / "out")
    assert record["protocol"]["training"].startswith("2 of 3 training targets in ")


def test_a_run_that_was_moved_takes_the_pairs_that_it_is_given(moved, tmp_path):
    run, pairs = moved
    record = record_of(run, tmp_path / "out", data=pairs)
    assert record["protocol"]["training"] == f"3 training targets in {pairs}"


def test_without_training_pairs_the_metrics_are_left_out_with_the_reason(moved, tmp_path):
    run, pairs = moved
    shutil.rmtree(pairs / "train")
    record = record_of(run, tmp_path / "out", metrics=None, data=pairs)
    for name in ("nearest", "copied"):
        assert record["not_measured"][name].startswith("its training targets cannot be read: ")
    with pytest.raises(UserError, match="nearest cannot be measured here: its training targets cannot be read"):
        record_of(run, tmp_path / "other", data=pairs)
    code, _, err = run_cli(
        "evaluate", run, "--data", pairs, "--split", "val", "--metrics", "copied", "--out", tmp_path / "third"
    )
    assert (code, "Traceback" in err) == (2, False)


def test_training_pairs_that_are_evaluated_are_not_compared_with_themselves(tiny_run, tmp_path):
    record = record_of(tiny_run.path, tmp_path / "out", metrics=None, split="train")
    assert record["not_measured"]["copied"] == "its training pairs are not known, or are what is evaluated"


def test_a_training_file_that_cannot_be_read_is_passed_over(moved, tmp_path):
    run, pairs = moved
    (pairs / "train" / "1.png").write_bytes(b"no image")
    record = record_of(run, tmp_path / "out", data=pairs)
    assert record["protocol"]["training"] == f"2 of 3 training targets in {pairs}"
