"""Scalars that modulate: taken out of the input inside the graph, and used after every norm and beside the input of
convolutions without one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tests.models.test_modulation import BUILDS
from tfpix2pix.errors import UserError
from tfpix2pix.inference.seams import WholeTiler
from tfpix2pix.inference.tiling import joined
from tfpix2pix.models.enhancer import at_own_size, build_coarse, build_local_enhancer
from tfpix2pix.models.modulation import Modulation, StyleChannels
from tfpix2pix.models.recompute import recomputing
from tfpix2pix.models.resnet import build_resnet
from tfpix2pix.models.scalars import ScalarMeans, WithoutScalars
from tfpix2pix.models.unet import build_unet
from tfpix2pix.runs.networks import build_generator

BORDER_PX = 8
RESIDUAL = [build_resnet, build_local_enhancer]
FEW = {build_resnet: {"residual_blocks": 1}, build_local_enhancer: {"residual_blocks": 1, "enhancer_blocks": 1}}
DATA = {
    "source": "folders",
    "inputs": [{"name": "height", "channels": 1}, {"name": "wind", "kind": "scalar", "range": [0, 25]}],
}


def with_scalar(value, rng, side=48):
    """A picture of two channels around a channel of one value."""
    picture = rng.uniform(-1, 1, (1, side, side, 2)).astype(np.float32)
    return np.concatenate([picture[..., :1], np.full_like(picture[..., :1], value), picture[..., 1:]], axis=-1)


def change(generator):
    """The change of the translation, away from its borders, by a scalar of 1 in place of -1, relative to it."""
    inside = slice(BORDER_PX, -BORDER_PX)
    low, high = (
        generator(with_scalar(value, np.random.default_rng(0))).numpy()[:, inside, inside] for value in (-1, 1)
    )
    return np.sqrt(np.mean(np.square(high - low)) / np.mean(np.square(low)))


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("build", RESIDUAL)
def test_a_scalar_reaches_the_translation_as_modulation_alone(build, norm):
    """Every convolution of a residual network has a norm, which subtracts what a channel of one value adds."""
    options = {"base_filters": 8, "norm": norm, "noise": "none", **FEW[build]}
    seen, modulating = (build(48, scalar_channels=channels, **options) for channels in ((), (1,)))
    assert change(seen) < 1e-3
    assert change(modulating) > 0.1


def test_a_u_net_sees_it_beside_the_input_of_its_first_layer_too():
    """Its first layer has no norm, so that a channel is not lost there."""
    options = {"base_filters": 8, "norm": "instance", "noise": "none"}
    assert change(build_unet(48, **options)) > 0.1
    assert change(build_unet(48, scalar_channels=(1,), **options)) > 0.1


class TestTheLayers:
    @pytest.mark.parametrize("channels", [(0,), (3,), (1, 2), (0, 3), (2, 0)])
    def test_they_part_scalars_from_pictures(self, rng, channels):
        x = rng.normal(size=(2, 5, 3, 4)).astype(np.float32)
        others = [channel for channel in range(4) if channel not in channels]
        np.testing.assert_array_equal(WithoutScalars(channels)(x), x[..., others])
        means = [[x[image, :, :, channel].mean() for channel in channels] for image in range(2)]
        np.testing.assert_allclose(ScalarMeans(channels)(x), means, atol=1e-6)

    def test_a_mean_in_sixteen_bits_is_the_number(self):
        x = tf.fill((1, 512, 512, 1), tf.cast(0.30078125, tf.bfloat16))
        assert ScalarMeans((0,))(x).numpy() == pytest.approx(0.30078125, abs=1e-6)


@pytest.mark.parametrize("noise", ["none", "modulation"])
@pytest.mark.parametrize("build", BUILDS)
def test_it_modulates_after_every_norm_alone_and_beside_z(build, noise):
    model = build(32, base_filters=2, noise=noise, scalar_channels=(1,), **FEW.get(build, {}))
    norms = [layer.name.removesuffix("_norm") for layer in model.layers if layer.name.endswith("_norm")]
    by_scalars = [
        layer for layer in model.layers if layer.name.endswith("_scalars") and layer.name != "without_scalars"
    ]
    assert [layer.name for layer in by_scalars if isinstance(layer, Modulation)] == [f"{n}_scalars" for n in norms]
    beside = [layer.name for layer in by_scalars if isinstance(layer, StyleChannels)]
    assert beside == ([] if build in RESIDUAL else ["down1_scalars", "down5_scalars"])
    styles = [layer.name for layer in model.layers if layer.name.endswith("_style")]
    assert styles == ([f"{name}_style" for name in norms] if noise == "modulation" else [])


@pytest.mark.parametrize("build", BUILDS)
def test_every_modulation_learns(build, rng):
    model = build(32, base_filters=4, noise="none", scalar_channels=(1,), **FEW.get(build, {}))
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, Modulation)]
    with tf.GradientTape() as tape:
        y = model(with_scalar(0.6, rng, 32), training=True)
        loss = tf.reduce_mean(tf.square(y - 0.5))
    for kernel, gradient in zip(kernels, tape.gradient(loss, [k.value for k in kernels]), strict=True):
        scale, offset = np.split(np.abs(gradient).max(axis=0), 2)
        assert scale.max() > 0 and offset.max() > 0, kernel.path


def test_the_middle_of_the_range_changes_no_normalised_map(rng):
    """A modulation has no bias: 0 is the network without scalars."""
    options = {"base_filters": 4, "noise": "none", "residual_blocks": 1}
    modulating, without = (
        build_resnet(32, scalar_channels=(1,), **options),
        build_resnet(32, input_channels=2, **options),
    )
    image = with_scalar(0.0, rng, 32)
    np.testing.assert_allclose(modulating(image), without(image[..., [0, 2]]), atol=1e-5)


class TestConfigured:
    @staticmethod
    def config(**generator):
        return tiny_config(data=DATA, generator={"scalars": "modulation", "base_filters": 4, **generator})

    def test_the_generator_takes_the_channels_that_are_scalars(self):
        data = {"source": "folders", "inputs": [{"name": "labels", "classes": 5}, *DATA["inputs"]]}
        config = tiny_config(data=data, generator={"scalars": "modulation"})
        generator = build_generator(config, seed=0)
        assert generator.input_shape[0][-1] == 7
        assert generator.get_layer("scalars").channels == (6,)
        assert generator.get_layer("without_scalars").output.shape[-1] == 6
        assert not any(
            isinstance(layer, ScalarMeans) for layer in build_generator(tiny_config(data=data), seed=0).layers
        )

    def test_it_is_refused_without_scalars(self):
        with pytest.raises((UserError, ValueError), match="`generator.scalars` must be channels .* without a scalar"):
            tiny_config(generator={"scalars": "modulation"})

    @pytest.mark.parametrize(
        "generator",
        [{"noise": "dropout"}, {"kind": "resnet", "residual_blocks": 1, "norm": "instance", "noise": "modulation"}],
    )
    def test_tiles_are_parts_of_the_whole_image(self, generator, rng):
        """The inner part of the network sees no image, so it gets the scalars beside its maps."""
        config = self.config(**generator)
        built = build_generator(config, seed=0, input_size_px="any", noise_input=False)
        tiler = WholeTiler(built, config.data.encoding)
        image = np.concatenate([rng.uniform(-1, 1, (80, 112, 1)), np.full((80, 112, 1), 0.7)], -1).astype(np.float32)
        tiled, whole = joined(tiler.bands(image, None, 64, 32), len(image)), built(image[np.newaxis]).numpy()[0]
        other = built(np.dstack([image[..., :1], -image[..., 1:]])[np.newaxis]).numpy()[0]
        assert np.abs(tiled - whole).mean() < 0.05 * np.abs(other - whole).mean()

    @pytest.mark.parametrize(
        ("generator", "levels"), [({"levels": 4}, 2), ({"kind": "resnet", "residual_blocks": 1}, 1)]
    )
    def test_recomputed_levels_change_no_gradient(self, generator, levels, rng):
        built = build_generator(self.config(**generator), seed=0, noise_input=False)
        image = np.concatenate([rng.uniform(-1, 1, (1, 32, 32, 1)), np.full((1, 32, 32, 1), 0.7)], -1)
        gradients = []
        for call in (built, recomputing(built, levels)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(call(tf.constant(image, tf.float32), training=True) - 0.5))
            gradients.append(tape.gradient(loss, [v.value for v in built.trainable_variables]))
        for one, other in zip(*gradients, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)

    def test_they_stay_float32_in_a_network_of_sixteen_bits(self, rng):
        built = build_generator(self.config(), seed=0, precision="bfloat16", noise_input=False)
        image = np.concatenate([rng.uniform(-1, 1, (1, 32, 32, 1)), np.full((1, 32, 32, 1), 0.3)], -1)
        assert built.get_layer("scalars")(tf.constant(image[..., :2], tf.float32)).dtype == tf.float32
        assert np.isfinite(built(image.astype(np.float32))).all()


def test_the_coarse_network_has_the_modulations_of_the_one_around_it(rng):
    options = {"base_filters": 2, "residual_blocks": 1, "enhancer_blocks": 1, "noise": "none", "scalar_channels": (1,)}
    coarse, whole = build_coarse(64, **options), build_local_enhancer(64, **options)
    ours, theirs = (
        {layer.name: layer.kernel.shape for layer in model.layers if isinstance(layer, Modulation)}
        for model in (coarse, whole)
    )
    assert ours.items() < theirs.items()
    small, image = at_own_size(coarse), with_scalar(0.4, rng, 32)
    assert np.abs(small([image]) - small([with_scalar(-0.4, np.random.default_rng(0), 32)])).max() > 1e-3
