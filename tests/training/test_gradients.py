"""From gradients to new weights: parts of a batch, clipping, and the average of the generator."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import others_slow, tiny_config
from tests.training.test_pix2pix import data, weights
from tfpix2pix.models import products
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training import pix2pix
from tfpix2pix.training.gradients import summed
from tfpix2pix.training.optimizers import FusedAdam

BY_IMAGE = {"generator": {"norm": "instance"}, "discriminator": {"norm": "instance"}}  # no statistics across pairs


def stepped(steps=1, batch=None, **changes):
    model = build_model(tiny_config(**changes))
    step = tf.function(model.train_step, autograph=False)
    for _ in range(steps):
        losses = step(batch or data(4))
    return model, {name: float(value) for name, value in losses.items()}


OBJECTIVES = {
    "l1+cgan": "l1+cgan",
    "l1": {"name": "l1", "gan_loss": "none"},
    "feature matching": {"weights": {"feature_matching": 10}},
    "diversity": {"weights": {"diversity_sensitive": 8, "mode_seeking": 1}},
}
ROWS = itertools.product(("alternating", "simultaneous"), OBJECTIVES)
QUICK = (
    ("alternating", "l1+cgan"),
    ("simultaneous", "l1"),
    ("simultaneous", "feature matching"),
    ("alternating", "diversity"),
)


@pytest.mark.parametrize(("order", "objective"), others_slow(ROWS, *QUICK))
def test_parts_of_a_batch_are_the_batch(order, objective):
    """Where no norm looks across pairs, gradients summed over parts are those of the whole, and so are the losses."""
    objective = OBJECTIVES[objective]
    whole, losses = stepped(objective=objective, training={"update_order": order, "batch_size": 4}, **BY_IMAGE)
    parts, part_losses = stepped(
        objective=objective, training={"update_order": order, "batch_size": 4, "micro_batches": 2}, **BY_IMAGE
    )
    assert part_losses == pytest.approx(losses, rel=1e-4)
    before = weights(build_model(tiny_config(**BY_IMAGE)))
    for a, b, start in zip(weights(whole), weights(parts), before, strict=True):
        moved = np.abs(b - start)
        assert moved.max() > 0 or np.array_equal(a, start)
        # Adam's first step is the sign of the gradient: all signs agree but where it is nothing but rounding.
        assert np.mean(np.abs(a - b) > 1e-6) < 0.01


def test_gradients_of_parts_are_summed_and_losses_averaged():
    def gradients_of(values):
        return [tf.reduce_sum(values)], {"loss": tf.reduce_mean(values)}

    for parts in (1, 2, 3):
        gradients, losses = summed(gradients_of, (tf.range(6, dtype=tf.float32),), parts)
        assert (float(gradients[0]), float(losses["loss"])) == (15.0, 2.5)


class Recording(FusedAdam):
    """Keeps the norm of what it is given."""

    def apply(self, grads, trainable_variables=None):
        self.norm = tf.linalg.global_norm(grads)
        return super().apply(grads, trainable_variables)


@pytest.mark.parametrize(("limit", "clipped"), [(1e-3, True), (1e6, False)])
def test_gradients_are_scaled_down_to_a_norm_and_never_up(limit, clipped):
    norms = []
    for clip in (None, limit):
        model = build_model(tiny_config())
        optimizers = Recording(), Recording()
        model.compile(*optimizers, clip_gradient_norm=clip)
        model.train_step(data())
        norms.append([float(optimizer.norm) for optimizer in optimizers])
    for plain, with_limit in zip(*norms, strict=True):
        assert with_limit == pytest.approx(limit if clipped else plain, rel=1e-4)


def test_the_average_follows_the_generator():
    model = build_model(tiny_config(training={"ema_decay": 0.9}))
    step = tf.function(model.train_step, autograph=False)
    expected = [v.numpy().astype(np.float64) for v in model.generator.trainable_variables]
    for t in range(4):
        step(data())
        decay = min(0.9, (1 + t) / (10 + t))
        current = [v.numpy() for v in model.generator.trainable_variables]
        expected = [decay * a + (1 - decay) * w for a, w in zip(expected, current, strict=True)]
    names = {v.path for v in model.generator.trainable_variables}
    averaged = [v for v in model.average.variables if v.path in names]
    for a, b in zip(averaged, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-6)
    for a, b in zip(model.average.variables, model.generator.variables, strict=True):
        if b.path not in names:
            np.testing.assert_array_equal(a, b)  # moving statistics are copied


def test_the_average_is_what_translates_and_is_not_trained():
    model = build_model(tiny_config(training={"ema_decay": 0.9}))
    model.train_step(data())
    x, _ = data()
    np.testing.assert_array_equal(model(x), model.average([x, tf.ones((1, model.noise_size))]))
    assert (model(x).numpy() != model.generator([x, tf.ones((1, model.noise_size))]).numpy()).any()
    assert not model.average.trainable_variables


@pytest.mark.parametrize("wrong", [{"micro_batches": 0}, {"clip_gradient_norm": -1.0}, {"ema_decay": 2.0}])
def test_numbers_outside_their_range_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received"):
        build_model(tiny_config()).compile(**wrong)


def test_parts_that_do_not_divide_a_batch_are_refused():
    model = build_model(tiny_config())
    model.compile(micro_batches=3)
    with pytest.raises(ValueError, match="`micro_batches` must be a divisor of the batch of 4. Received 3"):
        model.train_step(data(4))


@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
def test_the_fast_forms_have_the_gradients_of_the_plain_ones(order, monkeypatch):
    """A step by products and fused norms, and one by TensorFlow's convolutions and written norms: the same weights."""
    image = np.random.default_rng(0).uniform(-1, 1, (2, 1, 64, 64, 3)).astype(np.float32)

    def gradients(fast):
        updates, training = [], {"update_order": order, "deterministic_ops": not fast}
        with monkeypatch.context() as patch:
            patch.setattr(pix2pix, "update", lambda network, optimizer, gradients, clip: updates.extend(gradients))
            if not fast:
                patch.setattr(products, "on_gpu", lambda: True)
            network = {"data": {"image_size_px": 64}, "generator": {"levels": 6}}
            model = build_model(tiny_config(**network, training=training))
            losses = model.train_step(tuple(tf.constant(array) for array in image))
        return updates, losses

    fast, fast_losses = gradients(True)
    plain, plain_losses = gradients(False)
    assert len(fast) == len(plain) > 20
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4 * max(float(tf.reduce_max(tf.abs(other))), 1e-3))
    for name, value in plain_losses.items():
        assert float(fast_losses[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-5)
