"""Displacement between input and target. What it finds on real pairs stands in test_real.py."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import write_image
from tests.data.doctor.helpers import combine, examined, make_set, moved, scene, told
from tfpix2pix.data import SOURCES, source_row
from tfpix2pix.data.doctor.alignment import in_words
from tfpix2pix.data.doctor.measure import Surfaces, peak_of, surface


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(0, 5))
@settings(max_examples=30)
def test_the_peak_is_where_the_target_lies(right, down, seed):
    photo, drawing = scene(seed, size_px=128)
    peak = peak_of(surface(photo, moved(drawing, right, down)))
    assert abs(peak.right - right) <= 1 and abs(peak.down - down) <= 1


def test_aligned_sides_have_no_margin():
    for seed in range(20):
        peak = peak_of(surface(*scene(seed)))
        assert peak.distance <= 2 and peak.margin == 0


def test_noise_has_no_clear_peak():
    rng, peaks = np.random.default_rng(0), []
    for _ in range(30):
        peaks.append(peak_of(surface(*rng.integers(0, 256, (2, 96, 96, 3), np.uint8))))
    assert max(peak.height for peak in peaks) < 6


@pytest.mark.parametrize("shape", [(16, 16), (17, 200), (64, 64)])
def test_nothing_to_see(shape):
    blank = np.zeros((*shape, 3), np.uint8)
    peak = peak_of(surface(blank, blank))
    assert (peak.margin, peak.height) == (0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (15, 200)])
def test_too_small_to_be_asked(shape):
    assert surface(*np.zeros((2, *shape, 3), np.uint8)) is None


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("shift", [(6, 0), (0, -6), (-6, 6)])
def test_a_displaced_pair_among_aligned_ones(tmp_path, side, shift):
    sides = list(scene(3))
    sides[side] = moved(sides[side], *shift)
    write_image(make_set(tmp_path) / "train" / "3.png", combine(*sides))
    result = examined(tmp_path)
    assert told(result) == [("misaligned", "train", ("3",))]
    words = in_words(*(value * (1 if side else -1) for value in shift))
    assert f"Its target is displaced {words} against its input; 11 of 12" in result.findings[0].message


def test_sources_that_draw_both_sides_from_one_file_are_not_asked(tmp_path, monkeypatch):
    sides = scene(3)
    write_image(make_set(tmp_path) / "train" / "3.png", combine(sides[0], moved(sides[1], 6, 0)))
    assert list(examined(tmp_path).kinds) == ["misaligned"]
    monkeypatch.setitem(SOURCES, "combined", replace(source_row("combined"), drawn=True))
    assert examined(tmp_path).kinds == {}


def test_in_px_of_the_file(tmp_path):
    """A view is 256 px at most, files may be larger."""
    for seed in range(8):
        photo, drawing = (side.repeat(6, 0).repeat(6, 1) for side in scene(seed, size_px=96))
        write_image(tmp_path / f"{seed}.png", combine(photo, moved(drawing, 36, 0) if seed == 3 else drawing))
    (finding,) = examined(tmp_path, held_out_fraction=0).findings
    assert finding.kind == "misaligned" and "about 36 px to the right" in finding.message


def test_a_whole_set_that_is_displaced_is_one_finding(tmp_path):
    for seed in range(10):
        photo, drawing = scene(seed)
        write_image(tmp_path / f"{seed}.png", combine(photo, moved(drawing, 0, 5)))
    result = examined(tmp_path)
    assert told(result) == [("misaligned", "", ())]
    assert "Targets are displaced about 5 px down against inputs in the whole set" in result.findings[0].message


def test_pairs_that_have_nothing_to_do_with_each_other_are_not_misaligned(tmp_path):
    for seed in range(12):
        write_image(tmp_path / f"{seed}.png", combine(scene(seed)[0], scene(seed + 50)[1]))
    assert "misaligned" not in examined(tmp_path).kinds


def test_the_sum_is_of_views_of_one_size():
    surfaces = Surfaces()
    for seed in range(8):
        surfaces.add(surface(*scene(seed)))
    surfaces.add(surface(*scene(9, size_px=96)))
    assert surfaces.peak().distance == 0
    few = Surfaces()
    few.add(surface(*scene(0)))
    assert few.peak() is None


def test_words():
    assert in_words(8, 0) == "about 8 px to the right"
    assert in_words(-8.2, -3) == "about 8 px to the left and 3 px up"
