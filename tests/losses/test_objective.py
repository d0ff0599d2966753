"""Every term and the combined objective against an independent NumPy computation."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfpix2pix.losses import BOUNDARIES, GAN_LOSSES, OBJECTIVES, RECONSTRUCTION_LOSSES, SMOOTHED, objective_name
from tfpix2pix.losses.objective import Objective

logits_arrays = hnp.arrays(np.float32, (2, 3, 3, 1), elements=st.floats(-20, 20, width=32))


def log_sigmoid(x):
    return -np.logaddexp(0, -np.asarray(x, np.float64))


# Twins in float64, written from the papers' formulas: (for D on real, for D on generated, for G).
ADVERSARIAL = [name for name in GAN_LOSSES if name != "none"]
TWINS = {
    "vanilla": (lambda x: -log_sigmoid(x), lambda x: -log_sigmoid(-x), lambda x: -log_sigmoid(x)),
    "lsgan": (lambda x: (x - 1) ** 2, lambda x: x**2, lambda x: (x - 1) ** 2),
    "hinge": (lambda x: np.maximum(0, 1 - x), lambda x: np.maximum(0, 1 + x), lambda x: -x),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
@settings(max_examples=30, deadline=None)
@given(logits=logits_arrays)
def test_gan_losses_equal_their_twins(name, logits):
    loss, x = GAN_LOSSES[name], logits.astype(np.float64)
    for twin, arguments in zip(TWINS[name], ((True, False), (False, False), (True, True)), strict=True):
        assert float(loss(tf.constant(logits), *arguments)) == pytest.approx(np.mean(twin(x)), rel=2e-6, abs=1e-6)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_gradients_push_the_right_way(name):
    logits = tf.Variable([0.3, 0.6])
    for is_real, for_generator, sign in ((True, False, -1), (False, False, 1), (True, True, -1)):
        with tf.GradientTape() as tape:
            loss = GAN_LOSSES[name](logits, is_real, for_generator)
        assert (np.sign(tape.gradient(loss, logits)) == sign).all()


def test_vanilla_is_finite_where_a_sigmoid_would_saturate():
    loss = GAN_LOSSES["vanilla"](tf.constant([1000.0, -1000.0]), False)
    assert float(loss) == pytest.approx(500.0)


@pytest.mark.parametrize("factor", [0.5, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gan_loss", ADVERSARIAL)
def test_combined_objective_equals_its_twin(gan_loss, smoothing, factor):
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(0, 2, (2, 5, 5, 1)).astype(np.float32) for _ in range(2))
    translation, target = (rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32) for _ in range(2))
    objective = Objective(gan_loss, 0.7, {"l1": 100.0, "l2": 3.0}, factor, smoothing)
    g = objective.generator(tf.constant(fake), tf.constant(translation), tf.constant(target))
    d = objective.discriminator(tf.constant(real), tf.constant(fake))

    y, t = translation.astype(np.float64), target.astype(np.float64)
    fake, real = fake.astype(np.float64), real.astype(np.float64)
    l1, l2 = np.abs(t - y).mean(), ((t - y) ** 2).mean()
    on_real, on_fake, for_generator = TWINS[gan_loss]
    gan, d_real, d_fake = for_generator(fake).mean(), on_real(real).mean(), on_fake(fake).mean()
    if gan_loss == "vanilla":  # cross-entropy with the label 1 - smoothing
        d_real = (-(1 - smoothing) * log_sigmoid(real) - smoothing * log_sigmoid(-real)).mean()
    elif gan_loss == "lsgan":
        d_real = ((real - (1 - smoothing)) ** 2).mean()
    expected = {
        "g/total": 0.7 * gan + 100 * l1 + 3 * l2, "g/gan": gan, "g/l1": l1, "g/l2": l2,
        "d/total": factor * (d_real + d_fake), "d/real": d_real, "d/fake": d_fake,
        "d/real_accuracy": (real > BOUNDARIES[gan_loss]).mean(),
        "d/fake_accuracy": (fake < BOUNDARIES[gan_loss]).mean(),
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


def test_without_an_adversarial_term_only_the_reconstruction_is_measured():
    objective = Objective("none", 0.0, {"l1": 2.0})
    assert not objective.adversarial
    losses = objective.generator(None, tf.constant([0.5]), tf.constant([0.0]))
    assert {name: float(value) for name, value in losses.items()} == {"g/total": 1.0, "g/l1": 0.5, "g/l2": 0.25}
    assert float(GAN_LOSSES["none"](tf.ones(3), True)) == 0


def test_a_gan_term_of_weight_zero_is_measured_and_moves_nothing():
    logits, translation = tf.Variable([0.2]), tf.Variable([0.5])
    with tf.GradientTape() as tape:
        losses = Objective("vanilla", 0.0, {"l1": 1.0}).generator(logits, translation, tf.constant([0.0]))
    assert float(losses["g/gan"]) == pytest.approx(float(-log_sigmoid(0.2)))
    assert tape.gradient(losses["g/total"], logits) is None


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothing_moves_the_label_of_real_pairs_for_d_alone(name):
    loss, logits = GAN_LOSSES[name], tf.constant([0.3, -0.4])
    assert float(loss(logits, True, smoothing=0.2)) != float(loss(logits, True))
    assert float(loss(logits, False, smoothing=0.2)) == float(loss(logits, False))
    assert float(loss(logits, True, for_generator=True, smoothing=0.2)) == float(loss(logits, True))


def test_names_of_objectives():
    for name, (weights, conditional) in OBJECTIVES.items():
        lambdas = {key.removeprefix("lambda_"): value for key, value in weights.items() if key != "lambda_gan"}
        assert objective_name(weights["lambda_gan"], lambdas, conditional is not False) == name


def test_objectives_by_name_in_python():
    objective = Objective.named("l1+gan", gan_loss="lsgan")
    assert (objective.lambda_gan, objective.lambdas, objective.gan_loss) == (1, {"l1": 100, "l2": 0}, "lsgan")
    with pytest.raises(ValueError, match="The objective must be one of: l1, .* Received 'l3'"):
        Objective.named("l3")
    with pytest.raises(ValueError, match="`gan_loss` must be one of: .* Received 'l1'"):
        Objective("l1")
    with pytest.raises(ValueError, match="A key of `lambdas` must be one of: l1, l2. Received 'l7'"):
        Objective(lambdas={"l7": 1.0})
