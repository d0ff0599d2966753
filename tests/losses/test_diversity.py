"""The terms that make the generator use its noise, against their formulas."""

import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix.losses import TERMS
from tfpix2pix.losses.diversity import LEAST_RATIO, noise_distance
from tfpix2pix.losses.objective import Objective

NOISE_TERMS = [name for name, term in TERMS.items() if term.needs_noise]


def images(count=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (2, count, 4, 5, 3)).astype(np.float32)


def ratios(translation, variant, distance):
    difference = np.abs(translation.astype(np.float64) - variant).mean(axis=(1, 2, 3))
    return difference / (distance.astype(np.float64) + 1e-5)


DISTANCE = np.array([1.1, 0.4, 2.0], np.float32)


def test_diversity_sensitive_equals_its_twin():
    """-mean over images of min(clip, mean |G(x, z) - G(x, z')| / distance)."""
    pair, term = images(), TERMS["diversity_sensitive"].call
    expected = ratios(*pair, DISTANCE)
    assert expected.min() < 1 < expected.max()
    assert float(term(*pair, DISTANCE)) == pytest.approx(-expected.mean(), rel=1e-6)
    assert float(term(*pair, DISTANCE, 1.0)) == pytest.approx(-np.minimum(expected, 1).mean(), rel=1e-6)


def test_mode_seeking_equals_its_twin():
    """mean over images of 1 / (mean |G(x, z) - G(x, z')| / distance + 1e-5), for far and for nearly equal images."""
    for scale in (1.0, 1e-4):
        translation, variant = images() * np.float32(scale)
        expected = 1 / (ratios(translation, variant, DISTANCE) + 1e-5)
        assert float(TERMS["mode_seeking"].call(translation, variant, DISTANCE)) == pytest.approx(
            expected.mean(), rel=1e-5
        )


def test_the_distance_of_noises_is_that_of_the_uniform_values_in_the_papers_unit():
    rng = np.random.default_rng(0)
    noise, other = rng.uniform(size=(2, 3, 8)).astype(np.float32)
    expected = 3 * 2 / np.sqrt(np.pi) * np.abs(noise - other).mean(axis=1)
    np.testing.assert_allclose(noise_distance(noise, other), expected, rtol=1e-6)
    normal, uniform = rng.normal(size=(2, 1, 10**5)), rng.uniform(size=(2, 1, 10**5))
    assert float(noise_distance(*uniform)[0]) == pytest.approx(np.abs(normal[0] - normal[1]).mean(), rel=0.01)


def gradients(name, translation, variant, *more):
    pair, distance = [tf.Variable(translation), tf.Variable(variant)], DISTANCE[: len(translation)]
    with tf.GradientTape() as tape:
        loss = TERMS[name].call(*pair, distance, *more)
    return tape.gradient(loss, pair)


@pytest.mark.parametrize("name", NOISE_TERMS)
def test_the_translation_moves_away_from_the_variant_and_the_variant_does_not_move(name):
    translation, variant = images()
    of_translation, of_variant = gradients(name, translation, variant)
    assert of_variant is None
    assert (np.sign(of_translation) == -np.sign(translation - variant)).all()


def test_a_ratio_above_the_clip_has_no_gradient():
    translation, variant = images()
    beyond = ratios(translation, variant, DISTANCE) > 1
    gradient, _ = gradients("diversity_sensitive", translation, variant, 1.0)
    np.testing.assert_array_equal(np.abs(gradient).max(axis=(1, 2, 3)) == 0, beyond)


def slope(ratio):
    """Returns the slope of mode_seeking at `ratio`, from its gradient for one image."""
    variant = np.zeros((1, 4, 4, 1), np.float32)
    translation = variant + np.float32(ratio) * DISTANCE[0]
    gradient, _ = gradients("mode_seeking", translation, variant)
    return float(tf.reduce_sum(gradient)) * DISTANCE[0]


@pytest.mark.parametrize("ratio", [1.0, 0.1, LEAST_RATIO])
def test_the_slope_of_mode_seeking_is_that_of_its_formula(ratio):
    assert slope(ratio) == pytest.approx(-1 / ratio**2, rel=5e-3)


@pytest.mark.parametrize("ratio", [1e-3, 1e-6])
def test_nearly_equal_images_do_not_make_it_steeper(ratio):
    """Adam would divide by such a gradient for thousands of steps."""
    assert slope(ratio) == pytest.approx(slope(LEAST_RATIO), rel=1e-3)


@pytest.mark.parametrize("name", NOISE_TERMS)
def test_equal_images_have_a_finite_value_and_no_gradient(name):
    """Nothing says which way to go: the other terms, whose noise differs, have to move the network first."""
    image = images()[0]
    gradient, _ = gradients(name, image, image)
    assert not np.any(gradient)
    value = float(TERMS[name].call(image, image, DISTANCE))
    assert value == pytest.approx({"diversity_sensitive": 0, "mode_seeking": 1e5}[name])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NOISE_TERMS)
def test_they_compute_in_float32(name, dtype):
    pair = [tf.cast(image, dtype) for image in images()]
    loss = TERMS[name].call(*pair, DISTANCE)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(float(TERMS[name].call(*images(), DISTANCE)), rel=1e-2)


def test_both_are_in_the_objective_if_there_is_a_variant():
    translation, variant = images()
    objective = Objective("none", {"l1": 10, "diversity_sensitive": 8.0}, diversity_clip=0.5)
    assert objective.noise_terms == ["diversity_sensitive"]
    losses = objective.generator(None, translation, np.zeros_like(translation), variant=(variant, DISTANCE))
    losses = {name: float(value) for name, value in losses.items()}
    expected = -np.minimum(ratios(translation, variant, DISTANCE), 0.5).mean()
    assert losses["g/diversity_sensitive"] == pytest.approx(expected, rel=1e-6)
    assert losses["g/total"] == pytest.approx(10 * losses["g/l1"] + 8 * expected, rel=1e-6)
    assert losses["g/mode_seeking"] > 0  # measured, as every term whose inputs are there


def test_they_are_left_out_without_one():
    """As in validation, which is without noise."""
    translation, _ = images()
    objective = Objective("none", {"l1": 10, "mode_seeking": 1.0})
    losses = objective.generator(None, translation, np.zeros_like(translation))
    assert set(losses) == {"g/total", "g/l1", "g/l2"}
    assert float(losses["g/total"]) == pytest.approx(10 * float(losses["g/l1"]))


def test_an_objective_without_them_needs_no_noise():
    assert Objective(weights={"l1": 1.0, "mode_seeking": 0.0}).noise_terms == []
