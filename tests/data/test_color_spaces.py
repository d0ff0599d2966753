"""CIE Lab in the graph against scikit-image's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.color import lab2rgb, rgb2lab

from tfpix2pix.data import COLOR_SPACES, OPERATORS
from tfpix2pix.data.encodings import gray_to_lightness, lab_to_rgb, rgb_to_ab
from tfpix2pix.data.ranges import to_signed

pictures = hnp.arrays(np.float32, (3, 4, 3), elements=st.floats(0, 1, width=32))


@settings(max_examples=50)
@given(pictures)
def test_ab_equals_scikit_images(rgb):
    expected = rgb2lab(rgb.astype(np.float64))[..., 1:]
    np.testing.assert_allclose(rgb_to_ab(rgb * 2 - 1) * 110, expected, atol=0.02)


@settings(max_examples=50)
@given(hnp.arrays(np.float32, (3, 4, 1), elements=st.floats(0, 1, width=32)))
def test_lightness_of_gray_equals_scikit_images(gray):
    expected = rgb2lab(np.repeat(gray.astype(np.float64), 3, -1))[..., :1]
    np.testing.assert_allclose((gray_to_lightness(gray * 2 - 1) + 1) * 50, expected, atol=0.01)


@settings(max_examples=50)
@given(pictures)
def test_rgb_of_lab_equals_scikit_images(unit):
    """Any L, a, b that a generator may give, those outside sRGB too, which both clip."""
    lab = unit * (100, 220, 220) - (0, 110, 110)
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)  # scikit-image on colours outside sRGB
        expected = lab2rgb(lab)
    rgb = lab_to_rgb(tf.constant(unit[..., :1] * 2 - 1), tf.constant(unit[..., 1:] * 2 - 1))
    assert np.isfinite(rgb).all()
    np.testing.assert_allclose((rgb + 1) / 2, expected, atol=5e-3)


@settings(max_examples=50)
@given(hnp.arrays(np.uint8, (5, 6, 3)))
def test_a_gray_picture_and_its_colours_are_the_picture(photograph):
    """The round trip that colourisation relies on: grayscale keeps L, so the true a and b give the photograph back."""
    space = COLOR_SPACES["lab"]
    lab = rgb2lab(photograph)
    lab[..., 1:] = 0
    exact = lab2rgb(lab)[..., :1]
    np.testing.assert_allclose(OPERATORS["grayscale"].make(photograph, None, None), exact * 255, atol=0.51)
    gray = tf.constant(exact * 2 - 1, tf.float32)  # unrounded: dark saturated colours are sensitive to it
    back = space.decode(space.encode_input(gray), space.encode_target(to_signed(photograph)))
    assert np.abs((back + 1) * 127.5 - photograph).max() <= 1


@pytest.mark.parametrize("name", COLOR_SPACES)
def test_every_color_space_gives_images_back(name):
    space = COLOR_SPACES[name]
    wanted = space.image_channels or (3, 3)
    image, target = (tf.random.uniform((1, 4, 4, channels), -1, 1, seed=0) for channels in wanted)
    seen, aim = space.encode_input(image), space.encode_target(target)
    assert (seen.shape[-1], aim.shape[-1]) == (space.network_channels or (3, 3))
    out = space.decode(seen, aim)
    assert out.shape == target.shape
    assert np.abs(out).max() <= 1
