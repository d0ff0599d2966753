"""Scalars beside images, from the training to every export, as modulation (`generator.scalars`)."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tests.data.test_parts import scene, write_scene
from tests.data.test_scalars import HEIGHT, WIND, WINDS
from tfpix2pix.data.images import read_image
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.scalars import in_words
from tfpix2pix.data.stacks import stacked_by_name
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.folder import read_record
from tfpix2pix.training.samples import CAPTION_HEIGHT_PX, labelled

SEED = 7


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for split, seeds in (("train", (0, 1)), ("val", (2, 9))):
        for seed in seeds:
            images = scene(seed, 32)
            write_scene(folder / split, f"{seed}", {part: images[part] for part in ("height", "target")})
    rows = [f"{seed},{wind}" for seed, wind in WINDS.items()]
    (folder / "scalars.csv").write_text("\n".join(["name,wind", *rows]))
    return folder


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory, quiet):
    data = {"dir": str(pairs), "source": "folders", "inputs": [HEIGHT, WIND]}
    generator = {"norm": "instance", "scalars": "modulation", "noise": "none"}
    config = tiny_config(data=data, generator=generator, training={"steps": 2, "validation_images": 1})
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("run") / "windy", console=quiet)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """format -> path of an export."""
    out = tmp_path_factory.mktemp("exports")
    return {name: p2p.export_run(run.path, name, out).path for name in ("saved_model", "tflite")}


def images(wind=7.5):
    return {"height": scene(SEED, 32)["height"], "wind": wind}


@pytest.fixture(scope="module")
def expected(run):
    """The run's translation of a scene."""
    return p2p.load(run.path)(images())


def test_a_run_learns_by_the_number(run, expected):
    assert run.card.config.generator.scalars == "modulation"
    assert expected.dtype == np.float32 and expected.shape == (32, 32, 3)
    assert np.abs(p2p.load(run.path)(images(25.0)) - expected).max() > 1e-3
    assert read_image(run.directory.samples / "step-000002.png").shape[-1] == 3


def test_samples_show_the_number_in_the_input(run, pairs):
    grid = read_image(run.directory.samples / "step-000002.png")
    data = run.card.config.data
    height = scene(2, 32)["height"][..., np.newaxis]
    stack = stacked_by_name({"height": height, "wind": WINDS[2]}, data)
    assert in_words(stack, data) == f"wind {WINDS[2]:g}"
    plain = pictures_of(data)[0](stack)
    shown = grid[CAPTION_HEIGHT_PX : CAPTION_HEIGHT_PX + 32, :32]
    np.testing.assert_array_equal(shown, labelled(plain, f"wind {WINDS[2]:g}"))
    np.testing.assert_array_equal(shown[: 32 - CAPTION_HEIGHT_PX], plain[: 32 - CAPTION_HEIGHT_PX])
    assert (shown[-CAPTION_HEIGHT_PX:] != plain[-CAPTION_HEIGHT_PX:]).any()


def test_the_report_says_the_number_of_each_image(run, tmp_path):
    evaluate = ("evaluate", run.path, "--metrics", "l1", "--variants", "0", "--out", tmp_path / "evaluation")
    assert run_cli(*evaluate)[0] == 0
    page = (tmp_path / "evaluation/report.html").read_text(encoding="utf-8")
    for name in (2, 9):
        assert f">{name} (wind {WINDS[name]:g})</button>" in page
        assert re.search(rf'"facts": ?"wind {WINDS[name]:g}"', page)


class TestTranslate:
    def test_numbers_a_file_of_them_and_a_split_give_the_same(self, run, pairs, tmp_path):
        folder, table = pairs / "val/height", pairs / "scalars.csv"
        parts = ("--input", f"height={folder}", "--input", f"wind={table}")
        assert run_cli("translate", run.path, *parts, "--out", tmp_path / "table")[0] == 0
        assert run_cli("translate", run.path, "--split", "val", "--out", tmp_path / "split")[0] == 0
        parts = ("--input", f"height={folder / '9.png'}", "--input", f"wind={WINDS[9]}")
        assert run_cli("translate", run.path, *parts, "--out", tmp_path / "number")[0] == 0
        p2p.translate_files(p2p.load(run.path), {"height": folder, "wind": WINDS[9]}, out=tmp_path / "python")
        read = {
            name: {path.name: read_image(path) for path in (tmp_path / name).iterdir()}
            for name in ("table", "split", "number", "python")
        }
        assert sorted(read["table"]) == sorted(read["split"]) == sorted(read["python"]) == ["2.png", "9.png"]
        for name, image in read["split"].items():
            np.testing.assert_array_equal(read["table"][name], image)
        for other in ("number", "python"):
            np.testing.assert_array_equal(read[other]["9.png"], read["split"]["9.png"])
        assert (read["python"]["2.png"] != read["split"]["2.png"]).any()  # another wind

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["height={val}"], "Received height. Give --input height=PATH --input wind=NUMBER"),
            (["height={val}", "wind={val}"], "A scalar must be a finite number, or an existing CSV file with the"),
            (["height={val}", "wind={val}/9.png"], "the columns name and wind. Received .*9.png as wind"),
            (["height={val}", "wind=no.csv"], "existing CSV file"),
            (["height={val}", "wind=nan"], "Received nan as wind. Give --input wind=7.5, for example"),
            (["height=7.5", "wind=7.5"], "must be an image file or a folder. Received the number 7.5 as height"),
            (
                ["height={val}", "wind=26"],
                "0 to 25 here. Received 26 as wind in --input wind. Give a number",
            ),
            (
                ["height={val}/9.png", "wind={root}/far.csv"],
                "26 as wind in line 2 of .*far.csv. Give a number",
            ),
            (["height={val}", "wind={root}/few.csv"], "Received no line for '2' in .*few.csv. Correct the file"),
        ],
    )
    def test_what_does_not_fit_is_one_sentence(self, run, pairs, tmp_path, options, message):
        (pairs / "few.csv").write_text("name,wind\n9,1\n")
        (pairs / "far.csv").write_text("name,wind\n9,26\n")
        inputs = [f"--input={option.format(val=pairs / 'val/height', root=pairs)}" for option in options]
        code, _, error = run_cli("translate", run.path, *inputs, "--out", tmp_path / "out")
        assert code == 2 and re.search(message, " ".join(error.split())), error
        assert not list((tmp_path / "out").glob("*"))

    def test_python_takes_a_mapping_or_a_stack(self, run, expected):
        stack = stacked_by_name(images(), run.card.config.data)
        np.testing.assert_array_equal(p2p.load(run.path)(stack), expected)
        with pytest.raises(UserError, match="must be one finite number. Received an array"):
            p2p.load(run.path)({"height": images()["height"], "wind": np.zeros((32, 32))})


class TestExports:
    @pytest.mark.parametrize("name", ["saved_model", "tflite"])
    def test_they_translate_by_the_number_as_the_run_does(self, exports, expected, name):
        np.testing.assert_allclose(p2p.load(exports[name])(images()), expected, atol=1e-4)

    def test_a_client_of_the_served_model_sends_the_number_of_each_image(self, run, exports, expected):
        signature = tf.saved_model.load(str(exports["saved_model"])).signatures["translate_parts"]
        height = stacked_by_name(images(), run.card.config.data)[np.newaxis, ..., :1]
        two = {"height": tf.constant(np.concatenate([height] * 2)), "wind": tf.constant([7.5, 25.0])}
        answers = signature(**two)["image"].numpy()
        np.testing.assert_allclose(answers[0], expected, atol=1e-4)
        np.testing.assert_allclose(answers[1], p2p.load(run.path)(images(25.0)), atol=1e-4)

    @pytest.mark.parametrize(
        ("winds", "message"),
        [([26.0], "The scalar wind must be a number from 0 to 25"), ([np.nan], "The scalar wind must be a number"),
         ([1.0, 2.0], "There must be a scalar for each image")],
    )  # fmt: skip
    def test_the_graph_refuses_numbers_that_do_not_fit(self, exports, winds, message):
        signature = tf.saved_model.load(str(exports["saved_model"])).signatures["translate_parts"]
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signature(height=tf.zeros((1, 32, 32, 1)), wind=tf.constant(winds, tf.float32))


def test_it_is_evaluated(run, tmp_path):
    assert run_cli("evaluate", run.path, "--metrics", "l1,ssim", "--out", tmp_path / "evaluation")[0] == 0
    assert read_record(tmp_path / "evaluation").data.images == 2
