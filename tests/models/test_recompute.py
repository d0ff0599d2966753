"""Maps computed again in the backward pass: the same losses, gradients and moving averages."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import others_slow, tiny_config
from tests.training.test_pix2pix import weights
from tfpix2pix import build_resnet, build_unet
from tfpix2pix.models.recompute import recomputing
from tfpix2pix.runs.networks import build_model


def after_steps(levels, steps=2, **changes):
    depth = {} if "residual_blocks" in changes.get("generator", {}) else {"levels": 4}  # one more than 3 recomputed
    changes = {**changes, "generator": {**depth, **changes.get("generator", {})}}
    training = {"recompute_levels": levels, **changes.pop("training", {})}
    config = tiny_config(training=training, **changes)
    model = build_model(config)
    step = tf.function(model.train_step, autograph=False)
    shape = (2, config.training.batch_size, *config.data.size_px, 3)
    pair = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    losses = [{name: float(value) for name, value in step(tuple(pair)).items()} for _ in range(steps)]
    others = [(v.path, v.numpy()) for v in model.generator.non_trainable_variables]
    return losses, others, weights(model)


CHANGES = {
    "dropout": {},
    "gaussian": {"generator": {"noise": "gaussian"}},
    "before": {"generator": {"skip_activation": "before"}},
    "cropped": {"data": {"image_size_px": 60}},
    "modulation": {"generator": {"noise": "modulation"}},
    "parts": {"training": {"batch_size": 2, "micro_batches": 2}},
    "resnet": {"generator": {"kind": "resnet", "residual_blocks": 2}},
    "global": {"generator": {"kind": "global", "residual_blocks": 2}, "data": {"image_size_px": [32, 60]}},
    "local_enhancer": {
        "generator": {"kind": "local_enhancer", "residual_blocks": 1, "enhancer_blocks": 1, "noise": "modulation"},
        "data": {"image_size_px": [64, 60]},
    },
}
ROWS = [(levels, name) for name in CHANGES for levels in (1, 2, 3)]


@functools.cache
def without_recomputing(name):
    return after_steps(0, **CHANGES[name])


@pytest.mark.parametrize(
    ("levels", "name"),
    others_slow(
        ROWS,
        (1, "before"),
        (2, "gaussian"),
        (3, "dropout"),
        (3, "cropped"),
        (2, "modulation"),
        (2, "parts"),
        (1, "resnet"),
        (3, "local_enhancer"),
    ),
)
def test_changes_no_number_but_the_last_digits(levels, name):
    expected, plain_others, plain_weights = without_recomputing(name)
    losses, others, ours = after_steps(levels, **CHANGES[name])
    for one, other in zip(losses, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    assert any("moving" in path for path, _ in others)
    for (_, a), (_, b) in zip(others, plain_others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for one, other in zip(ours, plain_weights, strict=True):
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


@pytest.mark.parametrize(("levels", "twice"), [(1, 3), (2, 5), (3, 8)])
def test_maps_of_a_residual_network_at_the_largest_sizes_are_computed_twice(levels, twice):
    """The network has two blocks and two halvings. At the size of the image it has the first ReLU, up1's and tanh; at
    half of it a ReLU of each side; at a quarter down2's and one of each block."""
    generator = build_resnet(32, base_filters=4, residual_blocks=2, noise="none")

    def counted(call):
        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                y = call(tf.zeros((1, 32, 32, 3)), training=True)
            return tape.gradient(y, [v.value for v in generator.trainable_variables])

        kinds = [op.type for op in step.get_concrete_function().graph.get_operations()]
        return sum(kind in ("Relu", "Tanh") for kind in kinds)

    assert counted(recomputing(generator, levels)) - counted(generator) == twice


def test_more_sizes_than_a_residual_network_has_are_refused():
    with pytest.raises(ValueError, match="must be at most the 3 sizes of maps .* Received 4. Use 3, or 0"):
        recomputing(build_resnet(32, base_filters=4), 4)
    with pytest.raises(ValueError, match="the generator `global` has 5 sizes of maps. Use 0 to 5"):
        tiny_config(generator={"kind": "global"}, training={"recompute_levels": 6})
    with pytest.raises(ValueError, match="the generator `encoder_decoder` has no skip connections. Use 0"):
        tiny_config(generator={"kind": "encoder_decoder"}, training={"recompute_levels": 1})


def test_more_levels_than_there_are_skips_are_refused():
    with pytest.raises(ValueError, match="`recompute_levels` must be fewer than the levels of a U-Net"):
        recomputing(build_unet(32, base_filters=4), 5)
