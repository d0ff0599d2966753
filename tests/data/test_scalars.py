"""Scalars as parts of an input: numbers from a table or `scalars.csv` become channels of one value."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_parts import CLASSES, INPUTS, SIDE, scene, write_scene
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.encodings import encoded_parts
from tfpix2pix.data.fingerprints import fingerprints
from tfpix2pix.data.images import enlarged
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.opening import open_source
from tfpix2pix.data.pairs import signed
from tfpix2pix.data.parts import scalar_channels
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.stacks import stacked_by_name
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError

WIND = {"name": "wind", "kind": "scalar", "range": [0, 25]}
HEIGHT = {"name": "height", "channels": 1, "range": [0, 4095]}
PARTS = [HEIGHT, WIND, INPUTS[0]]
WINDS = {0: 0.0, 1: 7.5, 2: 25.0, 9: 12.25}
RATIO = 0.3  # (7.5 - 0) / 25


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for seed in range(3):
        write_scene(tmp_path / "train", f"{seed}", scene(seed))
    write_scene(tmp_path / "val", "9", scene(9))
    rows = [f"{seed},{wind}" for seed, wind in WINDS.items()]
    (tmp_path / "scalars.csv").write_text("\n".join(["name,wind", *rows]))
    return tmp_path


def data_of(folder: Path, **changes) -> DataConfig:
    settings = {"source": "folders", "dir": str(folder), "inputs": PARTS, "image_size_px": 32, **changes}
    return make_config({"data": settings}).data


def table_of(root: Path, *lines: str, header: str = "height,wind,labels,target,split") -> Path:
    table = root / "pairs.csv"
    table.write_text("\n".join([header, *lines]))
    return table


def line(number: int, wind: object) -> str:
    height, labels, target = (f"train/{part}/{number}.png" for part in ("height", "labels", "target"))
    return f"{height},{wind},{labels},{target},train"


class TestSources:
    def test_folders_a_table_and_shards_hold_the_same_pairs(self, scenes, tmp_path):
        of_folders, table = data_of(scenes), table_of(scenes, *(line(n, WINDS[n]) for n in range(3)))
        write_shards(of_folders, str(tmp_path / "shards"))
        source = SOURCES["folders"](of_folders, "train", 0)
        for data in (data_of(table, source="table"), data_of(tmp_path / "shards", source="shards")):
            other = SOURCES[data.source](data, "train", 0)
            assert list(other.names) == list(source.names) == ["0", "1", "2"]
            for index in range(3):
                assert other.scalars(index) == source.scalars(index) == (WINDS[index],)
                for ours, theirs in zip(source.read(index), other.read(index), strict=True):
                    np.testing.assert_array_equal(ours, theirs)

    def test_the_channel_is_the_number_by_its_range(self, scenes):
        data = data_of(scenes)
        source = SOURCES["folders"](data, "train", 0)
        stack = signed(source.read(1), data)[0]
        assert stack.shape == (SIDE, SIDE, 3) and len(source.files(1)) == 3
        np.testing.assert_allclose(stack[..., 0], scene(1)["height"] / 4095 * 2 - 1, atol=1e-6)
        np.testing.assert_allclose(stack[..., 1], 2 * RATIO - 1, atol=1e-6)
        assert len(np.unique(stack[..., 1])) == 1
        seen = encoded_parts(tf.constant(stack), data.inputs).numpy()
        np.testing.assert_array_equal(seen[..., :2], stack[..., :2])
        assert data.network_channels == (2 + CLASSES, 3) and scalar_channels(data) == (1,)

    @pytest.mark.parametrize("fit", ["resize", "resize_crop", "crop", "pad"])
    def test_it_stays_one_value_whatever_is_done_with_images(self, scenes, fit):
        augmented = {"jitter_ratio": 1.0 if fit == "crop" else 1.25, "rotate": True, "vertical_flip": True}
        data = data_of(scenes, fit=fit, **augmented)
        source = SOURCES["folders"](data, "train", 0)
        values = {WINDS[n]: np.float32(WINDS[n] / 25) * 2 - 1 for n in range(3)}
        for image, _ in training_batches(source, data, batch_size=1, seed=0, first_step=0, total_steps=6):
            channel = image.numpy()[..., 1]
            assert len(np.unique(channel)) == 1
            assert min(abs(channel.flat[0] - value) for value in values.values()) < 1e-6
        for number, (image, _) in enumerate(evaluation_batches(source, data)):
            np.testing.assert_allclose(image.numpy()[..., 1], values[WINDS[number]], atol=1e-6)
        large = enlarged(source.read(1)[0], 2, data.numbers[0])
        assert np.unique(large[..., 1]) == source.read(1)[0][0, 0, 1]

    def test_names_may_repeat_in_splits_if_a_column_says_which(self, scenes):
        write_scene(scenes / "val", "1", scene(1))
        (scenes / "scalars.csv").write_text("name;split;wind\n0;;1\n1;train;2\n1;val;3\n2;train;4\n9;val;5\n")
        source = {split: SOURCES["folders"](data_of(scenes), split, 0) for split in ("train", "val")}
        assert [source["train"].scalars(index) for index in range(3)] == [(1.0,), (2.0,), (4.0,)]
        assert [source["val"].scalars(index) for index in range(2)] == [(3.0,), (5.0,)]

    def test_an_undivided_folder_is_divided_with_its_scalars(self, scenes):
        (scenes / "scalars.csv").rename(scenes / "train/scalars.csv")
        source = {split: SOURCES["folders"](data_of(scenes / "train"), split, 0) for split in ("train", "val")}
        pairs = {name: of.scalars(index)[0] for of in source.values() for index, name in enumerate(of.names)}
        assert pairs == {"0": 0.0, "1": 7.5, "2": 25.0}

    def test_a_run_notices_another_number(self, scenes):
        before = fingerprints(SOURCES["folders"](data_of(scenes), "train", 0))
        text = (scenes / "scalars.csv").read_text()
        (scenes / "scalars.csv").write_text(text.replace("1,7.5", "1,7.6"))
        now = fingerprints(SOURCES["folders"](data_of(scenes), "train", 0))
        assert [name for name in now if now[name] != before[name]] == ["1"]

    def test_skipped_pairs_leave_the_numbers_of_the_others(self, scenes):
        (scenes / "train/height/0.png").write_text("no image")
        source = open_source(data_of(scenes, on_error="skip"), "train", 0)
        assert list(source.names) == ["1", "2"] and source.scalars(0) == (7.5,)

    def test_pictures_show_the_first_part_in_files(self, scenes):
        data = data_of(scenes, inputs=[WIND, HEIGHT])
        stack = signed(SOURCES["folders"](data, "train", 0).read(1), data)[0]
        shown = pictures_of(data)[0](stack)
        np.testing.assert_array_equal(shown[..., 0], np.rint(scene(1)["height"] / 4095 * 255))

    def test_the_doctor_reads_them(self, scenes):
        examination = examine(data_of(scenes))
        assert (examination.examined, examination.kinds) == (4, {})
        assert list(examination.sizes) == ["height", "labels", "target"]
        assert "The scalar wind is 0 to 25, and its range is 0 to 25." in examination.notes
        narrow = examine(data_of(scenes, inputs=[HEIGHT, {**WIND, "range": [5, 20]}], out_of_range="clip"))
        assert any("range is 5 to 20. 2 of 4 lie outside, and are clipped." in note for note in narrow.notes)
        (scenes / "scalars.csv").write_text("name,wind\n0,1\n1,\n2,30\n9,2\n")
        found = examine(data_of(scenes, on_error="skip"))
        assert found.kinds == {"missing": 1, "range": 1}


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "received"),
        [("", "no wind"), ("strong", "'strong' as wind"), ("inf", "'inf' as wind"), ("nan", "'nan' as wind"),
         ("7_5", "'7_5' as wind"), ("1e999", "'1e999' as wind")],
    )  # fmt: skip
    @pytest.mark.parametrize("source", ["table", "folders"])
    def test_a_line_without_a_finite_number_is_named(self, scenes, source, text, received):
        table = table_of(scenes, line(0, 1), line(1, text), line(2, 3))
        (scenes / "scalars.csv").write_text(f"name,wind\n0,1\n1,{text}\n2,3\n9,4\n")
        data = data_of(table if source == "table" else scenes, source=source)
        with pytest.raises(UserError, match=f"finite number .* Received {received} in line 3 of .*csv. Correct the"):
            SOURCES[source](data, "train", 0)
        skipped = SOURCES[source](data.model_copy(update={"on_error": "skip"}), "train", 0)
        assert list(skipped.names) == ["0", "2"] and [skipped.scalars(n) for n in (0, 1)] == [(1.0,), (3.0,)]

    def test_names_may_have_the_endings_of_the_files(self, scenes):
        (scenes / "scalars.csv").write_text("name,wind\n0.png,1\n1.TIF,2\n2,3\n")
        source = SOURCES["folders"](data_of(scenes), "train", 0)
        assert list(source.names) == ["0", "1", "2"]
        assert [source.scalars(index) for index in range(3)] == [(1.0,), (2.0,), (3.0,)]

    def test_a_pair_without_a_line_is_named(self, scenes):
        (scenes / "scalars.csv").write_text("name,wind\n0,1\n2,3\n9,4\n")
        with pytest.raises(UserError, match="Received no line for '1' in .*scalars.csv. Correct the file."):
            SOURCES["folders"](data_of(scenes), "train", 0)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "must stand in scalars.csv, with the columns name and wind. Received .* without it"),
            ("name,speed\n0,1", "must have the columns name and wind .* Received name, speed in .* Add wind."),
            ("name,wind\n0,1\n0.png,2", "one line for each name. Received '0' again in line 3"),
            ("name,wind\n0,1\n0,2", "one line for each name. Received '0' again in line 3"),
            ("", "Received none in .* Add name and wind."),
        ],
    )
    def test_a_file_that_does_not_fit_is_named(self, scenes, text, message):
        path = scenes / "scalars.csv"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        with pytest.raises(UserError, match=message):
            SOURCES["folders"](data_of(scenes), "train", 0)

    def test_a_missing_column_of_a_table_is_named(self, scenes):
        table = table_of(scenes, "a,b,c", header="height,labels,target")
        with pytest.raises(UserError, match="columns height, labels, target and wind .* Add wind."):
            SOURCES["table"](data_of(table, source="table"), "train", 0)

    def test_a_number_out_of_range_stops_or_is_clipped(self, scenes):
        table = table_of(scenes, line(0, 30), line(1, -1))
        with pytest.raises(UserError, match="`range`, 0 to 25 here. Received 30 as wind in line 2 of .*pairs.csv"):
            SOURCES["table"](data_of(table, source="table"), "train", 0).read(0)
        clipped = SOURCES["table"](data_of(table, source="table", out_of_range="clip"), "train", 0)
        assert [np.unique(clipped.read(index)[0][..., 1]).tolist() for index in (0, 1)] == [[1.0], [0.0]]

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ([WIND], "must have a part in files, because a number has no size. Received wind. Add an image"),
            ([HEIGHT, {"name": "wind", "kind": "scalar"}], "the range of a scalar. Received 'wind' without it"),
            ([HEIGHT, {**WIND, "channels": 1}], "Received channels for 'wind', of the kind scalar"),
            ([HEIGHT, {**WIND, "range": [1, 1]}], "the smaller first. Received"),
            ([HEIGHT, {**WIND, "folder": "Name"}], "than name and split. Received 'Name'"),
            ([HEIGHT, {**WIND, "range": [0, math.inf]}], "`range` of item 2 of `data.inputs`"),
        ],
    )
    def test_a_configuration_that_does_not_fit_is_refused(self, inputs, message):
        with pytest.raises(UserError, match=message) as caught:
            make_config({"data": {"source": "folders", "inputs": inputs}})
        assert len(re.findall("Received", str(caught.value))) <= 1 and "\n" not in str(caught.value)

    @pytest.mark.parametrize("inputs", [[HEIGHT], [HEIGHT, {**WIND, "name": "speed"}], None])
    def test_shards_are_read_with_the_numbers_with_which_they_were_written(self, scenes, tmp_path, inputs):
        write_shards(data_of(scenes, inputs=[HEIGHT, WIND]), str(tmp_path / "shards"))
        with pytest.raises(UserError, match="they were written, height and wind here. Received"):
            SOURCES["shards"](data_of(tmp_path / "shards", source="shards", inputs=inputs), "train", 0)

    def test_shards_without_numbers_are_refused(self, scenes, tmp_path):
        write_shards(data_of(scenes, inputs=[HEIGHT]), str(tmp_path / "shards"))
        with pytest.raises(UserError, match="were written, height here. Received height and wind"):
            SOURCES["shards"](data_of(tmp_path / "shards", source="shards", inputs=[HEIGHT, WIND]), "train", 0)

    def test_a_damaged_record_of_numbers_is_refused(self, scenes, tmp_path):
        data = data_of(scenes, inputs=[HEIGHT, WIND])
        write_shards(data, str(tmp_path / "shards"))
        manifest = json.loads((tmp_path / "shards/shards.json").read_text())
        both = {"name": "gust", **{key: WIND[key] for key in ("kind", "range")}}
        manifest["inputs"].append("gust")
        (tmp_path / "shards/shards.json").write_text(json.dumps(manifest))
        more = data_of(tmp_path / "shards", source="shards", inputs=[HEIGHT, WIND, both])
        with pytest.raises(UserError, match="a record of something else"):
            SOURCES["shards"](more, "train", 0).read(0)


class TestArrays:
    @pytest.mark.parametrize("value", [7.5, np.float32(7.5), np.array(7.5)])
    def test_a_number_is_a_channel_of_the_stack(self, tmp_path, value):
        data = data_of(tmp_path, inputs=[WIND, HEIGHT])
        stack = stacked_by_name({"height": scene()["height"], "wind": value}, data)
        assert stack.dtype == np.float32
        np.testing.assert_allclose(stack[..., 0], 2 * RATIO - 1, atol=1e-6)

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            ({"wind": np.zeros((4, 4))}, r"one finite number. Received an array of shape \(4, 4, 1\) as wind"),
            ({"wind": np.array([7.5])}, r"an array of shape \(1,\) as wind"),
            ({"wind": "7.5"}, "Received '7.5' as wind"),
            ({"wind": math.nan}, "Received nan as wind"),
            (
                {"wind": 26},
                "0 to 25 here. Received 26 as wind in the argument 'wind'. Give a number",
            ),
            ({"height": 3.0}, r"must be one image.* Received the number 3.0 in the argument 'height'"),
        ],
    )
    def test_a_number_in_place_of_an_image_and_the_reverse_are_refused(self, tmp_path, images, message):
        data = data_of(tmp_path, inputs=[WIND, HEIGHT])
        with pytest.raises(UserError, match=message):
            stacked_by_name({"height": scene()["height"], "wind": 1.0, **images}, data)


def test_a_number_of_eight_bit_images_is_exact(tmp_path):
    """A stack with a scalar has floats, so that the number is not rounded to 256 steps."""
    data = data_of(tmp_path, inputs=["photo", WIND])
    stack = stacked_by_name({"photo": scene()["target"], "wind": 7.5}, data)
    np.testing.assert_allclose(stack[..., :3], scene()["target"] / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(stack[..., 3], 2 * RATIO - 1, atol=1e-7)
