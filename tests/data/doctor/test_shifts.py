"""The shift of each pair in px of its files. What it finds on real pairs stands in data/doctor/shifts.py."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import real_pairs
from tests.conftest import write_image
from tests.data.doctor.helpers import combine, config_of, examined, make_set, moved, scene, told
from tests.data.doctor.test_report import page_of, printed
from tfpix2pix.data.doctor import as_table
from tfpix2pix.data.doctor.shifts import Shift, ShiftReport, comparable, displacement


def shift_of(image, target):
    """(down, right), or None."""
    shift = displacement((image, target)).shift
    return shift and shift[:2]


@given(st.integers(-15, 15), st.integers(-15, 15), st.integers(0, 5))
@settings(max_examples=30)
def test_drawn_scenes_are_measured_to_the_px(down, right, seed):
    photo, drawing = scene(seed)
    assert shift_of(photo, moved(drawing, right, down)) == (down, right)
    assert shift_of(photo, 255 - moved(drawing, right, down)) == (down, right)  # dark for light


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-3, 7), (40, -21)])
def test_large_files_are_measured_to_the_px_too(shift):
    """Views of them are 256 px, so a px of a view is 3.9 here."""
    photo, drawing = scene(2, size_px=1000)
    rows = slice(100, 800)  # not square
    assert shift_of(photo[rows], moved(drawing, *shift[::-1])[rows]) == shift


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (-5, 3), (0, -11)])
@pytest.mark.parametrize("name", ["photographs", "drawings"])
def test_real_pairs_are_measured_to_a_px(name, shift):
    pairs = list(getattr(real_pairs, name)().values())[::6]
    found = [shift_of(image, moved(target, shift[1], shift[0])) for image, target in pairs]
    assert all(np.abs(np.subtract(place, shift)).max() <= 1 for place in found)


def test_pairs_without_a_common_structure_have_no_shift():
    rng = np.random.default_rng(0)
    flat = np.full((80, 80, 3), 99, np.uint8)
    pairs = [(flat, flat), (scene(0)[0], flat)]
    pairs += [tuple(rng.integers(0, 256, (2, 96, 96, 3), np.uint8)) for _ in range(10)]
    pairs += [(scene(seed)[0], scene(seed + 50)[1]) for seed in range(10)]
    assert [shift_of(*pair) for pair in pairs] == [None] * len(pairs)
    assert displacement(tuple(np.zeros((2, 15, 200, 3), np.uint8))) is None


def test_sides_of_two_sizes_are_measured_in_px_of_the_input():
    photo, drawing = scene(4, size_px=128)
    assert shift_of(photo.repeat(2, 0).repeat(2, 1), moved(drawing, 5, -3)) == (-6, 10)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_values_of_any_range_are_compared(dtype):
    """12 bits in 16, of which a viewer would show black."""
    photo, drawing = ((image.astype(float) / 255 * 900 + 50).astype(dtype) for image in scene(1))
    pictures = [comparable(image, np.zeros((64, 64, 3), np.uint8), False) for image in (photo, moved(drawing, -4, 6))]
    assert shift_of(*pictures) == (6, -4)


def test_the_doctor_reports_the_shift_of_each_pair(tmp_path):
    train = make_set(tmp_path / "pairs") / "train"
    shifts = {"0": (5, -2), "1": (0, 1), "2": (-3, 0)}
    for name, (down, right) in shifts.items():
        photo, drawing = scene(int(name))
        write_image(train / f"{name}.png", combine(photo, moved(drawing, right, down)))
    write_image(train / "3.png", combine(scene(3)[0], scene(60)[1]))
    result = examined(tmp_path / "pairs")
    report = json.loads(json.dumps(result.as_dict()))["shifts"]
    found = {row["name"]: (row["dy"], row["dx"]) for row in report.pop("pairs")}
    assert found == {**{str(name): (0, 0) for name in (4, 5, 6, 7, 100, 101, 102, 103)}, **shifts}
    assert report == {"measured": 11, "unclear": 1, "median_px": 0, "largest_px": 5, "over_2_px": 2}
    words = "11 of 12 pairs measured, median 0 px, largest 5 px, 2 by more than 2 px"
    assert f"shifts: {words}" in printed(as_table(result))
    page = page_of(result, config_of(tmp_path / "pairs"), tmp_path / "page.html")
    assert words in page.text and page.tags.count("tr") == 1 + 2


def test_many_pairs_shifted_each_in_its_own_way_are_one_finding(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(10):
        photo, drawing = scene(seed)
        right, down = rng.choice([-9, -5, 4, 8], 2)
        write_image(tmp_path / f"{seed}.png", combine(photo, moved(drawing, right, down)))
    result = examined(tmp_path)
    assert told(result) == [("misaligned", "", ())]
    assert "10 of 10 pairs are shifted by more than 2 px: the median" in result.findings[0].message
    assert "`tfpix2pix data align DIR --out NEW`" in result.findings[0].advice
    assert "`objective.weights.pyramid_l1`" in result.findings[0].advice


def test_nothing_is_reported_where_one_file_gives_both_sides(tmp_path):
    for seed in range(3):
        write_image(tmp_path / f"{seed}.png", scene(seed)[0])
    result = examined(tmp_path, source="photographs", operator="blur")
    assert result.shifts is None and result.as_dict()["shifts"] is None


def test_a_report_of_no_clear_pair():
    report = ShiftReport((), 3)
    assert report.summary == "0 of 3 pairs measured"
    assert report.as_dict() == {"measured": 0, "unclear": 3, "over_2_px": 0, "pairs": []}
    assert ShiftReport((("train", "a", Shift(-3, 2, 9.0)),), 0).largest_px == 3
