"""Models on the page: which go side by side, and what they make of an image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import make_combined, tiny_config, write_image
from tests.export.helpers import generator_of
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import OPERATORS
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.models import (
    Shown,
    check_alike,
    example_pictures,
    read_input,
    sheet_size_px,
    translate,
    warm,
)
from tfpix2pix.inference.translator import Translator
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import noise_size


def shown(name: str = "tiny", card: dict | None = None, **changes) -> Shown:
    config = tiny_config(**changes)
    generator = generator_of(config, input_size_px="any")
    card = ModelCard.of(config, 0, noise_size=noise_size(generator), **(card or {}))
    return Shown(name, Translator(KerasEngine(generator, card)))


@pytest.fixture(scope="module")
def tiny() -> Shown:
    return shown()


def image_of(*shape: int, dtype=np.uint8) -> np.ndarray:
    full = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (np.random.default_rng(0).uniform(0, full, shape)).astype(dtype)


def test_a_translation_is_the_translators(tiny):
    image = image_of(32, 40, 3)
    translation = translate(tiny, image, noise=0, where="it")
    np.testing.assert_array_equal(translation.image, tiny.translator.translate(image))
    np.testing.assert_array_equal(translation.picture, translation.image)
    assert translation.seconds > 0 and translation.palette is None and list(translation.notes) == []


def test_noise_is_the_seeds(tiny):
    image = image_of(32, 32, 3)
    off, one, again, two = (translate(tiny, image, noise=seed, where="it").image for seed in (0, 1, 1, 2))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one, tiny.translator.translate(image, tiny.translator.noise(1, 1)))
    np.testing.assert_array_equal(one, tiny.translator(image, noise="on", seed=1))  # as `translate --noise on --seed 1`
    assert (one != off).any() and (one != two).any()


def test_a_model_without_noise_says_so():
    model = shown(generator={"noise": "none"})
    translation = translate(model, image_of(32, 32, 3), noise=3, where="it")
    assert translation.notes == ["the model has no noise input, so every image is the same"]


def test_values_that_are_clipped_are_said():
    model = shown(data={"input_range": (0, 200), "out_of_range": "clip"})
    image = np.full((32, 32, 3), 200, np.uint8)
    assert translate(model, image, noise=0, where="it").notes == []
    image[:8] = 201
    (note,) = translate(model, image, noise=0, where="it").notes
    assert note.endswith("outside `data.input_range`, which were clipped: 25 % of all values in it.")


def test_deep_targets_keep_their_depth_and_have_a_picture():
    model = shown(card={"target_dtype": "uint16"})
    translation = translate(model, image_of(32, 32, 3, dtype=np.uint16), noise=0, where="it")
    assert translation.image.dtype == np.uint16 and translation.picture.dtype == np.uint8
    np.testing.assert_allclose(translation.picture, translation.image / 257, atol=0.51)


def test_label_maps_are_shown_in_colours_and_kept_as_classes():
    model = shown(data={"target_classes": 3, "class_colors": ["#ff0000", "#00ff00", "#0000ff"]})
    translation = translate(model, image_of(32, 32, 3), noise=0, where="it")
    assert translation.image.shape == (32, 32, 1) and translation.image.max() < 3
    np.testing.assert_array_equal(translation.picture, np.eye(3, dtype=np.uint8)[translation.image[..., 0]] * 255)
    assert translation.palette[:6] == [255, 0, 0, 0, 255, 0]


def test_what_is_too_large_for_a_page_is_refused(tiny):
    with pytest.raises(UserError, match=r"at most 4 megapixels\. Received 2001x2000 px\. .*--tile"):
        translate(tiny, np.zeros((2000, 2001, 3), np.uint8), noise=0, where="it")


def test_values_out_of_range_are_refused():
    model = shown(data={"input_range": [0, 10]})
    with pytest.raises(UserError, match=r"`data.input_range`, 0 to 10 here\. Received 0 to 20 in it\."):
        translate(model, np.array([0, 20], np.float32).reshape(1, 2, 1).repeat(3, -1), noise=0, where="it")


def test_a_file_is_read_as_it_is_or_by_the_models_operator(tmp_path):
    photograph = image_of(32, 48, 3)
    path = tmp_path / "photograph.png"
    Image.fromarray(photograph).save(path)
    data = {"source": "photographs", "operator": "posterize", "posterize_levels": 2}
    card = ModelCard.of(tiny_config(data=data), 0)
    np.testing.assert_array_equal(read_input(path, card, by_operator=False), photograph)
    posterized = OPERATORS["posterize"].make(photograph, card.config.data, np.random.default_rng(0))
    np.testing.assert_array_equal(read_input(path, card, by_operator=True), posterized)
    assert read_input(path, card, by_operator=False, enlarge=3).shape == (96, 144, 3)


def test_what_is_no_image_is_refused(tmp_path, tiny):
    path = tmp_path / "notes.png"
    path.write_text("no image")
    with pytest.raises(UserError, match="readable and whole"):
        read_input(path, tiny.card, by_operator=False)


def test_models_of_one_kind_of_input_go_side_by_side(tiny):
    check_alike([tiny, shown("other", generator={"noise": "none"})])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"input_channels": 1}, "images of 1 channel"),
        ({"input_classes": 4}, "label maps of 4 classes"),
        ({"input_range": [0, 4095]}, "images of 3 channels from 0 to 4095"),
    ],
)
def test_models_of_other_inputs_do_not(tiny, data, words):
    other = Shown("other", Translator(Card(ModelCard.of(tiny_config(data=data), 0))))
    with pytest.raises(UserError, match=f"tiny, which takes images of 3 channels, and other, which takes {words}"):
        check_alike([tiny, other])


class Card:
    """An engine that is asked for nothing but its card."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card


def test_examples_are_held_out_inputs_at_the_size_of_training(tmp_path):
    make_combined(tmp_path / "train", count=2)
    make_combined(tmp_path / "val", count=3, size_px=50)
    config = tiny_config(data={"dir": str(tmp_path)})
    pictures = example_pictures(config)
    assert [picture.shape for picture in pictures] == [(32, 32, 3)] * 3
    assert all(picture.dtype == np.uint8 for picture in pictures)
    moved = config.model_copy(update={"data": config.data.model_copy(update={"dir": "nowhere"})})
    assert example_pictures(moved) == []
    np.testing.assert_array_equal(example_pictures(moved, str(tmp_path)), pictures)
    with pytest.raises(UserError, match="nowhere"):
        example_pictures(config, "nowhere")


def test_examples_of_a_model_that_fills_holes_are_whole_photographs(tmp_path):
    photograph = image_of(64, 64, 3)
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        Image.fromarray(photograph).save(tmp_path / name / "one.png")
    config = tiny_config(
        data={"source": "photographs", "operator": "mask", "input_channels": 4, "dir": str(tmp_path), "fit": "crop"}
    )
    (*_, picture) = example_pictures(config)
    assert picture.shape == (32, 32, 3)
    assert any((photograph[y : y + 32, x : x + 32] == picture).all() for y in range(33) for x in range(33))


def test_the_example_that_the_model_does_best_comes_first(tmp_path, rng):
    """The model turns images into their negatives. Twin: the difference of the files."""
    offs = {"0": 90, "1": 20, "2": 70, "3": 5}  # of the target from the negative
    for name, off in offs.items():
        image = rng.integers(100, 156, (32, 32, 3), np.uint8)
        write_image(tmp_path / "val" / f"{name}.png", np.concatenate([image, 255 - image + off], axis=1))
    config = tiny_config(data={"dir": str(tmp_path)})

    def negative(image, noise, size):
        assert (noise, size, image.dtype) == ("off", "own", np.float32)
        return -image

    negative.card = ModelCard.of(config, 0)
    plain, ordered = example_pictures(config), example_pictures(config, translator=negative)
    for picture, index in zip(ordered, (3, 1, 2, 0), strict=True):
        np.testing.assert_array_equal(picture, plain[index])


def test_examples_that_show_nothing_are_left_out():
    pictures = example_pictures(p2p.resolve_config("smoke"))
    assert 0 < len(pictures) <= 8 and all(picture.min() != picture.max() for picture in pictures)


def test_facts_say_what_a_model_is(tiny):
    assert tiny.facts == {
        "model": "tiny", "origin": f"{tiny.card.config.name}, step 0", "trained at": "32 px", "takes": "any size",
        "weights": "float32", "noise": "yes",
    }  # fmt: skip
    fixed = Shown("x", Translator(Card(tiny.card.model_copy(update={"fixed_size_px": 64, "quantization": "int8"}))))
    assert fixed.facts["takes"] == "64x64 px, others in tiles" and fixed.facts["weights"] == "int8"
    assert sheet_size_px(fixed) == (64, 64) and sheet_size_px(tiny) == (32, 32)


def test_the_sheet_of_rectangles_is_one_and_its_translation_is_as_large():
    wide = shown(data={"image_size_px": [32, 64]})
    assert sheet_size_px(wide) == (32, 64) and wide.facts["trained at"] == "32x64 px"
    sheet = image_of(32, 64, 3)
    np.testing.assert_array_equal(translate(wide, sheet, noise=0, where="it").image, wide.translator.translate(sheet))


def test_a_warmed_model_has_translated(tiny):
    warm(tiny)
    warm(shown(data={"input_classes": 3}))


def test_files_are_found_where_one_is(tmp_path: Path):
    card = ModelCard.of(tiny_config(), 0)
    with pytest.raises(UserError, match="cannot be read"):
        read_input(tmp_path / "gone.png", card, by_operator=False)
