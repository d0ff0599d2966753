"""Norms against Keras's own, forward and back, and what makes two runs the same to the last bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpix2pix.models.norms import (
    BATCH_AXES,
    IMAGE_AXES,
    BatchNormalization,
    InstanceNormalization,
    normalize_in_training,
    normalize_per_image,
)


def values_and_gradients(function, *inputs):
    inputs = [tf.constant(array) for array in inputs]
    weight = tf.constant(np.random.default_rng(9).normal(size=inputs[0].shape).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weight)
    return [y.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, inputs))]


def plainly(axes):
    """The same by automatic differentiation."""

    def normalize(x, gamma, beta):
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + 1e-5) * gamma + beta

    return normalize


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 5), st.integers(1, 4)), seed=st.integers(0, 99)
)
@settings(max_examples=25)
@pytest.mark.parametrize("axes", [BATCH_AXES, IMAGE_AXES])
def test_the_written_gradient_is_the_automatic_one(axes, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 3, shape).astype(np.float32)
    gamma, beta = (rng.normal(size=shape[-1:]).astype(np.float32) for _ in range(2))
    ours = values_and_gradients(lambda *args: normalize_in_training(*args, 1e-5, axes)[0], x, gamma, beta)
    theirs = values_and_gradients(plainly(axes), x, gamma, beta)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BatchNormalization(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)),
        (InstanceNormalization(), keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)),
    ],
    ids=["batch", "instance"],
)
def test_training_is_keras_own(ours, theirs):
    x = np.random.default_rng(0).normal(1, 2, (3, 6, 5, 4)).astype(np.float32)
    for _ in range(2):
        np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)
    for one, other in zip(ours.weights, theirs.weights, strict=True):  # moving averages too
        assert one.name == other.name
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("make", [BatchNormalization, InstanceNormalization])
def test_layers_are_rebuilt_from_their_configuration(make):
    layer = make(epsilon=1e-3, name="norm")
    again = make.from_config(layer.get_config())
    assert (again.epsilon, again.name) == (1e-3, "norm")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_in_and_out_statistics_in_float32(dtype):
    x = tf.cast(np.random.default_rng(0).normal(100, 1, (1, 16, 16, 2)), dtype)
    y, mean, variance = normalize_in_training(x, tf.ones(2), tf.zeros(2), 1e-5, BATCH_AXES)
    assert y.dtype == dtype and mean.dtype == variance.dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_mean(tf.cast(y, tf.float32)), 0, atol=0.01)


def in_float64(x, axes):
    x = x.astype(np.float64)
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + 1e-5)


def one_pass(x, axes):
    """Sums over a whole map at once, which is what is not done."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    return (x - mean) * tf.math.rsqrt(tf.reduce_mean(tf.square(x - mean), axes, keepdims=True) + 1e-5)


def flat_map(kind, size_px, seed, mean=1.0):
    """(1, S, S, 4) with a mean that is large against its standard deviation, as on a white background."""
    rng = np.random.default_rng(seed)
    x = np.full((1, size_px, size_px, 4), mean) * rng.uniform(0.5, 2, 4)
    if kind == "grain":
        x += rng.normal(0, 1e-3, x.shape)
    elif kind == "line":
        x[:, size_px // 3] += 1e-3
    elif kind == "border":
        x[:, :, 0] *= 0.99
    return x.astype(np.float32)


NORMALIZED = {
    "at inference": lambda x: normalize_per_image(x, tf.ones(4), tf.zeros(4)),
    "in training, as written": lambda x: normalize_in_training(
        x, tf.ones(4), tf.zeros(4), 1e-5, IMAGE_AXES, fused=False
    )[0],
}


@given(size_px=st.sampled_from([1, 7, 64, 256]), seed=st.integers(0, 99), mean=st.sampled_from([-3.0, 0.01, 1.0, 30.0]))
@settings(max_examples=10)
@pytest.mark.parametrize("kind", ["constant", "grain", "line", "border"])
@pytest.mark.parametrize("name", NORMALIZED)
def test_statistics_of_flat_maps_are_those_of_float64(name, kind, size_px, seed, mean):
    """As near as a float32 sum of one row or column can be: it is off by half a unit of rounding for each term."""
    x = flat_map(kind, size_px, seed, mean)
    expected = in_float64(x, IMAGE_AXES)
    bound = max(5e-6, size_px * 2**-25)
    np.testing.assert_allclose(NORMALIZED[name](x), expected, atol=bound * max(1.0, np.abs(expected).max()))


def test_sums_over_a_whole_map_would_not_do():
    """Mean 1, standard deviation 1e-3, 256×256: what the tests above would find."""
    x = flat_map("grain", 256, 0)
    assert np.abs(one_pass(x, IMAGE_AXES) - in_float64(x, IMAGE_AXES)).max() > 1e-4


def test_moments_of_flat_maps_reach_the_moving_averages():
    x = flat_map("grain", 256, 1)
    _, mean, variance = normalize_in_training(x, tf.ones(4), tf.zeros(4), 1e-5, BATCH_AXES, fused=False)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean[0, 0, 0], exact.mean(BATCH_AXES), rtol=1e-7)
    np.testing.assert_allclose(variance[0, 0, 0], exact.var(BATCH_AXES), rtol=1e-5)
