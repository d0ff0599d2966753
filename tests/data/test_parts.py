"""Inputs in several files: label maps, instance maps and pictures are read, stacked and encoded side by side."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from tests.conftest import tiny_config, write_image
from tfpix2pix.config.resolve import make_config, resolve_config
from tfpix2pix.data import INPUT_KINDS, SOURCES
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.encodings import boundaries, encoded_parts
from tfpix2pix.data.images import enlarged
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.pairs import signed
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.stacks import check_stack, numbered, stack_reader, stacked, stacked_by_name
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError

CLASSES = 4
INPUTS = [{"name": "labels", "classes": CLASSES}, "instances"]
SIDE = 40


def write_splits(folder, write_pair, side=SIDE, **seeds):
    """Writes a pair of each seed into the folder of its split: `write_splits(folder, write_pair, train=(0, 1))`."""
    for split, of_split in seeds.items():
        for seed in of_split:
            write_pair(folder / split, f"{seed}", seed, side)
    return folder


def scene(seed: int = 0, side: int = SIDE) -> dict[str, np.ndarray]:
    """A label map, an instance map in which two of one class touch, a photograph, and a gray image of 16 bits."""
    rng = np.random.default_rng(seed)
    labels, instances = np.zeros((2, side, side), np.uint16)
    third = side // 3
    labels[1, -1] = 1
    labels[third : 2 * third, 4:-4] = 2
    instances[third : 2 * third, 4 : side // 2] = 26_001  # two cars, bumper to bumper
    instances[third : 2 * third, side // 2 : -4] = 26_002
    labels[-third:, : 4 + seed] = 3
    instances[-third:, : 4 + seed] = 24_000
    height = rng.integers(0, 4096, (side, side), np.uint16)
    target = rng.integers(0, 256, (side, side, 3), np.uint8)
    return {"labels": labels.astype(np.uint8), "instances": instances, "height": height, "target": target}


def write_scene(root: Path, name: str, images: dict[str, np.ndarray]) -> None:
    for part, image in images.items():
        write_image(root / part / f"{name}.png", image)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for seed in range(3):
        write_scene(tmp_path / "train", f"{seed}", scene(seed))
    write_scene(tmp_path / "val", "9", scene(9))
    return tmp_path


def data_of(folder: Path, **changes) -> DataConfig:
    settings = {"source": "folders", "dir": str(folder), "inputs": INPUTS, "image_size_px": 32, **changes}
    return make_config({"data": settings}).data


def edges_by_loops(ids: np.ndarray) -> np.ndarray:
    """1 where one of the four neighbours has another id."""
    height, width = ids.shape
    edges = np.zeros((height, width), int)
    for y in range(height):
        for x in range(width):
            for above, beside in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= above < height and 0 <= beside < width
                edges[y, x] |= int(inside and ids[above, beside] != ids[y, x])
    return edges


class TestBoundaries:
    def test_they_are_those_of_a_twin_in_loops(self):
        ids = scene()["instances"]
        batch = np.stack([ids, ids[::-1], ids.T]).astype(np.float32)[..., np.newaxis]
        found = boundaries(tf.constant(batch)).numpy()
        assert found.shape == batch.shape
        for image, edges in zip(batch, found, strict=True):
            np.testing.assert_array_equal((edges[..., 0] + 1) / 2, edges_by_loops(image[..., 0]))

    def test_touching_instances_of_one_class_are_parted(self):
        images = scene()
        edges = edges_by_loops(images["instances"])
        middle = (SIDE // 2 - 1, SIDE // 2)
        assert edges[SIDE // 2, middle].all() and len(set(images["labels"][SIDE // 2, 4:-4])) == 1
        assert not edges_by_loops(images["labels"])[SIDE // 2, middle].any()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
    def test_an_image_of_one_row_or_column_has_them_too(self, shape):
        ids = np.arange(np.prod(shape)).reshape(shape)
        found = boundaries(tf.constant(ids[..., np.newaxis], tf.float32)).numpy()
        np.testing.assert_array_equal((found[..., 0] + 1) / 2, edges_by_loops(ids))


class TestNumbers:
    def test_few_instances_have_a_number_each(self):
        ids = np.random.default_rng(0).choice([3, 70_000, 2**40, 9], (8, 8))
        _, ranks = np.unique(ids, return_inverse=True)
        np.testing.assert_array_equal(numbered(ids), ranks.reshape(ids.shape))

    @pytest.mark.parametrize("seed", range(3))
    def test_many_that_touch_never_share_a_number(self, seed):
        ids = np.random.default_rng(seed).permutation(48 * 48).reshape(48, 48) // 2
        numbers = numbered(ids)
        assert numbers.dtype == np.uint8 and len(np.unique(ids)) > 256
        np.testing.assert_array_equal(edges_by_loops(numbers), edges_by_loops(ids))

    def test_every_encoding_of_ids_is_read_alike(self, tmp_path):
        ids = scene()["instances"]
        colors = np.stack([ids % 256, ids // 256, ids * 0], axis=-1).astype(np.uint8)
        data = data_of(tmp_path, inputs=["instances"])
        expected = numbered(ids)
        for image in (ids, ids.astype(np.float32), colors, np.dstack([colors, ids * 0 + 255]).astype(np.uint8)):
            np.testing.assert_array_equal(stacked([image], data, ["a"])[..., 0], expected)

    @pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.float32, bool])
    @pytest.mark.parametrize("ending", ["npy", "tif"])
    def test_files_hold_ids_of_any_depth(self, tmp_path, dtype, ending):
        ids = (scene()["instances"].astype(np.int64) * (600 if dtype != np.float32 else 1)).astype(dtype)
        path = tmp_path / f"ids.{ending}"
        if ending == "npy":
            np.save(path, ids)
        elif dtype in (np.int64, bool):
            pytest.skip("Programs write TIFF of 64 bits seldom, and of one bit with 0 for white.")
        else:
            tifffile.imwrite(path, ids)
        read = stack_reader(data_of(tmp_path, inputs=["instances"]))
        np.testing.assert_array_equal(read([path])[..., 0], numbered(ids))

    @pytest.mark.parametrize("image", [np.full((4, 4), 0.5, np.float32), np.zeros((4, 4, 3), np.uint16)])
    def test_others_are_refused(self, tmp_path, image):
        with pytest.raises(UserError, match="An instance map must hold whole numbers .* in map.png. Convert it."):
            stacked([image], data_of(tmp_path, inputs=["instances"]), ["map.png"])


class TestStacks:
    def test_eight_bits_stay_eight_bits(self, tmp_path):
        images = scene()
        stack = stacked_by_name({name: images[name] for name in ("instances", "labels")}, data_of(tmp_path))
        assert stack.dtype == np.uint8
        np.testing.assert_array_equal(stack[..., 0], images["labels"])
        np.testing.assert_array_equal(stack[..., 1], numbered(images["instances"]))

    def test_other_depths_become_floats_by_the_range_of_each_part(self, tmp_path):
        parts = ["labels", {"name": "height", "channels": 1, "range": [0, 4095]}, {"name": "photo"}]
        parts[0] = INPUTS[0]
        data = data_of(tmp_path, inputs=parts)
        images = scene()
        stack = stacked([images["labels"], images["height"], images["target"]], data, "abc")
        assert (stack.dtype, stack.shape) == (np.float32, (SIDE, SIDE, 5))
        both = signed((stack, images["target"]), data)[0]
        np.testing.assert_allclose(both[..., 1], images["height"] / 4095 * 2 - 1, atol=1e-6)
        np.testing.assert_allclose(both[..., 2:], images["target"] / 127.5 - 1, atol=1e-6)
        np.testing.assert_array_equal(np.rint((both[..., 0] + 1) * 127.5), images["labels"])

    def test_networks_see_the_parts_side_by_side(self, tmp_path):
        data, images = data_of(tmp_path), scene()
        stack = signed((stacked_by_name({k: images[k] for k in ("labels", "instances")}, data), images["target"]), data)
        seen = data.encoding.encode_input(tf.constant(stack[0])).numpy()
        assert data.network_channels == (CLASSES + 1, 3) and data.input_channels == 2
        np.testing.assert_array_equal((seen[..., :CLASSES] + 1) / 2, np.eye(CLASSES)[images["labels"]])
        np.testing.assert_array_equal((seen[..., CLASSES] + 1) / 2, edges_by_loops(images["instances"]))
        np.testing.assert_array_equal(encoded_parts(tf.constant(stack[0]), data.inputs), seen)

    def test_the_picture_shows_the_first_part_and_boundaries_in_white(self, tmp_path):
        data, images = data_of(tmp_path, class_colors=["black", "red", "blue", "green"]), scene()
        stack = stacked([images["labels"], images["instances"]], data, "ab").astype(np.float32) / 127.5 - 1
        shown = pictures_of(data)[0](stack)
        assert shown.shape == (SIDE, SIDE, 3)
        assert shown[0, 0].tolist() == [0, 0, 0] and shown[SIDE // 2, 8].tolist() == [0, 0, 255]
        assert shown[SIDE // 2, SIDE // 2 - 1].tolist() == [255, 255, 255]

    def test_a_mask_of_black_and_white_has_two_classes(self, tmp_path):
        data, mask = data_of(tmp_path, inputs=[{"name": "mask", "kind": "labels", "classes": 2}]), scene()["labels"] > 0
        for image in (mask, mask * np.uint8(255), mask.astype(np.uint8), mask * np.uint16(65535)):
            np.testing.assert_array_equal(stacked([image], data, ["m"])[..., 0], mask)

    def test_sizes_must_be_equal(self, tmp_path):
        images = scene()
        with pytest.raises(UserError, match=r"of one size. Received 40x40 px in a and 40x20 px in b \(instances\)"):
            stacked([images["labels"], images["instances"][:20]], data_of(tmp_path), "ab")

    @pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1), (0, 8), (8,)])
    def test_a_batch_or_nothing_is_refused(self, tmp_path, shape):
        images = {"labels": np.zeros(shape, np.uint8), "instances": np.zeros(shape, np.uint16)}
        with pytest.raises(UserError, match="one image|channels of uint8|in one channel"):
            stacked_by_name(images, data_of(tmp_path))

    def test_label_maps_of_signed_integers_are_read(self, tmp_path):
        images = {name: scene()[name].astype(np.int64) for name in ("labels", "instances")}
        np.testing.assert_array_equal(stacked_by_name(images, data_of(tmp_path))[..., 0], images["labels"])

    def test_a_stack_by_name_is_one_that_translators_take(self, tmp_path):
        images = scene()
        data = data_of(tmp_path, inputs=[INPUTS[0], {"name": "height", "channels": 1, "range": [0, 4095]}])
        stack = stacked_by_name({name: images[name] for name in ("labels", "height")}, data)
        np.testing.assert_allclose(stack[..., 1], images["height"] / 4095 * 2 - 1, atol=1e-6)
        check_stack(stack, data)
        for other in (images["height"], np.zeros((4, 4, 2), np.uint16), images["target"], images["labels"]):
            with pytest.raises(UserError, match="A stack of labels and height must have 2 channels"):
                check_stack(other, data)

    def test_a_picture_with_alpha_is_refused_or_loses_it_as_in_one_file(self, tmp_path):
        picture = np.dstack([scene()["target"], scene()["labels"]])
        with pytest.raises(UserError, match="Received RGBA in a. Add `--set data.alpha=drop`"):
            stacked([picture], data_of(tmp_path, inputs=["photo"]), "a")
        dropped = stacked([picture], data_of(tmp_path, inputs=["photo"], alpha="drop"), "a")
        np.testing.assert_array_equal(dropped, scene()["target"])
        np.testing.assert_array_equal(stacked_by_name({"photo": picture}, data_of(tmp_path, inputs=["photo"])), dropped)

    def test_values_out_of_range_name_the_key_of_the_part(self, tmp_path):
        data = data_of(tmp_path, inputs=[{"name": "height", "channels": 1, "range": [0, 9]}])
        with pytest.raises(UserError, match=r"as in `\{name: height, range: \[0, 4095\]\}` of `data.inputs`"):
            stacked([scene()["height"]], data, "a")

    def test_an_enlarged_stack_keeps_its_numbers(self, tmp_path):
        images = scene()
        data = data_of(tmp_path, inputs=[*INPUTS, {"name": "height", "channels": 1}])
        stack = stacked([images[name] for name in ("labels", "instances", "height")], data, "abc")
        large = enlarged(stack, 2, data.numbers[0])
        np.testing.assert_array_equal(large[::2, ::2, :2], stack[..., :2])
        assert set(np.unique(large[..., :2])) == set(np.unique(stack[..., :2]))
        assert stack[..., 2].min() <= large[..., 2].min() and large[..., 2].max() <= stack[..., 2].max()
        assert len(np.unique(large[..., 2])) > len(np.unique(stack[..., 2]))

    def test_names_must_be_those_of_the_parts(self, tmp_path):
        with pytest.raises(UserError, match="given labels and instances, each by its name. Received labels."):
            stacked_by_name({"labels": scene()["labels"]}, data_of(tmp_path))


class TestSources:
    def test_folders_a_table_and_shards_hold_the_same_pairs(self, scenes, tmp_path):
        of_folders = data_of(scenes)
        lines = [f"train/labels/{n}.png,train/instances/{n}.png,train/target/{n}.png,train" for n in range(3)]
        table = scenes / "pairs.csv"
        table.write_text("\n".join(["labels,instances,target,split", *lines]))
        write_shards(of_folders, str(tmp_path / "shards"))
        others = (data_of(table, source="table"), data_of(tmp_path / "shards", source="shards"))
        source = SOURCES["folders"](of_folders, "train", 0)
        assert list(source.names) == ["0", "1", "2"] and len(source.files(0)) == 3
        for data in others:
            other = SOURCES[data.source](data, "train", 0)
            assert list(other.names) == list(source.names)
            for index in range(3):
                for ours, theirs in zip(source.read(index), other.read(index), strict=True):
                    np.testing.assert_array_equal(ours, theirs)

    def test_batches_keep_numbers_whole_and_smooth_pictures(self, scenes):
        parts = [*INPUTS, {"name": "height", "channels": 1, "range": [0, 65535]}]
        data = data_of(scenes, inputs=parts, jitter_ratio=1.5)
        source = SOURCES["folders"](data, "train", 0)
        batches = training_batches(source, data, batch_size=1, seed=0, first_step=0, total_steps=4)
        for image, _ in batches:
            seen = image.numpy()[0]
            assert seen.shape == (32, 32, CLASSES + 2)
            assert set(np.unique(seen[..., : CLASSES + 1])) == {-1.0, 1.0}  # one of the classes, and boundaries
            assert (seen[..., :CLASSES].sum(axis=-1) == 2 - CLASSES).all()
            assert len(np.unique(seen[..., -1])) > 100
        kept = next(iter(evaluation_batches(source, data)))[0].numpy()[0]
        assert set(np.unique(np.rint((kept[..., 0] + 1) * 127.5))) <= set(range(CLASSES))

    @pytest.mark.parametrize(
        ("missing", "message"),
        [
            ("instances/1.png", "in every other folder. Received '1' without one in .*instances. Add the missing file"),
            ("labels/1.png", "Received '1' without one in .*labels"),
            ("target/1.png", "Received '1' without one in .*target"),
        ],
    )
    def test_a_missing_file_is_named(self, scenes, missing, message):
        (scenes / "train" / missing).unlink()
        with pytest.raises(UserError, match=message):
            SOURCES["folders"](data_of(scenes), "train", 0)
        assert list(SOURCES["folders"](data_of(scenes, on_error="skip"), "train", 0).names) == ["0", "2"]

    def test_a_missing_folder_is_named(self, scenes):
        data = data_of(scenes / "train", inputs=[INPUTS[0], {"name": "edges"}])
        with pytest.raises(UserError, match="labels/, edges/ and target/, or train/.* Set `data.inputs` and"):
            SOURCES["folders"](data, "train", 0)

    def test_a_missing_column_is_named(self, tmp_path):
        (tmp_path / "pairs.csv").write_text("labels,target\na.png,b.png\n")
        with pytest.raises(UserError, match="columns labels, instances and target .* Add instances."):
            SOURCES["table"](data_of(tmp_path / "pairs.csv", source="table"), "train", 0)

    @pytest.mark.parametrize("inputs", [None, ["instances", INPUTS[0]]])
    def test_shards_are_read_with_the_parts_with_which_they_were_written(self, scenes, tmp_path, inputs):
        write_shards(data_of(scenes), str(tmp_path / "shards"))
        with pytest.raises(
            UserError, match="were written, labels and instances here. Received (none|instances and labels) for"
        ):
            SOURCES["shards"](data_of(tmp_path / "shards", source="shards", inputs=inputs), "train", 0)

    def test_shards_of_other_files_are_refused(self, scenes, tmp_path):
        write_shards(data_of(scenes, inputs=None, input_folder="instances", input_channels=1), str(tmp_path / "shards"))
        with pytest.raises(UserError, match="a file of each part and of the target, 3 here. Received 2"):
            SOURCES["shards"](data_of(tmp_path / "shards", source="shards"), "train", 0)

    def test_the_doctor_reads_them_and_finds_a_map_of_another_size(self, scenes):
        before = examine(data_of(scenes))
        assert (before.examined, dict(before.pairs), before.kinds) == (4, {"train": 3, "val": 1, "test": 0}, {})
        assert list(before.sizes) == ["labels", "instances", "target"]
        assert before.read_as == "folders, labels/ and instances/ the inputs and target/ the targets"
        for part in ("labels", "instances"):  # one class and one instance, as a label map alone may have
            write_image(scenes / f"train/{part}/0.png", np.zeros((SIDE, SIDE), np.uint8))
        assert not examine(data_of(scenes)).kinds
        write_image(scenes / "train/instances/1.png", np.zeros((20, 40), np.uint16))
        found = examine(data_of(scenes))
        assert list(found.kinds) == ["size"] and "of one size" in found.findings[0].message


class TestCityscapes:
    def test_its_archives_become_pairs_by_the_lines_in_the_docs(self, tmp_path, monkeypatch):
        text = (Path(__file__).parents[2] / "docs/high-resolution.md").read_text()
        lines = re.search(r"```python\n(from pathlib.*?)```", text, re.S)[1]
        monkeypatch.chdir(tmp_path)
        for split, city in (("train", "aachen"), ("val", "lindau")):
            images, name = scene(1, 64), f"{city}_000000_000019"
            write_image(Path(f"cityscapes/leftImg8bit/{split}/{city}/{name}_leftImg8bit.png"), images["target"])
            for kind, part in (("labelIds", "labels"), ("instanceIds", "instances")):
                write_image(Path(f"cityscapes/gtFine/{split}/{city}/{name}_gtFine_{kind}.png"), images[part])
            write_image(Path(f"cityscapes/gtFine/{split}/{city}/{name}_gtFine_color.png"), images["target"])
        exec(lines, {})
        size = ["data.image_size_px=[32,64]", "discriminator.receptive_field_px=16"]
        data = resolve_config("cityscapes_hd", size, data_dir="data/cityscapes_hd").data
        assert data.network_channels == (36, 3)
        for split, city in (("train", "aachen"), ("val", "lindau")):
            source = SOURCES["folders"](data, split, 0)
            assert source.names == [f"{city}_000000_000019"] and source.read(0)[0].shape == (64, 64, 2)


class TestSettings:
    def test_a_name_alone_is_of_the_kind_of_this_name(self):
        data = resolve_config("facades", ["data.source=folders", "data.inputs=[instances, photo]"]).data
        assert [(part.name, part.kind, part.network_channels) for part in data.inputs] == [
            ("instances", "instances", 1), ("photo", "image", 3),
        ]  # fmt: skip

    def test_a_configuration_of_parts_is_written_and_read(self):
        config = tiny_config(data={"source": "folders", "inputs": INPUTS})
        assert make_config(config.model_dump(mode="json")) == config
        assert set(INPUT_KINDS) == {"image", "labels", "instances", "distance", "scalar"}

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"inputs": ["labels"]}, "the number of classes of a label map. Received 'labels' without it"),
            ({"inputs": [{"name": "photo", "classes": 3}]}, "Received classes for 'photo', of the kind image"),
            ({"inputs": [{"name": "instances", "channels": 2}]}, "Received channels for 'instances'"),
            ({"inputs": ["photo", "photo"]}, "a name of its own, .*Received photo, photo"),
            ({"inputs": ["photo", {"name": "b", "folder": "photo"}]}, "a folder or column of its own"),
            ({"inputs": ["target"]}, "other names than target.* Received 'target'"),
            ({"inputs": ["Image"]}, "other names than target.* Received 'Image'"),
            ({"inputs": ["photo", "Photo"]}, "a name of its own, whatever its capitals. Received photo, Photo"),
            ({"inputs": [{"name": "a", "folder": "target"}]}, "other folders or columns than target. Received"),
            ({"inputs": [{"name": "a", "folder": "Split"}], "source": "table"}, "target and split. Received 'Split'"),
            (
                {"inputs": [{"name": "a", "folder": "x"}, {"name": "b", "folder": "X"}], "source": "table"},
                "a folder or column of its own, whatever its capitals",
            ),
            ({"inputs": INPUTS, "input_class_values": "indices"}, "`data.input_class_values` must be null"),
            ({"inputs": ["a b"]}, "`name` of item 1 of `data.inputs` must be"),
            ({"inputs": [{"name": "a", "kid": "image"}]}, "item 1 of `data.inputs`"),
            ({"inputs": [{"name": "a", "kind": "depth"}]}, "image, labels, instances, distance, scalar"),
            ({"inputs": [{"name": "a", "range": [2, 1]}]}, "the smaller first"),
            ({"inputs": []}, "`data.inputs`"),
            ({"inputs": INPUTS, "source": "combined"}, "`data.source` must be folders or table or shards"),
            ({"inputs": INPUTS, "input_classes": 3}, "`data.input_classes` must be null"),
            ({"inputs": INPUTS, "input_range": [0, 9]}, "`data.input_range` must be null"),
            ({"inputs": INPUTS, "input_channels": 3}, "`data.input_channels` must be left out"),
            ({"inputs": INPUTS, "color_jitter": 0.1}, "`data.color_jitter_side` must be target"),
            ({"inputs": INPUTS, "class_colors": ["red", "blue"]}, "`data.class_colors` must be 4 different colours"),
            ({"inputs": INPUTS, "class_names": ["a", "b"]}, "`data.class_names` must be 4 labels"),
            ({"inputs": INPUTS, "ignore_class": 2}, "`data.ignore_class` must be 4 or more"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, settings, message):
        with pytest.raises(UserError, match=message) as caught:
            make_config({"data": {"source": "folders", **settings}})
        assert len(re.findall(r"Received", str(caught.value))) <= 1 and "\n" not in str(caught.value)

    def test_palette_files_are_indices_without_colours_and_colours_with_them(self, tmp_path):
        labels = scene()["labels"]
        picture = Image.fromarray(labels)
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 128, 0])
        folder = tmp_path / "train" / "labels"
        folder.mkdir(parents=True)
        picture.save(folder / "a.png")
        for part in ("instances", "target"):
            write_image(tmp_path / "train" / part / "a.png", scene()[part])
        for colors in (None, ["black", "red", "blue", "green"]):
            data = data_of(tmp_path, class_colors=colors)
            np.testing.assert_array_equal(SOURCES["folders"](data, "train", 0).read(0)[0][..., 0], labels)
