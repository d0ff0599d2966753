"""The fused Adam is Keras's Adam, faster."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix.training
from tfpix2pix.training import SCHEDULES, Schedule, schedule_row
from tfpix2pix.training.optimizers import FusedAdam, LearningRate, LossScaling


def trajectory(optimizer_class, steps=20, **options):
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((3, 4), (5,))]
    optimizer = optimizer_class(learning_rate=0.01, **options)
    optimizer.build(variables)
    for _ in range(steps):
        optimizer.apply([tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables], variables)
    return [v.numpy() for v in variables], int(optimizer.iterations)


@pytest.mark.parametrize("options", [{"beta_1": 0.5, "beta_2": 0.999}, {"beta_1": 0.9, "epsilon": 1e-3}])
def test_same_numbers_as_keras(options):
    ours, steps = trajectory(FusedAdam, **options)
    theirs, _ = trajectory(keras.optimizers.Adam, **options)
    assert steps == 20
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_first_step_by_hand():
    """m = (1-β1)g, v = (1-β2)g², both corrected: a step of lr·g/(|g|+ε')."""
    variable = keras.Variable(np.array([1.0, 1.0], np.float32))
    optimizer = FusedAdam(0.1)
    optimizer.build([variable])
    optimizer.apply([tf.constant([3.0, -0.5])], [variable])
    np.testing.assert_allclose(variable.numpy(), [0.9, 1.1], rtol=1e-4)


def test_defaults_are_the_papers():
    optimizer = FusedAdam()
    assert (float(optimizer.learning_rate), optimizer.beta_1, optimizer.beta_2) == (pytest.approx(2e-4), 0.5, 0.999)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="Use keras.optimizers.Adam"):
        FusedAdam(amsgrad=True)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [2e-4] * 7),
        ("linear_decay", [2e-4, 2e-4, 2e-4, 1e-4, 2e-6, 0, 0]),
        ("cosine", [2e-4, 2e-4, 2e-4, 1e-4, 1e-4 * (1 - np.cos(np.pi / 100)), 0, 0]),
    ],
)
def test_a_learning_rate_stays_and_then_falls_to_zero(schedule, expected):
    rate = LearningRate(2e-4, schedule, 100, 200)
    values = [float(rate(tf.constant(step, tf.int64))) for step in (0, 99, 100, 150, 199, 200, 300)]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-12)
    assert LearningRate(**rate.get_config()).get_config() == rate.get_config()


def test_every_schedule_begins_at_the_full_rate():
    for schedule in SCHEDULES:
        assert float(LearningRate(0.1, schedule, 0, 100)(0)) == pytest.approx(0.1)


def test_a_schedule_says_how_long_the_rate_is_constant():
    fractions = {name: schedule_row(name).constant_fraction for name in SCHEDULES}
    assert fractions == {"constant": 1.0, "linear_decay": 0.5, "cosine": 0.0}


def test_a_schedule_may_be_a_function_alone(monkeypatch):
    monkeypatch.setitem(SCHEDULES, "halved", lambda progress: 1.0 - 0.5 * progress)
    assert schedule_row("halved").constant_fraction == 0.0
    assert float(LearningRate(0.1, "halved", 0, 100)(100)) == pytest.approx(0.05)


def test_the_table_of_constant_fractions_still_counts(monkeypatch):
    monkeypatch.setattr(tfpix2pix.training, "_CONSTANT_FRACTIONS", {})
    monkeypatch.setitem(SCHEDULES, "halved", lambda progress: 1.0 - 0.5 * progress)
    monkeypatch.setitem(SCHEDULES, "late", Schedule(lambda progress: 1.0 - progress, constant_fraction=0.9))
    with pytest.warns(FutureWarning, match="CONSTANT_FRACTIONS is part of SCHEDULES. Use SCHEDULES"):
        table = tfpix2pix.training.CONSTANT_FRACTIONS
    assert dict(table) == {"constant": 1.0, "linear_decay": 0.5, "cosine": 0.0, "halved": 0.0, "late": 0.9}
    table["halved"] = 0.25
    assert schedule_row("halved").constant_fraction == 0.25


def test_a_factor_multiplies_the_rate_and_may_change():
    factor = keras.Variable(1.0)
    rate = LearningRate(0.1, factor=factor)
    factor.assign(0.5)
    assert float(rate(7)) == pytest.approx(0.05)


def test_a_schedule_drives_the_fused_kernel():
    variable = keras.Variable(np.array([1.0], np.float32))
    optimizer = FusedAdam(LearningRate(0.1, "linear_decay", 1, 2))
    optimizer.build([variable])
    seen = []
    for _ in range(3):
        optimizer.apply([tf.constant([1.0])], [variable])
        seen.append(float(variable[0]))
    np.testing.assert_allclose(seen, [0.9, 0.8, 0.8], rtol=1e-3)  # full, full at step 1 of 2, nothing


def test_a_step_whose_gradients_overflow_is_skipped_and_the_scale_halved():
    variable = keras.Variable(np.array([1.0], np.float32))
    optimizer = LossScaling(FusedAdam(0.1), initial_scale=8.0)
    optimizer.build([variable])
    assert float(optimizer.scale_loss(tf.constant(3.0))) == 24.0
    optimizer.apply([tf.constant([np.inf])], [variable])
    assert (float(variable[0]), float(optimizer.scale_loss(1.0))) == (1.0, 4.0)
    optimizer.apply([tf.constant([4.0])], [variable])
    assert float(variable[0]) == pytest.approx(0.9, rel=1e-4)
