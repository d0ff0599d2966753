"""Label maps: indices or colours in files, a channel a class for the networks, indices and their pictures back."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import binary_dilation, morphological_gradient

import tfpix2pix as p2p
from tests import real_pairs
from tests.conftest import least_config, write_image
from tfpix2pix.data import SOURCES
from tfpix2pix.data.encodings import most_likely, one_hot
from tfpix2pix.data.labels import pictures_of, standard_colors, to_classes
from tfpix2pix.data.ranges import from_signed, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.transforms import FITS, for_evaluation, for_training
from tfpix2pix.errors import UserError
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.scoring import measure

RED_BLUE = ((255, 0, 0), (0, 0, 255), (0, 0, 0))


def labels_config(**options) -> DataConfig:
    return DataConfig.model_validate({"input_classes": 3, "image_size_px": 32, **options})


def test_a_label_map_has_one_channel_and_the_networks_see_one_a_class():
    config = DataConfig.model_validate({"input_classes": 5, "target_classes": 7})
    assert (config.input_channels, config.target_channels) == (1, 1)
    assert config.network_channels == (5, 7)
    assert labels_config().network_channels == (3, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_channels": 3}, "`data.input_channels` must be 1 with `data.input_classes: 3`. Received 3"),
        ({"input_range": (0, 2)}, "`data.input_range` must be null"),
        ({"color_space": "lab"}, "`data.color_space` must be rgb"),
        ({"source": "photographs"}, "`data.source` must be a source of pairs in files"),
        (
            {"color_jitter": 0.5},
            "`data.color_jitter` must be 0, or `data.color_jitter_side` must not be input, with",
        ),
        ({"class_colors": RED_BLUE[:2]}, "`data.class_colors` must be 3 different colours .* Received 2 of them"),
        ({"class_colors": RED_BLUE[:2] + RED_BLUE[:1]}, "`data.class_colors` must be 3 different colours"),
        ({"ignore_class": 1}, "`data.ignore_class` must be 3 or more"),
        ({"input_classes": 257}, "less than or equal to 256"),
    ],
)
def test_what_does_not_go_with_label_maps(options, message):
    with pytest.raises(ValueError, match=message):
        labels_config(**options)


def test_colours_are_written_either_way():
    assert labels_config(class_colors=["#ff0000", [0, 0, 255], "#000000"]).class_colors == RED_BLUE


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_colors": ["red", "bluee"]}, r"must be `\[r, g, b\]`, `'#rrggbb'` or a name such as red"),
        ({"class_colors": ["red", "#ff000080"]}, "or a name such as red"),
        ({"class_colors": ["red", "#ff0000"]}, r"must be 2 different colours .* Received \[255, 0, 0\] twice"),
        ({"class_colors": ["red"]}, "must be 2 different colours .* Received 1 of them"),
    ],
)
def test_colours_that_are_none_and_colours_that_are_equal_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate({"target_classes": 2, **settings})


def test_the_standard_colours_are_pascal_vocs():
    assert standard_colors(256)[[0, 1, 2, 3, 15, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128], [224, 224, 192],
    ]  # fmt: skip
    assert len(np.unique(standard_colors(256), axis=0)) == 256


class TestReading:
    INDICES = np.random.default_rng(0).integers(0, 3, (32, 32, 1), np.uint8)

    def pair(self, folder, name, **options):
        write_image(folder / "target" / "a.png", np.zeros((32, 32, 3), np.uint8))
        config = labels_config(source="folders", dir=str(folder), held_out_fraction=0, **options)
        return SOURCES["folders"](config, "train", 0).read(0)

    def test_gray_palette_and_npy_files_hold_indices(self, tmp_path):
        for kind in ("gray.png", "palette.png", "wide.npy", "deep.png"):
            folder = tmp_path / kind
            path = folder / "input" / f"a{kind[-4:]}"
            path.parent.mkdir(parents=True)
            plain = self.INDICES[..., 0]
            if kind == "wide.npy":
                np.save(path, plain.astype(np.int64))
            else:
                picture = Image.fromarray(plain.astype(np.uint16) if kind == "deep.png" else plain)
                if kind == "palette.png":
                    picture.putpalette(np.random.default_rng(1).integers(0, 256, 768).tolist())
                picture.save(path)
            label_map, _ = self.pair(folder, kind)
            assert label_map.dtype == np.uint8
            np.testing.assert_array_equal(label_map, self.INDICES)

    def test_colours_are_read_by_the_nearest_even_through_jpeg(self, tmp_path):
        blocks = np.kron(self.INDICES[:4, :4, 0], np.ones((8, 8), np.uint8))
        (tmp_path / "input").mkdir()
        Image.fromarray(np.array(RED_BLUE, np.uint8)[blocks]).save(tmp_path / "input" / "a.jpg", quality=90)
        label_map, _ = self.pair(tmp_path, "a", class_colors=RED_BLUE)
        assert np.mean(label_map[..., 0] == blocks) > 0.97

    def test_colours_without_a_table_are_refused(self, tmp_path):
        write_image(tmp_path / "input" / "a.png", np.zeros((32, 32, 3), np.uint8))
        with pytest.raises(
            UserError, match="`data.class_colors` must give the colour .* Received colours in .*input/a.png"
        ):
            self.pair(tmp_path, "a")

    def test_colours_that_are_not_those_of_the_table_are_refused(self, tmp_path):
        write_image(tmp_path / "input" / "a.png", np.full((32, 32, 3), 128, np.uint8))
        with pytest.raises(UserError, match="Received 100 % of pixels far from every one of them in .*a.png"):
            self.pair(tmp_path, "a", class_colors=RED_BLUE)

    def test_an_index_beyond_the_classes_is_refused_by_name_or_ignored(self, tmp_path):
        beyond = self.INDICES.copy()
        beyond[0, 0] = 255
        write_image(tmp_path / "input" / "a.png", beyond)
        with pytest.raises(UserError, match="class indices 0 to 2. Received the value 255 in .*input/a.png") as error:
            self.pair(tmp_path, "a")
        assert error.value.kind == "classes"
        np.testing.assert_array_equal(self.pair(tmp_path, "a", ignore_class=255)[0], beyond)

    def test_half_of_a_combined_image(self, tmp_path):
        colors = np.array(RED_BLUE, np.uint8)[self.INDICES[..., 0]]
        write_image(tmp_path / "a.png", np.concatenate([colors, np.full((32, 32, 3), 9, np.uint8)], axis=1))
        config = labels_config(dir=str(tmp_path), held_out_fraction=0, class_colors=RED_BLUE)
        label_map, photograph = SOURCES["combined"](config, "train", 0).read(0)
        np.testing.assert_array_equal(label_map, self.INDICES)
        assert (photograph == 9).all() and photograph.shape == (32, 32, 3)


@given(classes=st.integers(2, 256), seed=st.integers(0, 2**16))
@settings(max_examples=20)
def test_one_hot_and_back_is_the_same_label_map(classes, seed):
    label_map = np.random.default_rng(seed).integers(0, classes, (1, 8, 8, 1), np.uint8)
    seen = one_hot(tf.constant(to_signed(label_map)), classes)
    assert seen.shape == (1, 8, 8, classes)
    np.testing.assert_array_equal(seen.numpy() == 1, np.eye(classes, dtype=bool)[label_map[..., 0]])
    np.testing.assert_array_equal(np.unique(seen), [-1, 1])
    np.testing.assert_array_equal(from_signed(most_likely(None, seen).numpy()), label_map)


def test_what_is_no_class_is_in_no_channel():
    assert (one_hot(tf.constant(to_signed(np.full((4, 4, 1), 255, np.uint8))), 3).numpy() == -1).all()


@pytest.mark.parametrize("fit", FITS)
def test_resizing_makes_no_class_that_is_not_there(fit):
    """Nearest neighbour for the label map, at the same places as the photograph's antialiased filter."""
    config = labels_config(fit=fit, jitter_ratio=1.0 if fit == "crop" else 1.25, rotate=True, vertical_flip=True)
    label_map = np.zeros((70, 90, 1), np.uint8)
    label_map[:, 45:] = 2  # 1 lies between: a mean of classes would show
    photograph = np.repeat(label_map * 100, 3, axis=-1)
    pair = tuple(tf.constant(to_signed(image)) for image in (label_map, photograph))
    for epoch in range(6):
        seen, target = for_training(pair, config, tf.constant([0, epoch], tf.int32))
        assert seen.shape == (32, 32, 3)
        assert not (seen.numpy()[..., 1] > 0).any()
        right = seen.numpy()[..., 2] > 0
        bright = target.numpy()[..., 0] > to_signed(np.array([100], np.uint8))[0]
        assert np.mean(right != bright) <= 1 / 32  # but for the column on the border
    evaluated, _ = for_evaluation(pair, config)
    assert set(np.unique(from_signed(evaluated.numpy()))) <= {0, 2}


def test_pictures_show_classes_in_their_colours():
    of_input, of_target = pictures_of(labels_config(class_colors=RED_BLUE))
    label_map = to_signed(np.array([[[0], [1], [2], [255]]], np.uint8))
    assert of_input(label_map).tolist() == [[*map(list, RED_BLUE), [0, 0, 0]]]
    assert of_target(np.ones((1, 1, 3), np.float32)).tolist() == [[[255, 255, 255]]]


def test_segmentation_equals_counting_by_hand():
    target = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)[..., np.newaxis]
    translation = np.array([[0, 1, 1, 1], [2, 0, 0, 1]], np.uint8)[..., np.newaxis]
    examples = [Example("", to_signed(translation), None, to_signed(target))]  # 255 is no class
    values = measure(examples, ["segmentation"], Setting(classes=3))
    assert values["pixel_accuracy"] == pytest.approx(4 / 6)
    assert values["class_accuracy"] == pytest.approx((1 / 2 + 2 / 2 + 1 / 2) / 3)
    assert values["class_iou"] == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)


class TestRun:
    """From files of classes to files of classes."""

    @pytest.fixture(scope="class")
    def run(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("labels")
        rng = np.random.default_rng(0)
        for split, count in (("train", 3), ("val", 2)):
            for index in range(count):
                label_map = rng.integers(0, 3, (40, 50, 1), np.uint8)
                write_image(folder / split / "input" / f"{index}.png", label_map * 80)
                write_image(folder / split / "target" / f"{index}.png", label_map)
        config = least_config(
            data={"dir": str(folder), "source": "folders", "target_classes": 3, "class_colors": RED_BLUE}
        )
        return p2p.train(config, run_dir=folder / "run")

    def test_held_out_figures_are_those_of_classes(self, run):
        assert set(run.card.metrics["trained"]) == {"pixel_accuracy", "class_accuracy", "class_iou"}

    def test_translations_are_palette_pictures_of_indices(self, run, tmp_path):
        written = p2p.translate_files(p2p.load(run.path), out=tmp_path, split="val")
        picture = Image.open(written[0])
        assert picture.mode == "P" and picture.size == (50, 40)
        assert picture.getpalette()[:9] == [level for color in RED_BLUE for level in color]
        assert np.asarray(picture).max() <= 2

    def test_an_array_of_any_depth_gives_indices_and_tiles_choose_not_mix(self, run):
        translator = p2p.load(run.path)
        for dtype in (np.uint8, np.uint16):
            image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (70, 90, 3), dtype)
            tiled = translator(image, tile_px=32)
            assert tiled.dtype == np.uint8 and tiled.shape == (70, 90, 1) and tiled.max() <= 2


def test_label_maps_in_colours_survive_jpeg(tmp_path):
    """Every pixel of a real drawing's label map finds its class, but for some beside an edge."""
    folder = real_pairs.write(tmp_path, real_pairs.label_maps(12))
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in real_pairs.FACADES]
    config = DataConfig(dir=str(folder), input_side="right", input_classes=12, class_colors=colors)
    source = SOURCES["combined"](config, "train", 0)
    assert len(source) == 12
    for index, name in enumerate(source.names):
        label_map, _ = source.read(index)
        classes = real_pairs.classes_of(real_pairs.drawings()[name][0])
        assert label_map.shape == (*classes.shape, 1) and np.ptp(classes) > 0
        assert np.mean(label_map[..., 0] == classes) > 0.98  # measured: 0.983 to 0.998
        far = binary_dilation(morphological_gradient(classes, 3) > 0, iterations=8)  # a JPEG block
        np.testing.assert_array_equal(label_map[~far, 0], classes[~far])


def test_the_real_facades_as_label_maps(facades):
    """Colours of the CMP label set, through JPEG: every pixel finds its class, and few colours mean few classes."""
    palette = (
        "#0000df", "#0030ff", "#0080ff", "#00cfff", "#20ffdf", "#70ff8f", "#bfff40", "#ffef00", "#ff9f00", "#ff5000",
        "#ff0000", "#af0000",
    )  # fmt: skip
    config = DataConfig(dir=str(facades), input_side="right", input_classes=12, class_colors=palette)
    label_map, photograph = SOURCES["combined"](config, "train", 0).read(0)
    assert label_map.shape == (256, 256, 1) and photograph.shape == (256, 256, 3)
    drawn = np.array(config.class_colors)[label_map[..., 0]]
    plain = DataConfig(dir=str(facades), input_side="right")
    original = SOURCES["combined"](plain, "train", 0).read(0)[0]
    assert np.mean(np.abs(drawn - original).max(axis=-1) <= 24) > 0.6
    with pytest.raises(UserError, match="Received colours"):
        to_classes(original, 12, DataConfig(input_classes=12), "x")


@pytest.mark.parametrize(("most", "told"), [(8, False), (9, True)])
def test_numbers_of_instances_are_told_from_classes(most, told):
    image = np.arange(most + 1, dtype=np.uint16).reshape(1, -1, 1)  # 0 and 1 are classes
    with pytest.raises(UserError, match=r"the class indices 0 to 1\. Received the value 2 in f") as error:
        to_classes(image, 2, DataConfig(), "f")
    assert ("look like numbers of instances, which cannot be targets: write its class for" in str(error.value)) == told
