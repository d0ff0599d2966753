"""Weights of pixels in the training step: pixels of weight 0 teach nothing, fractions in part."""

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import least_config, tiny_config
from tests.training.test_pix2pix import data, weights
from tfpix2pix.losses import TERMS
from tfpix2pix.runs.networks import build_model

WEIGHT = np.zeros((1, 32, 32, 1), np.float32)
WEIGHT[:, 4:20, 6:28] = 1
WEIGHT[:, 16:20] = 0.5
NOT_ALONE = ("needs_teacher", "needs_network", "needs_encoder")  # tests/training/test_styled.py has the last
ALL_TERMS = {name: 1.0 for name, term in TERMS.items() if not any(getattr(term, need) for need in NOT_ALONE)}


def build(update_order="alternating", micro_batches=1, **objective):
    return build_model(
        tiny_config(
            generator={"noise": "gaussian"},
            objective={"weights": ALL_TERMS, **objective},
            training={"update_order": update_order, "micro_batches": micro_batches, "batch_size": 2},
        )
    )


def pair_of_batches(target_seed=5):
    """The same pairs twice, with other pixels in the targets where the weight is 0."""
    image, target = data(2)
    weight = tf.repeat(tf.constant(WEIGHT), 2, axis=0)
    return [(image, target, weight), (image, tf.where(weight > 0, target, data(2, seed=target_seed)[1]), weight)]


@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
@pytest.mark.parametrize("parts", [1, 2])
def test_pixels_of_weight_0_change_no_loss_and_no_weight(order, parts):
    models = [build(order, parts) for _ in range(2)]
    losses = [model.train_step(batch) for model, batch in zip(models, pair_of_batches(), strict=True)]
    assert {name: float(value) for name, value in losses[0].items()} == {
        name: float(value) for name, value in losses[1].items()
    }
    for first, second in zip(*(weights(model) for model in models), strict=True):
        np.testing.assert_array_equal(first, second)


def test_without_a_discriminator_too():
    losses = []
    for batch in pair_of_batches():
        model = build_model(least_config(training={"batch_size": 2}))
        losses.append({name: float(value) for name, value in model.train_step(batch).items()})
    assert losses[0] == losses[1]


def test_the_losses_of_held_out_pairs_do_not_see_them_either():
    model = build()
    first, second = (model.test_step(batch) for batch in pair_of_batches())
    assert {name: float(v) for name, v in first.items()} == {name: float(v) for name, v in second.items()}


def test_full_weights_are_no_weights():
    models = [build(), build()]
    image, target = data(2)
    losses = [models[0].train_step((image, target)), models[1].train_step((image, target, tf.ones((2, 32, 32, 1))))]
    for name in losses[0]:
        assert float(losses[0][name]) == pytest.approx(float(losses[1][name]), rel=1e-6), name
    for a, b in zip(weights(models[0]), weights(models[1]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_l1_and_l2_equal_their_twins():
    """They are means over all pixels, so a pixel that counts has the gradient that it always has."""
    model = build()
    image, target = data()
    translation = model(image, model.training_noise(1), training=True).numpy()
    losses = model.train_step((image, target, tf.constant(WEIGHT)))
    expected = np.mean(WEIGHT * np.abs(translation - target.numpy()))
    assert float(losses["g/l1"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses["g/l2"]) == pytest.approx(np.mean((WEIGHT * (translation - target.numpy())) ** 2), rel=1e-5)


def test_the_discriminator_gets_both_sides_times_the_weight():
    model = build()
    seen = []
    judge = model.judge
    model.judge = lambda image, other, *more, **options: (seen.append(other), judge(image, other, *more, **options))[1]
    (batch, _) = pair_of_batches()
    model.train_step(batch)
    assert len(seen) == 3  # the target, the translation, and the translation for the generator
    for images in seen:
        assert (images.numpy()[WEIGHT.repeat(2, 0)[..., 0] == 0] == 0).all()
    np.testing.assert_array_equal(seen[0], batch[1] * batch[2])


def test_keras_fit_takes_them_as_sample_weights():
    image, target = data(2)
    weight = np.repeat(WEIGHT, 2, axis=0)
    models = [build(), build()]
    models[0].train_step((image, target, tf.constant(weight)))
    models[1].fit(tf.data.Dataset.from_tensors((image, target, weight)), verbose=0)
    for first, second in zip(*(weights(model) for model in models), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_run_with_weights_resumes_to_the_bit(tmp_path):
    from tests.data.test_weights import image as picture
    from tests.data.test_weights import mask, write_image

    for seed in range(4):
        for name, values in (("input", picture(seed)), ("target", picture(seed + 10)), ("mask", mask(seed % 3))):
            write_image(tmp_path / "pairs" / name / f"{seed}.png", values)
    settings = {
        "data": {"source": "folders", "dir": str(tmp_path / "pairs"), "weight": "mask"},
        "training": {"steps": 4, "checkpoint_every_steps": 2, "sample_every_steps": 2, "validate_every_steps": 2},
    }
    config = least_config(**settings)
    whole = p2p.train(config, run_dir=tmp_path / "whole")
    half = config.model_copy(update={"training": config.training.model_copy(update={"steps": 2})})
    p2p.train(half, run_dir=tmp_path / "half")
    resumed = p2p.train(config, run_dir=tmp_path / "half", resume=True)
    assert resumed.card.metrics["trained"] == whole.card.metrics["trained"]
