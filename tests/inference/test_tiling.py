"""Padding by reflection and blending of tiles."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpix2pix.data.images import reflected_indices
from tfpix2pix.data.ranges import from_signed, to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.inference.tiling import translate_tiles


@given(length=st.integers(1, 40), more=st.integers(0, 200))
def test_reflection_is_numpys(length, more):
    total = length + more
    line = np.arange(length)
    twin = np.pad(line, (more // 2, more - more // 2), mode="reflect")
    np.testing.assert_array_equal(line[reflected_indices(length, total)], twin)
    in_graph = reflected_indices(tf.constant(length), tf.constant(total), tf.range, tf.minimum, tf.maximum)
    np.testing.assert_array_equal(in_graph, reflected_indices(length, total))


@settings(max_examples=40)
@given(height=st.integers(1, 90), width=st.integers(1, 90), overlap=st.integers(0, 12))
def test_a_local_operation_is_the_same_in_tiles(height, width, overlap):
    image = np.random.default_rng(height * 91 + width).uniform(-1, 1, (height, width, 2)).astype(np.float32)
    result = translate_tiles(lambda tile: tile[..., :1] * 0.5, image, 32, overlap)
    np.testing.assert_allclose(result, image[..., :1] * 0.5, atol=1e-6)


def test_every_tile_has_the_size_and_seams_are_blended():
    shapes, values = set(), iter(np.linspace(-1, 1, 100))

    def run(tile):
        shapes.add(tile.shape)
        return np.full_like(tile, next(values))

    result = translate_tiles(run, np.zeros((32, 100, 1), np.float32), 32, 8)
    assert shapes == {(1, 32, 32, 1)}
    assert np.abs(np.diff(result[16, :, 0])).max() < 0.02  # constants that differ by 0.02 join by a ramp
    assert result.std() > 0


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (33, 32)])
def test_small_and_long_images(shape):
    image = np.random.default_rng(0).uniform(-1, 1, (*shape, 3)).astype(np.float32)
    np.testing.assert_allclose(translate_tiles(lambda tile: tile, image, 32, 8), image, atol=1e-6)


def test_eight_bits_in_and_out_need_no_floats_of_the_whole_image():
    image = np.random.default_rng(0).integers(0, 256, (3000, 2000, 3), np.uint8)
    tracemalloc.start()
    result = translate_tiles(lambda tile: tile, image, 512, 64, encode=to_signed, decode=from_signed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(result, image)
    band = 512 * 2000 * 3 * 4
    assert peak < image.nbytes + 4 * band  # in floats the image alone would be 72 MB


def test_of_classes_the_deepest_tile_decides():
    values = iter(range(100))
    result = translate_tiles(
        lambda tile: np.full_like(tile, next(values)), np.zeros((32, 80, 1), np.float32), 32, 8, blend=False
    )
    assert set(np.unique(result)) == {0, 1, 2}
    np.testing.assert_array_equal(np.flatnonzero(np.diff(result[0, :, 0])), [27, 51])  # in the middle of the overlaps


@pytest.mark.parametrize("size", [(16, 80), (80, 16), (8, 200)])
@pytest.mark.parametrize("shape", [(100, 100), (10, 300), (5, 5)])
def test_tiles_that_are_not_square_overlap_by_an_eighth_of_each_side(size, shape):
    shapes, image = set(), np.random.default_rng(0).uniform(-1, 1, (*shape, 2)).astype(np.float32)

    def run(tile):
        shapes.add(tile.shape[1:3])
        return tile

    np.testing.assert_allclose(translate_tiles(run, image, size), image, atol=1e-6)
    assert shapes == {size}


def test_the_overlap_is_at_most_half_of_the_shorter_side_that_is_cut():
    image = np.zeros((40, 300, 1), np.float32)
    with pytest.raises(UserError, match="by half their side at most. Received 9 px of 16"):
        translate_tiles(lambda tile: tile, image, (16, 80), 9)
    assert translate_tiles(lambda tile: tile, image[:16], (16, 80), 9).shape == (16, 300, 1)
