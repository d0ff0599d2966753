"""A model is recognized by the names of its files, and loaded from what was recognized."""

import shutil

import numpy as np
import pytest

import tfpix2pix as p2p
from tfpix2pix.errors import UserError
from tfpix2pix.runs.recognize import RUN, Recognized, find_model, model_at, recognize

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def test_a_run(smoke_run):
    assert recognize(smoke_run.path) == recognize(str(smoke_run.path)) == Recognized(RUN, smoke_run.path)
    assert np.array_equal(p2p.load(recognize(smoke_run.path))(IMAGE), p2p.load(smoke_run.path)(IMAGE))


def test_the_newest_version_in_a_folder_of_versions(tmp_path):
    for version in ("1", "9", "10", "notes"):
        (tmp_path / "model" / version).mkdir(parents=True)
    for version in ("1", "9", "10"):
        (tmp_path / "model" / version / "saved_model.pb").touch()
    assert recognize(tmp_path / "model") == Recognized("saved_model", tmp_path / "model" / "10")
    assert recognize(tmp_path / "model" / "9") == Recognized("saved_model", tmp_path / "model" / "9")
    assert model_at(tmp_path / "model") == tmp_path / "model" / "10"


def test_the_newest_folder_counts_alone(tmp_path):
    """A version that is being copied is not passed over for an older one."""
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").touch()
    (tmp_path / "model" / "2").mkdir()
    assert find_model(tmp_path / "model") is None
    assert model_at(tmp_path / "model") == tmp_path / "model"


def test_what_was_recognized_is_not_looked_for_again(smoke_run, tmp_path, monkeypatch):
    shutil.copytree(smoke_run.path, tmp_path / "run")
    recognized = recognize(tmp_path / "run")
    monkeypatch.setattr("tfpix2pix.runs.load.recognize", lambda *_: pytest.fail("recognized twice"))
    assert p2p.load(recognized).card.step == smoke_run.card.step


def test_what_is_not_a_model_is_one_sentence_that_names_models_inside(tmp_path):
    with pytest.raises(
        UserError,
        match=r"nowhere, which does not exist\. Check the path, train one with .*, or take openmoji, which comes",
    ):
        recognize(tmp_path / "nowhere")
    (tmp_path / "a.tflite").touch()
    with pytest.raises(UserError, match=r"which is not one of these\. Did you mean .*a\.tflite\?$"):
        recognize(tmp_path)
    assert find_model(tmp_path) is None
