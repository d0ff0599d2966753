"""Input and target always move together; every operation is the same eagerly and inside tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.config import DataConfig
from tfpix2pix.data import transforms


def run_both(function, *tensors):
    """The result of a function eagerly, after checking that tf.data gives the same."""
    eager = function(*tensors)
    in_graph = next(iter(tf.data.Dataset.from_tensors(tensors).map(function)))
    for a, b in zip(tf.nest.flatten(eager), tf.nest.flatten(in_graph), strict=True):
        np.testing.assert_array_equal(a, b)
    return eager


def coordinates(height, width):
    """An image that says in each pixel where it came from."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([rows, columns], axis=-1).astype(np.float32)


@pytest.mark.parametrize("index", range(20))
def test_crop_and_mirror_move_both_halves_to_the_pixel(index):
    image = coordinates(40, 50)
    key = rng.at(rng.stream(0, "augmentation"), index)

    def both(x, y):
        return transforms.random_mirror(transforms.random_crop((x, y), 32, rng.at(key, 0)), rng.at(key, 1))

    a, b = run_both(both, image, image)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (32, 32, 2)
    rows, columns = a[..., 0].numpy(), a[..., 1].numpy()
    assert (np.diff(rows, axis=0) == 1).all()
    assert (np.abs(np.diff(columns, axis=1)) == 1).all()


def test_every_place_and_both_orientations_occur():
    image = coordinates(34, 34)
    corners, mirrored = set(), set()
    for index in range(200):
        key = rng.at(rng.stream(1, "x"), index)
        a, _ = transforms.random_crop((image, image), 32, rng.at(key, 0))
        corners.add((int(a[0, 0, 0]), int(a[0, 0, 1])))
        m, _ = transforms.random_mirror((image, image), rng.at(key, 1))
        mirrored.add(float(m[0, 0, 1]))
    assert corners == {(y, x) for y in range(3) for x in range(3)}
    assert mirrored == {0.0, 33.0}


def test_jitter_enlarges_before_it_crops():
    config = DataConfig(image_size_px=32, jitter_ratio=2, mirror=False)
    image = coordinates(32, 32)
    a, b = run_both(lambda x, y: transforms.for_training((x, y), config, rng.stream(0, "x")), image, image)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (32, 32, 2)
    assert np.diff(a[4:-4, 16, 0]).mean() == pytest.approx(0.5, abs=0.02)  # twice as large


def test_resize_is_the_antialiased_mean_where_it_halves():
    image = np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    (a, b) = run_both(lambda x, y: transforms.resize((x, y), 16), image, image)
    np.testing.assert_array_equal(a, b)
    assert np.std(a) < 0.5 * np.std(image)  # no aliasing: noise averages out
    assert np.mean(a) == pytest.approx(np.mean(image), abs=0.02)


def test_evaluation_is_not_random():
    config = DataConfig(image_size_px=32, fit="crop")
    a, _ = run_both(lambda x, y: transforms.for_evaluation((x, y), config), coordinates(40, 50), coordinates(40, 50))
    np.testing.assert_array_equal(a, coordinates(40, 50)[4:36, 9:41])
