"""Intervals over training seeds: against SciPy's Student and Welch, and whether they cover what they say."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.evaluation.comparison.helpers import scored, weights
from tfpix2pix.evaluation.comparison import compare, group
from tfpix2pix.evaluation.comparison.seeds import Spread, limits, t_quantiles

IMAGES = 40
NAMES = tuple(f"{number:03}" for number in range(IMAGES))


@pytest.mark.parametrize("degrees", [1, 1.6, 2, 3.5, 8])
def test_quantiles_are_students(degrees):
    levels = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(t_quantiles(degrees, 1000), stats.t.ppf(levels, degrees), rtol=1e-3)


def test_a_single_training_has_no_spread():
    assert Spread.of([0.5]) == Spread.of([]) == Spread(0.0, math.inf)
    replicates = np.array([0.5, 0.4, 0.6])
    np.testing.assert_array_equal(Spread.of([0.5]).added_to(replicates), replicates)


@pytest.mark.parametrize("values", [[0.30, 0.34], [0.30, 0.31, 0.35], [0.3, 0.32, 0.29, 0.35, 0.31]])
def test_of_images_that_are_all_alike_a_mean_has_students_interval(values):
    figure = np.full(20_001, np.mean(values))
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert limits(figure, Spread.of(values), 10) == pytest.approx(expected, rel=5e-3)


def test_of_images_that_are_all_alike_a_difference_has_welchs_interval():
    a, b = [0.30, 0.31, 0.35], [0.40, 0.52, 0.44, 0.47]
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    figure = np.full(20_001, np.mean(a) - np.mean(b))
    assert limits(figure, Spread.of(a).with_(Spread.of(b)), 10) == pytest.approx((low, high), rel=2e-3)


def test_one_of_two_alone_has_the_others_spread():
    spread = Spread.of([0.1, 0.2, 0.4])
    assert spread.with_(Spread.of([0.3])) == Spread(pytest.approx(spread.error), pytest.approx(2))
    assert Spread().with_(Spread()) == Spread(0.0, math.inf)


def trainings(rng, images, *, seeds, mean, seed_spread):
    """Figures of each image by trainings that differ altogether, and in which images they do well on."""
    of_seeds = mean + rng.normal(0, seed_spread, (seeds, 1))
    return images + of_seeds + rng.normal(0, 0.5, (seeds, IMAGES))


@pytest.mark.parametrize("seed_spread", [1.0, 0.1])
def test_intervals_over_3_seeds_cover_the_truth_in_about_95_of_100(seed_spread):
    """Of the mean over all seeds and images that there might be, and of the difference of two; never much less."""
    covered = np.zeros(2)
    times = 300
    for number in range(times):
        rng = np.random.default_rng(number)
        images = rng.exponential(2, IMAGES)
        values = [trainings(rng, images, seeds=3, mean=mean, seed_spread=seed_spread) for mean in (0, 0.5)]
        drawn = weights(NAMES, 200, number % 7)
        means = []
        for row in values:
            figures = row @ drawn / drawn.sum(axis=0)
            means.append((figures.mean(axis=0), Spread.of(figures[:, 0])))
        (a, of_a), (b, of_b) = means
        low, high = limits(a, of_a, IMAGES)
        covered[0] += low <= 2 <= high
        low, high = limits(b - a, of_a.with_(of_b), IMAGES)
        covered[1] += low <= 0.5 <= high
    assert np.all(covered / times >= 0.91), covered / times


def test_seeds_drawn_again_would_cover_less():
    """Why the t: the interval of 3 seeds drawn with replacement leaves the truth out once in four."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (2000, 3))
    drawn = rng.integers(3, size=(400, 3))
    low, high = np.quantile(values[:, drawn].mean(axis=-1), [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.8


def test_grouped_evaluations_have_these_intervals():
    rng = np.random.default_rng(0)
    images = rng.uniform(0.2, 0.6, IMAGES)
    shifts = {"a": [0.00, 0.02, -0.03], "b": [0.10, 0.11, 0.14]}
    groups = [
        group([scored(f"{name}{i}", {"l1": images + shift}, replicates=2000) for i, shift in enumerate(moves)], name)
        for name, moves in shifts.items()
    ]
    comparison = compare(groups)
    expected = stats.ttest_ind(shifts["b"], shifts["a"], equal_var=False).confidence_interval()
    result = comparison.differences["b"]["l1"]
    # Images are as hard for all, so that nothing but seeds is left of the difference.
    assert (result.low, result.high) == pytest.approx(tuple(expected), rel=0.01)
    of_seeds = stats.t.interval(0.95, 2, np.mean(shifts["a"]), stats.sem(shifts["a"]))
    cell = comparison.table["a"]["l1"]
    assert cell.high - cell.low > of_seeds[1] - of_seeds[0]
