"""Every term and the combined objective against an independent NumPy computation."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfpix2pix.losses import GAN_LOSSES, RECONSTRUCTION_LOSSES
from tfpix2pix.losses.objective import Objective

logits_arrays = hnp.arrays(np.float32, (2, 3, 3, 1), elements=st.floats(-20, 20, width=32))


def log_sigmoid(x):
    return -np.logaddexp(0, -np.asarray(x, np.float64))


# Twins in float64, written from the papers' formulas: (for D on real, for D on generated, for G).
TWINS = {
    "vanilla": (lambda x: -log_sigmoid(x), lambda x: -log_sigmoid(-x), lambda x: -log_sigmoid(x)),
    "lsgan": (lambda x: (x - 1) ** 2, lambda x: x**2, lambda x: (x - 1) ** 2),
    "hinge": (lambda x: np.maximum(0, 1 - x), lambda x: np.maximum(0, 1 + x), lambda x: -x),
}


@pytest.mark.parametrize("name", GAN_LOSSES)
@settings(max_examples=30, deadline=None)
@given(logits=logits_arrays)
def test_gan_losses_equal_their_twins(name, logits):
    loss, x = GAN_LOSSES[name], logits.astype(np.float64)
    for twin, arguments in zip(TWINS[name], ((True, False), (False, False), (True, True)), strict=True):
        assert float(loss(tf.constant(logits), *arguments)) == pytest.approx(np.mean(twin(x)), rel=2e-6, abs=1e-6)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_gradients_push_the_right_way(name):
    logits = tf.Variable([0.3, 0.6])
    for is_real, for_generator, sign in ((True, False, -1), (False, False, 1), (True, True, -1)):
        with tf.GradientTape() as tape:
            loss = GAN_LOSSES[name](logits, is_real, for_generator)
        assert (np.sign(tape.gradient(loss, logits)) == sign).all()


def test_vanilla_is_finite_where_a_sigmoid_would_saturate():
    loss = GAN_LOSSES["vanilla"](tf.constant([1000.0, -1000.0]), False)
    assert float(loss) == pytest.approx(500.0)


def test_combined_objective_equals_its_twin():
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(0, 2, (2, 5, 5, 1)).astype(np.float32) for _ in range(2))
    translation, target = (rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32) for _ in range(2))
    objective = Objective("vanilla", lambda_gan=0.7, lambdas={"l1": 100.0, "l2": 3.0})
    g = objective.generator(tf.constant(fake), tf.constant(translation), tf.constant(target))
    d = objective.discriminator(tf.constant(real), tf.constant(fake))

    y, t = translation.astype(np.float64), target.astype(np.float64)
    l1, l2, gan = np.abs(t - y).mean(), ((t - y) ** 2).mean(), -log_sigmoid(fake).mean()
    d_real, d_fake = -log_sigmoid(real).mean(), -log_sigmoid(-fake).mean()
    expected = {
        "g/total": 0.7 * gan + 100 * l1 + 3 * l2, "g/gan": gan, "g/l1": l1, "g/l2": l2,
        "d/total": 0.5 * (d_real + d_fake), "d/real": d_real, "d/fake": d_fake,
    }  # fmt: skip
    measured = {**g, **d}
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        assert float(measured[name]) == pytest.approx(value, rel=1e-6), name


def test_a_term_of_weight_zero_is_measured_and_moves_nothing():
    translation, target = tf.Variable([[0.5]]), tf.constant([[0.0]])
    with tf.GradientTape() as tape:
        losses = Objective(lambda_gan=1.0, lambdas={"l1": 0.0, "l2": 0.0}).generator(
            tf.constant([0.2]), translation, target
        )
    assert float(losses["g/l1"]) == 0.5
    assert tape.gradient(losses["g/total"], translation) is None


def test_every_reconstruction_loss_is_zero_for_equal_images_only():
    a, b = tf.constant([[0.1, -0.4]]), tf.constant([[0.1, 0.4]])
    for loss in RECONSTRUCTION_LOSSES.values():
        assert float(loss(a, a)) == 0
        assert float(loss(a, b)) > 0
