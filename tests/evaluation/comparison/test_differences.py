"""Paired differences: exact, as an independent bootstrap finds them, and narrower than unpaired ones."""

import numpy as np
import pytest

from tests.evaluation.comparison.helpers import scored
from tfpix2pix.evaluation.comparison import compare

HARD = np.random.default_rng(0).uniform(0.2, 0.6, 80)  # how hard each image is
A, B = np.add(HARD, [[0.0], [0.01]]) + np.random.default_rng(1).normal(0, 0.02, (2, 80))


def difference(figure, a, b, **more):
    """b's to a's."""
    return compare([scored("a", {figure: a}, **more), scored("b", {figure: b}, **more)]).differences["b"][figure]


def test_the_difference_is_of_the_values():
    assert difference("l1", A, B).value == pytest.approx(B.mean() - A.mean(), abs=1e-12)


def test_the_interval_equals_the_usual_paired_bootstraps():
    result = difference("l1", A, B, replicates=4000)
    means = np.random.default_rng(1).choice(B - A, (4000, 80)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    width = high - low
    assert result.low == pytest.approx(low, abs=0.1 * width)
    assert result.high == pytest.approx(high, abs=0.1 * width)


def test_a_paired_interval_is_narrower_than_an_unpaired_one():
    result = difference("l1", A, B, replicates=1000)
    unpaired = np.random.default_rng(1).choice(B, (1000, 80)).mean(1) - np.random.default_rng(2).choice(
        A, (1000, 80)
    ).mean(1)
    assert result.high - result.low < 0.3 * np.subtract(*np.quantile(unpaired, [0.975, 0.025]))


def test_of_images_worse_by_the_same_the_interval_has_no_width():
    result = difference("l1", A, A + 0.1)
    assert (result.value, result.low, result.high) == (pytest.approx(0.1),) * 3


VERDICTS = {  # figure, baseline, other -> verdict, wins, losses
    "lower is better": ("l1", A, A + 0.1, "worse", 0, 1),
    "higher is better": ("psnr_db", A, A + 0.1, "better", 1, 0),
    "nearer 1 from below": ("sharpness", 0.5 * HARD, HARD, "better", 1, 0),
    "farther from 1 above": ("sharpness", 1 + 0.1 * HARD, 1 + HARD, "worse", 0, 1),
    "nearer 1 from the other side": ("sharpness", 1 - HARD, 1 + 0.5 * HARD, "better", 1, 0),
    "no other": ("l1", A, A, "open", 0, 0),
    "of images that do not agree": ("l1", A, A + np.tile([0.1, -0.1], 40), "open", 0.5, 0.5),
    "neither is better": ("gradient_magnitude", A, A + 0.1, "", None, None),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_knows_what_is_better(case):
    figure, a, b, verdict, wins, losses = VERDICTS[case]
    result = difference(figure, a, b)
    assert (result.verdict, result.wins, result.losses) == (verdict, wins, losses)


def test_equally_far_from_1_on_both_sides_is_no_better_though_different():
    result = difference("sharpness", 1 - 0.2 * HARD, 1 + 0.2 * HARD)
    assert result.low > 0
    assert result.verdict == "open"


def test_wins_are_of_the_images_that_have_the_figure_in_both():
    a, b = A.copy(), A + np.where(np.arange(80) < 20, -0.1, 0.1)
    a[:10] = np.nan
    b[70:] = np.nan
    result = difference("l1", a, b)
    assert (result.wins, result.losses) == (pytest.approx(10 / 60), pytest.approx(50 / 60))


def test_wins_of_means_over_seeds_are_by_the_images_mean():
    from tfpix2pix.evaluation.comparison import group

    pair = group([scored("s0", {"l1": A - 0.3}), scored("s1", {"l1": A + 0.1})], "pair")
    assert compare([scored("a", {"l1": A}), pair]).differences["pair"]["l1"].wins == 1


def test_figures_without_replicates_have_no_interval_and_no_verdict():
    a, b = (scored(name, {"l1": A}, whole={"fid": value}) for name, value in {"a": 120.0, "b": 100.0}.items())
    result = compare([a, b]).differences["b"]["fid"]
    assert (result.value, result.low, result.high, result.verdict, result.wins) == (-20, None, None, "", None)


def test_without_replicates_there_are_differences_and_no_intervals():
    result = difference("l1", A, B, replicates=0)
    assert (result.value, result.low, result.verdict) == (pytest.approx(B.mean() - A.mean()), None, "")


def test_of_one_image_there_is_no_interval():
    result = difference("l1", [0.2], [0.3])
    assert (result.value, result.low, result.verdict, result.losses) == (pytest.approx(0.1), None, "", 1)


def test_replicates_without_any_image_are_left_out():
    result = difference("l1", [0.2, 0.4], [0.3, 0.7])
    assert result.value == pytest.approx(0.2)
    assert (result.low, result.high) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.3, abs=0.02))


def test_label_maps_have_differences_as_images_do():
    iou = np.random.default_rng(2).uniform(0.3, 0.5, 80)
    figures = [{"pixel_accuracy": iou + 0.3 + gain, "class_iou": iou + gain} for gain in (0, 0.05)]
    comparison = compare([scored("a", figures[0]), scored("b", figures[1])])
    for figure in ("pixel_accuracy", "class_iou"):
        result = comparison.differences["b"][figure]
        assert (result.value, result.verdict) == (pytest.approx(0.05), "better")


def test_the_baseline_is_the_one_that_is_said():
    evaluations = [scored("a", {"l1": A}), scored("b", {"l1": B})]
    forth, back = compare(evaluations), compare(evaluations, baseline=1)
    assert set(back.differences) == {"a"}
    assert back.differences["a"]["l1"].value == -forth.differences["b"]["l1"].value
    assert back.differences["a"]["l1"].low == pytest.approx(-forth.differences["b"]["l1"].high)
