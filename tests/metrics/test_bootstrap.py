"""Intervals: the streaming bootstrap against the usual one, and whether it covers what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.bootstrap import Resampling, interval
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.scoring import Scorer


def flat(name, value, target=0.0):
    return Example(str(name), np.full((2, 2, 3), value), None, np.full((2, 2, 3), target))


def scored(values, *, seed=0, replicates=1000, metric="l1"):
    scorer = Scorer([metric], Setting(), Resampling(replicates, seed))
    for name, value in enumerate(values):
        scorer.update(flat(name, value))
    return scorer


def test_the_figure_itself_is_not_resampled(rng):
    values = rng.uniform(0, 1, 30)
    assert scored(values).figures()["l1"].value == pytest.approx(values.mean())


def test_equals_the_usual_bootstrap(rng):
    values = rng.uniform(0, 1, 60) ** 2
    figure = scored(values, replicates=4000).figures()["l1"]
    means = rng.choice(values, (4000, 60)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    width = high - low
    assert figure.low == pytest.approx(low, abs=0.1 * width)
    assert figure.high == pytest.approx(high, abs=0.1 * width)


def test_covers_the_truth_in_about_95_of_100():
    covered = 0
    for seed in range(300):
        values = np.random.default_rng(seed).exponential(1, 80)
        figure = scored(values, seed=seed, replicates=300).figures()["l1"]
        covered += figure.low <= 1.0 <= figure.high
    assert 0.90 <= covered / 300 <= 0.985


@given(st.text(max_size=20), st.integers(0, 2**31 - 1))
def test_weights_are_functions_of_seed_and_name(name, seed):
    weights = Resampling(50, seed).weights(name)
    assert weights[0] == 1
    assert weights.shape == (51,)
    np.testing.assert_array_equal(weights, Resampling(50, seed).weights(name))
    assert not np.array_equal(weights, Resampling(50, seed).weights(name + "?"))


def test_weights_are_poisson():
    drawn = np.concatenate([Resampling(1000).weights(str(i))[1:] for i in range(100)])
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert (drawn == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)


def test_order_does_not_matter(rng):
    forth, back = (Scorer(["l1"], Setting(), Resampling(100)) for _ in range(2))
    examples = [flat(i, value) for i, value in enumerate(rng.uniform(0, 1, 10))]
    for a, b in zip(examples, examples[::-1], strict=True):
        forth.update(a)
        back.update(b)
    assert forth.replicates()["l1"]["l1"] == pytest.approx(back.replicates()["l1"]["l1"])


def test_differences_of_replicates_are_paired(rng):
    """Of two models whose errors differ by a constant, the difference has no spread, however far images differ."""
    values = rng.uniform(0, 1, 40)
    a, b = (scored(scores).replicates()["l1"]["l1"] for scores in (values, values + 0.1))
    low, high = interval(b - a)
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert np.ptp(a[1:]) > 0.1


def test_one_image_has_no_interval():
    figure = scored([0.5]).figures()["l1"]
    assert (figure.value, figure.low, figure.high) == (0.5, None, None)


def test_of_two_images_replicates_that_drew_neither_are_left_out():
    figure = scored([0.2, 0.4]).figures()["l1"]
    assert (figure.low, figure.high) == (pytest.approx(0.2, abs=0.02), pytest.approx(0.4, abs=0.02))


def test_memory_does_not_grow_with_the_images(rng):
    scorer = Scorer(["l1", "sharpness", "lab_intersection"], Setting(), Resampling(20))

    def held():
        return sum(
            np.asarray(value).nbytes for metric in scorer.accumulators.values() for value in vars(metric).values()
        )

    image = rng.uniform(-1, 1, (8, 8, 3))
    sizes = []
    for name in range(50):
        scorer.update(Example(str(name), image, None, image[::-1]))
        sizes.append(held())
    assert sizes[0] == sizes[-1]


@pytest.mark.parametrize("metric", ["sharpness", "lab_intersection", "segmentation"])
def test_figures_that_are_no_means_have_intervals_too(metric):
    scorer = Scorer([metric], Setting(classes=4), Resampling(200))
    for name in range(12):
        rng = np.random.default_rng(name)
        if metric == "segmentation":
            target = rng.integers(0, 4, (8, 8, 1))
            given = np.where(rng.uniform(0, 1, (8, 8, 1)) < 0.3 + 0.05 * name, target, 0)
            translation, target = given / 127.5 - 1, target / 127.5 - 1
        else:
            translation, target = rng.uniform(-1, 1, (2, 8, 8, 3)) * np.array([0.5 + name / 24, 1]).reshape(2, 1, 1, 1)
        scorer.update(Example(str(name), translation, None, target))
    for figure in scorer.figures().values():
        assert figure.low < figure.value < figure.high


def test_intervals_of_shares_lie_between_0_and_1():
    share, error = METRICS["copied"], METRICS["unit_bias"]
    assert [share.bounded(limit) for limit in (-0.01, 0.4, 1.2)] == [0.0, 0.4, 1.0]
    assert METRICS["ssim"].bounded(-0.2) == -0.2 and METRICS["ssim"].bounded(1.1) == 1.0
    assert [error.bounded(limit) for limit in (-5.0, 7.0)] == [-5.0, 7.0]
