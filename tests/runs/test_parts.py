"""Inputs in several files, from the training to every export: `data.inputs: [labels, instances]`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config, write_image
from tests.data.test_parts import CLASSES, INPUTS, scene, write_scene
from tfpix2pix.data.images import read_image
from tfpix2pix.data.stacks import stacked_by_name
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.folder import read_record
from tfpix2pix.inference.demo.serve import serve
from tfpix2pix.training.checkpoints import Checkpoints

PARTS = ("labels", "instances")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for split, seeds in (("train", (0, 1)), ("val", (2, 3))):
        for seed in seeds:
            write_scene(folder / split, f"{seed}", {**scene(seed, 32)})
    return folder


def config_of(pairs, steps=2, **data):
    data = {"dir": str(pairs), "source": "folders", "inputs": INPUTS, "input_side": "left", **data}
    norms = {"generator": {"norm": "instance_non_affine"}}
    return tiny_config(data=data, training={"steps": steps, "validation_images": 1}, **norms)


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory, quiet):
    return p2p.train(config_of(pairs), run_dir=tmp_path_factory.mktemp("run") / "street", console=quiet)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """format -> path of an export."""
    out = tmp_path_factory.mktemp("exports")
    formats = {"saved_model": {}, "tflite": {}, "uint8": {"image_dtype": "uint8"}}
    return {
        name: p2p.export_run(run.path, name if name != "uint8" else "tflite", out, **options).path
        for name, options in formats.items()
    }


@pytest.fixture(scope="module")
def expected(run):
    """The run's translation of a scene."""
    return p2p.load(run.path)({part: scene(7, 32)[part] for part in PARTS})


def test_the_networks_see_classes_and_boundaries(run):
    assert run.card.config.data.network_channels == (CLASSES + 1, 3)
    kernel = next(iter(Checkpoints(run.directory.checkpoints).load()[1]["generator"].items()))[1]
    assert kernel.shape[2] == CLASSES + 1
    assert read_image(run.directory.samples / "step-000002.png").shape[-1] == 3
    assert p2p.resolve_config(str(run.path / "config.yaml")) == run.card.config


def test_it_resumes_to_the_bit(pairs, run, tmp_path, quiet):
    p2p.train(config_of(pairs, steps=1), run_dir=tmp_path / "run", console=quiet)
    resumed = p2p.train(config_of(pairs), run_dir=tmp_path / "run", resume=True, console=quiet)
    (_, whole), (_, again) = (Checkpoints(each.directory.checkpoints).load() for each in (run, resumed))
    assert all(np.array_equal(whole[part][name], again[part][name]) for part in whole for name in whole[part])


def test_only_the_boundaries_of_instances_count(run, expected):
    images = {part: scene(7, 32)[part] for part in PARTS}
    others = np.where(images["instances"] == 26_001, 5, images["instances"])
    translator = p2p.load(run.path)
    np.testing.assert_array_equal(translator({**images, "instances": others}), expected)
    joined = np.where(images["instances"] == 26_001, 26_002, images["instances"])
    assert (translator({**images, "instances": joined}) != expected).any()


class TestTranslate:
    def test_files_and_folders_by_name_and_a_split_give_the_same(self, run, pairs, tmp_path):
        folders = [f"--input={part}={pairs / 'val' / part}" for part in PARTS]
        files = [f"--input={part}={pairs / 'val' / part / '2.png'}" for part in PARTS]
        assert run_cli("translate", run.path, *folders, "--out", tmp_path / "folders")[0] == 0
        assert run_cli("translate", run.path, *files, "--out", tmp_path / "files")[0] == 0
        assert run_cli("translate", run.path, "--split", "val", "--out", tmp_path / "split")[0] == 0
        written = {
            folder: {p.name: read_image(p) for p in (tmp_path / folder).iterdir()} for folder in ("folders", "split")
        }
        assert sorted(written["folders"]) == ["2.png", "3.png"]
        for name, image in written["folders"].items():
            np.testing.assert_array_equal(image, written["split"][name])
        np.testing.assert_array_equal(read_image(tmp_path / "files" / "2.png"), written["split"]["2.png"])

    def test_translations_inside_a_folder_are_not_read_as_parts(self, run, pairs, tmp_path):
        for part in PARTS:
            shutil.copytree(pairs / "val" / part, tmp_path / part)
        folders = [f"--input={part}={tmp_path / part}" for part in PARTS]
        for _ in range(2):
            out = tmp_path / "labels" / "out"
            assert run_cli("translate", run.path, *folders, "--out", out, "--overwrite", "--enlarge", "2")[0] == 0
            assert sorted(path.name for path in out.iterdir()) == ["2.png", "3.png"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["{val}/labels"], "labels and instances, each by its name. Received images without names. Give --input"),
            (["--input", "labels={val}/labels"], "Received labels. Give --input labels=PATH --input instances=PATH"),
            (["--input", "labels={val}/labels", "--input", "edges={val}/labels"], "Received labels and edges"),
            (["--input", "labels={val}/labels", "--input", "instances={val}/labels/2.png"], "either files or folders"),
            (["--input", "labels={val}/labels", "--input", "instances={val}/no"], "no, which does not exist"),
            (["--input", "labels={val}/labels", "--input", "instances={train}/instances"], "files of the same names"),
            (["--input", "labels"], "Received 'labels'. Give --input labels=PATH --input instances=PATH."),
            (
                ["--input", "instances=a", "--input", "instances=b"],
                "Received instances twice. Give --input labels=PATH --input instances=PATH.",
            ),
            (["--input", "labels=a", "b.png"], "either images or parts by name"),
            (["--input", "labels=a", "--split", "val"], "must be either images or a --split. Received both"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused(self, run, pairs, tmp_path, options, message):
        options = [option.format(val=pairs / "val", train=pairs / "train") for option in options]
        code, _, error = run_cli("translate", run.path, *options, "--out", tmp_path / "out")
        assert code == 2 and message in " ".join(error.split()), error
        assert not (tmp_path / "out").exists()

    def test_a_file_of_another_part_is_named_with_its_part(self, run, pairs, tmp_path):
        other = write_image(tmp_path / "2.png", np.full((32, 32), 40_000, np.uint16))
        options = [f"--input=labels={other}", f"--input=instances={pairs / 'val/labels/2.png'}"]
        code, _, error = run_cli("translate", run.path, *options, "--out", tmp_path / "out")
        assert code == 2 and f"Received the value 40000 in {other} (labels)." in " ".join(error.split()), error

    def test_a_map_of_another_size_is_named_and_nothing_written(self, run, pairs, tmp_path):
        small = write_image(tmp_path / "2.png", np.zeros((16, 32), np.uint16))
        options = [f"--input=labels={pairs / 'val/labels/2.png'}", f"--input=instances={small}"]
        code, _, error = run_cli("translate", run.path, *options, "--out", tmp_path / "out")
        assert code == 2 and "must be of one size. Received 32x32 px" in " ".join(error.split())
        assert not list((tmp_path / "out").glob("*"))

    def test_a_model_of_one_file_takes_no_parts(self, tiny_run, pairs, tmp_path):
        code, _, error = run_cli(
            "translate", tiny_run.path, f"--input=labels={pairs / 'val/labels'}", "--out", tmp_path / "out"
        )
        assert code == 2 and "must be given images without names. Received labels" in " ".join(error.split())

    def test_python_takes_a_mapping_or_a_stack(self, run, expected):
        images = {part: scene(7, 32)[part] for part in PARTS}
        stack = stacked_by_name(images, run.card.config.data)
        translator = p2p.load(run.path)
        np.testing.assert_array_equal(translator(stack), expected)
        with pytest.raises(UserError, match="A stack of labels and instances must have 2 channels"):
            translator(stack[..., :1])
        with pytest.raises(UserError, match="given labels and instances, each by its name. Received labels."):
            translator({"labels": images["labels"]})


class TestExports:
    @pytest.mark.parametrize("name", ["saved_model", "tflite", "uint8"])
    def test_they_translate_the_two_maps_as_the_run_does(self, exports, expected, name):
        translation = p2p.load(exports[name])({part: scene(7, 32)[part] for part in PARTS})
        assert np.abs(translation.astype(int) - expected).max() <= 1

    def test_a_client_of_the_served_model_sends_two_maps_with_ids_as_they_are(self, exports, expected):
        model = tf.saved_model.load(str(exports["saved_model"]))
        images = {part: tf.constant(scene(7, 32)[part][np.newaxis, ..., np.newaxis], tf.int32) for part in PARTS}
        answer = model.signatures["translate_parts"](**images)["image"].numpy()[0]
        np.testing.assert_allclose((answer + 1) * 127.5, expected, atol=1)
        assert "translate_bytes" not in model.signatures  # one file is not enough

    @pytest.mark.parametrize("most", [2**24, 2**31 - 1])
    def test_an_instance_map_of_large_ids_keeps_its_boundaries(self, exports, most):
        model, images = tf.saved_model.load(str(exports["saved_model"])), scene(7, 32)
        labels = tf.constant(images["labels"][np.newaxis, ..., np.newaxis], tf.int32)
        large = np.where(images["instances"] == 26_001, most - 1, np.where(images["instances"] == 26_002, most, 7))
        few = np.where(large == most, 2, np.where(large > 7, 1, 0))
        answers = [
            model.signatures["translate_parts"](
                labels=labels, instances=tf.constant(ids[np.newaxis, ..., np.newaxis], tf.int32)
            )["image"].numpy()
            for ids in (large, few)
        ]
        np.testing.assert_array_equal(*answers)

    @pytest.mark.parametrize("format", ["web", "html"])
    def test_a_page_is_refused_before_anything_is_written(self, run, tmp_path, format):
        with pytest.raises(UserError, match=f"export as {format} must have a model with inputs of one file.*instances"):
            p2p.export_run(run.path, format, tmp_path / "page")
        assert not (tmp_path / "page").exists()

    def test_a_keras_file_is_refused(self, run, tmp_path):
        with pytest.raises(UserError, match="the network alone.* Received data.inputs"):
            p2p.export_run(run.path, "keras", tmp_path)

    def test_the_page_to_draw_on_is_refused(self, run):
        pytest.importorskip("gradio")
        with pytest.raises(UserError, match="The page to draw on must have a model with inputs of one file"):
            serve([(None, run.path, p2p.load(run.path))])


def test_outputs_of_another_program_are_evaluated_beside_one_of_the_files(run, pairs, tmp_path):
    for name, part in (("a_fake_B", "target"), ("a_real_B", "target"), ("a_real_A", "labels")):
        write_image(tmp_path / "outputs" / f"{name}.png", scene(2, 32)[part])
    shared = ("evaluate", tmp_path / "outputs", "--metrics", "l1")
    (tmp_path / "config.yaml").write_text("data: {source: folders, inputs: [{name: labels, classes: 4}, instances]}")
    config = ("--config", tmp_path / "config.yaml")
    code, _, error = run_cli(*shared, *config, "--out", tmp_path / "evaluation")
    assert code == 0, error
    assert not list((tmp_path / "evaluation").rglob("*real_A*"))
    code, _, error = run_cli(*shared, *config, "--inputs", "*_real_A", "--out", tmp_path / "other")
    assert code == 2 and "must be of one file each" in " ".join(error.split())


def test_it_is_evaluated(run, tmp_path):
    evaluate = ("evaluate", run.path, "--metrics", "l1,ssim", "--variants", "0", "--out", tmp_path / "evaluation")
    assert run_cli(*evaluate)[0] == 0
    assert read_record(tmp_path / "evaluation").data.images == 2
