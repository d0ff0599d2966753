"""Every term and the combined objective against an independent NumPy computation."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfpix2pix.losses import GAN_LOSSES, IMAGES, OBJECTIVES, TERMS, WEIGHTS, objective_name
from tfpix2pix.losses.objective import Objective

logits_arrays = hnp.arrays(np.float32, (2, 3, 3, 1), elements=st.floats(-20, 20, width=32))


def log_sigmoid(x):
    return -np.logaddexp(0, -np.asarray(x, np.float64))


# Twins in float64, written from the papers' formulas: (for D on real, for D on generated, for G).
ADVERSARIAL = [name for name, loss in GAN_LOSSES.items() if loss.adversarial]
SMOOTHED = [name for name, loss in GAN_LOSSES.items() if loss.smoothed]
TWINS = {
    "vanilla": (lambda x: -log_sigmoid(x), lambda x: -log_sigmoid(-x), lambda x: -log_sigmoid(x)),
    "lsgan": (lambda x: (x - 1) ** 2, lambda x: x**2, lambda x: (x - 1) ** 2),
    "hinge": (lambda x: np.maximum(0, 1 - x), lambda x: np.maximum(0, 1 + x), lambda x: -x),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
@settings(max_examples=30)
@given(logits=logits_arrays)
def test_gan_losses_equal_their_twins(name, logits):
    loss, x = GAN_LOSSES[name].call, logits.astype(np.float64)
    for twin, arguments in zip(TWINS[name], ((True, False), (False, False), (True, True)), strict=True):
        assert float(loss(tf.constant(logits), *arguments)) == pytest.approx(np.mean(twin(x)), rel=2e-6, abs=1e-6)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_gradients_push_the_right_way(name):
    logits = tf.Variable([0.3, 0.6])
    for is_real, for_generator, sign in ((True, False, -1), (False, False, 1), (True, True, -1)):
        with tf.GradientTape() as tape:
            loss = GAN_LOSSES[name].call(logits, is_real, for_generator)
        assert (np.sign(tape.gradient(loss, logits)) == sign).all()


def test_vanilla_is_finite_where_a_sigmoid_would_saturate():
    loss = GAN_LOSSES["vanilla"].call(tf.constant([1000.0, -1000.0]), False)
    assert float(loss) == pytest.approx(500.0)


@pytest.mark.parametrize("factor", [0.5, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gan_loss", ADVERSARIAL)
def test_combined_objective_equals_its_twin(gan_loss, smoothing, factor):
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(0, 2, (2, 5, 5, 1)).astype(np.float32) for _ in range(2))
    translation, target = (rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32) for _ in range(2))
    objective = Objective(gan_loss, {"gan": 0.7, "l1": 100.0, "l2": 3.0}, factor, smoothing)
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
        "d/real_accuracy": (real > GAN_LOSSES[gan_loss].boundary).mean(),
        "d/fake_accuracy": (fake < GAN_LOSSES[gan_loss].boundary).mean(),
    }  # fmt: skip
    measured = {**g, **d}
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        assert float(measured[name]) == pytest.approx(value, rel=1e-6), name


def test_a_term_of_weight_zero_is_measured_and_moves_nothing():
    translation, target = tf.Variable([[0.5]]), tf.constant([[0.0]])
    with tf.GradientTape() as tape:
        losses = Objective(weights={"gan": 1.0}).generator(tf.constant([0.2]), translation, target)
    assert float(losses["g/l1"]) == 0.5
    assert tape.gradient(losses["g/total"], translation) is None


def test_every_reconstruction_loss_is_zero_for_equal_images_only():
    a, b = tf.constant([[[[0.1], [-0.4]]]]), tf.constant([[[[0.1], [0.4]]]])
    losses = [term.call for term in TERMS.values() if term.needs == IMAGES]
    assert len(losses) == 3
    for loss in losses:
        assert float(loss(a, a)) == 0
        assert float(loss(a, b)) > 0


def test_without_an_adversarial_term_only_the_reconstruction_is_measured():
    objective = Objective("none", {"l1": 2.0})
    assert not objective.adversarial
    losses = objective.generator(None, tf.constant([0.5]), tf.constant([0.0]))
    assert {name: float(value) for name, value in losses.items()} == {"g/total": 1.0, "g/l1": 0.5, "g/l2": 0.25}
    assert float(GAN_LOSSES["none"].call(tf.ones(3), True)) == 0


def test_a_gan_term_of_weight_zero_is_measured_and_moves_nothing():
    logits, translation = tf.Variable([0.2]), tf.Variable([0.5])
    with tf.GradientTape() as tape:
        losses = Objective("vanilla", {"l1": 1.0}).generator(logits, translation, tf.constant([0.0]))
    assert float(losses["g/gan"]) == pytest.approx(float(-log_sigmoid(0.2)))
    assert tape.gradient(losses["g/total"], logits) is None


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothing_moves_the_label_of_real_pairs_for_d_alone(name):
    loss, logits = GAN_LOSSES[name].call, tf.constant([0.3, -0.4])
    assert float(loss(logits, True, smoothing=0.2)) != float(loss(logits, True))
    assert float(loss(logits, False, smoothing=0.2)) == float(loss(logits, False))
    assert float(loss(logits, True, for_generator=True, smoothing=0.2)) == float(loss(logits, True))


def test_names_of_objectives():
    for name, (weights, conditional) in OBJECTIVES.items():
        assert objective_name(weights, conditional is not False) == name
    assert objective_name({"gan": 1, "feature_matching": 10, "l1": 0}, False) == "feature_matching+gan"


def test_objectives_by_name_in_python():
    objective = Objective.named("l1+gan", gan_loss="lsgan")
    assert (objective.weights, objective.gan_loss) == ({"gan": 1, "l1": 100}, "lsgan")
    with pytest.raises(ValueError, match="The objective must be one of: l1, .* Received 'l3'"):
        Objective.named("l3")
    with pytest.raises(ValueError, match="`gan_loss` must be one of: .* Received 'l1'"):
        Objective("l1")
    with pytest.raises(ValueError, match="A key of `weights` must be one of: gan, l1, .* Received 'l7'"):
        Objective(weights={"l7": 1.0})


def test_objectives_own_their_weights():
    assert Objective.named("l1").weights is not OBJECTIVES["l1"].weights
    assert Objective().weights == WEIGHTS
    assert Objective().weights is not WEIGHTS


@pytest.mark.parametrize("term", [name for name, term in TERMS.items() if term.needs_discriminator])
def test_a_term_that_needs_a_discriminator_is_refused_without_one(term):
    """It would weigh nothing without a word."""
    with pytest.raises(ValueError, match=f"must train a discriminator for {term} of `weights`. Received none"):
        Objective("none", {"l1": 1.0, term: 1.0})


def made_features(seed=0, layers=(3, 2)):
    """Two scales: maps of a 70 px PatchGAN's four layers, and of another number of layers."""
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=(2, 8 // n, 8 // n, 2 * n)) for n in range(1, count + 1)] for count in layers]


def test_feature_matching_equals_its_twin():
    """pix2pixHD's sum: 1/scales · 4/layers · Σ mean |difference|."""
    real, fake = made_features(0, (4, 2)), made_features(1, (4, 2))
    expected = sum(
        4 / len(xs) * sum(np.abs(x - y).mean() for x, y in zip(xs, ys, strict=True)) / 2
        for xs, ys in zip(real, fake, strict=True)
    )
    assert float(TERMS["feature_matching"].call(real, fake)) == pytest.approx(expected, rel=1e-6)
    assert float(TERMS["feature_matching"].call(real, real)) == 0


def test_feature_matching_moves_the_translation_to_the_target_and_not_back():
    real, fake = tf.Variable(1.0), tf.Variable(0.0)
    with tf.GradientTape() as tape:
        loss = TERMS["feature_matching"].call([[real]], [[fake]])
    of_real, of_fake = tape.gradient(loss, [real, fake])
    assert of_real is None
    assert float(of_fake) == -4


def test_features_are_only_measured_where_they_have_a_weight():
    pair, features = (tf.zeros((1, 4, 4, 3)),) * 2, (made_features(0), made_features(1))
    plain = Objective()
    assert not plain.needs_features
    assert "g/feature_matching" not in plain.generator([tf.zeros(3)], *pair)
    weighted = Objective(weights={"gan": 0.5, "feature_matching": 10.0})
    assert weighted.needs_features
    losses = {name: float(value) for name, value in weighted.generator([tf.zeros(3)], *pair, features).items()}
    assert losses["g/total"] == pytest.approx(0.5 * losses["g/gan"] + 10 * losses["g/feature_matching"])


def test_losses_of_several_scales_are_means_over_the_scales_whatever_their_sizes():
    rng = np.random.default_rng(0)
    real, fake = ([rng.normal(size=(1, n, n, 1)).astype(np.float32) for n in (6, 2)] for _ in range(2))
    objective, pair = Objective(), (tf.zeros((1, 4, 4, 3)),) * 2
    together = {**objective.discriminator(real, fake), **objective.generator(fake, *pair)}
    losses = [
        {**objective.discriminator(x, y), **objective.generator(y, *pair)} for x, y in zip(real, fake, strict=True)
    ]
    for name in together:
        assert float(together[name]) == pytest.approx(np.mean([float(one[name]) for one in losses]), rel=1e-6)
