"""A label map beside an image as the target, from the training to every export: `data.targets: [ct, tissue]`."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tests.data.test_parts import scene, write_splits
from tests.data.test_target_labels import CLASSES, PARTS, write_pair
from tfpix2pix.data.images import read_image
from tfpix2pix.data.labels import standard_colors
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.evaluation.folder import read_record
from tfpix2pix.export import FAITHFUL
from tfpix2pix.export.signatures import answers_of
from tfpix2pix.export.verify import verify
from tfpix2pix.runs.load import run_engine

SCORES = ("pixel_accuracy", "class_accuracy", "class_iou")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return write_splits(tmp_path_factory.mktemp("pairs"), write_pair, 32, train=(0, 1), val=(2, 3))


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory, quiet):
    data = {"dir": str(pairs), "source": "folders", "targets": PARTS, "class_names": ["air", "fat", "bone", "skin"]}
    config = tiny_config(data=data, training={"steps": 2, "validation_images": 2})
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("run") / "labels", console=quiet)


def signed(seed: int) -> np.ndarray:
    return scene(seed, 32)["target"].astype(np.float32) / 127.5 - 1


@pytest.fixture(scope="module")
def stack(run):
    """The run's translation of an input: the values of the CT and class indices, float32 in [-1, 1]."""
    return p2p.load(run.path)(signed(2))


def classes_of(stack: np.ndarray) -> np.ndarray:
    return np.rint((stack[..., 1] + 1) * 127.5).astype(int)


def scores_by_loops(pairs_of_maps: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """The paper's three scores of label maps (translation, target), from a confusion matrix."""
    matrix = np.zeros((CLASSES, CLASSES))
    for made, true in pairs_of_maps:
        for place in np.ndindex(true.shape):
            matrix[true[place], made[place]] += 1
    true, made, right = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    occurring = [index for index in range(CLASSES) if true[index]]
    either = [index for index in range(CLASSES) if true[index] + made[index]]
    return {
        "pixel_accuracy": right.sum() / matrix.sum(),
        "class_accuracy": np.mean([right[index] / true[index] for index in occurring]),
        "class_iou": np.mean([right[index] / (true[index] + made[index] - right[index]) for index in either]),
    }


class TestTraining:
    def test_the_networks_make_a_channel_for_each_class(self, run):
        model = p2p.load(run.path).engine
        assert model.generator.output_shape[-1] == 1 + CLASSES

    def test_held_out_pairs_are_measured_by_part(self, run):
        measured = run.card.metrics["trained"]
        assert {f"{score}_tissue" for score in SCORES} | {"class_iou", "l1", "psnr_db", "ssim"} <= set(measured)
        assert measured["class_iou"] == measured["class_iou_tissue"]
        translator, differences, maps = p2p.load(run.path), [], []
        for seed in (2, 3):
            translation, truth = translator(signed(seed)), scene(seed, 32)
            differences.append(np.abs(translation[..., 0] - (truth["height"] / 2047.5 - 1)).mean())
            maps.append((classes_of(translation), truth["labels"]))
        assert measured["l1"] == pytest.approx(np.mean(differences), rel=1e-3)  # of the image alone
        for name, value in scores_by_loops(maps).items():
            assert measured[f"{name}_tissue"] == pytest.approx(value, abs=2e-3)

    def test_samples_show_the_classes_in_colours(self, run):
        grid = read_image(run.directory.samples / "step-000002.png")
        assert grid.shape[1] == 3 * 2 * 32 + 2 * 4  # three columns of two parts, and gaps
        expected = standard_colors(CLASSES)[scene(2, 32)["labels"]]
        rows = range(grid.shape[0] - 31)
        assert sum(np.array_equal(grid[top : top + 32, -32:], expected) for top in rows) == 1

    def test_only_label_maps_are_scored_by_their_classes(self, pairs, quiet, tmp_path):
        data = {"dir": str(pairs), "source": "folders", "targets": [PARTS[1]]}
        config = tiny_config(data=data, training={"steps": 1})
        assert config.best_metric == "segmentation"
        measured = p2p.train(config, run_dir=tmp_path / "run", console=quiet).card.metrics["trained"]
        assert set(measured) == {*(f"{score}_tissue" for score in SCORES), "class_iou"}


class TestTranslate:
    def test_class_indices_are_written_with_the_palette(self, run, pairs, stack, tmp_path):
        code, _, error = run_cli("translate", run.path, pairs / "val/input", "--out", tmp_path / "out")
        assert code == 0, error
        with Image.open(tmp_path / "out/tissue/2.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[: 3 * CLASSES] == standard_colors(CLASSES).ravel().tolist()
            np.testing.assert_array_equal(np.asarray(image), classes_of(stack))
        np.testing.assert_allclose(
            read_image(tmp_path / "out/ct/2.tif")[..., 0], (stack[..., 0] + 1) * 2047.5, atol=0.5
        )

    def test_in_tiles_every_pixel_is_a_class(self, run, pairs, tmp_path):
        options = ("--tile", "16", "--tile-as", "alone", "--size", "own", "--out", tmp_path / "out")
        code, _, error = run_cli("translate", run.path, pairs / "val/input", *options)
        assert code == 0, error
        assert read_image(tmp_path / "out/tissue/2.png", palette="indices").max() < CLASSES

    def test_it_is_enlarged_back_without_new_classes(self, run, pairs, stack, tmp_path):
        large = tmp_path / "large.png"
        Image.open(pairs / "val/input/2.png").resize((64, 64), Image.Resampling.NEAREST).save(large)
        options = ("--size", "training", "--resize-back", "--out", tmp_path / "out")
        code, _, error = run_cli("translate", run.path, large, *options)
        assert code == 0, error
        written = read_image(tmp_path / "out/tissue/large.png", palette="indices")
        np.testing.assert_array_equal(written[..., 0], np.kron(written[::2, ::2, 0], np.ones((2, 2), int)))
        assert read_image(tmp_path / "out/ct/large.tif").shape == written.shape == (64, 64, 1)

    def test_from_arrays_of_8_bits(self, run, stack):
        translation = p2p.load(run.path)(scene(2, 32)["target"])
        assert translation.dtype == np.uint8
        np.testing.assert_array_equal(translation[..., 1], classes_of(stack))
        from_16 = p2p.load(run.path)(scene(2, 32)["target"].astype(np.uint16) * 257)
        np.testing.assert_array_equal(from_16[..., 1], classes_of(stack))


class TestExports:
    @pytest.fixture(scope="class")
    def exports(self, run, tmp_path_factory):
        out = tmp_path_factory.mktemp("exports")
        return {name: p2p.export_run(run.path, name, out) for name in ("saved_model", "tflite")}

    @pytest.mark.parametrize("name", ["saved_model", "tflite"])
    def test_they_translate_to_the_same_stack(self, exports, stack, name):
        assert exports[name].other_classes is not None and exports[name].other_classes <= 1e-3
        translation = p2p.load(exports[name].path)(signed(2))
        np.testing.assert_allclose(translation[..., 0], stack[..., 0], atol=1e-4)
        assert (classes_of(translation) != classes_of(stack)).mean() <= 1e-3

    def test_a_client_of_the_served_model_gets_class_indices(self, exports, stack):
        path = Path(exports["saved_model"].path)
        answer = tf.saved_model.load(str(path)).signatures["translate_parts"](image=tf.constant(signed(2)[np.newaxis]))
        assert {name: part.dtype for name, part in answer.items()} == {"ct": tf.float32, "tissue": tf.int32}
        assert answer["tissue"].shape == (1, 32, 32, 1)
        assert (answer["tissue"].numpy()[0, ..., 0] != classes_of(stack)).mean() <= 1e-3
        table = (path / "assets/tissue_classes.csv").read_text().splitlines()
        assert table[0] == "index,label,red,green,blue" and table[3].startswith("2,bone,")

    @pytest.mark.parametrize(
        ("channel", "change", "message"),
        [(0, 0.01, "a largest difference of 0.01 "), (1, 2 / 255, "1 of the pixels of another class")],
    )
    def test_values_and_classes_must_agree_with_the_run(self, run, tmp_path, channel, change, message):
        view = run_engine(run.directory)

        class Other:
            card = view.card

            def __call__(self, images, noise):
                translation = np.array(view(images, noise))
                translation[..., channel] += change
                return translation

        with pytest.raises(RunError, match=f"Received {message}"):
            verify(view, Other(), [signed(2)[np.newaxis]], FAITHFUL, "saved_model", tmp_path, tmp_path)

    def test_a_keras_file_is_refused(self, run, tmp_path):
        with pytest.raises(UserError, match="Received label maps, encoded outside the network"):
            p2p.export_run(run.path, "keras", tmp_path / "out")


def test_answers_are_indices_whatever_the_rounding(run):
    indices = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1)
    stack = np.concatenate([indices, indices], -1) / np.float32(127.5) - 1
    answer = answers_of(tf.constant(stack), run.card.config.data)["tissue"]
    np.testing.assert_array_equal(answer.numpy(), indices)


class TestEvaluate:
    def test_each_kind_has_its_own_metrics(self, run, stack, tmp_path):
        metrics = "l1,ssim,segmentation,unit_errors"
        evaluate = ("evaluate", run.path, "--metrics", metrics, "--variants", "0", "--out", tmp_path / "evaluation")
        code, _, error = run_cli(*evaluate)
        assert code == 0, error
        record = read_record(tmp_path / "evaluation")
        of_maps = {*(f"{score}_tissue" for score in SCORES), "class_iou"}
        assert set(record.figures) == {"l1", "ssim", "unit_mae_ct", "unit_rmse_ct"} | of_maps
        lines = [line.split(",") for line in (tmp_path / "evaluation/per_image.csv").read_text().splitlines()]
        values = dict(zip(lines[0], lines[1], strict=True))
        truth = scene(2, 32)
        expected = scores_by_loops([(classes_of(stack), truth["labels"])])
        for name, value in expected.items():
            assert float(values[f"{name}_tissue"]) == pytest.approx(value, abs=2e-3)
        error = np.abs(stack[..., 0] - (truth["height"] / 2047.5 - 1)).mean()
        assert float(values["l1"]) == pytest.approx(error, rel=1e-3)
        assert float(values["unit_mae_ct"]) == pytest.approx(error * 2047.5, rel=1e-3)
        assert "Class IoU of tissue" in (tmp_path / "evaluation/report.html").read_text(encoding="utf-8")

    def test_all_that_can_be_measured_is(self, run, tmp_path):
        code, _, error = run_cli("evaluate", run.path, "--variants", "2", "--out", tmp_path / "evaluation")
        assert code == 0, error
        record = read_record(tmp_path / "evaluation")
        assert {"class_iou_tissue", "l1", "psnr_db", "diversity", "nearest_training"} <= set(record.figures)

    def test_models_are_compared_by_both(self, run, tmp_path):
        for name in ("one", "two"):
            options = ("--metrics", "l1,segmentation", "--variants", "0", "--out", tmp_path / name)
            assert run_cli("evaluate", run.path, *options)[0] == 0
        code, _, error = run_cli("compare", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "comparison")
        assert code == 0, error
        table = (tmp_path / "comparison/comparison.csv").read_text()
        assert "class_iou" in table and "l1" in table
