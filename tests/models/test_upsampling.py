"""Doubling a map: shapes, and which ways leave no checkerboard."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfpix2pix.models.blocks import Blocks
from tfpix2pix.models.upsampling import UPSAMPLINGS


def enlarger(kind, seed=0, channels=3, kernel=4):
    image = layers.Input((None, None, channels))
    out = UPSAMPLINGS[kind](Blocks(seed, "none"), image, 2, "up", kernel=kernel)
    return tf.keras.Model(image, out)


def checkerboard(image):
    """How far the four phases of the 2×2 grid differ, inside, for a constant input."""
    inside = image[4:-4, 4:-4]
    phases = [inside[i::2, j::2].mean((0, 1)) for i in (0, 1) for j in (0, 1)]
    return float(np.ptp(phases, axis=0).max())


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_height_and_width_double(kind, kernel):
    assert enlarger(kind, kernel=kernel)(tf.zeros((2, 5, 7, 3))).shape == (2, 10, 14, 2)


@pytest.mark.parametrize(("kind", "free"), [("transposed", False), ("resize", True), ("subpixel", True)])
def test_a_constant_stays_constant_where_no_checkerboard_is_made(kind, free):
    found = checkerboard(enlarger(kind)(tf.ones((1, 12, 12, 3)))[0].numpy())
    assert (found < 1e-6) == free


def test_resize_cannot_make_one_with_any_weights():
    model = enlarger("resize")
    model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in model.get_weights()])
    assert checkerboard(model(tf.ones((1, 12, 12, 3)))[0].numpy()) < 1e-5


def test_subpixel_starts_as_resize_does():
    """With the four kernels equal, a pixel and its three copies go through the same convolution."""
    out = enlarger("subpixel")(tf.random.normal((1, 6, 6, 3), seed=0))[0].numpy()
    for i, j in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_allclose(out[i::2, j::2], out[::2, ::2], atol=1e-6)
