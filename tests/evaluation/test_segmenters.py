"""The FCN score: what a segmenter sees in translations against the true label maps, wherever these lie."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config, tiny_config, write_image
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.examples.segmenters import open_segmenter
from tfpix2pix.evaluation.request import NoiseOptions, Request
from tfpix2pix.metrics.example import Setting
from tfpix2pix.metrics.scoring import measure

COLORS = np.array([[0, 0, 255], [255, 0, 0], [0, 255, 0]], np.uint8)
SIZE = 32


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Combined images: photograph left, its label map right, in three colours; and another program's translations of
    the labels, of which a quarter is wrong."""
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    for split in ("train", "val"):
        for name in range(3):
            labels = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8), int))
            photograph = (COLORS[labels] * 0.7 + rng.integers(0, 70, (SIZE, SIZE, 3))).astype(np.uint8)
            write_image(folder / split / f"{name}.png", np.concatenate([photograph, COLORS[labels]], axis=1))
            if split == "val":
                wrong = np.where(np.arange(SIZE)[:, np.newaxis] < SIZE // 4, (labels + 1) % 3, labels)
                write_image(folder / "theirs" / f"{name}.png", COLORS[wrong])
                write_image(folder / "indices" / f"{name}.png", labels.astype(np.uint8)[..., np.newaxis])
    return folder


@pytest.fixture(scope="module")
def segmenter(pairs, tmp_path_factory) -> Path:
    """A run of the package's own, photographs to label maps."""
    data = {
        "dir": str(pairs), "input_side": "left", "target_classes": 3, "image_size_px": SIZE, "jitter_ratio": 1.0,
        "class_colors": [tuple(map(int, color)) for color in COLORS],
    }  # fmt: skip
    config = tiny_config(
        data=data, objective={"name": "l2", "gan_loss": "none"}, training={"steps": 60, "learning_rate": 2e-3}
    )
    quiet = Console(file=open("/dev/null", "w"))
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("runs") / "segmenter", console=quiet).path


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """A SavedModel of no card: the colour that is strongest is the class; scores of blue, red, green."""
    module = tf.Module()
    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    module.run = tf.function(lambda images: {"scores": tf.gather(images, [2, 0, 1], axis=-1)}, input_signature=[spec])
    path = tmp_path_factory.mktemp("foreign") / "segmenter"
    tf.saved_model.save(module, str(path), signatures=module.run)
    return path


def scores(examples, segmenter) -> dict[str, float]:
    setting = Setting(segmenter=segmenter.segment, segmenter_classes=segmenter.classes)
    return measure((segmenter.with_labels(examples[i]) for i in range(len(examples))), ["semantic"], setting)


def opened(path, pairs, **more):
    given = {
        "data_dir": str(pairs), "split": "val", "size_px": None, "label_maps": None, "data": DataConfig(),
        "value_range": None,
    }  # fmt: skip
    return open_segmenter(path, **{**given, **more})


def theirs(pairs, **more):
    """The other program's images beside the real photographs."""
    config = ["data.input_side=right"]
    return open_subject(
        Request(pairs / "theirs", data=str(pairs), overrides=config, noise=NoiseOptions(), **more)
    ).examples


def test_a_run_of_ours_knows_the_true_label_maps(pairs, segmenter):
    figures = scores(theirs(pairs), opened(segmenter, pairs))
    translator, right = p2p.load(segmenter), {"theirs": [], "real": []}
    for name in range(3):
        combined = np.asarray(Image.open(pairs / "val" / f"{name}.png"))
        labels = (combined[:, SIZE:, np.newaxis] == COLORS).all(-1).argmax(-1)
        for kind, image in {
            "theirs": np.asarray(Image.open(pairs / "theirs" / f"{name}.png")), "real": combined[:, :SIZE],
        }.items():  # fmt: skip
            right[kind].append((translator(np.ascontiguousarray(image))[..., 0] == labels).mean())
    assert figures["semantic_pixel_accuracy"] == pytest.approx(np.mean(right["theirs"]), abs=1e-6)
    assert figures["semantic_real_pixel_accuracy"] == pytest.approx(np.mean(right["real"]), abs=1e-6)
    assert figures["semantic_real_pixel_accuracy"] > figures["semantic_pixel_accuracy"]


def test_a_saved_model_of_another_origin_with_label_maps_in_a_folder(pairs, foreign):
    figures = scores(theirs(pairs), opened(foreign, pairs, label_maps=pairs / "indices"))
    assert figures["semantic_pixel_accuracy"] == 0.75  # a quarter of each was painted wrong
    assert figures["semantic_real_pixel_accuracy"] == 1


def test_inputs_that_are_label_maps_are_the_truth(pairs, foreign):
    colors = str([f"#{r:02x}{g:02x}{b:02x}" for r, g, b in COLORS])
    overrides = ["data.input_classes=3", f"data.class_colors={colors}"]
    folders = pairs / "folders" / "val"
    for name in range(3):
        combined = np.asarray(Image.open(pairs / "val" / f"{name}.png"))
        write_image(folders / "input" / f"{name}.png", combined[:, SIZE:])
        write_image(folders / "target" / f"{name}.png", combined[:, :SIZE])
    examples = open_subject(
        Request(pairs / "theirs", data=str(pairs / "folders"), overrides=overrides, noise=NoiseOptions())
    ).examples
    figures = scores(examples, opened(foreign, pairs, data=examples.data))
    assert figures["semantic_pixel_accuracy"] == 0.75


def test_label_maps_come_to_the_size_of_the_evaluation(pairs, foreign):
    figures = scores(theirs(pairs, size="16"), opened(foreign, pairs, label_maps=pairs / "indices", size_px=16))
    assert figures["semantic_pixel_accuracy"] == pytest.approx(0.75, abs=0.1)


def test_what_is_no_segmenter_or_knows_no_labels(pairs, foreign, smoke_run):
    with pytest.raises(UserError, match="A segmenter must give label maps"):
        opened(smoke_run.path, pairs)
    with pytest.raises(UserError, match="The true label maps for a segmenter must be known"):
        opened(foreign, pairs)


def test_pairs_without_a_label_map_are_named(pairs, foreign, tmp_path):
    write_image(tmp_path / "1.png", np.zeros((SIZE, SIZE, 1), np.uint8))
    with pytest.raises(UserError, match="Received none for '0'"):
        scores(theirs(pairs), opened(foreign, pairs, label_maps=tmp_path))


def test_a_photo_to_labels_model_that_paints_is_read_by_the_nearest_colour(pairs, tmp_path, quiet):
    data = {"dir": str(pairs), "input_side": "left", "image_size_px": SIZE, "jitter_ratio": 1.0}
    run = p2p.train(least_config(data=data), run_dir=tmp_path / "painter", console=quiet)
    colors = str([f"#{r:02x}{g:02x}{b:02x}" for r, g, b in COLORS])
    overrides = ["data.target_classes=3", f"data.class_colors={colors}"]
    example = open_subject(Request(run.path, overrides=overrides, noise=NoiseOptions())).examples[1]
    combined = np.asarray(Image.open(pairs / "val" / "1.png"))
    painted = p2p.load(run.path)(np.ascontiguousarray(combined[:, :SIZE])).astype(float)
    nearest = np.square(painted[:, :, np.newaxis] - COLORS).sum(-1).argmin(-1)
    seen = np.rint((example.translation[..., 0] + 1) * 127.5).astype(int)
    assert (seen == nearest).mean() > 0.99  # rounding to 8 bits may turn a tie
    wanted = (combined[:, SIZE:, np.newaxis] == COLORS).all(-1).argmax(-1)
    np.testing.assert_array_equal(np.rint((example.target[..., 0] + 1) * 127.5), wanted)
