"""pix2pixHD's generators against its numbers, and against the same networks written with Keras's own layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from tests.conftest import tiny_config
from tfpix2pix.models.enhancer import build_local_enhancer
from tfpix2pix.models.noise import NoiseDropout
from tfpix2pix.models.norms import InstanceNormalization
from tfpix2pix.models.pyramid import Halve
from tfpix2pix.models.resnet import build_global
from tfpix2pix.models.sizes import enhancer_multiple_px, global_multiple_px

AS_PUBLISHED = {"norm": "instance_non_affine", "bias": "all", "noise": "none"}


@pytest.mark.parametrize(
    ("build", "input_channels", "count"),
    [
        (build_global, 3, 182_443_267),
        (build_global, 36, 182_546_755),  # 35 labels and the edges between instances
        (build_local_enhancer, 36, 182_857_059),
    ],
)
def test_golden_parameter_counts(build, input_channels, count):
    with keras.StatelessScope(initialize_variables=False):  # variables of shapes only, where values take 730 MB
        model = build(512, input_channels=input_channels, seed=None, **AS_PUBLISHED)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count
    keras.utils.clear_session()  # or the next model built would give these variables their values too


class Twin:
    """Runs pix2pixHD's generators in Keras's own layers, with the weights of `model` in the order of computation."""

    def __init__(self, model, prefix=""):
        self.model, self.prefix = model, prefix

    def of(self, prefix):
        return Twin(self.model, prefix)

    def convolution(self, x, name, **sizes):
        weights = self.model.get_layer(f"{self.prefix}{name}").get_weights()
        kind = layers.Conv2DTranspose if "up" in name else layers.Conv2D
        layer = kind(weights[1].shape[0], weights[0].shape[0], **sizes)
        layer.build(x.shape)
        layer.set_weights(weights)
        return layer(x)

    def normalized(self, x):
        return layers.GroupNormalization(groups=-1, epsilon=1e-5, center=False, scale=False)(x)

    def reflected(self, x, name, border_px):
        padding = ((0, 0), (border_px, border_px), (border_px, border_px), (0, 0))
        return self.convolution(ops.pad(x, padding, "reflect"), name)

    def encoded(self, x, halvings):
        x = ops.relu(self.normalized(self.reflected(x, "first", 3)))
        for level in range(1, halvings + 1):
            x = self.convolution(layers.ZeroPadding2D(1)(x), f"down{level}", strides=2)
            x = ops.relu(self.normalized(x))
        return x

    def decoded(self, x, residual_blocks, doublings):
        for index in range(1, residual_blocks + 1):
            inside = ops.relu(self.normalized(self.reflected(x, f"block{index}_a", 1)))
            x = x + self.normalized(self.reflected(inside, f"block{index}_b", 1))
        for level in range(doublings, 0, -1):
            x = self.convolution(x, f"up{level}", strides=2, padding="valid")
            x = ops.relu(self.normalized(x[:, 1:, 1:]))
        return x

    def last(self, x):
        return ops.tanh(self.reflected(x, "last", 3))


def halved(x):
    """The mean of the pixels of the image in each window of 3×3, by plain loops."""
    count, height, width, channels = x.shape
    result = np.zeros((count, height // 2, width // 2, channels), np.float32)
    for row in range(height // 2):
        for column in range(width // 2):
            window = x[:, max(0, 2 * row - 1) : 2 * row + 2, max(0, 2 * column - 1) : 2 * column + 2]
            result[:, row, column] = window.mean((1, 2))
    return result


@pytest.fixture
def image(rng):
    return rng.uniform(-1, 1, (2, 64, 128, 3)).astype(np.float32)


def test_a_global_generator_is_its_twin(image):
    options = {"base_filters": 4, "residual_blocks": 2, "input_size_px": "any", **AS_PUBLISHED}
    model = build_global(64, **options)
    twin = Twin(model)
    expected = twin.last(twin.decoded(twin.encoded(image, 4), 2, 4)).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(model(image), expected, atol=1e-5)


@pytest.mark.parametrize("enhancers", [1, 2])
def test_enhancers_add_what_the_networks_inside_them_see_at_half_the_size(enhancers, image):
    image = np.tile(image, (1, enhancers, enhancers, 1))
    model = build_local_enhancer(
        64 * enhancers, enhancers=enhancers, enhancer_blocks=2, residual_blocks=1, base_filters=4, input_size_px="any",
        **AS_PUBLISHED,
    )  # fmt: skip
    images = [image]
    for _ in range(enhancers):
        images.append(halved(images[-1]))
    inner = Twin(model)
    x = inner.decoded(inner.encoded(images.pop(), 4), 1, 4)
    for number in range(1, enhancers + 1):
        enhancer = inner.of(f"enhancer{number}_")
        x = enhancer.decoded(enhancer.encoded(images.pop(), 1) + x, 2, 1)
    expected = enhancer.last(x).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(model(image), expected, atol=1e-5)


def test_filters_double_inwards():
    model = build_local_enhancer(64, enhancers=2, enhancer_blocks=1, residual_blocks=1, base_filters=2, noise="none")
    shapes = {name: model.get_layer(name).output.shape[1:] for name in ("enhancer2_add", "enhancer1_add", "block1_add")}
    assert shapes == {"enhancer2_add": (64, 64, 4), "enhancer1_add": (32, 32, 8), "block1_add": (2, 2, 128)}


def test_the_global_generator_inside_has_the_names_and_shapes_of_one_alone():
    options = {"residual_blocks": 1, **AS_PUBLISHED}
    inner = {v.path: v.shape for v in build_global(32, base_filters=4, **options).variables if "last" not in v.path}
    whole = {v.path: v.shape for v in build_local_enhancer(64, base_filters=2, **options).variables}
    assert inner.items() <= whole.items()


def test_dropout_stands_in_every_block_of_every_part():
    model = build_local_enhancer(64, base_filters=2, residual_blocks=2, enhancer_blocks=1)
    dropped = [layer for layer in model.layers if isinstance(layer, NoiseDropout)]
    names = ["block1_dropout", "block2_dropout", "enhancer1_block1_dropout"]
    assert [layer.name for layer in dropped] == names
    assert [layer.shape for layer in dropped] == [(2, 2, 64), (2, 2, 64), (16, 16, 4)]
    assert model.inputs[1].shape[-1] == 2 * 2 * 2 * 64 + 16 * 16 * 4


@pytest.mark.parametrize("training", [False, True])
def test_halving_does_not_depend_on_whether_the_size_is_known(training, image):
    anywhere = layers.Input((None, None, 3))
    for halve in (Halve(), keras.Model(anywhere, Halve()(anywhere))):
        np.testing.assert_allclose(halve(image, training=training), halved(image), atol=1e-6)


@given(value=st.floats(-1, 1, width=32), sides=st.tuples(st.integers(1, 9), st.integers(1, 9)))
@settings(max_examples=20)
def test_a_constant_image_stays_constant_to_the_last_digit(value, sides):
    """Norms would divide a difference in the last digit by nothing, once for each layer."""
    result = Halve()(np.full((1, *sides, 1), value, np.float32)).numpy()
    assert np.ptp(result) == 0
    assert result.max() == pytest.approx(value, abs=1e-6)


def test_instance_norm_without_scale_and_offset_has_no_weights(image):
    layer = InstanceNormalization(center=False, scale=False)
    expected = keras.layers.GroupNormalization(groups=-1, epsilon=1e-5, center=False, scale=False)(image)
    for training in (False, True):
        np.testing.assert_allclose(layer(image, training=training), expected, atol=1e-5)
    assert layer.weights == []
    again = InstanceNormalization.from_config(layer.get_config())
    assert (again.center, again.scale) == (False, False)


def test_sizes_are_multiples_that_leave_two_pixels_to_reflect():
    assert global_multiple_px(16, None) == 32
    assert enhancer_multiple_px(32, None) == enhancer_multiple_px(32, None, 1) == 64
    assert enhancer_multiple_px(2048, None, 2) == 128


def test_other_sizes_are_padded_and_cropped_back():
    model = build_local_enhancer(64, base_filters=2, residual_blocks=1, input_size_px="any", **AS_PUBLISHED)
    assert model(tf.zeros((1, 70, 33, 3))).shape == (1, 70, 33, 3)


@pytest.mark.parametrize(
    ("multiple_px", "arguments", "message"),
    [
        (global_multiple_px, (15, None), "`image_size_px` must be at least 16 for a global .* Received 15. Use 16"),
        (enhancer_multiple_px, (31, None), "`image_size_px` must be at least 32 for a local .* Received 31. Use 32"),
        (enhancer_multiple_px, (64, None, 3), "1 to 2 of them for .* = 64. Received 3. Use 2, or images of 128 px"),
        (enhancer_multiple_px, (64, None, 0), "1 to 2 of them for `image_size_px` = 64. Received 0. Use 1$"),
        (global_multiple_px, (64, 5), "`levels` must be left out for the global .* four times. Received 5. Set"),
        (enhancer_multiple_px, (64, 5), "`levels` must be left out for the local_enhancer .* Received 5. Set"),
    ],
)
def test_what_does_not_fit_is_one_sentence(multiple_px, arguments, message):
    with pytest.raises(ValueError, match=message):
        multiple_px(*arguments)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"kind": "global", "levels": 3}, "`generator.levels` must be left out .* Set `generator.residual_blocks`"),
        ({"kind": "local_enhancer", "enhancers": 2}, "`generator.enhancers` must .* `data.image_size_px` = 32"),
        ({"kind": "global", "enhancers": 1}, "`generator.enhancers` must .* Received 1 with .* global`. Leave"),
        ({"enhancers": 1}, "`generator.enhancers` must .* with `generator.kind: unet`. Leave it out, or set"),
    ],
)
def test_a_configuration_names_its_keys(generator, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(generator=generator)
