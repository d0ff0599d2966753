"""L1 at four scales, against smoothing and halving as products of matrices in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tests.runs.test_perceptual import sums_of_three
from tests.training.test_pix2pix import data
from tfpix2pix.losses import TERMS
from tfpix2pix.losses.objective import Objective
from tfpix2pix.runs.networks import build_model

pyramid_l1 = TERMS["pyramid_l1"].call
PASSES = np.poly1d([np.exp(-0.5), 1, np.exp(-0.5)]) ** 4  # four passes of 3 px and sigma 1 px: a polynomial's power


def halving(length):
    """(⌈length / 2⌉, length): each row weighs the px within 4 of every second px; its weights are 1 together."""
    rows = np.zeros((length, length))
    for row in range(length):
        for column in range(max(0, row - 4), min(length, row + 5)):
            rows[row, column] = PASSES.coefficients[column - row + 4]
    return (rows / rows.sum(axis=1, keepdims=True))[::2]


def twin(translation, target, scales=4):
    values = []
    for _ in range(scales):
        values.append(np.abs(translation - target).mean())
        down, across = (halving(length) for length in translation.shape[1:3])
        translation, target = (
            np.einsum("ih,nhwc,jw->nijc", down, image.astype(np.float64), across) for image in (translation, target)
        )
    return np.mean(values)


def images(height, width, channels=3, count=2):
    return np.random.default_rng(0).uniform(-1, 1, (2, count, height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("shape", [(32, 32), (16, 40), (33, 9, 1), (8, 8), (24, 16, 7)])
def test_it_equals_its_twin(shape):
    pair = images(*shape)
    assert float(pyramid_l1(*pair)) == pytest.approx(twin(*pair), rel=1e-5)


@pytest.mark.parametrize(("shape", "scales"), [((1, 1), 1), ((1, 64), 1), ((2, 3), 2), ((7, 30), 3), ((8, 8), 4)])
def test_small_images_have_as_many_scales_as_fit(shape, scales):
    pair = images(*shape)
    assert float(pyramid_l1(*pair)) == pytest.approx(twin(*pair, scales), rel=1e-5)


def test_a_constant_difference_is_l1_at_every_scale():
    """So a weight means what it means for `l1`, at the border too, where weights are left out."""
    target = images(32, 16)[0]
    assert float(pyramid_l1(target + 0.25, target)) == pytest.approx(0.25, rel=1e-5)
    assert float(pyramid_l1(target, target)) == 0


def test_a_small_shift_counts_less_than_in_l1():
    """The images are noise, smoothed by 4 px and moved by 2 px. The fewer details they have, the less it counts."""
    target = images(68, 68, 1, 1)[0]
    for _ in range(4):
        target = (target[:, :-1, :-1] + target[:, 1:, :-1] + target[:, :-1, 1:] + target[:, 1:, 1:]) / 4
    pair = target[:, :, 2:], target[:, :, :-2]
    assert float(pyramid_l1(*pair)) < 0.75 * np.abs(pair[0] - pair[1]).mean()


def test_it_is_computed_in_float32():
    pair = [tf.cast(image, tf.bfloat16) for image in images(16, 16)]
    loss = pyramid_l1(*pair)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(twin(*(tf.cast(image, tf.float32).numpy() for image in pair)), rel=1e-5)


def test_a_graph_need_not_know_the_size():
    pair = images(16, 24)
    graph = tf.function(pyramid_l1, input_signature=[tf.TensorSpec([None, None, None, 3])] * 2)
    assert float(graph(*pair)) == pytest.approx(twin(*pair), rel=1e-5)


def test_it_draws_the_translation_to_the_target():
    translation, target = map(tf.Variable, images(16, 16))
    start = float(pyramid_l1(translation, target))
    for _ in range(20):
        with tf.GradientTape() as tape:
            loss = pyramid_l1(translation, target)
        gradient = tape.gradient(loss, translation)
        assert bool(tf.reduce_all(tf.math.is_finite(gradient)))
        translation.assign_sub(30 * gradient)
    assert float(loss) < 0.75 * start


def test_without_a_weight_it_costs_nothing():
    pair = images(16, 16)
    assert "g/pyramid_l1" not in Objective("none", {"l1": 1}).generator(None, *pair)
    losses = Objective("none", {"l1": 2, "pyramid_l1": 3}).generator(None, *pair)
    expected = 2 * np.abs(pair[0] - pair[1]).mean() + 3 * twin(*pair)
    assert float(losses["g/total"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_trains_on_it_and_adds_in_pairs(precision):
    model = build_model(
        tiny_config(objective={"weights": {"l1": 0, "pyramid_l1": 100}}, training={"precision": precision})
    )
    losses = model.train_step(data(2))
    assert np.isfinite(losses["g/pyramid_l1"]) and losses["g/pyramid_l1"] > 0
    assert not sums_of_three(model)
