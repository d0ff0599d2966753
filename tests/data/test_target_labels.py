"""Label maps among the parts of a target: `data.targets: [ct, {name: tissue, kind: labels, classes: 4}]`."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.conftest import write_image
from tests.data.test_parts import SIDE, scene, write_splits
from tests.data.test_targets import TISSUE, data_of
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.labels import pictures_of, standard_colors
from tfpix2pix.data.opening import pair_reader
from tfpix2pix.data.pairs import signed
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.data.ranges import from_signed
from tfpix2pix.data.target_parts import as_files, label_parts
from tfpix2pix.data.transforms import FITS, for_evaluation
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError
from tfpix2pix.inference.tiling import translate_tiles

CLASSES = 4
CT = {"name": "ct", "channels": 1, "range": [0, 4095], "unit": "HU"}
PARTS = [CT, TISSUE]
COLORS = ["#000000", "#ff0000", "#00ff00", "#0000ff"]


def write_pair(root: Path, name: str, seed: int, side: int = SIDE) -> None:
    images = scene(seed, side)
    write_image(root / "input" / f"{name}.png", images["target"])
    write_image(root / "ct" / f"{name}.png", images["height"])
    write_image(root / "tissue" / f"{name}.png", images["labels"])


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_splits(tmp_path, write_pair, train=range(3), val=(9,))


def parts_data(folder: Path, **changes):
    return data_of(folder, **{"targets": PARTS, **changes})


def read(data, index: int = 0, split: str = "train"):
    return SOURCES[data.source](data, split, 0).whole(index)


def classes_by_loops(values: np.ndarray) -> np.ndarray:
    """Channels of 1 for the class of a pixel and -1 for others, from class indices (H, W)."""
    channels = np.full((*values.shape, CLASSES), -1.0)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            if values[y, x] < CLASSES:
                channels[y, x, values[y, x]] = 1.0
    return channels


class TestStacks:
    def test_a_stack_holds_class_indices_beside_values(self, pairs):
        data, images = parts_data(pairs), scene(1)
        _, stack = read(data, 1)
        np.testing.assert_array_equal(stack[..., 0], images["height"])
        np.testing.assert_array_equal(stack[..., 1], images["labels"])
        assert (stack.dtype, data.target_channels, data.network_channels) == (np.float32, 2, (3, 1 + CLASSES))
        assert data.target_range == ((0, 4095), (0, 255)) and label_parts(data) == (("tissue", CLASSES, 1),)

    @pytest.mark.parametrize("how", ["colours", "a palette of colours", "a palette", "ignored"])
    def test_label_maps_are_read_as_those_of_inputs(self, pairs, how):
        labels = scene(0)["labels"].copy()
        path, colors = pairs / "train/tissue/0.png", np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
        settings = {"class_colors": COLORS}
        if how == "colours":
            Image.fromarray(colors.astype(np.uint8)[labels]).save(path)
        elif how == "ignored":
            settings = {"ignore_class": 255}
            labels[:5] = 255
            Image.fromarray(labels).save(path)
        else:
            image = Image.fromarray(labels)
            image.putpalette(colors.ravel().tolist())
            image.save(path)
            settings = settings if how == "a palette of colours" else {}
        np.testing.assert_array_equal(read(parts_data(pairs, **settings))[1][..., 1], labels)

    def test_masks_of_0_and_255_are_two_classes(self, pairs):
        for path in (pairs / "train/tissue").iterdir():
            write_image(path, np.uint8(255 * (np.asarray(Image.open(path)) > 1))[..., np.newaxis])
        data = parts_data(pairs, targets=[CT, {**TISSUE, "classes": 2}])
        np.testing.assert_array_equal(read(data)[1][..., 1], scene(0)["labels"] > 1)

    def test_shards_hold_them_too(self, pairs, tmp_path):
        write_shards(parts_data(pairs), str(tmp_path / "shards"))
        other = parts_data(tmp_path / "shards", source="shards")
        for index in range(3):
            np.testing.assert_array_equal(read(other, index)[1], read(parts_data(pairs), index)[1])

    def test_slices_of_volumes_hold_class_indices(self, tmp_path):
        rng = np.random.default_rng(0)
        tissue = rng.integers(0, CLASSES, (32, 33, 3))
        volumes = {"input": rng.random(tissue.shape), "ct": tissue / (CLASSES - 1), "tissue": tissue}
        for name, voxels in volumes.items():
            (tmp_path / "train" / name).mkdir(parents=True)
            type_ = np.uint8 if name == "tissue" else np.float32
            nibabel.save(nibabel.Nifti1Image(voxels.astype(type_), np.eye(4)), tmp_path / f"train/{name}/a.nii.gz")
        targets = [{**CT, "range": [0, 1]}, TISSUE]
        data = parts_data(tmp_path, targets=targets, input_channels=1, image_size_px=32)
        for index in range(3):
            stack = read(data, index)[1]
            np.testing.assert_array_equal(
                np.bincount(stack[..., 1].astype(int).ravel()), np.bincount(tissue[..., index].ravel())
            )
            np.testing.assert_allclose(stack[..., 0], stack[..., 1] / (CLASSES - 1), atol=1e-6)


class TestNetworks:
    def test_they_see_a_channel_for_each_class(self, pairs):
        data = parts_data(pairs, ignore_class=255)
        labels = scene(0)["labels"].copy()
        labels[:3] = 255
        write_image(pairs / "train/tissue/0.png", labels)
        _, target = signed(read(data), data)
        encoded = data.encoding.encode_target(tf.constant(target)).numpy()
        np.testing.assert_array_equal(encoded[..., 1:], classes_by_loops(labels))
        np.testing.assert_allclose(encoded[..., 0], scene(0)["height"] / 2047.5 - 1, atol=1e-6)

    def test_the_class_of_the_highest_score_is_written(self, pairs, rng):
        data = parts_data(pairs)
        output = rng.uniform(-1, 1, (2, 5, 6, 1 + CLASSES)).astype(np.float32)
        stack = data.encoding.decode(None, tf.constant(output)).numpy()
        assert stack.shape == (2, 5, 6, 2)
        files = as_files(from_signed(stack, np.float32, data.target_range), data)
        assert files["tissue"].dtype == np.uint8 and files["tissue"].shape == (2, 5, 6, 1)
        for place in np.ndindex(2, 5, 6):
            scores = output[place][1:].tolist()
            assert files["tissue"][place] == scores.index(max(scores))
        np.testing.assert_allclose(files["ct"][..., 0], (output[..., 0] + 1) * 2047.5, atol=1e-3)

    def test_what_is_encoded_is_decoded(self, pairs):
        data = parts_data(pairs, targets=[TISSUE, CT, {**TISSUE, "name": "other", "folder": "labels"}])
        labels = np.arange(CLASSES, dtype=np.float32).reshape(1, 2, 2, 1)
        stack = np.concatenate([labels / 127.5 - 1, labels / 5, 1 - (255 - labels[:, ::-1]) / 127.5], -1)
        encoded = data.encoding.encode_target(tf.constant(stack))
        assert encoded.shape == (1, 2, 2, 2 * CLASSES + 1)
        np.testing.assert_allclose(data.encoding.decode(None, encoded), stack, atol=1e-6)

    @pytest.mark.parametrize("fit", list(FITS))
    def test_batches_keep_whole_classes(self, pairs, fit):
        changes = {"jitter_ratio": 1.25} if fit != "crop" else {}
        data = parts_data(pairs, fit=fit, vertical_flip=True, rotate=True, image_size_px=24, **changes)
        source = SOURCES["folders"](data, "train", 0)
        for _, target in training_batches(source, data, batch_size=2, seed=0, first_step=0, total_steps=4):
            assert target.shape == (2, 24, 24, 1 + CLASSES)
            assert set(np.unique(target[..., 1:])) == {-1.0, 1.0}
            np.testing.assert_array_equal(np.sum(target[..., 1:] == 1, axis=-1), 1)

    def test_flips_move_all_parts_alike(self, pairs):
        for seed in range(3):
            labels = scene(seed)["labels"]
            write_image(pairs / f"train/ct/{seed}.png", labels.astype(np.uint16))
        data = parts_data(
            pairs, targets=[{**CT, "range": [0, 3]}, TISSUE], rotate=True, vertical_flip=True, image_size_px=SIDE
        )
        source = SOURCES["folders"](data, "train", 0)
        for _, target in training_batches(source, data, batch_size=2, seed=0, first_step=0, total_steps=4):
            indices = np.argmax(target[..., 1:], axis=-1)
            np.testing.assert_allclose(target[..., 0], indices / 1.5 - 1, atol=1e-5)


class TestWeights:
    def test_resizing_weighs_values_and_takes_the_nearest_class(self, pairs):
        for seed in range(3):
            write_image(pairs / f"train/mask/{seed}.png", np.uint8(255 * (scene(seed)["labels"] > 0)))
        data, bare = parts_data(pairs, weight="mask", image_size_px=23), parts_data(pairs, image_size_px=23)
        weighted = for_evaluation(pair_reader(SOURCES["folders"](data, "train", 0), data)(0), data)
        plain = for_evaluation(pair_reader(SOURCES["folders"](bare, "train", 0), bare)(0), bare)
        np.testing.assert_array_equal(weighted[1][..., 1], plain[1][..., 1])
        assert set(np.unique(np.rint((weighted[1][..., 1].numpy() + 1) * 127.5))) <= set(range(CLASSES))
        alone = parts_data(pairs, targets=[CT], weight="mask", image_size_px=23)
        of_ct = for_evaluation(pair_reader(SOURCES["folders"](alone, "train", 0), alone)(0), alone)
        np.testing.assert_allclose(weighted[1][..., :1], of_ct[1], atol=1e-6)

    def test_a_value_for_no_data_is_one_of_the_images(self, pairs):
        height = scene(0)["height"].copy()
        height[:4] = 0
        height[4:] = np.maximum(height[4:], 1)
        write_image(pairs / "train/ct/0.png", height)
        write_image(pairs / "train/input/0.png", scene(0)["target"] | 1)
        *_, weight = read(parts_data(pairs, weight={"nodata": 0}))
        np.testing.assert_array_equal(weight[..., 0], height > 0)
        write_image(pairs / "train/input/0.png", np.maximum(scene(0)["target"], 1))
        *_, weight = read(parts_data(pairs, targets=[TISSUE], weight={"nodata": 0}))
        assert (weight == 1).all()  # class 0 is not "no data"


class TestPictures:
    @pytest.mark.parametrize("own", [True, False])
    def test_classes_have_their_colours(self, pairs, own):
        data = parts_data(pairs, **({"class_colors": COLORS} if own else {}))
        image, target = signed(read(data), data)
        of_input, of_target = pictures_of(data, every_part=True)
        shown, labels = of_target(target), scene(0)["labels"]
        assert shown.shape == of_input(image).shape == (SIDE, 2 * SIDE, 3)
        table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]) if own else standard_colors(CLASSES)
        np.testing.assert_array_equal(shown[:, SIDE:], table[labels])
        first = pictures_of(data.model_copy(update={"targets": data.targets[::-1]}))[1](target[..., ::-1])
        np.testing.assert_array_equal(first, table[labels])

    def test_the_doctor_knows_the_classes(self, pairs):
        found = examine(parts_data(pairs))
        assert found.kinds == {} and list(found.sizes) == ["input", "ct", "tissue"]
        more = examine(parts_data(pairs, targets=[CT, {**TISSUE, "classes": 5}]))
        (finding,) = more.findings
        assert (
            finding.kind == "absent"
            and "Class 4 occurs in no `tissue` of the targets of the training" in finding.message
        )


class TestRefused:
    def test_a_class_beyond_the_number_of_classes_is_named(self, pairs):
        write_image(pairs / "train/tissue/1.png", np.full((SIDE, SIDE, 1), 7, np.uint8))
        with pytest.raises(UserError, match=r"class indices 0 to 3. Received the value 7 in .*tissue.1\.png"):
            read(parts_data(pairs), 1)
        skipped = examine(parts_data(pairs, on_error="skip"))
        assert "classes" in skipped.kinds

    def test_colours_must_be_known(self, pairs):
        write_image(pairs / "train/tissue/0.png", np.full((SIDE, SIDE, 3), (200, 120, 40), np.uint8))
        with pytest.raises(UserError, match="or `data.class_colors` must give the colour of each class"):
            read(parts_data(pairs))
        with pytest.raises(UserError, match="in the colours of `data.class_colors`. Received 100 % of pixels far"):
            read(parts_data(pairs, class_colors=COLORS))

    def test_a_map_of_another_size_is_named(self, pairs):
        write_image(pairs / "train/tissue/0.png", np.zeros((9, 9, 1), np.uint8))
        with pytest.raises(UserError, match=r"files of a target must be of one size. .* 9x9 px in .*tissue"):
            read(parts_data(pairs))

    def test_values_of_images_out_of_their_range_are_still_named(self, pairs):
        with pytest.raises(UserError, match=r"`\{name: ct, range: \[0, 4095\]\}` of `data.targets`"):
            read(parts_data(pairs, targets=[TISSUE, {**CT, "range": [0, 9]}]))

    def test_a_perceptual_network_takes_no_label_maps(self):
        objective = {"perceptual_network": "vgg19", "weights": {"perceptual": 1}}
        with pytest.raises(UserError, match="`data.targets` must be without label maps for a network that compares"):
            make_config(
                {"data": {"source": "folders", "targets": [CT, TISSUE, TISSUE | {"name": "b"}]}, "objective": objective}
            )


def test_tiles_are_blended_but_for_class_indices():
    image = np.zeros((8, 20, 1), np.float32)
    calls = iter((0.0, 10.0))

    def run(tile):
        return np.full((1, *tile.shape[1:3], 2), next(calls), np.float32)

    mixed = translate_tiles(run, image, (8, 12), 4, blend=[True, False])
    assert set(np.unique(mixed[..., 1])) == {0.0, 10.0}
    assert len(np.unique(mixed[..., 0])) > 2
    for channel, blend in enumerate((True, False)):
        calls = iter((0.0, 10.0))
        np.testing.assert_array_equal(mixed[..., channel], translate_tiles(run, image, (8, 12), 4, blend=blend)[..., 0])
