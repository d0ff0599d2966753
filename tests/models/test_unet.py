"""The generator against the paper's numbers and the traps of its relatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix.models.blocks import LEAKY_SLOPE, NO_NOISE, BatchNormalization, NoiseDropout
from tfpix2pix.models.unet import build_encoder_decoder, build_unet


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_golden_parameter_count():
    assert parameters(build_unet(256, seed=None)) == 54_413_955


def test_the_layers_of_the_paper():
    model = build_unet(256, seed=None)
    downs = [model.get_layer(f"down{level}") for level in range(1, 9)]
    ups = [model.get_layer(f"up{level}") for level in range(8, 0, -1)]
    assert [layer.filters for layer in downs] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.filters for layer in ups] == [512, 512, 512, 512, 256, 128, 64, 3]
    for layer in downs + ups:
        assert (layer.kernel_size, layer.strides) == ((4, 4), (2, 2))
    assert [layer.name for layer in model.layers if isinstance(layer, NoiseDropout)] == [
        "up8_dropout", "up7_dropout", "up6_dropout",
    ]  # fmt: skip
    assert model.get_layer("down8").output.shape == (None, 1, 1, 512)
    assert model.output.shape == (None, 256, 256, 3)


def test_no_norm_on_the_first_layer_the_bottleneck_and_the_last():
    """Normalising a 1×1 map at batch 1 would zero it (the paper's erratum)."""
    names = {layer.name for layer in build_unet(256, seed=None).layers if isinstance(layer, BatchNormalization)}
    assert names == {*(f"down{level}_norm" for level in range(2, 8)), *(f"up{level}_norm" for level in range(2, 9))}


def test_every_leaky_relu_has_slope_one_fifth():
    slopes = [layer.negative_slope for layer in build_unet(64).layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert len(slopes) == 5
    assert set(slopes) == {LEAKY_SLOPE} == {0.2}


@pytest.mark.parametrize("size", [4, 32, 96, 128, 320])
def test_sizes_and_channels(size):
    model = build_unet(size, base_filters=4, input_channels=1, output_channels=5)
    noise = np.random.default_rng(0).random((2, model.inputs[1].shape[-1]), np.float32)
    out = model([np.zeros((2, size, size, 1), np.float32), noise])
    assert out.shape == (2, size, size, 5)
    assert np.abs(out).max() <= 1


def test_initial_weights_depend_on_seed_and_name_alone():
    first, again, other = (build_unet(32, base_filters=8, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(first.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = first.get_layer("down3").kernel.numpy()
    assert not np.array_equal(kernel, other.get_layer("down3").kernel)
    assert not np.array_equal(kernel, first.get_layer("down4").kernel[..., : kernel.shape[-2], : kernel.shape[-1]])
    assert np.std(kernel) == pytest.approx(0.02, rel=0.05)
    gamma = first.get_layer("down3_norm").gamma.numpy()
    assert gamma.mean() == pytest.approx(1, abs=0.02)
    assert 0 < gamma.std() < 0.05


def test_names_of_the_variables_are_a_contract():
    """Checkpoints are keyed by them."""
    names = {v.path for v in build_unet(16, base_filters=4).variables}
    norms = {
        f"{layer}_norm/{part}"
        for layer in ("down2", "down3", "up4", "up3", "up2")
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    kernels = {f"{side}{level}/kernel" for side in ("down", "up") for level in range(1, 5)}
    assert names == norms | kernels | {"up1/bias"}


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_images_do_not_depend_on_their_neighbours(norm):
    model = build_unet(32, base_filters=8, norm=norm, noise="off")
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    together = model(images).numpy()
    alone = np.concatenate([model(image[None]).numpy() for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_per_image_inference_is_training_at_batch_one():
    """Keras's own inference mode differs by far (moving averages): the field's 'test is worse than train'."""
    model = build_unet(32, base_filters=8, dropout_rate=0)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(model(image, training=False), model(image, training=True), atol=1e-5)
    moving = build_unet(32, base_filters=8, dropout_rate=0, statistics="moving")
    assert np.abs(moving(image, training=False) - model(image)).max() > 0.01


def test_per_image_statistics_equal_keras_instance_normalisation():
    x = tf.random.normal((3, 7, 5, 4), 2.0, 3.0, seed=0)
    ours = BatchNormalization("image")
    theirs = keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)
    np.testing.assert_allclose(ours(x, training=False), theirs(x), atol=1e-5)


def test_training_updates_moving_averages_by_a_tenth():
    x = np.random.default_rng(0).normal(5, 2, (8, 4, 4, 3)).astype(np.float32)
    layer = BatchNormalization("moving")
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-4)


def test_the_ablation_has_no_skip_connections():
    """Without concatenation each decoder layer takes half as many channels; the layer names stay."""
    plain, unet = (build(64, base_filters=4) for build in (build_encoder_decoder, build_unet))
    assert not [layer for layer in plain.layers if isinstance(layer, keras.layers.Concatenate)]
    assert plain.get_layer("up2").kernel.shape[-1] * 2 == unet.get_layer("up2").kernel.shape[-1]
    assert {v.path for v in plain.variables} == {v.path for v in unet.variables}


class TestNoise:
    def dropped(self, noise, size=(2, 2), rate=0.25):
        layer = NoiseDropout(rate, offset=1, shape=(2, 2, 1))
        return layer(np.ones((1, *size, 1), np.float32), np.array([noise], np.float32)).numpy()[0, ..., 0]

    def test_units_below_the_rate_are_dropped_and_the_rest_scaled(self):
        np.testing.assert_allclose(self.dropped([9, 0.1, 0.25, 0.9, 0.24]), [[0, 4 / 3], [4 / 3, 0]])

    def test_no_noise_switches_dropout_off(self):
        np.testing.assert_array_equal(self.dropped([NO_NOISE] * 5), np.ones((2, 2)))

    def test_larger_maps_repeat_the_mask(self):
        small = self.dropped([9, 0.1, 0.25, 0.9, 0.24])
        large = self.dropped([9, 0.1, 0.25, 0.9, 0.24], size=(5, 3))
        np.testing.assert_array_equal(large, np.tile(small, (3, 2))[:5, :3])

    def test_the_mean_is_kept(self):
        model = build_unet(32, base_filters=8)
        layer = model.get_layer("up4_dropout")
        noise = np.random.default_rng(0).random((400, model.inputs[1].shape[-1]), np.float32)
        out = layer(np.ones((400, *layer.shape), np.float32), noise)
        assert np.mean(out) == pytest.approx(1, abs=0.01)

    def test_each_layer_reads_its_own_part_of_the_vector(self):
        model = build_unet(32, base_filters=8)
        layers = [layer for layer in model.layers if isinstance(layer, NoiseDropout)]
        ends = [layer.offset + int(np.prod(layer.shape)) for layer in layers]
        assert [layer.offset for layer in layers] == [0, *ends[:-1]]
        assert ends[-1] == model.inputs[1].shape[-1]

    def test_other_noise_another_image(self):
        model = build_unet(32, base_filters=8)
        rng = np.random.default_rng(0)
        image = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
        a, b = (rng.random((1, model.inputs[1].shape[-1]), np.float32) for _ in range(2))
        np.testing.assert_array_equal(model([image, a]), model([image, a]))
        assert np.abs(model([image, a]) - model([image, b])).max() > 1e-4


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be a multiple of 16 for a U-Net of 4 levels. Received 40. Use 32 or 48"):
        build_unet(40, levels=4)
