"""Seeds and thumbnails of the strip of variants."""

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the page is made by Gradio, an extra")
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.strip import MOST_SEED, next_seeds, seed_of, thumbnail


def test_seeds_follow_each_other_and_leave_out_none():
    assert next_seeds(0) == [1, 2, 3, 4, 5, 6]
    assert next_seeds(6, 2) == [7, 8]
    assert next_seeds(MOST_SEED - 1, 3) == [MOST_SEED, 1, 2]


@pytest.mark.parametrize(("value", "seed"), [(None, 0), (0, 0), (7.0, 7), ("12", 12)])
def test_an_empty_field_is_no_noise(value, seed):
    assert seed_of(value) == seed


@pytest.mark.parametrize("value", [-1, MOST_SEED + 1, "x", [1], float("nan"), float("inf")])
def test_what_is_no_seed_is_refused(value):
    with pytest.raises(UserError, match=r"A seed must be a whole number from 0 to 999999\. Received .*\. Give 1"):
        seed_of(value)


@pytest.mark.parametrize(("shape", "reduced"), [((32, 20, 3), (32, 20, 3)), ((640, 320, 3), (160, 80, 3))])
def test_thumbnails_are_small(shape, reduced, rng):
    picture = rng.integers(0, 256, shape, np.uint8)
    assert thumbnail(picture).shape == reduced
    if shape == reduced:
        np.testing.assert_array_equal(thumbnail(picture), picture)
