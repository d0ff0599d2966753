"""Levels computed again in the backward pass: the same losses, gradients and moving averages."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import others_slow, tiny_config
from tests.training.test_pix2pix import weights
from tfpix2pix import build_resnet, build_unet
from tfpix2pix.models.recompute import recomputing
from tfpix2pix.runs.networks import build_model


def after_steps(levels, steps=2, **changes):
    changes = {**changes, "generator": {"levels": 4, **changes.get("generator", {})}}  # one more than 3 recomputed
    model = build_model(tiny_config(training={"recompute_levels": levels}, **changes))
    step = tf.function(model.train_step, autograph=False)
    side = model.generator.inputs[0].shape[1]
    pair = np.random.default_rng(0).uniform(-1, 1, (2, 1, side, side, 3)).astype(np.float32)
    losses = [{name: float(value) for name, value in step(tuple(pair)).items()} for _ in range(steps)]
    return model, losses


CHANGES = {
    "dropout": {},
    "gaussian": {"generator": {"noise": "gaussian"}},
    "before": {"generator": {"skip_activation": "before"}},
    "cropped": {"data": {"image_size_px": 60}},
    "modulation": {"generator": {"noise": "modulation"}},
}
ROWS = itertools.product((1, 2, 3), CHANGES)


@pytest.mark.parametrize(
    ("levels", "name"),
    others_slow(ROWS, (1, "before"), (2, "gaussian"), (3, "dropout"), (3, "cropped"), (2, "modulation")),
)
def test_changes_no_number_but_the_last_digits(levels, name):
    changes = CHANGES[name]
    plain, expected = after_steps(0, **changes)
    model, losses = after_steps(levels, **changes)
    for one, other in zip(losses, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    moving = [v.path for v in model.generator.non_trainable_variables if "moving" in v.path]
    assert moving
    for a, b in zip(model.generator.non_trainable_variables, plain.generator.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)
    for one, other in zip(weights(model), weights(plain), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)  # Adam divides by gradients near 0: a step is 2e-4


@pytest.mark.parametrize("levels", [1, 2])
def test_the_outer_levels_are_computed_twice(levels):
    """Once forward and once more for the gradient: an encoder's and a decoder's normalisation or convolution each."""

    def forward_operations(levels):
        generator = build_unet(64, base_filters=8)
        call = recomputing(generator, levels) if levels else generator
        image, noise = tf.zeros((1, 64, 64, 3)), tf.zeros((1, generator.inputs[1].shape[1]))

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                y = call([image, noise], training=True)
            return tape.gradient(y, [v.value for v in generator.trainable_variables])

        graph = step.get_concrete_function().graph
        return sum(op.type in ("LeakyRelu", "Relu", "Tanh") for op in graph.get_operations())

    # Of level 1 the activations are up1's ReLU and tanh; of each further one a LeakyReLU and a ReLU.
    assert forward_operations(levels) - forward_operations(0) == 2 * levels


@pytest.mark.parametrize(
    ("generator", "levels"), [(build_unet(32, base_filters=4), 5), (build_resnet(32, base_filters=4), 1)],
    ids=["unet", "resnet"],
)  # fmt: skip
def test_more_levels_than_there_are_skips_are_refused(generator, levels):
    with pytest.raises(ValueError, match="`recompute_levels` must be fewer than the levels of a U-Net"):
        recomputing(generator, levels)
