"""A style z that no norm takes away: scale and offset after each norm, channels beside the input where there is none."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.conftest import tiny_config
from tfpix2pix.models.modulation import Modulation, Normals, StyleChannels
from tfpix2pix.models.noise import NO_NOISE, GaussianChannel
from tfpix2pix.models.norms import normalize_per_image
from tfpix2pix.models.resnet import build_resnet
from tfpix2pix.models.unet import build_encoder_decoder, build_unet
from tfpix2pix.runs.networks import build_generator

DIMENSIONS, CHANNELS, FILTERS = 8, 64, 64
BUILDS = [build_unet, build_encoder_decoder, build_resnet]


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
