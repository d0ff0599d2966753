"""The discriminator against the paper's numbers; its receptive field by formula and by gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix.models.patchgan import build_patchgan
from tfpix2pix.models.sizes import PATCHGANS, logits_px, receptive_field

OUTPUT_AT_256 = {1: 256, 16: 126, 34: 62, 70: 30, 142: 14, 286: 6}


PARAMETERS = {1: 9_025, 16: 139_585, 34: 666_433, 70: 2_768_705, 142: 6_964_033, 286: 11_159_361}


@pytest.mark.parametrize("patch", PATCHGANS)
def test_golden_parameter_counts(patch):
    """70: as the PyTorch implementation's `basic`; the others add up by hand in the same way."""
    layers = [(6, 64, PATCHGANS[patch][0].kernel)]
    for before, layer in zip(PATCHGANS[patch], PATCHGANS[patch][1:], strict=False):
        layers.append((64 * before.filters_factor, 64 * layer.filters_factor, layer.kernel))
    last = PATCHGANS[patch][-1]
    kernels = sum(a * b * kernel**2 for a, b, kernel in [*layers, (64 * last.filters_factor, 1, last.kernel)])
    norms = sum(2 * b for _, b, _ in layers[1:])
    by_hand = kernels + norms + 64 + 1  # and the biases of the first and the last layer
    counted = sum(int(np.prod(v.shape)) for v in build_patchgan(patch, seed=None).trainable_variables)
    assert counted == by_hand == PARAMETERS[patch]


def test_filters_stop_at_their_largest_factor():
    model = build_patchgan(70, max_filters_factor=2, seed=None)
    assert [model.get_layer(f"layer{number}").filters for number in range(1, 5)] == [64, 128, 128, 128]


@pytest.mark.parametrize("patch", PATCHGANS)
def test_formula(patch):
    hidden = [(layer.kernel, layer.stride) for layer in PATCHGANS[patch]]
    assert receptive_field([*hidden, (hidden[-1][0], 1)]) == patch


@pytest.mark.parametrize("patch", PATCHGANS)
def test_output_size(patch):
    model = build_patchgan(patch, image_size_px=256, base_filters=2)
    assert model.output.shape == (None, OUTPUT_AT_256[patch], OUTPUT_AT_256[patch], 1)


@pytest.mark.parametrize("patch", [1, 16, 34, 70, 142])
def test_gradient_reaches_exactly_the_patch(patch):
    """One logit far from the border depends on a square of `patch` pixels and on no more. No norm: it sees all."""
    model = build_patchgan(patch, base_filters=4, norm="none", conditional=False)
    image = tf.Variable(tf.random.uniform((1, 256, 256, 3), -1, 1, seed=0))
    with tf.GradientTape() as tape:
        logits = model(image, training=True)
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    touched = np.abs(tape.gradient(middle, image).numpy()[0]).sum(-1) > 0
    rows, columns = np.nonzero(touched.any(1))[0], np.nonzero(touched.any(0))[0]
    assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (patch, patch)


def test_no_norm_on_the_first_layer():
    names = {layer.name for layer in build_patchgan(70, base_filters=4).layers}
    assert "layer1_norm" not in names
    assert {"layer2_norm", "layer3_norm", "layer4_norm"} <= names


def test_unconditional_sees_the_candidate_alone():
    assert len(build_patchgan(16, base_filters=4, conditional=False).inputs) == 1
    assert len(build_patchgan(16, base_filters=4).inputs) == 2


def test_larger_images_than_trained_on():
    model = build_patchgan(16, base_filters=4)
    for size in (32, 48, 64):
        images = np.zeros((1, size, size, 3), np.float32)
        assert model([images, images]).shape == (1, size // 2 - 2, size // 2 - 2, 1)


def test_other_patches_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="must be one of: 1, 16, 34, 70, 142, 286. Received 71"):
        build_patchgan(71)


def test_the_tutorials_parameter_count():
    assert sum(int(np.prod(v.shape)) for v in build_patchgan(bias="last", seed=None).trainable_variables) == 2_768_641


class TestSpectralNorm:
    def test_every_kernels_largest_singular_value_goes_to_one(self):
        model = build_patchgan(16, base_filters=8, spectral_norm=True)
        images = tf.random.normal((1, 32, 32, 3), seed=0)
        for _ in range(300):  # singular values lie close together: the power iteration takes its time
            model([images, images], training=True)
        kernels = [v.numpy() for v in model.trainable_variables if v.path.endswith("kernel")]
        assert len(kernels) == 3
        for kernel in kernels:
            assert np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0] == pytest.approx(1, abs=0.01)

    def test_no_more_parameters_and_the_same_start_for_the_same_seed(self):
        first, again = (build_patchgan(16, base_filters=4, spectral_norm=True, seed=3) for _ in range(2))
        for a, b in zip(first.variables, again.variables, strict=True):
            np.testing.assert_array_equal(a, b)
        plain = build_patchgan(16, base_filters=4)
        assert [v.shape for v in first.trainable_variables] == [v.shape for v in plain.trainable_variables]


@pytest.mark.parametrize("patch", PATCHGANS)
def test_which_images_a_patch_fits(patch):
    """`logits_px` says what a built network gives, down to the smallest image that it takes."""
    sizes = [size for size in range(1, 120) if logits_px(size, patch) >= 1]
    assert logits_px(256, patch) == OUTPUT_AT_256[patch]
    assert sizes == list(range(sizes[0], 120))
    for size in (sizes[0], 100):
        model = build_patchgan(patch, image_size_px=size, base_filters=1)
        assert model.output.shape[1] == logits_px(size, patch)
    if sizes[0] > 1:
        assert logits_px(sizes[0] - 1, patch) < 1
