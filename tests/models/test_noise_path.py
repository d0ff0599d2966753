"""The way from one noise vector to another: its ends, its pace, and that every point is noise as any other."""

import numpy as np
import pytest
from scipy import stats

from tfpix2pix.models import NOISES
from tfpix2pix.models.noise import NO_NOISE, normals_of
from tfpix2pix.models.noise_path import along_an_arc, normals_from, uniforms_from, unit_by_unit

FRACTIONS = np.linspace(0, 1, 9)
PATHS = pytest.mark.parametrize("path", [along_an_arc, unit_by_unit])


def normals_in_the_graph(vectors):
    return normals_of(vectors, vectors.shape[-1]).numpy()


@pytest.fixture
def two(rng):
    return rng.random((2, 64), np.float32)


def test_uniforms_come_back_from_the_normals_of_the_graph(rng):
    uniforms = rng.random((1000, 8), np.float32)
    np.testing.assert_allclose(normals_from(uniforms.astype(float)), normals_in_the_graph(uniforms), atol=2e-5)
    np.testing.assert_allclose(uniforms_from(normals_from(uniforms.astype(float))), uniforms, atol=1e-6)


def test_no_normals_become_the_value_for_no_noise():
    normals = np.array([[40.0, 0.0], [-3.0, -1e-30], [0.0, 0.0]])  # a far one, an angle just below a turn, the middle
    uniforms = uniforms_from(normals)
    assert uniforms.dtype == np.float32
    assert (uniforms >= 0).all()
    assert (uniforms < NO_NOISE).all()


@PATHS
def test_the_ends_are_the_vectors_themselves(path, two):
    vectors = path(*two, FRACTIONS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (9, 64))
    np.testing.assert_array_equal(vectors[[0, -1]], two)
    np.testing.assert_array_equal(path(*two[::-1], FRACTIONS)[[-1, 0]], two)


@PATHS
def test_every_point_is_distributed_as_a_draw(path, rng):
    for fraction in (0.25, 0.5):
        (vector,) = path(*rng.random((2, 40_000), np.float32), np.array([fraction]))
        assert stats.kstest(vector, "uniform").pvalue > 0.01
        assert stats.kstest(normals_from(vector), "norm").pvalue > 0.01


def test_an_arc_turns_and_lengthens_at_an_even_pace(two):
    normals = normals_in_the_graph(along_an_arc(*two, FRACTIONS))
    lengths = np.linalg.norm(normals, axis=1)
    np.testing.assert_allclose(np.diff(lengths), (lengths[-1] - lengths[0]) / 8, atol=1e-4)
    directions = normals / lengths[:, np.newaxis]
    angles = np.arccos(np.sum(directions[1:] * directions[:-1], axis=1))
    np.testing.assert_allclose(angles, angles.mean(), rtol=1e-3)


@pytest.mark.parametrize("factor", [1, 2, -1], ids=["the same", "longer", "opposite"])
def test_vectors_without_an_arc_between_them_have_a_path(factor):
    start = uniforms_from(np.array([1.0, -0.5]))
    vectors = along_an_arc(start, uniforms_from(np.array([1.0, -0.5]) * factor), FRACTIONS)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(normals_from(vectors[4]), np.array([1.0, -0.5]) * (1 + factor) / 2, atol=1e-5)


def test_units_change_once_each_and_about_as_many_at_a_time(rng):
    start, end = rng.random((2, 8000), np.float32)
    is_end = unit_by_unit(start, end, FRACTIONS) == end
    assert (np.diff(is_end.astype(int), axis=0) >= 0).all()
    np.testing.assert_allclose(np.diff(is_end.mean(axis=1)), 1 / 8, atol=0.02)


@pytest.mark.parametrize("kind", NOISES)
def test_every_noise_has_a_path(kind, two):
    path = NOISES[kind].path(*two, FRACTIONS)
    assert (path >= 0).all()
    assert (path < NO_NOISE).all()
