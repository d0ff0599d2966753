"""Tests modulation: z scales and shifts each map after its norm, and stands beside the input of layers without one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.conftest import tiny_config
from tfpix2pix.models.enhancer import build_local_enhancer
from tfpix2pix.models.modulation import Modulation, Normals, StyleChannels
from tfpix2pix.models.noise import NO_NOISE, GaussianChannel
from tfpix2pix.models.norms import normalize_per_image
from tfpix2pix.models.resnet import build_resnet
from tfpix2pix.models.unet import build_encoder_decoder, build_unet
from tfpix2pix.runs.networks import build_generator

DIMENSIONS, CHANNELS, FILTERS = 8, 64, 64
ROUNDING = {build_local_enhancer: 5e-5}  # of norms over the 2×2 pixels inside it; 1e-5 of all others
KINDS = (Modulation, StyleChannels)
BUILDS = [build_unet, build_encoder_decoder, build_resnet, build_local_enhancer]


def styles(rng, count, dimensions=DIMENSIONS):
    return rng.random((count, dimensions), np.float32)


def change_of(maps, border_px=0):
    """The change of a map (N, H, W, C) by another z, relative to the map, root mean square. Neighbours are a pair."""
    inside = slice(border_px, -border_px or None)
    ones, others = (maps[start::2, inside, inside] for start in (0, 1))
    return np.sqrt(np.mean(np.square(ones - others)) / np.mean(np.square(ones)))


class TestWhatANormLeaves:
    """Twenty pairs of styles for twenty maps of 32 px, through a random 4×4 convolution of stride 2."""

    @pytest.fixture(scope="class")
    def drawn(self):
        rng = np.random.default_rng(0)
        x = np.repeat(rng.normal(size=(20, 32, 32, CHANNELS)).astype(np.float32), 2, axis=0)
        kernel = rng.normal(0, 0.02, (4, 4, CHANNELS + DIMENSIONS, FILTERS)).astype(np.float32)
        return x, rng.normal(size=(40, DIMENSIONS)).astype(np.float32), kernel

    @staticmethod
    def normalized(x):
        return normalize_per_image(x, tf.ones(FILTERS), tf.zeros(FILTERS)).numpy()

    def test_of_a_z_beside_the_input_nearly_nothing(self, drawn):
        x, z, kernel = drawn
        maps = tf.nn.conv2d(StyleChannels(DIMENSIONS)(x, z), kernel, 2, "SAME").numpy()
        normalized = self.normalized(maps)
        changes = change_of(maps), change_of(normalized), change_of(normalized, border_px=1)
        assert changes == pytest.approx((0.414, 0.111, 0.034), abs=0.002)

    def test_of_a_z_after_it_everything(self, drawn):
        x, z, kernel = drawn
        maps = self.normalized(tf.nn.conv2d(x, kernel[:, :, :CHANNELS], 2, "SAME"))
        modulated = Modulation(DIMENSIONS, keras.initializers.RandomNormal(stddev=0.08, seed=0))(maps, z).numpy()
        changes = change_of(maps), change_of(modulated), change_of(modulated, border_px=1)
        assert changes == pytest.approx((0, 0.402, 0.397), abs=0.002)


class TestTheLayers:
    def test_normals_are_those_of_the_gaussian_channel(self, rng):
        noise = styles(rng, 3)
        channel = GaussianChannel(0, (2, 4, 1))(np.zeros((3, 2, 4, 1), np.float32), noise)[..., 1]
        np.testing.assert_array_equal(Normals()(noise), tf.reshape(channel, (3, DIMENSIONS)))

    def test_no_noise_is_the_mean_style(self):
        np.testing.assert_array_equal(Normals()(np.full((2, 4), NO_NOISE, np.float32)), np.zeros((2, 4)))

    def test_each_image_is_scaled_and_shifted_by_its_own_style(self, rng):
        x, z = rng.normal(size=(2, 3, 5, 4)).astype(np.float32), rng.normal(size=(2, DIMENSIONS)).astype(np.float32)
        layer = Modulation(DIMENSIONS, "random_normal")
        y = layer(x, z)
        scale, offset = np.split((z @ layer.kernel.numpy())[:, None, None], 2, axis=-1)
        np.testing.assert_allclose(y, x * (1 + scale) + offset, rtol=1e-5, atol=1e-6)

    def test_the_mean_style_and_none_change_nothing(self, rng):
        x = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
        layer = Modulation(DIMENSIONS, "random_normal")
        np.testing.assert_array_equal(layer(x, np.zeros((2, DIMENSIONS), np.float32)), x)
        np.testing.assert_array_equal(layer(x), x)

    def test_a_style_beside_a_map_is_the_same_everywhere(self, rng):
        x, z = rng.normal(size=(2, 3, 5, 4)).astype(np.float32), rng.normal(size=(2, 6)).astype(np.float32)
        layer = StyleChannels(6)
        np.testing.assert_array_equal(layer(x, z)[..., :4], x)
        np.testing.assert_array_equal(layer(x, z)[..., 4:], np.broadcast_to(z[:, None, None], (2, 3, 5, 6)))
        np.testing.assert_array_equal(layer(x), layer(x, np.zeros_like(z)))


class TestWhereItEnters:
    def places(self, build, **options):
        model = build(32, base_filters=2, noise="modulation", **options)
        named = {kind: [layer.name for layer in model.layers if isinstance(layer, kind)] for kind in KINDS}
        norms = [layer.name for layer in model.layers if layer.name.endswith("_norm")]
        return norms, named[Modulation], named[StyleChannels]

    @pytest.mark.parametrize("norm", ["batch", "instance"])
    @pytest.mark.parametrize("build", BUILDS)
    def test_after_every_norm(self, build, norm):
        norms, modulated, _ = self.places(build, norm=norm)
        assert modulated == [name.replace("_norm", "_style") for name in norms]

    @pytest.mark.parametrize("build", BUILDS)
    def test_in_the_same_places_without_norms(self, build):
        norms, *places = self.places(build, norm="none")
        assert norms == []
        assert places == list(self.places(build)[1:])

    def test_beside_the_input_where_a_u_net_has_no_norm(self):
        assert self.places(build_unet)[2] == ["down1_z", "down5_z"]
        assert self.places(build_unet, bottleneck_norm=True)[2] == ["down1_z"]

    @pytest.mark.parametrize("build", [build_resnet, build_local_enhancer])
    def test_never_there_in_residual_networks_which_have_norms_everywhere(self, build):
        assert self.places(build)[2] == []


@pytest.mark.parametrize("build", BUILDS)
class TestNetworks:
    def networks(self, build, *noise_inputs, **options):
        return [build(32, base_filters=4, noise="modulation", noise_input=given, **options) for given in noise_inputs]

    def test_a_style_is_an_input_of_its_own_of_every_image(self, build, rng):
        model, off = self.networks(build, True, False, input_size_px="any")
        image = np.repeat(rng.uniform(-1, 1, (1, 40, 36, 3)).astype(np.float32), 3, axis=0)
        noise = styles(rng, 2)[[0, 1, 0]]
        one, other, again = model([image, noise]).numpy()
        np.testing.assert_array_equal(model([image, noise])[0], one)
        np.testing.assert_allclose(again, one, atol=ROUNDING.get(build, 1e-5))  # its rows are summed in other blocks
        assert np.abs(one - other).mean() > 0.05 * one.std()
        np.testing.assert_allclose(
            model([image[:1], noise[:1]])[0], one, atol=ROUNDING.get(build, 1e-5)
        )  # whatever its neighbours
        np.testing.assert_allclose(
            model([image, np.full_like(noise, NO_NOISE)]), off(image), atol=ROUNDING.get(build, 1e-5)
        )

    def test_weights_are_the_same_without_its_input(self, build):
        model, off = self.networks(build, True, False)
        assert model.inputs[1].shape == (None, DIMENSIONS)
        for one, other in zip(model.variables, off.variables, strict=True):
            assert one.path == other.path
            np.testing.assert_array_equal(one, other)

    def test_every_modulation_learns(self, build, rng):
        (model,) = self.networks(build, True)
        kernels = [layer.kernel for layer in model.layers if isinstance(layer, Modulation)]
        with tf.GradientTape() as tape:
            y = model([rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32), styles(rng, 2)], training=True)
            loss = tf.reduce_mean(tf.square(y - 0.5))
        for kernel, gradient in zip(kernels, tape.gradient(loss, [k.value for k in kernels]), strict=True):
            scale, offset = np.split(np.abs(gradient).max(axis=0), 2)
            assert scale.max() > 0 and offset.max() > 0, kernel.path


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_style_stays_float32(precision):
    """In 16 bits a value just below 1 would be 1, which is the mean style."""
    generator = build_generator(tiny_config(generator={"noise": "modulation"}), seed=0, precision=precision)
    assert {layer.compute_dtype for layer in generator.layers if isinstance(layer, layers.Conv2D)} == {precision}
    image, off = np.zeros((1, 32, 32, 3), np.float32), np.full((1, DIMENSIONS), NO_NOISE, np.float32)
    below = np.nextafter(off, 0, dtype=np.float32)
    assert generator.get_layer("z")(below).dtype == tf.float32
    assert (generator([image, below]).numpy() != generator([image, off]).numpy()).any()


@pytest.mark.parametrize(("dimensions", "use"), [(3, 4), (1, 2), (0, 2), (-2, 2)])
def test_an_odd_number_of_normals_is_refused(dimensions, use):
    with pytest.raises(ValueError, match=f"must be an even number of 2 or more. Received {dimensions}. Use {use}"):
        build_unet(32, base_filters=2, noise="modulation", noise_dimensions=dimensions)
    with pytest.raises(ValueError, match="noise_dimensions"):
        tiny_config(generator={"noise_dimensions": dimensions})
