"""The contract of every row of GENERATORS and DISCRIMINATORS, with every norm."""

from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix.config import DiscriminatorConfig, GeneratorConfig
from tfpix2pix.models import DISCRIMINATORS, GENERATORS
from tfpix2pix.models.blocks import NORMS
from tfpix2pix.models.patchgan import PATCHGANS

SIZE = 32


def inputs_of(model, batch=2):
    rng = np.random.default_rng(0)
    return [tf.constant(rng.random((batch, *tensor.shape[1:])), tf.float32) for tensor in model.inputs]


def check_gradients(model):
    """Forward, backward: finite, and to every trainable variable."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(inputs_of(model), training=True) - 0.1))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path


def test_the_configuration_names_what_the_tables_hold():
    """These fields are literal types, for editors' sake; a new norm or patch is added in both places."""
    for section, field, table in (
        (GeneratorConfig, "norm", NORMS),
        (DiscriminatorConfig, "norm", NORMS),
        (DiscriminatorConfig, "receptive_field_px", PATCHGANS),
    ):
        assert get_args(section.model_fields[field].annotation) == tuple(table)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", GENERATORS)
def test_generators(kind, norm):
    build = GENERATORS[kind]
    options = {"input_channels": 1, "output_channels": 2, "base_filters": 4, "norm": norm}
    model = build(SIZE, **options)
    check_gradients(model)
    out = model(inputs_of(model))
    assert out.shape == (2, SIZE, SIZE, 2)
    assert np.abs(out).max() <= 1
    # The inference views hold the same variables, so that weights go from one to the other by name.
    for view in ({"noise": "off"}, {"input_size_px": "any", "seed": None}, {"statistics": "moving"}):
        assert [v.path for v in build(SIZE, **options, **view).variables] == [v.path for v in model.variables]
    larger = build(SIZE, **options, noise="off", input_size_px="any")
    assert larger(tf.zeros((1, 2 * SIZE, 3 * SIZE, 1))).shape == (1, 2 * SIZE, 3 * SIZE, 2)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_discriminators(kind, norm):
    model = DISCRIMINATORS[kind](16, image_size_px=SIZE, input_channels=1, target_channels=2, base_filters=4, norm=norm)
    check_gradients(model)
    assert model.output.shape[-1] == 1
