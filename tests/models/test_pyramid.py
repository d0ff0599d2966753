"""A discriminator at several scales against NumPy and the sizes of its parts; its features without another pass."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tfpix2pix.models.patchgan import build_patchgan
from tfpix2pix.models.pyramid import Halve, build_pyramid, judging, scales_of
from tfpix2pix.models.sizes import receptive_field_of_scale
from tfpix2pix.runs.networks import build_discriminator


def halved(image):
    """3×3 means around every second pixel of what lies in the image, in float64."""
    height, width, channels = image.shape
    out = np.zeros((-(-height // 2), -(-width // 2), channels))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            rows, columns = slice(max(2 * i - 1, 0), 2 * i + 2), slice(max(2 * j - 1, 0), 2 * j + 2)
            out[i, j] = image[rows, columns].mean((0, 1))
    return out


def pyramid(scales=2, patch=16, size_px=32, **options):
    build = lambda size_px, seed: build_patchgan(  # noqa: E731
        patch, image_size_px=size_px, base_filters=4, seed=seed, **options
    )
    return build_pyramid(build, scales, image_size_px=size_px)


def pair(count=2, size=32):
    rng = np.random.default_rng(0)
    return [tf.constant(rng.uniform(-1, 1, (count, size, size, 3)), tf.float32) for _ in range(2)]


@pytest.mark.parametrize("shape", [(4, 6, 3), (5, 3, 1), (1, 2, 2)])
def test_half_the_side_is_numpys(shape):
    images = np.random.default_rng(0).normal(size=(2, *shape))
    np.testing.assert_allclose(Halve()(images), [halved(image) for image in images], atol=1e-6)
    assert Halve().compute_output_shape((None, *shape)) == (None, -(-shape[0] // 2), -(-shape[1] // 2), shape[2])


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("conditional", [True, False])
def test_every_scale_is_a_network_on_its_own_image(conditional, norm):
    model = pyramid(3, conditional=conditional, norm=norm)
    images = pair()
    seen = images if conditional else images[1:]
    logits = model(seen if conditional else seen[0])
    for scale, scale_logits in zip(scales_of(model), logits, strict=True):
        np.testing.assert_allclose(scale_logits, scale(seen if conditional else seen[0]), atol=1e-5)
        seen = [np.stack([halved(image) for image in np.asarray(images)]).astype(np.float32) for images in seen]
    for scale_logits, judged in zip(logits, judging(model)(*images, training=False).logits, strict=True):
        np.testing.assert_allclose(judged, scale_logits, atol=1e-5)


def test_one_scale_is_the_network_itself():
    plain, built = build_patchgan(16, image_size_px=32, base_filters=8), build_discriminator(tiny_config(), seed=0)
    assert scales_of(built) == [built]
    assert [v.path for v in built.variables] == [v.path for v in plain.variables]
    assert all(np.array_equal(a, b) for a, b in zip(built.variables, plain.variables, strict=True))
    assert built.output.shape == plain.output.shape


def test_names_of_the_finest_scale_are_those_of_a_single_one():
    """So that their weights are the same keys of a checkpoint; no two scales begin alike."""
    single, model = pyramid(1), pyramid(3)
    paths = [v.path for v in model.variables]
    of_one = [v.path for v in single.variables]
    assert paths == [*of_one, *(f"scale2/{path}" for path in of_one), *(f"scale3/{path}" for path in of_one)]
    values = {v.path: v.numpy() for v in model.variables}
    for v in single.variables:
        np.testing.assert_array_equal(values[v.path], v)
    kernels = [values[f"{prefix}layer1/kernel"] for prefix in ("", "scale2/", "scale3/")]
    assert not any(np.array_equal(a, b) for a, b in ((kernels[0], kernels[1]), (kernels[1], kernels[2])))


@pytest.mark.parametrize(("scales", "count"), [(1, 2_768_705), (2, 5_537_410), (3, 8_306_115)])
def test_golden_parameter_counts(scales, count):
    config = tiny_config(
        data={"image_size_px": 256}, discriminator={"scales": scales, "base_filters": 64, "receptive_field_px": 70}
    )
    model = build_discriminator(config, seed=None)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count


@pytest.mark.parametrize(("scale", "px"), [(1, 16), (2, 33), (3, 67)])
def test_the_gradient_of_a_logit_reaches_its_receptive_field(scale, px):
    assert receptive_field_of_scale(16, scale) == px
    model = pyramid(3, size_px=None, norm="none", conditional=False)
    image = tf.Variable(tf.random.uniform((1, 160, 160, 3), -1, 1, seed=0))
    with tf.GradientTape() as tape:
        logits = judging(model)(None, image).logits[scale - 1]
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    touched = np.abs(tape.gradient(middle, image).numpy()[0]).sum(-1) > 0
    for axis in (0, 1):
        places = np.nonzero(touched.any(axis))[0]
        assert places[-1] - places[0] + 1 == px


@pytest.mark.parametrize("scales", [1, 2])
def test_features_are_the_maps_after_each_hidden_activation_of_the_same_pass(scales):
    model, images = pyramid(scales, patch=34), pair()
    judgement, plain = judging(model, features=True)(*images), judging(model)(*images)
    for scale, logits, expected, maps in zip(
        scales_of(model), judgement.logits, plain.logits, judgement.features, strict=True
    ):
        np.testing.assert_array_equal(logits, expected)
        assert [layer.shape[-1] for layer in maps] == [4, 8, 16]
        assert [layer.shape[1] for layer in maps] == [
            scale.get_layer(f"layer{n}_act").output.shape[1] for n in (1, 2, 3)
        ]
    assert plain.features == [[]] * scales


def test_a_discriminator_without_named_activations_has_no_features():
    image = keras.Input((8, 8, 3))
    bare = keras.Model(image, keras.layers.Conv2D(1, 3)(image), name="bare")
    with pytest.raises(ValueError, match="names that end with _act. Received bare"):
        judging(bare, features=True)


def test_the_number_of_scales_has_a_range():
    with pytest.raises(ValueError, match="`scales` must be 1 to 9. Received 0"):
        pyramid(0)
