"""The preset `tutorial` against the tutorial's networks, written out in plain Keras layers: the same function."""

import numpy as np
import pytest
from keras import Model, layers

from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.runs.networks import build_discriminator, build_generator

SIZE, FILTERS = 32, 4


def down(filters, norm=True):
    parts = [layers.Conv2D(filters, 4, 2, "same", use_bias=False)]
    return [*parts, *([layers.BatchNormalization()] if norm else []), layers.LeakyReLU(0.3)]


def run(parts, x):
    for part in parts:
        x = part(x)
    return x


def generator():
    x = image = layers.Input((SIZE, SIZE, 3))
    skips = []
    for level, factor in enumerate((1, 2, 4, 8, 8)):  # 32 px -> 1 px
        x = run(down(FILTERS * factor, norm=level > 0), x)
        skips.append(x)
    for factor, skip in zip((8, 4, 2, 1), reversed(skips[:-1]), strict=True):
        enlarge = layers.Conv2DTranspose(FILTERS * factor, 4, 2, "same", use_bias=False)
        x = run([enlarge, layers.BatchNormalization(), layers.ReLU()], x)
        x = layers.Concatenate()([x, skip])
    return Model(image, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x))


def discriminator():
    image, target = layers.Input((SIZE, SIZE, 3)), layers.Input((SIZE, SIZE, 3))
    x = run(down(FILTERS, norm=False), layers.Concatenate()([image, target]))
    last = [layers.ZeroPadding2D(), layers.Conv2D(2 * FILTERS, 4, use_bias=False), layers.BatchNormalization()]
    x = run([*last, layers.LeakyReLU(0.3), layers.ZeroPadding2D(), layers.Conv2D(1, 4)], x)
    return Model([image, target], x)


@pytest.fixture(scope="module")
def config():
    small = [
        f"data.image_size_px={SIZE}", f"generator.base_filters={FILTERS}", f"discriminator.base_filters={FILTERS}",
        "discriminator.receptive_field_px=16",
    ]  # fmt: skip
    return resolve_config("tutorial", small)


def test_the_generator_is_the_tutorials(config):
    """Without dropout, whose masks the two draw differently; in training mode, as the tutorial tests."""
    ours, theirs = build_generator(config, seed=0, noise_input=False), generator()
    theirs.set_weights(ours.get_weights())
    image = np.random.default_rng(0).uniform(-1, 1, (1, SIZE, SIZE, 3)).astype(np.float32)
    expected = theirs(image, training=True)
    np.testing.assert_allclose(ours(image, training=True), expected, atol=1e-5)
    np.testing.assert_allclose(ours(image, training=False), expected, atol=1e-5)  # image statistics: the same here


def test_the_discriminator_is_the_tutorials(config):
    ours, theirs = build_discriminator(config, seed=0), discriminator()
    theirs.set_weights(ours.get_weights())
    pair = list(np.random.default_rng(0).uniform(-1, 1, (2, 1, SIZE, SIZE, 3)).astype(np.float32))
    np.testing.assert_allclose(ours(pair, training=True), theirs(pair, training=True), atol=1e-5)


def test_the_step_is_the_tutorials(config):
    assert config.training.update_order == "simultaneous"
    assert config.objective.discriminator_factor == 1
    assert config.inference.noise == "on"
