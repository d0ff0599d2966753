"""Convolutions as products: TensorFlow's own convolutions, forward and back, whatever the size and type."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpix2pix import build_unet
from tfpix2pix.models import products
from tfpix2pix.models.products import PLAIN, ProductConv2D, ProductConv2DTranspose, fold, patches

SIZES = {"kernel_size": 4, "strides": 2, "padding": "same"}
KINDS = [ProductConv2D, ProductConv2DTranspose]


def both(kind, filters, shape, **options):
    """A layer of `kind` and the plain one of the same weights."""
    layers = [layer(filters, **SIZES, **options) for layer in (kind, PLAIN[kind])]
    rng = np.random.default_rng(3)
    for layer in layers:
        layer.build(shape)
    weights = [rng.normal(size=v.shape).astype(np.float32) for v in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def result_and_gradients(layer, x):
    weights = [v.value for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
    return [tf.cast(tensor, tf.float32).numpy() for tensor in (y, *tape.gradient(loss, [x, *weights]))]


@pytest.mark.parametrize("kind", KINDS)
@given(
    count=st.integers(1, 3), height=st.integers(1, 5), width=st.integers(1, 5), channels=st.integers(1, 4),
    filters=st.integers(1, 4), use_bias=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=30)
def test_equals_tensorflows_convolution(kind, count, height, width, channels, filters, use_bias, seed):
    factor = 2 if kind is ProductConv2D else 1  # a convolution of stride 2 takes an even size
    shape = (count, factor * height, factor * width, channels)
    x = tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    ours, theirs = (result_and_gradients(layer, x) for layer in both(kind, filters, shape, use_bias=use_bias))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_16_bits_it_is_about_as_close_to_float32_as_tensorflows(kind):
    x = tf.cast(np.random.default_rng(0).normal(size=(1, 8, 8, 16)), tf.bfloat16)
    ours, theirs = (result_and_gradients(layer, x) for layer in both(kind, 32, x.shape, dtype="mixed_bfloat16"))
    truth = result_and_gradients(both(kind, 32, x.shape)[1], tf.cast(x, tf.float32))
    for one, other, true in zip(ours, theirs, truth, strict=True):
        assert np.abs(one - true).mean() < 2 * np.abs(other - true).mean()  # `fold` rounds sums twice more


@pytest.mark.parametrize("kind", KINDS)
def test_of_sizes_known_only_when_it_runs(kind):
    ours, theirs = both(kind, 3, (None, None, None, 2))
    function = tf.function(ours, input_signature=[tf.TensorSpec((None, None, None, 2), tf.float32)])
    for shape in ((1, 4, 6, 2), (3, 2, 2, 2)):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(function(x), theirs(x), atol=1e-5)


@given(h=st.integers(1, 4), w=st.integers(1, 4), channels=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_fold_is_patches_transposed(h, w, channels, seed):
    """⟨patches(x), p⟩ = ⟨x, fold(p)⟩ for all x and p."""
    rng = np.random.default_rng(seed)
    x = tf.constant(rng.normal(size=(2, 2 * h, 2 * w, channels)))
    p = tf.constant(rng.normal(size=(2, h, w, 16 * channels)))
    np.testing.assert_allclose(np.sum(patches(x) * p), np.sum(x * fold(p)), rtol=1e-9, atol=1e-9)


def test_patches_are_those_of_tensorflow():
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = tf.image.extract_patches(padded, (1, 4, 4, 1), (1, 2, 2, 1), (1, 1, 1, 1), "VALID")
    np.testing.assert_array_equal(patches(tf.constant(x)), expected)


def test_the_unet_uses_them_for_its_small_maps_alone():
    kinds = {layer.name: type(layer) for layer in build_unet(256, base_filters=4).layers}
    assert [kinds[f"down{n}"] is ProductConv2D for n in range(1, 9)] == [False] * 3 + [True] * 5  # to 16×16 and less
    assert [kinds[f"up{n}"] is ProductConv2DTranspose for n in range(1, 9)] == [False] * 3 + [True] * 5


def with_plain_layers(model):
    """The same network of Keras's own convolutions; itself where it has no others."""
    if not any(type(layer) in PLAIN for layer in model.layers):
        return model

    def plain(layer):
        return PLAIN.get(type(layer), type(layer)).from_config(layer.get_config())

    other = keras.models.clone_model(model, clone_function=plain)
    other.set_weights(model.get_weights())
    return other


def test_its_weights_are_those_of_plain_layers():
    model = build_unet(64, base_filters=4)
    other = with_plain_layers(model)
    assert not any(isinstance(layer, tuple(KINDS)) for layer in other.layers)
    inputs = [np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)), np.ones((2, model.inputs[1].shape[1]))]
    np.testing.assert_allclose(model(inputs), other(inputs), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_keeps_its_convolutions(kind, monkeypatch):
    monkeypatch.setattr(products, "on_gpu", lambda: True)
    monkeypatch.setattr(products, "convolved", None)
    monkeypatch.setattr(products, "convolved_transposed", None)
    ours, theirs = both(kind, 3, (1, 4, 4, 2))
    x = np.random.default_rng(1).normal(size=(1, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_a_graph_that_used_them_is_let_go():
    """`tf.custom_gradient` registers its gradients for good, and with them every graph and weight they saw."""
    kernel = tf.Variable(tf.ones((4, 4, 3, 5)))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            y = products.convolved_transposed(products.convolved(x, kernel), kernel)
        return tape.gradient(y, kernel)

    graph = step.get_concrete_function(tf.TensorSpec((1, 8, 8, 3))).graph
    kept = weakref.ref(graph)
    del step, graph
    gc.collect()
    assert kept() is None
