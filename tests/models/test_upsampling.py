"""Doubling a map: shapes, and which ways leave no checkerboard."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.ndimage import convolve1d, correlate
from skimage.transform import resize

from tfpix2pix.models import NORMS, UPSAMPLINGS
from tfpix2pix.models.blocks import Blocks
from tfpix2pix.models.unet import build_unet
from tfpix2pix.models.upsampling import Bilinear, Blur, DoublingConv2D


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


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_a_constant_stays_constant_where_no_checkerboard_is_made(kind, kernel):
    unevenness = checkerboard(enlarger(kind, kernel=kernel)(tf.ones((1, 12, 12, 3)))[0].numpy())
    assert (unevenness < 1e-6) == (kind != "transposed")


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("kind", ["blurred", "resize", "bilinear"])
def test_these_cannot_make_one_with_any_weights(kind, kernel):
    model = enlarger(kind, kernel=kernel)
    model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in model.get_weights()])
    assert checkerboard(model(tf.ones((1, 12, 12, 3)))[0].numpy()) < 1e-5


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(2, 2, 2, 1), (1, 7, 4, 3)])
def test_blur_is_scipys_filter(shape, training):
    x = np.random.default_rng(0).normal(size=shape)
    expected = x
    for axis in (1, 2):
        expected = convolve1d(expected, [0.25, 0.5, 0.25], axis, mode="mirror")
    np.testing.assert_allclose(Blur()(tf.constant(x, tf.float32), training=training), expected, atol=1e-6)


def test_blur_removes_a_checkerboard_up_to_the_edges():
    rows, columns = np.indices((6, 8))
    for pattern in ((-1.0) ** rows, (-1.0) ** columns, (-1.0) ** (rows + columns)):
        x = np.broadcast_to(pattern, (1, 1, 6, 8)).reshape(1, 6, 8, 1)
        np.testing.assert_array_equal(Blur()(tf.constant(x, tf.float32)), np.zeros((1, 6, 8, 1)))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_every_weight_of_a_unet_learns_from_one_pixel_on(kind, norm):
    """A bottleneck of one pixel, doubled and normalised, still says something: its 2×2 result is not constant."""
    model = build_unet(16, base_filters=16, levels=4, norm=norm, upsampling=kind, noise="none", noise_input=False)
    model.set_weights([np.random.default_rng(0).normal(0, 0.2, w.shape) for w in model.get_weights()])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(tf.random.normal((1, 16, 16, 3), seed=0)) * tf.random.normal((16, 16, 3), seed=1))
    for weights, gradient in zip(
        model.trainable_variables, tape.gradient(total, model.trainable_variables), strict=True
    ):
        assert np.abs(gradient).max() > 1e-3, weights.path


def test_blurred_has_the_weights_of_transposed():
    """So a checkpoint of one can be read into the other."""
    names = [[v.path for v in enlarger(kind).variables] for kind in ("transposed", "blurred")]
    assert names[0] == names[1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bilinear_is_scikit_images(dtype):
    x = np.random.default_rng(0).integers(0, 9, (2, 5, 3, 2)).astype(np.float64)
    expected = [resize(image, (10, 6), order=1, mode="edge", anti_aliasing=False) for image in x]
    result = Bilinear(dtype=dtype)(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(tf.cast(result, tf.float32), expected, rtol=1e-6 if dtype == "float32" else 1e-2)


@pytest.mark.parametrize("form", ["itself", "as_subpixel"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("interpolation", "order", "beyond"), [("nearest", 0, "constant"), ("bilinear", 1, "reflect")])
def test_doubling_is_to_double_and_then_to_convolve(interpolation, order, beyond, training, form):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 3, 4))
    layer = DoublingConv2D(2, interpolation)
    layer.build(x.shape)
    kernel, bias = rng.normal(size=(3, 3, 4, 2)), rng.normal(size=2)
    layer.set_weights([kernel, bias])
    if form == "as_subpixel":
        weights, layer = layer.subpixel_weights(), layer.as_subpixel()
        layer.build(x.shape)
        layer.set_weights(weights)
    result = layer(tf.constant(x, tf.float32), training=training)
    for image, translation in zip(x, result.numpy(), strict=True):
        doubled = resize(image, (10, 6), order=order, mode="edge", anti_aliasing=False)
        for channel in range(2):
            maps = [correlate(doubled[..., i], kernel[..., i, channel], mode=beyond) for i in range(4)]
            np.testing.assert_allclose(translation[..., channel], sum(maps) + bias[channel], atol=1e-5)


def test_subpixel_starts_as_resize_does():
    """With the four kernels equal, a pixel and its three copies go through the same convolution."""
    out = enlarger("subpixel")(tf.random.normal((1, 6, 6, 3), seed=0))[0].numpy()
    for i, j in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_allclose(out[i::2, j::2], out[::2, ::2], atol=1e-6)
