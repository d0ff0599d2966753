"""z: the same vector, the same image; off by one value; dropout or a Gaussian channel."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfpix2pix.models.noise import NO_NOISE, GaussianChannel, NoiseDropout, no_noise
from tfpix2pix.models.resnet import MAX_DROPPED_PX, build_resnet
from tfpix2pix.models.unet import build_unet


class TestDropout:
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

    def test_the_resnets_mask_repeats_on_large_maps(self):
        shapes = {layer.shape for layer in build_resnet(128, base_filters=2).layers if isinstance(layer, NoiseDropout)}
        assert shapes == {(MAX_DROPPED_PX, MAX_DROPPED_PX, 8)}


class TestGaussian:
    def channel(self, noise, size=(8, 8)):
        x = np.zeros((len(noise), *size, 3), np.float32)
        out = GaussianChannel(0, (8, 8, 1))(x, noise).numpy()
        np.testing.assert_array_equal(out[..., :3], x)
        return out[..., 3]

    def test_is_standard_normal(self):
        z = self.channel(np.random.default_rng(0).random((500, 64), np.float32))
        assert stats.kstest(z.ravel(), "norm").pvalue > 0.01
        assert abs(np.corrcoef(z.reshape(500, 64).T)[np.triu_indices(64, 1)]).max() < 0.25  # pairs are independent

    def test_no_noise_is_its_mean(self):
        np.testing.assert_array_equal(self.channel(np.full((1, 64), NO_NOISE, np.float32)), np.zeros((1, 8, 8)))

    def test_extreme_draws_are_finite(self):
        largest = np.nextafter(np.float32(1), np.float32(0))
        assert np.isfinite(self.channel(np.array([[largest] * 64, [0] * 64], np.float32))).all()

    def test_larger_maps_repeat_it(self):
        noise = np.random.default_rng(0).random((1, 64), np.float32)
        small, large = self.channel(noise)[0], self.channel(noise, size=(10, 16))[0]
        np.testing.assert_array_equal(large, np.tile(small, (2, 2))[:10])

    @pytest.mark.parametrize("build", [build_unet, build_resnet])
    def test_networks_use_it_and_hold_their_weights_without_its_input(self, build):
        model, off = (build(32, base_filters=4, noise="gaussian", noise_input=given) for given in (True, False))
        for a, b in zip(model.variables, off.variables, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not [layer for layer in model.layers if isinstance(layer, NoiseDropout)]
        x = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
        size = model.inputs[1].shape[-1]
        assert size == 32 * 32
        np.testing.assert_allclose(model([x, np.full((1, size), NO_NOISE, np.float32)]), off(x), atol=1e-6)
        noise = np.random.default_rng(1).random((1, size), np.float32)
        assert np.abs(model([x, noise]) - off(x)).max() > 1e-5


def test_none_has_no_input():
    assert len(build_unet(32, base_filters=4, noise="none").inputs) == 1
    assert len(build_unet(32, base_filters=4, dropout_rate=0).inputs) == 1


def test_no_noise_is_an_array_or_a_tensor_as_its_count_is():
    array, tensor = no_noise(2, 3), no_noise(tf.constant(2), 3, tf.float16)
    assert (array.dtype, tensor.dtype) == (np.float32, tf.float16)
    np.testing.assert_array_equal(array, np.full((2, 3), NO_NOISE))
    np.testing.assert_array_equal(tensor, array)
