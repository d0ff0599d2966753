"""The reference in float64, the images that tell, and the measure of what lies between."""

import keras
import numpy as np
import pytest

from tests.conftest import tiny_config
from tests.export.flat import spread
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.ranges import from_signed
from tfpix2pix.export import FAITHFUL
from tfpix2pix.inference.parity import DRAWINGS, distance, drawings, in_float64, in_words
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import noise_size
from tfpix2pix.models.precision import in_precision
from tfpix2pix.runs.networks import build_generator

GENERATORS = {
    "unet": {},
    "instance norm": {"norm": "instance"},
    "encoder-decoder": {"kind": "encoder_decoder"},
    "resnet": {"kind": "resnet", "residual_blocks": 1},
    "subpixel": {"upsampling": "subpixel"},
    "resize": {"upsampling": "resize"},
    "gaussian noise": {"noise": "gaussian"},
    "modulation": {"noise": "modulation"},
}


def view_of(generator=None, **sections) -> KerasEngine:
    config = tiny_config(generator=generator or {}, **sections)
    network = spread(build_generator(config, seed=None, input_size_px="any"))
    return KerasEngine(network, ModelCard.of(config, 0, noise_size=noise_size(network)))


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_in_float64_is_the_same_function(name):
    view = view_of(GENERATORS[name])
    exact = in_float64(view)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 40, 36, 3)).astype(np.float32)
    noise = np.random.default_rng(1).random((1, view.card.noise_size), np.float32) if view.card.noise_size else None
    for vector in {None: None, "on": noise}.values():
        translation = exact(image, vector)
        assert translation.dtype == np.float64
        assert 0 < np.abs(translation - view(image, vector)).max() < 2e-5


@pytest.mark.parametrize(
    "data", [{"color_space": "lab", "input_channels": 1}, {"input_channels": 1, "input_classes": 4}]
)
def test_colours_and_classes_in_float64(data):
    view = view_of(data=data)
    images = drawings(32, 1, view.card.config.data.input_classes)
    ours, exact = ([engine(image, None) for image in images] for engine in (view, in_float64(view)))
    assert distance(ours, exact).max_abs_error < FAITHFUL.max_abs_error  # curves of sRGB are steep


def test_float64_is_float64_throughout():
    """A change of 1e-12, which float32 does not see, passes through layers inside layers."""
    inputs = keras.layers.Input((16, 16, 3))
    wrapped = keras.layers.SpectralNormalization(keras.layers.Conv2D(64, 3, name="inside"))
    inner = keras.Sequential([keras.layers.Conv2D(64, 3), keras.layers.LeakyReLU(0.2)], name="nested")
    model = in_precision(keras.Model(inputs, inner(wrapped(inputs))), "float64")
    assert {v.dtype for v in model.weights} == {"float64"}
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 3))
    difference = np.asarray(model(x)) - np.asarray(model(x + 1e-12))
    assert 0 < np.abs(difference).max() < 1e-10


def test_drawings_have_flat_backgrounds():
    blank, lines, areas = drawings(64, 3)
    assert len(DRAWINGS) == 3
    assert np.all(blank == 1.0)
    for image, paper in ((lines, 0.9), (areas, 0.6)):
        assert image.shape == (1, 64, 64, 3) and image.dtype == np.float32
        assert paper < np.mean(image == 1.0) < 1.0
        assert image.min() == -1.0
    assert len(np.unique(areas.reshape(-1, 3), axis=0)) == 4  # paper, line, two areas


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_drawings_have_any_channels(channels):
    assert [image.shape for image in drawings(16, channels)] == [(1, 16, 16, channels)] * 3


@pytest.mark.parametrize("classes", [2, 3, 19])
def test_drawings_of_label_maps_hold_classes_alone(classes):
    drawn = {int(value) for image in drawings(64, 1, classes) for value in np.unique(from_signed(image))}
    assert drawn == set(range(min(classes, 4)))


def test_a_distance_is_the_largest_and_decibels():
    zeros = [np.zeros((1, 2, 2, 1))] * 2
    result = distance([np.full((1, 2, 2, 1), 0.02), np.full((1, 2, 2, 1), -0.01)], zeros)
    assert result.largest == (0.02, 0.01)
    assert result.psnr_db == pytest.approx(10 * np.log10(4 / ((0.02**2 + 0.01**2) / 2)))
    assert distance(zeros, zeros).psnr_db == float("inf")
    assert np.isnan(distance([zeros[0], zeros[1] * np.nan], zeros).max_abs_error)


def test_a_difference_in_words_has_levels_and_decibels():
    assert in_words(0.00112, 78.06) == "0.00112 (0.14 levels of 255, 78.1 dB)"
