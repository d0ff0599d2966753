"""The discriminator against the paper's numbers; its receptive field by formula and by gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix.models.patchgan import PATCHGANS, build_patchgan, receptive_field

OUTPUT_AT_256 = {1: 256, 16: 126, 34: 62, 70: 30, 142: 14, 286: 6}


def test_golden_parameter_count():
    assert sum(int(np.prod(v.shape)) for v in build_patchgan(70, seed=None).trainable_variables) == 2_768_705


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
