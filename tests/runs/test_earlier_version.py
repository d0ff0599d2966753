"""A run, its SavedModel and TFLite file, and an evaluation of an earlier version are read as they were.

`earlier_version.tar.xz` was written before the package had its rooms: a run of 6 steps of `smoke` with 2 filters and 4
levels, its exports, one input with the translations of each, and its evaluation.
"""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli

ARCHIVE = Path(__file__).with_name("earlier_version.tar.xz")
MODELS = {"run": "run", "saved_model": "old", "tflite": "old-32px.tflite"}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("name", ["run-off", "run-on", "saved_model-off", "saved_model-on", "tflite-off"])
def test_its_models_translate_as_they_did(earlier, tmp_path, name):
    model, noise = name.split("-")
    translator = p2p.load(earlier / MODELS[model])
    p2p.translate_files(translator, [earlier / "input.png"], out=tmp_path, noise=noise, seed=3)
    folders = (tmp_path, earlier / "expected" / name)
    now, then = (np.asarray(Image.open(folder / "input.png"), int) for folder in folders)
    difference = np.abs(now - then)  # 0 on the machine of that version; another processor rounds some values otherwise
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


def test_its_run_is_resumed(earlier, tmp_path):
    run_dir = shutil.copytree(earlier / "run", tmp_path / "run")
    code, _, err = run_cli("train", "--run", run_dir, "--resume", "--set", "training.steps=7")
    assert code == 0, err
    before, after = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (earlier / "run", run_dir))
    assert len(before) > 0
    assert after[: len(before)] == before
    assert p2p.load(run_dir).card.step == 7


def test_its_evaluation_is_compared_with_one_of_now(earlier, tmp_path):
    request = p2p.Request(earlier / "run")
    p2p.evaluate(request, out=tmp_path / "now", metrics=["l1", "psnr", "swd"], replicates=50, shown=0)
    code, out, err = run_cli("compare", f"then={earlier / 'evaluation'}", f"now={tmp_path / 'now'}", "--json")
    assert code == 0, err
    folders = (earlier / "evaluation", tmp_path / "now")
    then, now = (json.loads((folder / "metrics.json").read_text()) for folder in folders)
    assert {name: metric["value"] for name, metric in now["figures"].items()} == {
        name: pytest.approx(metric["value"], rel=1e-3) for name, metric in then["figures"].items()
    }
    assert '"then"' in out and '"now"' in out
