"""Weights of pixels: where they come from, how they go with a pair into a batch, and what does not fit."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli, tiny_config, write_image
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.opening import check_readable, open_sources, pair_reader
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.transforms import FITS, for_evaluation
from tfpix2pix.data.weights import DIMMEST, dimmed, nothing_counts, on_uncounted, read_weight
from tfpix2pix.data.writing import write_pairs, write_shards
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.folder import means_by_group
from tfpix2pix.evaluation.request import Request
from tfpix2pix.training.samples import sample_grid

SIDE = 40


def mask(seed: int = 0) -> np.ndarray:
    """A gray mask: a rectangle in full, a strip by half, nothing elsewhere."""
    values = np.zeros((SIDE, SIDE, 1), np.uint8)
    values[8 + seed : 30, 12:35] = 255
    values[2:4] = 128
    return values


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Three pairs to train on and one held out, each with a mask."""
    for split, seeds in (("train", (0, 1, 2)), ("val", (3,))):
        for seed in seeds:
            write_image(tmp_path / split / "input" / f"{seed}.png", image(seed))
            write_image(tmp_path / split / "target" / f"{seed}.png", image(seed + 10))
            write_image(tmp_path / split / "mask" / f"{seed}.png", mask(seed))
    return tmp_path


def data_of(folder: Path, **changes) -> DataConfig:
    return DataConfig(
        **{"source": "folders", "dir": str(folder), "weight": "mask", "image_size_px": 32, "mirror": False, **changes}
    )


def opened(data: DataConfig, split: str = "train"):
    return SOURCES[data.source](data, split, 0)


class TestSources:
    def test_a_folder_of_gray_images(self, masked):
        source = opened(data_of(masked))
        pair = source.whole(1)
        np.testing.assert_array_equal(pair[0], image(1))
        np.testing.assert_array_equal(pair[2], mask(1) / np.float32(255))
        assert pair[2].dtype == np.float32
        assert [path.parent.name for path in source.files(1)] == ["input", "target", "mask"]
        assert len(source.read(1)) == 2

    def test_a_column_of_a_table(self, masked):
        lines = [f"train/input/{i}.png,train/mask/{i}.png,train/target/{i}.png,train" for i in range(3)]
        (masked / "pairs.csv").write_text("\n".join(["input,Body mask,target,split", *lines]))
        source = opened(data_of(masked / "pairs.csv", source="table", weight="body mask"))
        np.testing.assert_array_equal(source.whole(2)[2], mask(2) / np.float32(255))
        np.testing.assert_array_equal(source.whole(2)[1], image(12))

    def test_the_alpha_channel_of_targets(self, tmp_path):
        for seed in range(2):
            write_image(tmp_path / "input" / f"{seed}.png", image(seed))
            write_image(tmp_path / "target" / f"{seed}.png", np.concatenate([image(seed + 10), mask(seed)], axis=-1))
        pair = opened(data_of(tmp_path, weight="alpha", held_out_fraction=0)).whole(0)
        np.testing.assert_array_equal(pair[1], image(10))
        np.testing.assert_array_equal(pair[2], mask(0) / np.float32(255))

    def test_the_alpha_channel_of_a_combined_image(self, tmp_path):
        opaque = np.full((SIDE, SIDE, 1), 255, np.uint8)
        halves = [np.concatenate(parts, axis=-1) for parts in ((image(0), opaque), (image(10), mask()))]
        write_image(tmp_path / "0.png", np.concatenate(halves, axis=1))
        pair = opened(data_of(tmp_path, source="combined", weight="alpha", held_out_fraction=0)).whole(0)
        for read, expected in zip(pair, (image(0), image(10), mask() / np.float32(255)), strict=True):
            np.testing.assert_array_equal(read, expected)

    @pytest.mark.parametrize(("value", "setting"), [(-9999.0, -9999), (np.nan, "nan")])
    def test_a_value_that_stands_for_no_data_on_either_side(self, tmp_path, value, setting):
        heights = np.random.default_rng(0).uniform(0, 100, (2, SIDE, SIDE, 1)).astype(np.float32)
        heights[0, :5], heights[1, :, :3] = value, value
        for name, heights_of_side in zip(("input", "target"), heights, strict=True):
            (tmp_path / name).mkdir()
            tifffile.imwrite(tmp_path / name / "0.tif", heights_of_side[..., 0])
        more = {"input_channels": 1, "target_channels": 1, "input_range": (0, 100), "target_range": (0, 100)}
        data = data_of(tmp_path, weight={"nodata": setting}, held_out_fraction=0, **more)
        source_image, target, weight = opened(data).whole(0)
        lacking = np.zeros((SIDE, SIDE, 1), bool)
        lacking[:5], lacking[:, :3] = True, True
        np.testing.assert_array_equal(weight, 1.0 - lacking)
        assert (source_image[:5] == 0).all() and (target[:, :3] == 0).all()
        np.testing.assert_array_equal(target[:, 3:], heights[1, :, 3:])

    def test_shards_hold_the_weights_and_can_be_read_without(self, masked, tmp_path):
        data = data_of(masked)
        write_shards(data, str(tmp_path / "shards"))
        of_shards = {"source": "shards", "dir": str(tmp_path / "shards")}
        for weight in ("mask", None):
            files, shards = (opened(data.model_copy(update={"weight": weight, **more})) for more in ({}, of_shards))
            for own, other in zip(files.whole(1), shards.whole(1), strict=True):
                np.testing.assert_array_equal(own, other)
        write_shards(data.model_copy(update={"weight": None}), str(tmp_path / "bare"))
        with pytest.raises(UserError, match="the shards must hold the weights. Received .*bare without"):
            opened(data.model_copy(update={"source": "shards", "dir": str(tmp_path / "bare")}))

    @pytest.mark.parametrize("name", ["pairs", "nan"])
    def test_a_folder_that_is_missing_is_named_with_the_key_that_asks_for_it(self, tmp_path, name):
        write_image(tmp_path / name / "input" / "0.png", image(0))
        write_image(tmp_path / name / "target" / "0.png", image(1))
        with pytest.raises(UserError, match="must hold the folders input/, target/ and mask/") as caught:
            opened(data_of(tmp_path / name, held_out_fraction=0))
        assert f"{name}' without mask/, which `data.weight` asks for. Add that folder, or set" in str(caught.value)
        assert "data.source" not in str(caught.value)
        with pytest.raises(UserError, match="without b/") as caught:
            opened(data_of(tmp_path / name, held_out_fraction=0, weight=None, target_folder="b"))
        assert "`--set data.target_folder=target`" in str(caught.value)  # and nothing that is set
        assert "data.source" not in str(caught.value)

    def test_pairs_that_cannot_be_read_are_left_out_with_their_weights(self, masked):
        write_image(masked / "train" / "mask" / "1.png", mask()[:-1])
        sources = open_sources(data_of(masked, on_error="skip"), 0)
        assert sources["train"].names == ["0", "2"]
        np.testing.assert_array_equal(sources["train"].whole(1)[2], mask(2) / np.float32(255))


class TestValues:
    @pytest.mark.parametrize(
        "values",
        [
            np.uint8([[0, 255]]), np.uint16([[0, 65535]]), np.uint8([[0, 1]]), np.float32([[0, 1]]),
            np.uint8([[[0] * 3, [255] * 3]]),
        ],
        ids=["8 bits", "16 bits", "0 and 1", "floats", "gray in RGB"],
    )  # fmt: skip
    def test_the_largest_value_counts_in_full(self, values):
        values = values[..., np.newaxis] if values.ndim == 2 else values
        np.testing.assert_array_equal(read_weight(values, "a file")[..., 0], [[0, 1]])

    def test_a_palette_file_of_0_and_1(self, masked):
        picture = Image.fromarray((mask(0)[..., 0] > 200).astype(np.uint8))
        picture.putpalette([255, 0, 0, 0, 0, 255])
        picture.save(masked / "train" / "mask" / "0.png")
        np.testing.assert_array_equal(opened(data_of(masked)).whole(0)[2], mask(0) > 200)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.float32([[[1.5]]]), r"must lie in \[0, 1\]. Received 1.5 to 1.5 in m.tif. Divide"),
            (np.float32([[[np.nan]]]), r"must lie in \[0, 1\]. Received nan to nan"),
            (np.uint8([[[1, 2, 3]]]), "must be a gray image. Received 3 channels in m.tif. Save it in gray"),
            (np.uint8([[[1, 2]]]), "must be a gray image. Received 2 channels"),
        ],
    )
    def test_others_are_refused(self, values, message):
        with pytest.raises(UserError, match=message):
            read_weight(values, "m.tif")


class TestBatches:
    def test_weights_go_through_crop_and_flips_with_their_target(self, masked):
        """Each target's red channel is its mask here, so the two stay equal whatever happens to them."""
        for seed in range(3):
            target = np.concatenate([mask(seed), image(seed)[..., 1:]], axis=-1)
            write_image(masked / "train" / "target" / f"{seed}.png", target)
        turns = {"mirror": True, "vertical_flip": True, "rotate": True, "fit": "crop"}
        data = data_of(masked, **turns)
        batches = training_batches(opened(data), data, batch_size=2, seed=0, first_step=0, total_steps=6)
        for _, target, weight in batches:
            np.testing.assert_allclose(target[..., :1], weight * 2 - 1, atol=1e-6)
            assert weight.shape == (2, 32, 32, 1)

    @pytest.mark.parametrize("fit", [fit for fit in FITS if fit != "crop"])
    def test_pixels_of_weight_0_leave_no_trace_in_a_resized_target(self, masked, fit):
        data = data_of(masked, fit=fit, image_size_px=23)
        read = pair_reader(opened(data), data)
        source_image, target, weight = read(0)
        other = np.where(weight == 0, -target, target)
        first, second = (for_evaluation((source_image, values, weight), data) for values in (target, other))
        counting = first[2].numpy() > 0
        assert 0.2 < counting.mean() < 0.8
        np.testing.assert_array_equal(np.where(counting, first[1], 0), np.where(counting, second[1], 0))

    def test_full_weights_change_nothing(self, masked):
        data = data_of(masked, image_size_px=23)
        source_image, target, weight = pair_reader(opened(data), data)(0)
        bare, whole = (for_evaluation((source_image, target, *more), data) for more in ([], [np.ones_like(weight)]))
        np.testing.assert_allclose(bare[1], whole[1], atol=1e-6)
        np.testing.assert_allclose(whole[2], 1, atol=1e-6)

    def test_label_maps_keep_their_classes(self, tmp_path):
        write_image(tmp_path / "input" / "0.png", image(0))
        write_image(tmp_path / "target" / "0.png", np.random.default_rng(0).integers(0, 3, (SIDE, SIDE, 1), np.uint8))
        write_image(tmp_path / "mask" / "0.png", mask())
        data = data_of(tmp_path, target_classes=3, held_out_fraction=0, image_size_px=23)
        (_, target, _) = for_evaluation(pair_reader(opened(data), data)(0), data)
        assert set(np.unique(np.rint((target.numpy() + 1) * 127.5))) <= {0, 1, 2}

    def test_held_out_batches_have_them_too(self, masked):
        data = data_of(masked)
        (batch,) = evaluation_batches(opened(data, "val"), data)
        assert [tuple(values.shape) for values in batch] == [(1, 32, 32, 3), (1, 32, 32, 3), (1, 32, 32, 1)]


def test_samples_are_darker_where_pixels_do_not_count():
    picture, weight = np.full((1, 2, 3), 200, np.uint8), np.float32([[[0], [1]]])
    np.testing.assert_array_equal(dimmed(picture, weight)[0, :, 0], [200 * DIMMEST, 200])
    batch = tf.ones((1, 4, 4, 3))
    shown = [sample_grid(lambda x: x, [(batch, batch, *more)]) for more in ([], [tf.zeros((1, 4, 4, 1))])]
    assert (shown[0][-6, [1, 9, 17]] == 255).all()
    assert shown[1][-6, [1, 9, 17], 0].tolist() == [255, 64, 64]


class TestDoctor:
    def test_says_how_many_pixels_count_and_names_pairs_of_which_none_does(self, masked):
        write_image(masked / "train" / "mask" / "1.png", np.zeros((SIDE, SIDE, 1), np.uint8))
        examination = examine(data_of(masked))
        (found,) = [finding for finding in examination.findings if finding.kind == "uncounted"]
        assert (found.split, found.names) == ("train", ("1",))
        shares = [0 if seed == 1 else float(np.mean(mask(seed) / 255)) for seed in range(4)]
        note = f"{100 * np.mean(shares):.3g} % of the pixels count: 0 % to {100 * max(shares):.3g} % of an image."
        assert any(note in line for line in examination.notes)
        assert list(examination.sizes) == ["input", "target", "weight"]

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (mask()[:-1], "Weights must be as large as their target. Received 40x39 px"),
            (np.repeat(mask(), 3, axis=-1) + np.uint8([0, 1, 2]), "Weights must be a gray image. Received 3 channels"),
            (-np.ones((SIDE, SIDE, 1), np.float32), "must lie in [0, 1]. Received -1 to -1"),
        ],
        ids=["another size", "colours", "below 0"],
    )
    def test_names_a_mask_that_does_not_fit_with_advice_about_masks(self, masked, wrong, message):
        (masked / "train" / "mask" / "2.png").unlink()
        np.save(masked / "train" / "mask" / "2.npy", wrong)
        (found,) = [finding for finding in examine(data_of(masked)).findings if finding.names == ("2",)]
        assert found.kind == "weights" and message in found.message
        assert "`data.weight: null`" in found.advice and "size_px" not in found.advice

    def test_names_targets_without_an_alpha_channel(self, masked):
        findings = examine(data_of(masked, weight="alpha")).findings
        assert {finding.kind for finding in findings} == {"weights"} and len(findings) == 4

    def test_names_a_mask_unlike_the_others(self, tmp_path):
        for seed in range(5):
            write_image(tmp_path / "input" / f"{seed}.png", image(seed))
            write_image(tmp_path / "target" / f"{seed}.png", image(seed + 10))
            write_image(tmp_path / "mask" / f"{seed}.png", mask(seed) if seed else np.uint16(257) * mask(0))
        (found,) = [finding for finding in examine(data_of(tmp_path)).findings if finding.names == ("0",)]
        assert found.kind == "weights" and "4 of 5 are" in found.message

    def test_names_a_missing_mask(self, masked):
        (masked / "train" / "mask" / "2.png").unlink()
        examination = examine(data_of(masked))
        (found,) = [finding for finding in examination.findings if finding.kind == "partner"]
        assert "Received '2' without one in" in found.message
        assert not any("not read" in note for note in examination.notes)  # the files are those of the finding

    @pytest.mark.parametrize(("dtype", "white"), [(np.uint8, "255"), (np.uint16, "65,535")])
    def test_names_masks_of_class_numbers(self, masked, dtype, white):
        for seed, value in enumerate((1, 2, 20)):
            write_image(masked / "train" / "mask" / f"{seed}.png", (np.sign(mask(seed)) * value).astype(dtype))
        write_image(masked / "val" / "mask" / "3.png", np.full((SIDE, SIDE, 1), 21, dtype))
        examination = examine(data_of(masked))
        found = [finding for finding in examination.findings if finding.kind == "faint"]
        assert [finding.names for finding in found] == [("1",), ("2",)]  # 0 and 1 are read as they are
        assert f"The largest value of its mask is 2 of {white}, so its pixels have a weight of" in found[0].message
        assert found[0].files == (str(masked / "train" / "mask" / "1.png"),)
        assert found[0].advice.startswith("Save the mask with 0 and 255, or with 0 and 1")

    def test_faint_alpha_is_no_mask_of_classes(self, tmp_path):
        for seed in range(2):
            faint = np.full((SIDE, SIDE, 1), 2, np.uint8)
            write_image(tmp_path / "input" / f"{seed}.png", image(seed))
            write_image(tmp_path / "target" / f"{seed}.png", np.concatenate([image(seed + 10), faint], axis=-1))
        assert "faint" not in examine(data_of(tmp_path, weight="alpha")).kinds


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"weight": "target"}, "`data.weight` must name another folder than those of the inputs and the targets"),
            ({"source": "combined"}, "`data.source` must be folders or table or shards with `data.weight: mask`"),
            ({"source": "openmoji"}, "`data.source` must be a source of pairs in files"),
            ({"weight": "alpha", "target_channels": 4}, "`data.target_channels` must be 1 or 3"),
            ({"weight": {"nodata": 0}, "target_classes": 3}, "because label maps have `data.ignore_class`"),
            ({"weight": {"nodata": "none"}}, "must be the name of a folder or column, `alpha`, or `{nodata: VALUE}`"),
            ({"weight": ""}, "must be the name of a folder or column"),
            ({"weight": 5}, "must be the name of a folder or column"),
        ],
    )
    def test_settings_that_do_not_go_together(self, tmp_path, changes, message):
        with pytest.raises(ValueError, match=message):
            data_of(tmp_path, **changes)

    def test_a_mask_of_another_size_stops_a_run_before_it_writes_anything(self, masked, tmp_path):
        write_image(masked / "train" / "mask" / "2.png", mask()[:-1])
        options = ["--set", "data.source=folders", "--set", "data.weight=mask", "--set", "data.image_size_px=32"]
        code, _, errors = run_cli("train", "facades", "--data", masked, "--run", tmp_path / "run", *options)
        assert code == 2
        assert "Weights must be as large as their target. Received 40x39 px in" in errors
        assert "Traceback" not in errors
        assert not (tmp_path / "run").exists()

    def test_targets_without_an_alpha_channel(self, masked):
        with pytest.raises(UserError, match="every target must have an alpha channel. Received 3 channels in .*0.png"):
            opened(data_of(masked, weight="alpha")).whole(0)

    def test_pairs_are_not_written_without_their_weights(self, masked, tmp_path):
        with pytest.raises(UserError, match="`data pairs` must have pairs whose pixels all count"):
            write_pairs(data_of(masked), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_the_key_can_be_set_on_the_command_line(self):
        texts = {"mask": "mask", "alpha": "alpha", "{nodata: -9999}": -9999.0, "{nodata: nan}": "nan"}
        for text, expected in {**texts, "{nodata: -3.4028234663852886e38}": float(np.finfo(np.float32).min)}.items():
            config = resolve_config("facades", ["data.source=folders", f"data.weight={text}"])
            assert getattr(config.data.weight, "nodata", config.data.weight) == expected


def test_pairs_without_a_pixel_that_counts_are_refused_by_an_evaluation(masked, tmp_path):
    write_image(masked / "val" / "mask" / "3.png", np.zeros((SIDE, SIDE, 1), np.uint8))
    config = least_config(data={"source": "folders", "dir": str(masked), "weight": "mask"}, training={"steps": 1})
    run = p2p.train(config, run_dir=tmp_path / "run")  # its validation has nothing to measure, and goes on
    code, _, errors = run_cli("evaluate", run.path, "--out", tmp_path / "out")
    assert code == 2
    assert "At least one pixel of an image must count. Received 1 whose weights are all 0" in errors


def test_pairs_without_a_pixel_that_counts_are_not_trained_on(masked, tmp_path):
    data = data_of(masked)
    for file in masked.glob("train/mask/*.png"):
        assert check_readable(opened(data), trained_on=data) == 3
        write_image(file, np.zeros((SIDE, SIDE, 1), np.uint8))
    assert check_readable(opened(data)) == 3  # of held-out pairs it is no fault
    options = ["--set", "data.source=folders", "--set", "data.weight=mask", "--set", "data.image_size_px=32"]
    code, _, errors = run_cli("train", "facades", "--data", masked, "--run", tmp_path / "run", *options)
    message = (
        "At least one pixel of an image must count. Received 3 whose weights are all 0. Check `data.weight: mask`."
    )
    assert code == 2 and message in " ".join(errors.split())
    assert not (tmp_path / "run").exists()
    of_values = data_of(masked, weight={"nodata": "nan"})
    assert "Check `data.weight: {nodata: nan}`." in str(nothing_counts(2, of_values))


def test_the_middle_of_large_pairs_may_have_no_pixel_that_counts(masked, monkeypatch):
    data = data_of(masked)
    source = opened(data)
    nowhere = (image(0), image(1), np.zeros((SIDE, SIDE, 1), np.float32))
    large = replace(source, weighted=lambda index: nowhere)
    monkeypatch.setattr(Source, "is_large", lambda self, index: True)
    assert check_readable(large, trained_on=data) == 3
    monkeypatch.undo()
    with pytest.raises(UserError, match="Received 3 whose weights are all 0"):
        check_readable(large, trained_on=data)


def test_an_evaluation_names_the_pairs_of_which_no_pixel_counts(masked, tmp_path):
    write_image(masked / "train" / "mask" / "1.png", np.zeros((SIDE, SIDE, 1), np.uint8))
    for file in list(masked.glob("train/*/*.png")):
        file.rename(file.with_stem(f"p{file.stem}_a"))
    keys = ["data.source=folders", "data.weight=mask", "data.image_size_px=32", "data.group=p*_"]
    request = Request(masked / "train" / "input", data=str(masked), split="train", overrides=keys)
    sentence = "1 of 3 images is left out, because the weights of all pixels are 0 (`data.weight: mask`): p1_a."
    with pytest.warns(UserWarning, match=re.escape(sentence)):
        evaluation = p2p.evaluate(request, out=tmp_path / "out", metrics=["l1"], replicates=10, shown=0)
    assert sentence in evaluation.record["notes"]
    assert (evaluation.record["data"]["images"], evaluation.record["data"]["groups"]) == (3, 2)
    lines = (tmp_path / "out" / "per_group.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines] == [["group", "images"], ["p0", "1"], ["p2", "1"]]


def test_means_of_groups_are_of_the_images_that_count():
    rows = [{"name": "a", "l1": 2.0}, {"name": "b"}, {"name": "c", "l1": 4.0}, {"name": "d"}]
    of_groups = means_by_group(rows, ["g", "g", "g", "h"], ["b", "d"])
    assert of_groups == [{"group": "g", "images": 2, "l1": 3.0}]
    data = data_of(Path("anywhere"))
    (sentence,) = on_uncounted(list("abcdef"), 9, data)
    assert sentence.startswith("6 of 9 images are left out, ") and sentence.endswith(": a, b, c, d and 2 more.")
    assert on_uncounted([], 9, data) == []


def test_a_split_is_translated_without_its_weights(masked, tmp_path):
    config = least_config(data={"source": "folders", "dir": str(masked), "weight": "mask"}, training={"steps": 1})
    run = p2p.train(config, run_dir=tmp_path / "run")
    shutil.rmtree(masked / "val" / "mask")
    assert len(p2p.translate_files(p2p.load(run.path), out=tmp_path / "out", split="val")) == 1


def test_the_networks_do_not_see_the_weights():
    plain, weighted = (least_config(data={"source": "folders", "weight": weight}) for weight in (None, "mask"))
    assert plain.data.network_channels == weighted.data.network_channels
    assert tiny_config().data.weight is None
