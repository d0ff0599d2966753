"""Computes paths from one noise vector to another, on which every point is noise that the generator was trained with.

A straight line is not such a path. Half-way between two draws of normal numbers lies a short vector, near the mean
style, and such middles translate into less variety than draws do. Half-way between two draws of uniform numbers lie
numbers near 0.5, whose normals point one way.
"""

from __future__ import annotations

import numpy as np

BELOW_1 = 1.0 - 2.0**-24  # the largest float32 that is not `NO_NOISE`
PARALLEL = 1e-6  # sine of the angle below which two vectors have no arc between them


def along_an_arc(start: np.ndarray, end: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Returns vectors from `start` to `end` whose normals turn, and lengthen or shorten, at an even pace.

    Args:
        start: float32 (size,), uniform in [0, 1). `size` is even.
        end: the same.
        fractions: (count,) of the way, in [0, 1]. 0 gives `start` itself, 1 gives `end`.

    Returns:
        float32 (count, size) in [0, 1).

    Source: Shoemake 1985, "Animating rotation with quaternion curves" (slerp); of the normals that `normals_of` makes.
    """
    first, last = (normals_from(vector.astype(np.float64)) for vector in (start, end))
    lengths = [max(float(np.linalg.norm(vector)), np.finfo(np.float64).tiny) for vector in (first, last)]
    first, last = first / lengths[0], last / lengths[1]
    angle = np.arccos(np.clip(first @ last, -1.0, 1.0))
    t = np.asarray(fractions, np.float64)[:, np.newaxis]
    if np.sin(angle) < PARALLEL:
        directions = (1.0 - t) * first + t * last
    else:
        directions = (np.sin((1.0 - t) * angle) * first + np.sin(t * angle) * last) / np.sin(angle)
    vectors = uniforms_from(directions * ((1.0 - t) * lengths[0] + t * lengths[1]))
    return np.where(t <= 0, start, np.where(t >= 1, end, vectors)).astype(np.float32)


def unit_by_unit(start: np.ndarray, end: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Returns vectors from `start` to `end` in which a growing share of the values, each at a time of its own, has
    changed from that of `start` to that of `end`: the masks of dropout flip a few at a time, and as many are dropped.

    The arguments and the result are those of `along_an_arc`. A value's time is the sum of both, modulo 1, which is
    uniform and independent of either.
    """
    times = (start.astype(np.float64) + end) % 1.0
    t = np.asarray(fractions, np.float64)[:, np.newaxis]
    return np.where(times < t, end, start).astype(np.float32)


def normals_from(uniforms: np.ndarray) -> np.ndarray:
    """Returns the normals (…, size) that `normals_of` makes in the graph, of values (…, size) uniform in [0, 1)."""
    first, second = np.split(uniforms, 2, axis=-1)
    radius, angle = np.sqrt(-2.0 * np.log1p(-first)), 2.0 * np.pi * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def uniforms_from(normals: np.ndarray) -> np.ndarray:
    """Returns the values of [0, 1), float32, of which `normals_from` makes these normals."""
    x, y = np.split(normals, 2, axis=-1)
    first, second = -np.expm1(-(x * x + y * y) / 2.0), np.arctan2(y, x) / (2.0 * np.pi) % 1.0
    return np.minimum(np.concatenate([first, second], axis=-1), BELOW_1).astype(np.float32)
