"""Images of another scale than the training images are translated at that scale by default, and come back at their own
size. Twins resize by Pillow."""

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import tiny_config
from tests.conftest import write_image as write_picture
from tests.data.test_target_labels import CLASSES, PARTS
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import read_image, resized
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.scale import stretch_of
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.scaling import Scaling, brought_back, is_of_another_scale


def card_of(fixed=None, stretch=1.0, **data):
    return ModelCard.of(tiny_config(data={"fit": "resize", **data}), 0, fixed_size_px=fixed, stretch=stretch)


class Seen:
    """Translates an image to its negative, and keeps what it was given."""

    def __init__(self, card):
        self.card, self.images = card, []

    def translate_many(self, images, vector, names, **tiles):
        self.images += images
        return [255 - image for image in images]


def by_pillow(image, size, method):
    """(H, W, C) at (height, width), channel by channel in floats, as PIL resizes them."""
    bands = [
        np.asarray(Image.fromarray(band.astype(np.float32)).resize(size[::-1], method))
        for band in np.moveaxis(image, -1, 0)
    ]
    return np.rint(np.clip(np.stack(bands, -1), 0, 255)).astype(np.uint8)


def translated(tmp_path, image, card, **options):
    """Returns the image that the network is given for a file, and the file that is written for it."""
    seen = Seen(card)
    write_picture(tmp_path / "in" / "a.png", image)
    (path,) = translate_files(seen, [tmp_path / "in"], out=tmp_path / "out", **options)
    return seen.images[0], read_image(path)


@pytest.mark.parametrize(
    ("data", "shape", "given"),
    [
        ({}, (100, 80), (32, 26)), ({}, (80, 100), (26, 32)), ({}, (12, 9), (32, 24)), ({}, (300, 30), (32, 3)),
        ({"fit": "pad"}, (100, 80), (32, 26)), ({"fit": "resize_crop"}, (100, 80), (40, 32)),
        ({"stretch": 0.5}, (200, 100), (32, 32)), ({"stretch": 2.0}, (100, 200), (32, 32)),
        ({"fixed": 32}, (40, 30), (32, 24)), ({"fixed": 64}, (100, 80), (64, 51)),
    ],
)  # fmt: skip
def test_an_image_of_another_scale_is_brought_to_that_of_training_and_back(data, shape, given, tmp_path, rng):
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    with pytest.warns(UserWarning, match=r"^1 of 1 images are of another scale than the .* own keeps their own scale"):
        seen, written = translated(tmp_path, image, card_of(**data))
    np.testing.assert_array_equal(seen, by_pillow(image, given, Image.Resampling.BILINEAR))
    assert seen.shape == (*given, 3)
    np.testing.assert_array_equal(written, by_pillow(255 - seen, shape, Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("data", "options", "shape"),
    [
        ({}, {}, (32, 32)), ({}, {}, (32, 24)), ({}, {}, (46, 40)), ({}, {}, (22, 30)), ({"fixed": 32}, {}, (32, 32)),
        ({"fit": "crop", "jitter_ratio": 1.0}, {}, (100, 80)), ({}, {"size": "own"}, (100, 80)),
        ({}, {"tile_px": 32}, (100, 80)), ({"fixed": 32}, {"size": "own"}, (100, 80)),
        ({"fixed": 64, "fit": "crop", "jitter_ratio": 1.0}, {}, (100, 80)),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:1 of 1 images")
def test_other_images_are_given_to_the_network_bit_for_bit(data, options, shape, tmp_path, rng):
    """At the scale of training, of a network of crops, in tiles, or because the user says so."""
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    seen, written = translated(tmp_path, image, card_of(**data), **options)
    np.testing.assert_array_equal(seen, image)
    np.testing.assert_array_equal(written, 255 - image)


def test_a_label_map_keeps_its_classes(tmp_path, rng):
    card = card_of(input_classes=4, input_channels=1, target_classes=4, target_channels=1)
    image = rng.integers(0, 4, (100, 80, 1), np.uint8)
    scaling = Scaling(card)
    scaled = scaling.brought(image)
    assert scaled.shape == (32, 26, 1) and set(np.unique(scaled)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(
        scaling.back(scaled, (100, 80)), by_pillow(scaled, (100, 80), Image.Resampling.NEAREST)
    )


def test_a_label_map_among_parts_keeps_its_classes_beside_values(rng):
    card = card_of(source="folders", targets=PARTS)
    stack = np.stack([rng.uniform(0, 4095, (32, 26)), rng.integers(0, CLASSES, (32, 26))], axis=-1).astype(np.float32)
    ct, labels = np.moveaxis(Scaling(card).back(stack, (100, 80)), -1, 0)
    assert set(np.unique(labels)) == set(range(CLASSES))
    np.testing.assert_array_equal(labels, by_pillow(stack[..., 1:], (100, 80), Image.Resampling.NEAREST)[..., 0])
    assert len(np.unique(ct)) > stack[..., 0].size  # between the values


def test_floats_stay_within_their_values(rng):
    image = rng.uniform(-1, 1, (8, 8, 3)).astype(np.float32)
    back = brought_back(image, (40, 24), nearest=False)
    assert back.shape == (40, 24, 3) and image.min() <= back.min() and back.max() <= image.max()
    assert brought_back(image, (8, 8), nearest=False) is image


@pytest.mark.parametrize(
    ("shape", "is_off"), [((48, 48), False), ((55, 55), True), ((22, 22), False), ((21, 21), True), ((54, 54), False)]
)
def test_the_limit_is_a_factor_of_one_and_a_half_beyond_the_jitter(shape, is_off):
    assert is_of_another_scale(*shape, card_of(jitter_ratio=1.125)) == is_off


def test_python_translates_as_the_command_does(tiny_run, tmp_path, rng):
    image = rng.integers(0, 256, (100, 80, 3), np.uint8)
    write_picture(tmp_path / "in" / "a.png", image)
    translator = p2p.load(tiny_run.path)
    with pytest.warns(UserWarning, match=r"^1 of 1 images are of another scale than the training images, 32 px"):
        (path,) = translate_files(translator, [tmp_path / "in"], out=tmp_path / "out")
    with pytest.warns(UserWarning, match=r"^Images of 80x100 px are of another scale .* `size` own keeps") as told:
        result = translator(image)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(result, read_image(path))
    small = by_pillow(image, (32, 26), Image.Resampling.BILINEAR)
    expected = by_pillow(translator(small, size="own"), (100, 80), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(translator(image, size="training"), expected)
    assert (translator(image, size="own") != result).any()
    np.testing.assert_array_equal(translator(small), translator(small, size="own"))
    floats = image.astype(np.float32) / 127.5 - 1
    inner = translator(resized(floats, (26, 32), Image.Resampling.BILINEAR), size="own")
    outer = resized(inner, (80, 100)).clip(inner.min(), inner.max())
    np.testing.assert_array_equal(translator(floats, size="training"), outer)


@pytest.mark.parametrize(
    ("fit", "shapes", "stretch"),
    [
        ("resize", [(40, 80)], 2.0), ("resize", [(32, 32)], 1.0), ("resize", [(500, 500), (40, 80), (60, 120)], 2.0),
        ("pad", [(40, 80)], 1.0), ("crop", [(40, 80)], 1.0),
    ],
)  # fmt: skip
def test_the_stretch_of_the_training_images_is_the_median_of_some(fit, shapes, stretch):
    source = Source([str(shape) for shape in shapes], lambda index: (np.zeros((*shapes[index], 3), np.uint8),) * 2)
    data = tiny_config(data={"fit": fit, "jitter_ratio": 1.0}).data
    assert stretch_of(source, data) == stretch


def test_a_run_records_the_stretch(tiny_run):
    """Its pairs are square."""
    assert p2p.load(tiny_run.path).card.stretch == 1.0
