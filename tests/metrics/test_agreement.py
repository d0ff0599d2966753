"""Histograms of translations by targets, against NumPy's over all pixels of all images."""

import numpy as np
import pytest
from scipy import stats

from tests.metrics.test_units import HU, examples, in_unit
from tfpix2pix.metrics.agreement import BINS, DIFFERENCE_BINS, Agreement
from tfpix2pix.metrics.example import Example


def agreement_of(made) -> Agreement:
    agreement = Agreement(HU)
    for one in made:
        agreement.update(one)
    return agreement


def pixels(made) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation, target and weight of all pixels of all images."""
    weights = [np.ones(one.target.shape) if one.weight is None else one.weight for one in made]
    images = [one.translation for one in made], [one.target for one in made], weights
    return tuple(np.concatenate([image.ravel() for image in kind]) for kind in images)


@pytest.mark.parametrize("weighted", [False, True])
def test_histograms_are_numpys_by_weight(weighted):
    made = examples(weighted)
    agreement, (x, y, weight) = agreement_of(made), pixels(made)
    value, differences = np.linspace(-1, 1, BINS + 1), np.linspace(-2, 2, DIFFERENCE_BINS + 1)
    inside = np.clip(x, -1, 1)  # what lies beyond the range is in the last bins
    np.testing.assert_array_equal(agreement.scatter, np.histogram2d(y, inside, (value, value), weights=weight)[0])
    np.testing.assert_array_equal(
        agreement.differences, np.histogram2d((x + y) / 2, x - y, (value, differences), weights=weight)[0]
    )
    assert agreement.scatter.dtype == np.float64
    assert agreement.count == agreement.scatter.sum() == weight.sum()


def test_fractions_of_a_pixel_count_as_such():
    one = Example("a", np.zeros((1, 2, 1)), target=np.zeros((1, 2, 1)), weight=np.float32([[[0.25], [0.5]]]))
    agreement = agreement_of([one])
    assert agreement.scatter[BINS // 2, BINS // 2] == agreement.scatter.sum() == 0.75


def test_what_lies_beyond_the_range_is_in_the_last_bins_and_is_counted():
    translation, target = np.array([[[1.5], [-3.0], [1.0], [0.0]]]), np.array([[[1.0], [0.0], [1.0 + 1e-7], [0.0]]])
    agreement = agreement_of([Example("a", translation, target=target)])
    assert agreement.outside == 2
    assert agreement.scatter[-1, -1] == 2
    assert agreement.scatter[BINS // 2, 0] == 1
    assert agreement.differences[:, 0].sum() == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_bland_and_altmans_figures_are_those_of_their_definition(weighted):
    made = examples(weighted)
    agreement, (x, y, weight) = agreement_of(made), pixels(made)
    x, y = in_unit(x[weight > 0]), in_unit(y[weight > 0])
    assert agreement.mean_difference() == pytest.approx(np.mean(x - y))
    assert agreement.deviation() == pytest.approx(np.std(x - y))
    low, high = agreement.limits()
    assert (low, high) == pytest.approx((np.mean(x - y) - 1.96 * np.std(x - y), np.mean(x - y) + 1.96 * np.std(x - y)))
    assert agreement.correlation()["pearson_r"] == pytest.approx(stats.pearsonr(x, y).statistic)


def test_a_constant_offset_has_no_width():
    target = np.random.default_rng(0).uniform(-0.9, 0.8, (16, 16, 1))
    agreement = agreement_of([Example("a", target + 0.125, target=target)])
    assert agreement.mean_difference() == pytest.approx(0.125 * 2000)
    assert agreement.limits() == pytest.approx((250, 250), abs=1e-3)
    (bins,) = np.nonzero(agreement.differences.sum(axis=0))
    assert agreement.difference_edges[bins[0]] == pytest.approx(250, abs=2)
    assert len(bins) <= 2  # 0.125 is an edge of bins, and sums are rounded


def test_a_group_is_the_mean_over_its_pixels():
    def one(name, group, offset, side, weight=None):
        target = np.full((side, side, 1), -0.5)
        return Example(name, target + offset, target=target, group=group, weight=weight)

    nothing = one("d", "empty", 0.3, 2, np.zeros((2, 2, 1), np.float32))
    points = agreement_of([one("a", "p", 0.1, 4), one("b", "p", 0.2, 8), one("c", "q", 0, 4), nothing]).group_points()
    difference = (16 * 0.1 + 64 * 0.2) / 80
    assert points == {
        "p": pytest.approx((-1000 + (-0.5 + difference / 2 + 1) * 2000, difference * 2000)),
        "q": pytest.approx((0, 0)),
    }
    assert agreement_of(examples()).group_points() == {}


def test_memory_does_not_grow_with_the_images():
    few, many = agreement_of(examples()), agreement_of(5 * examples())
    assert few.scatter.shape == many.scatter.shape and few.differences.shape == many.differences.shape
    np.testing.assert_array_equal(many.differences, 5 * few.differences)


def test_the_file_has_all_numbers(tmp_path):
    made = [Example("a", one.translation, target=one.target, group="caf\udce9") for one in examples()]
    agreement = agreement_of(made)
    agreement.write(tmp_path / "density.npz")
    with np.load(tmp_path / "density.npz") as arrays:
        np.testing.assert_array_equal(arrays["scatter"], agreement.scatter)
        np.testing.assert_array_equal(arrays["bland_altman"], agreement.differences)
        assert (arrays["edges"][0], arrays["edges"][-1]) == (HU.low, HU.high)
        assert (arrays["difference_edges"][0], arrays["difference_edges"][-1]) == (-4000, 4000)
        assert tuple(arrays["limits_of_agreement"]) == agreement.limits()
        assert (str(arrays["unit"]), list(arrays["groups"])) == ("HU", ["caf\\udce9"])
        assert arrays["group_points"].shape == (1, 2)
    assert (tmp_path / "density.npz").stat().st_size < 100_000
