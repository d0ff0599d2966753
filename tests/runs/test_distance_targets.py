"""The distance to the boundary of a mask as a target, from the mask's file to translations, figures and an export."""

from pathlib import Path

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli, write_image
from tests.data.test_distances import by_loops
from tests.data.test_parts import scene
from tfpix2pix.data import SOURCES
from tfpix2pix.data.images import read_image
from tfpix2pix.data.pairs import signed
from tfpix2pix.evaluation.folder import read_record

COAST = {"name": "coast", "kind": "distance", "range": [-6, 10], "unit": "px"}


def mask_of(seed: int) -> np.ndarray:
    return scene(seed, 32)["labels"] > 0


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for split, seeds in (("train", (0, 1)), ("val", (2, 3))):
        for seed in seeds:
            write_image(folder / split / "input" / f"{seed}.png", scene(seed, 32)["target"])
            write_image(folder / split / "coast" / f"{seed}.png", mask_of(seed).astype(np.uint8)[..., np.newaxis] * 255)
    return folder


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory, quiet):
    data = {"dir": str(pairs), "source": "folders", "targets": [COAST]}
    config = least_config(data=data, training={"steps": 2, "validation_images": 1})
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("run") / "coast", console=quiet)


def test_the_target_is_the_distance_of_a_twin_in_loops(run):
    data = run.directory.config().data
    pair = SOURCES["folders"](data, "val", 0).read(0)
    expected = np.clip(by_loops(mask_of(2)), -6, 10)
    np.testing.assert_allclose(pair[1][..., 0], expected, atol=1e-5)
    np.testing.assert_allclose(signed(pair, data)[1][..., 0], (expected + 6) / 8 - 1, atol=1e-5)
    assert data.network_channels == (3, 1)


def test_translations_are_distances_in_px_as_floats(run, pairs, tmp_path):
    code, _, error = run_cli("translate", run.path, pairs / "val/input", "--out", tmp_path / "out")
    assert code == 0, error
    written = read_image(tmp_path / "out" / "coast" / "2.tif")
    stack = p2p.load(run.path)(scene(2, 32)["target"].astype(np.float32) / 127.5 - 1)
    assert written.dtype == np.float32 and written.shape == (32, 32, 1)
    np.testing.assert_allclose(written, (stack + 1) * 8 - 6, atol=1e-3)


def test_errors_are_in_px(run, pairs, tmp_path):
    code, _, error = run_cli("evaluate", run.path, "--out", tmp_path / "out", "--metrics", "unit_errors")
    assert code == 0, error
    figure = read_record(tmp_path / "out").figures["unit_mae_coast"]
    translator = p2p.load(run.path)
    errors = []
    for seed in (2, 3):
        stack = translator(scene(seed, 32)["target"].astype(np.float32) / 127.5 - 1)
        errors.append(np.abs((stack[..., 0] + 1) * 8 - 6 - np.clip(by_loops(mask_of(seed)), -6, 10)))
    assert figure.value == pytest.approx(np.mean(errors), rel=1e-4) and figure.unit == "px"


def test_a_saved_model_answers_with_the_part(run, tmp_path):
    report = p2p.export_run(run.path, "saved_model", tmp_path / "exports")
    image = scene(2, 32)["target"].astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(p2p.load(report.path)(image), p2p.load(run.path)(image), atol=1e-4)
