"""`translator(image)`: any size, kind of number and rank in, the same out."""

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import tiny_config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.inference.translator import Translator


@pytest.fixture(scope="module")
def translator(smoke_run):
    return p2p.load(smoke_run.path)


def image(*shape, dtype=np.uint8):
    rng = np.random.default_rng(shape)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((32, 32, 1), (32, 32, 3)), ((2, 32, 32, 1), (2, 32, 32, 3)), ((32, 32), (32, 32, 3)), ((1, 1, 1), (1, 1, 3))],
)
def test_rank_and_dtype_come_back(translator, dtype, shape, expected):
    out = translator(image(*shape, dtype=dtype))
    assert (out.shape, out.dtype) == (expected, dtype)


class Ready:
    """An engine that returns what it is given: (1, 40, 30, 3), the same for each image."""

    def __init__(self, result, **data):
        data = {"source": "folders", "input_channels": 1, "fit": "crop", "jitter_ratio": 1, **data}
        self.card, self.result = ModelCard.of(tiny_config(data=data), 0), result

    def __call__(self, images, vectors):
        return self.result[:, : images.shape[1], : images.shape[2]]


@pytest.mark.parametrize("tile_px", [None, 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_beside_label_maps_keep_their_depth(dtype, tile_px):
    """Every part of a stack has the depth of the input; a label map holds class indices in any."""
    rng = np.random.default_rng(0)
    ct, classes = rng.uniform(-1, 1, (40, 30, 2)), rng.integers(0, 200, (40, 30))
    result = np.concatenate([ct, (classes / 127.5 - 1)[..., np.newaxis]], axis=-1)[np.newaxis].astype(np.float32)
    result = np.broadcast_to(result[:, :1, :1], result.shape) if tile_px else result  # tiles of one value
    parts = [{"name": "ct", "channels": 2, "range": [0, 4095]}, {"name": "tissue", "kind": "labels", "classes": 200}]
    translator = Translator(Ready(result, targets=parts))
    stack = translator(image(40, 30, dtype=dtype), tile_px=tile_px)
    assert (stack.shape, stack.dtype) == ((40, 30, 3), dtype)
    most = np.iinfo(dtype).max
    for place in np.ndindex(40, 30):
        expected = [(float(value) + 1) / 2 * most for value in result[0][place][:2]]
        assert np.abs(stack[place][:2] - expected).max() <= 0.51
    np.testing.assert_array_equal(stack[..., 2], classes[0, 0] if tile_px else classes)
    if dtype == np.uint16 and not tile_px:
        assert len(np.unique(stack[..., 0])) > 1000  # not eight bits in sixteen


def test_label_maps_alone_have_eight_bits():
    result = np.full((1, 8, 8, 1), 3 / 127.5 - 1, np.float32)
    for targets in ({"target_classes": 5}, {"targets": [{"name": "tissue", "kind": "labels", "classes": 5}]}):
        stack = Translator(Ready(result, **targets))(image(8, 8, dtype=np.uint16))
        assert stack.dtype == np.uint8 and (stack == 3).all()


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (50, 200), (64, 32), (5, 90)])
def test_any_size_is_padded_by_reflection_and_cropped_back(translator, size):
    x = image(*size, 1, dtype=np.float32)
    height, width = (-(-side // 32) * 32 for side in size)
    pads = [
        ((full - side) // 2, full - side - (full - side) // 2) for full, side in zip((height, width), size, strict=True)
    ]
    padded = np.pad(x, (*pads, (0, 0)), mode="reflect")
    inside = np.s_[pads[0][0] : pads[0][0] + size[0], pads[1][0] : pads[1][0] + size[1]]
    np.testing.assert_allclose(translator(x), translator(padded)[inside], atol=1e-6)


def test_an_image_is_the_same_alone_and_in_a_batch(translator):
    batch = image(4, 32, 32, 1)
    together = translator(batch)
    for index in range(4):
        np.testing.assert_array_equal(together[index], translator(batch[index]))


def test_uint8_and_float_agree(translator):
    x = image(40, 40, 1)
    as_float = translator(to_signed(x))
    assert np.abs(translator(x) - (as_float + 1) * 127.5).max() <= 0.5 + 1e-3


def test_colour_in_uint8_and_float_agree_for_a_model_of_one_channel(translator):
    x = image(40, 40, 3)
    assert np.abs(translator(x) - (translator(to_signed(x)) + 1) * 127.5).max() <= 2  # uint8 luminance is rounded first


def test_colour_becomes_gray_for_a_model_of_one_channel(translator):
    assert translator(image(32, 32, 3)).shape == (32, 32, 3)


def test_noise_is_off_by_default_and_a_function_of_the_seed(translator):
    x = image(32, 32, 1)
    off = translator(x)
    first, again, other = (translator(x, noise="on", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(off, translator(x, noise="off"))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != off).any()


@pytest.mark.parametrize("noise", ["ON", True, "yes", 1])
def test_a_noise_that_is_neither_on_nor_off_is_refused(translator, noise):
    with pytest.raises(UserError, match="`noise` must be one of: on, off. Received"):
        translator(image(8, 8, 1), noise=noise)


def test_samples_are_of_one_image(translator):
    assert translator.samples(image(8, 8, 1), 2).shape == (2, 8, 8, 3)
    with pytest.raises(UserError, match=r"of one image \(H, W, C\). Received 2 of an array of shape \(3, 8, 8, 1\)"):
        translator.samples(image(3, 8, 8, 1), 2)
    with pytest.raises(UserError, match="must be one or more"):
        translator.samples(image(8, 8, 1), 0)


def test_tiles_cover_large_images(translator):
    x = image(100, 70, 1)
    assert translator(x, tile_px=32).shape == (100, 70, 3)
    np.testing.assert_array_equal(translator(x, tile_px=128), translator(x))  # it is no larger than a tile


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 2, 2, 2, 1), np.uint8), "must have the shape"),
        (np.zeros((0, 4, 1), np.uint8), "none of them 0"),
        (np.zeros((4, 4, 1), np.int32), "must be uint8, uint16 or float. Received int32"),
        (np.full((4, 4, 1), 255.0), r"within \[-1, 1\]. Received values from 255 to 255"),
        (np.full((4, 4, 1), np.nan), "must be finite"),
        (np.zeros((4, 4, 7), np.uint8), "must have the 1 channels"),
    ],
)
def test_what_is_no_image_is_refused(translator, bad, message):
    with pytest.raises(UserError, match=message):
        translator(bad)


def test_a_path_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"must be a run directory, .* which does not exist"):
        p2p.load(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match="which is not one of these. Check the path, train one with .*, or take openmoji"
    ):
        p2p.load(tmp_path)


def test_a_folder_of_models_names_them(smoke_run):
    with pytest.raises(UserError, match=r"Did you mean .*/smoke\b"):
        p2p.load(smoke_run.path.parent)


def test_many_images_are_translated_as_each_alone(translator):
    images = [image(40, 40, 1), 255 - image(40, 40, 1), image(20, 50, 1), image(40, 40, 1, dtype=np.uint16)]
    vectors = translator.noise(4, seed=3)
    for noise, alone in ((None, [None] * 4), (vectors, vectors[:, np.newaxis]), (vectors[:1], [vectors[:1]] * 4)):
        many = translator.translate_many(images, noise)
        together = translator.translate_many(images[:2], None if noise is None else noise[: min(len(noise), 2)])
        for index, one in enumerate(images):
            expected = translator.translate(one, alone[index])
            np.testing.assert_array_equal(many[index], expected)
            if index < 2:
                assert np.abs(together[index].astype(int) - expected).max() <= 1


def test_each_of_many_images_is_named(translator):
    with pytest.raises(UserError, match="Received 5 in b.png"):
        translator.translate_many([image(8, 8, 1), image(8, 8, 5)], where=["a.png", "b.png"])
