"""The residual generator against the PyTorch implementation's numbers."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import convolve2d

from tfpix2pix.models.resnet import ReflectionPad, build_resnet
from tfpix2pix.models.upsampling import Transposed3


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(("blocks", "count"), [(9, 11_383_427), (6, 7_841_411)])
def test_golden_parameter_counts(blocks, count):
    assert parameters(build_resnet(256, residual_blocks=blocks, seed=None)) == count


def test_layers_and_shapes():
    model = build_resnet(64, base_filters=4, residual_blocks=6)
    assert model.get_layer("first").kernel_size == model.get_layer("last").kernel_size == (7, 7)
    assert model.get_layer("block6_add").output.shape == (None, 16, 16, 16)
    assert model.output.shape == (None, 64, 64, 3)


def test_dropout_stands_in_every_block():
    model = build_resnet(32, base_filters=2, residual_blocks=3)
    assert [layer.name for layer in model.layers if "dropout" in layer.name] == [f"block{n}_dropout" for n in (1, 2, 3)]


def test_the_transposed_convolution_has_torchs_alignment():
    """Stride 2, padding 1, output padding 1: output[o] sums input[i] kernel[o + 1 - 2 i]."""
    rng = np.random.default_rng(0)
    x, layer = rng.normal(size=(1, 5, 4, 1)).astype(np.float32), Transposed3(1)
    out = layer(x).numpy()[0, ..., 0]
    spread = np.zeros((9, 7))
    spread[::2, ::2] = x[0, ..., 0]
    full = convolve2d(spread, layer.kernel.numpy()[..., 0, 0])  # (11, 9): padding 1 drops the first row and column
    np.testing.assert_allclose(out, full[1:, 1:], atol=1e-6)


def test_reflection():
    x = tf.reshape(tf.range(12.0), (1, 3, 4, 1))
    np.testing.assert_array_equal(ReflectionPad(1)(x)[0, ..., 0], np.pad(x.numpy()[0, ..., 0], 1, mode="reflect"))
