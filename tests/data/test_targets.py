"""Targets in several files: `data.targets`, stacked along the channels, each part in its own range and depth."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile

from tests.conftest import write_image
from tests.data.test_parts import SIDE, scene, write_splits
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.align import align
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.pairs import signed
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.data.ranges import from_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import as_files, split_targets
from tfpix2pix.data.weights import dimmed
from tfpix2pix.data.writing import write_pairs, write_shards
from tfpix2pix.errors import UserError

TISSUE = {"name": "tissue", "kind": "labels", "classes": 4}
PARTS = [
    {"name": "speed", "channels": 2, "range": [-40, 40], "unit": "m/s"},
    {"name": "photo"},
    {"name": "height", "channels": 1, "range": [0, 4095], "depth": "uint16", "unit": "m"},
]
CHANNELS = 6


def parts_of(seed: int = 0, side: int = SIDE) -> dict[str, np.ndarray]:
    images = scene(seed, side)
    speed = np.random.default_rng([7, seed]).uniform(-40, 40, (side, side, 2)).astype(np.float32)
    return {"speed": speed, "photo": images["target"], "height": images["height"]}


def write_pair(root: Path, name: str, seed: int, side: int = SIDE) -> None:
    write_image(root / "input" / f"{name}.png", scene(seed, side)["target"])
    for part, image in parts_of(seed, side).items():
        if image.dtype == np.float32:
            (root / part).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / part / f"{name}.tif", image, photometric="minisblack", planarconfig="contig")
        else:
            write_image(root / part / f"{name}.png", image)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_splits(tmp_path, write_pair, train=range(3), val=(9,))


def data_of(folder: Path, **changes) -> DataConfig:
    settings = {"source": "folders", "dir": str(folder), "targets": PARTS, "image_size_px": 32, **changes}
    return make_config({"data": settings}).data


class TestStacks:
    def test_a_stack_holds_the_values_of_the_files(self, pairs):
        data, images = data_of(pairs), parts_of(1)
        source = SOURCES["folders"](data, "train", 0)
        _, stack = source.read(1)
        assert (stack.dtype, stack.shape, data.target_channels) == (np.float32, (SIDE, SIDE, CHANNELS), CHANNELS)
        assert [path.parent.name for path in source.files(1)] == ["input", "speed", "photo", "height"]
        expected = np.concatenate([images["speed"], images["photo"], images["height"][..., np.newaxis]], axis=-1)
        np.testing.assert_array_equal(stack, expected)

    def test_networks_see_each_part_by_its_own_range(self, pairs):
        data, images = data_of(pairs), parts_of(0)
        _, target = signed(SOURCES["folders"](data, "train", 0).read(0), data)
        np.testing.assert_allclose(target[..., :2], images["speed"] / 40, atol=1e-6)
        np.testing.assert_allclose(target[..., 2:5], images["photo"] / 127.5 - 1, atol=1e-6)
        np.testing.assert_allclose(target[..., 5], images["height"] / 2047.5 - 1, atol=1e-6)
        assert data.network_channels == (3, CHANNELS)
        back = as_files(from_signed(target, np.float32, data.target_range), data)
        assert {name: image.dtype.name for name, image in back.items()} == {
            "speed": "float32", "photo": "uint8", "height": "uint16",
        }  # fmt: skip
        np.testing.assert_allclose(back["speed"], images["speed"], atol=1e-4)
        np.testing.assert_array_equal(back["photo"], images["photo"])
        np.testing.assert_array_equal(back["height"][..., 0], images["height"])

    def test_tensors_are_split_too(self, pairs):
        split = split_targets(tf.zeros((1, 4, 4, CHANNELS)), data_of(pairs))
        assert {name: part.shape[-1] for name, part in split.items()} == {"speed": 2, "photo": 3, "height": 1}

    def test_batches_have_all_channels(self, pairs):
        data = data_of(pairs, jitter_ratio=1.25)
        source = SOURCES["folders"](data, "train", 0)
        for _, target in training_batches(source, data, batch_size=2, seed=0, first_step=0, total_steps=2):
            assert target.shape == (2, 32, 32, CHANNELS) and np.abs(target.numpy()).max() <= 1.0

    def test_a_folder_a_table_and_shards_hold_the_same_pairs(self, pairs, tmp_path):
        of_folders, names = data_of(pairs), ("input", "speed", "photo", "height")
        lines = [
            ",".join([*(f"train/{name}/{n}.{'tif' if name == 'speed' else 'png'}" for name in names), "train"])
            for n in range(3)
        ]
        (pairs / "pairs.csv").write_text("\n".join([",".join([*names, "split"]), *lines]))
        write_shards(of_folders, str(tmp_path / "shards"))
        source = SOURCES["folders"](of_folders, "train", 0)
        others = {"table": pairs / "pairs.csv", "shards": tmp_path / "shards"}
        for kind, place in others.items():
            other = SOURCES[kind](data_of(place, source=kind), "train", 0)
            assert list(other.names) == list(source.names) == ["0", "1", "2"]
            for index in range(3):
                for ours, theirs in zip(source.read(index), other.read(index), strict=True):
                    np.testing.assert_array_equal(ours, theirs)

    def test_with_inputs_numbers_and_weights_in_files(self, pairs, tmp_path):
        for seed in range(3):
            write_image(pairs / "train/mask" / f"{seed}.png", np.uint8(255 * (scene(seed)["labels"] > 0)))
        (pairs / "scalars.csv").write_text("name,kv\n0,80\n1,100\n2,140\n")
        inputs = [{"name": "kv", "kind": "scalar", "range": [80, 140]}, {"name": "input"}]
        data = data_of(pairs, inputs=inputs, weight="mask")
        (pairs / "val").rename(pairs / "other")
        write_shards(data, str(tmp_path / "shards"))
        source = SOURCES["folders"](data, "train", 0)
        shards = SOURCES["shards"](
            data.model_copy(update={"source": "shards", "dir": str(tmp_path / "shards")}), "train", 0
        )
        for index in range(3):
            image, target, weight = source.whole(index)
            assert image.shape[-1] == 4 and target.shape[-1] == CHANNELS
            np.testing.assert_array_equal(weight[..., 0], scene(index)["labels"] > 0)
            for ours, theirs in zip((image, target, weight), shards.whole(index), strict=True):
                np.testing.assert_array_equal(ours, theirs)


class TestPictures:
    def test_every_part_stands_beside_the_first(self, pairs):
        data, images = data_of(pairs), parts_of(0)
        image, target = signed(SOURCES["folders"](data, "train", 0).read(0), data)
        of_input, of_target = pictures_of(data, every_part=True)
        shown = of_target(target)
        assert shown.shape == of_input(image).shape == (SIDE, 3 * SIDE, 3)
        np.testing.assert_array_equal(shown[:, SIDE : 2 * SIDE], images["photo"])
        np.testing.assert_array_equal(of_input(image)[:, :SIDE], scene(0)["target"])
        assert (of_input(image)[:, SIDE:] == 255).all()
        np.testing.assert_array_equal(pictures_of(data)[1](target), shown[:, :SIDE])
        dark = dimmed(shown, np.zeros((SIDE, SIDE, 1), np.float32))
        np.testing.assert_array_equal(dark, np.rint(shown * 0.25).astype(np.uint8))

    def test_the_doctor_reads_them_and_names_their_faults(self, pairs):
        before = examine(data_of(pairs))
        assert (before.examined, before.kinds) == (4, {})
        assert list(before.sizes) == ["input", "speed", "photo", "height"]
        assert before.read_as == "folders, input/ the inputs and speed/ and photo/ and height/ the targets"
        write_image(pairs / "train/photo/1.png", np.zeros((20, 40, 3), np.uint8))
        (pairs / "train/height/2.png").unlink()
        found = examine(data_of(pairs, on_error="skip"))
        assert found.kinds == {"partner": 1, "size": 1} or set(found.kinds) == {"partner", "size"}

    def test_shifted_pairs_are_cut_in_every_part(self, tmp_path):
        side, shift = 96, 3
        rng = np.random.default_rng(0)
        texture = np.kron(rng.integers(0, 256, (side // 8 + 2, side // 8 + 2), np.uint8), np.ones((8, 8), np.uint8))
        for part, image in (("input", texture), ("a", texture[:, shift:]), ("b", texture[:, shift:])):
            write_image(tmp_path / "pairs" / part / "0.png", np.dstack([image[:side, :side]] * 3))
        data = data_of(tmp_path / "pairs", targets=["a", "b"], held_out_fraction=0)
        (row,) = align(data, tmp_path / "aligned").rows
        assert (row.done, abs(row.dx)) == ("moved", shift)
        sides = {part: (tmp_path / "aligned" / part / "0.png").read_bytes()[16:24] for part in ("input", "a", "b")}
        assert len(set(sides.values())) == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"targets": ["labels"]}, "must give the number of classes of a label map. Received 'labels' without it"),
            ({"targets": [{**TISSUE, "classes": 1}]}, "`classes` of item 1 of `data.targets`"),
            ({"targets": [{**TISSUE, "range": [0, 3]}]}, "must give the range of parts of another kind only"),
            ({"targets": [{**TISSUE, "channels": 1}]}, "must give the channels of parts of another kind only"),
            ({"targets": [{**TISSUE, "depth": "uint16"}]}, "the depth of images only. Received depth for 'tissue'"),
            (
                {"targets": [{**TISSUE, "unit": "m"}]},
                "the unit of images only. Received unit for 'tissue', a label map",
            ),
            ({"targets": [TISSUE], "class_colors": ["#000"]}, "must be 4 different colours with `data.targets`"),
            ({"targets": [TISSUE], "class_names": ["air"]}, "must be 4 labels with `data.targets`. Received 1 of them"),
            ({"targets": [TISSUE], "ignore_class": 2}, "`data.ignore_class` must be 4 or more with `data.targets`"),
            ({"targets": [TISSUE], "target_class_values": "indices"}, "`data.target_class_values` must be null"),
            ({"targets": [{"name": "a", "kind": "instances"}]}, "image"),
            ({"targets": [{"name": "a", "kind": "scalar", "range": [0, 1]}]}, "image"),
            ({"targets": [{"name": "a", "kind": "distance"}]}, "`data.targets` must give the range of a distance"),
            (
                {"targets": [{"name": "a", "kind": "distance", "range": [-9, 9], "depth": "uint8"}]},
                "must have the depth float32 for distances, which are negative outside. Received uint8 for 'a'",
            ),
            ({"targets": [{"name": "a", "classes": 3}]}, "`data.targets` must give the classes of parts of another"),
            ({"targets": [{"name": "a", "range": [3, 1]}]}, "`data.targets` must give a range as two numbers"),
            (
                {"targets": [{"name": "a", "range": [-1000, 2000], "depth": "uint16"}]},
                "must have the depth float32 for a range from -1000. Received uint16 for 'a'. Leave it out",
            ),
            ({"targets": [{"name": "a", "depth": "uint32"}]}, "`depth` of item 1 of `data.targets`"),
            ({"targets": ["a", "A"]}, "a name of its own. Received a, a"),
            ({"targets": ["a", {"name": "b", "folder": "a"}]}, "a folder or column of its own"),
            ({"targets": ["a", {"name": "b", "folder": "input"}]}, "a folder or column of its own"),
            ({"targets": ["a"], "source": "combined"}, "`data.source` must be folders or table or shards"),
            ({"targets": ["a"], "target_channels": 4}, "`data.target_channels` must be left out"),
            ({"targets": ["a"], "target_range": [0, 9]}, "`data.target_range` must be left out"),
            ({"targets": ["a"], "target_unit": "HU"}, "`data.target_unit` must be null, because each part has"),
            ({"targets": [{"name": "a", "unit": "m"}]}, "`data.targets` must give a range to a part with a unit"),
            ({"targets": [{"name": "a", "range": [0, 1], "unit": ""}]}, "`unit` of item 1 of `data.targets`"),
            ({"targets": ["a"], "target_classes": 3}, "`data.target_"),
            ({"targets": ["a"], "target_percentiles": [1, 99]}, "`data.target_percentiles` must be null"),
            ({"targets": ["a"], "weight": "alpha"}, "`data.weight` must be"),
            ({"targets": ["a"], "weight": "a"}, "`data.weight` must name another folder"),
            (
                {"targets": ["a"], "color_jitter": 0.1, "color_jitter_side": "target"},
                "`data.color_jitter_side` must be",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, settings, message):
        with pytest.raises(UserError, match=message) as caught:
            make_config({"data": {"source": "folders", **settings}})
        assert len(re.findall(r"Received", str(caught.value))) <= 1 and "\n" not in str(caught.value)

    def test_a_configuration_is_written_and_read(self, pairs):
        config = make_config({"data": {"source": "folders", "targets": PARTS}})
        assert make_config(config.model_dump(mode="json")) == config
        assert config.data.target_range == ((-40, 40),) * 2 + ((0, 255),) * 3 + ((0, 4095),)

    def test_values_out_of_a_range_name_the_part_key(self, pairs):
        data = data_of(pairs, targets=[{"name": "height", "channels": 1}])  # of 8 bits, it says
        with pytest.raises(
            UserError, match=r"within `range`, 0 to 255 .* `\{name: height, range: .*` of `data.targets`"
        ):
            SOURCES["folders"](data, "train", 0).read(0)
        clipping = data.model_copy(update={"out_of_range": "clip"})
        clipped = SOURCES["folders"](clipping, "train", 0).read(0)[1]
        assert clipped.max() == 255
        share = np.mean([(parts_of(seed)["height"] > 255).mean() for seed in (0, 1, 2, 9)])
        start = "4 of 4 images have values outside the ranges of `data.targets`, which are clipped:"
        assert any(note.startswith(f"{start} {100 * share:.2g} %") for note in examine(clipping).notes)

    def test_a_missing_file_is_named(self, pairs):
        (pairs / "train/height/1.png").unlink()
        with pytest.raises(UserError, match="Received '1' without one in .*height"):
            SOURCES["folders"](data_of(pairs), "train", 0)

    def test_missing_folders_and_columns_are_named(self, pairs):
        with pytest.raises(UserError, match="input/, speed/ and no/, or .* Set `data.input_folder` and `data.targets`"):
            SOURCES["folders"](data_of(pairs / "train", targets=[PARTS[0], "no"]), "train", 0)
        (pairs / "pairs.csv").write_text("input,speed\na,b\n")
        with pytest.raises(UserError, match="columns input, speed, photo and height .* Add photo and height."):
            SOURCES["table"](data_of(pairs / "pairs.csv", source="table"), "train", 0)

    @pytest.mark.parametrize("targets", [None, PARTS[::-1]])
    def test_shards_are_read_with_the_parts_with_which_they_were_written(self, pairs, tmp_path, targets):
        write_shards(data_of(pairs), str(tmp_path / "shards"))
        with pytest.raises(UserError, match="`data.targets` with which they were written, speed and photo and height"):
            SOURCES["shards"](data_of(tmp_path / "shards", source="shards", targets=targets), "train", 0)

    def test_pairs_of_several_targets_are_not_written_as_two_folders(self, pairs, tmp_path):
        with pytest.raises(UserError, match="must have targets of one file each. Received `data.targets` with 3 parts"):
            write_pairs(data_of(pairs), tmp_path / "out")
