"""Tests the metrics that tell variety from speckle: best of K, structure, layout, bins of the sets, calibration."""

import numpy as np
import pytest
from scipy import stats

from tfpix2pix.evaluation.evaluate import choose
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.bins import Bins, differing, divergence, in_bins, number_of_bins
from tfpix2pix.metrics.bootstrap import Resampling, interval
from tfpix2pix.metrics.calibration import LEVELS, Calibration, coverage, quantile
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.images import Scales
from tfpix2pix.metrics.scoring import measure
from tfpix2pix.metrics.segmentation import indices
from tfpix2pix.metrics.variants import BestOfK, BestOfKGain, VariantMSSSIM, l1_of_variants, structural_distance

COLOURS = (-0.6, 0.6)  # of the two answers that every input of `two_answers` has


def distance(image, other):
    return structural_distance(Scales(image), Scales(other))


def flat(*values, side=16):
    """Images (K, side, side, 3), each of one value."""
    return np.stack([np.full((side, side, 3), value, np.float32) for value in values])


def example(variants, target, without_noise=None, **more):
    return Example("", variants[0], target=target, variants=variants, without_noise=without_noise, **more)


def two_answers(count, sampler, variants=8, seed=0):
    """Examples whose target is one of two colours, by chance, and whose translation without noise is their mean."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        target, middle = flat(rng.choice(COLOURS))[0], flat(0.0)[0]
        drawn = np.stack([sampler(rng, middle) for _ in range(variants)]).astype(np.float32)
        yield Example(str(number), drawn[0], target=target, variants=drawn, without_noise=middle)


SAMPLERS = {
    "perfect": lambda rng, middle: middle + rng.choice(COLOURS),
    "speckle": lambda rng, middle: middle + rng.normal(0, 0.3, middle.shape),
    "same": lambda rng, middle: middle,
}


class TestBestOfK:
    def test_is_the_nearest_variant_by_each_distance(self):
        values = BestOfK.of(example(flat(0.0, 0.1, 0.4), flat(0.3)[0]))
        assert values["best_of_k_l1"] == pytest.approx(0.1)
        assert values["mean_of_k_l1"] == pytest.approx((0.3 + 0.2 + 0.1) / 3)
        distances = [distance(image, flat(0.3)[0]) for image in flat(0.0, 0.1, 0.4)]
        assert values["best_of_k_ms_ssim_distance"] == pytest.approx(min(distances))
        assert values["mean_of_k_ms_ssim_distance"] == pytest.approx(np.mean(distances))

    def test_falls_with_k_for_a_perfect_sampler(self):
        by_k = [
            np.mean([l1_of_variants(one).min() for one in two_answers(200, SAMPLERS["perfect"], k)]) for k in (1, 2, 4)
        ]
        expected = [1.2 * 0.5**k for k in (1, 2, 4)]  # every draw is 0 or 1.2 away
        assert by_k == pytest.approx(expected, abs=0.1)

    def test_speckle_gains_nothing_and_variety_much(self):
        gains = {
            name: measure(two_answers(30, sampler), ["best_of_k_gain"], Setting())["best_of_k_gain"]
            for name, sampler in SAMPLERS.items()
        }
        assert gains["perfect"] == pytest.approx(0.6, abs=0.05)
        assert -0.1 < gains["speckle"] < 0.01
        assert gains["same"] == 0

    def test_a_trivial_noise_gains_a_little(self):
        rng, target = np.random.default_rng(0), flat(0.1)[0]
        brightness = flat(*rng.uniform(-0.05, 0.05, 8))
        assert 0 < BestOfKGain.of(example(brightness, target, flat(0.0)[0])) < 0.06

    def test_the_gain_has_a_paired_interval(self):
        metric, resampling = BestOfKGain(), Resampling(200)
        values = []
        for one in two_answers(40, SAMPLERS["perfect"], 2):
            values.append(metric.update(one, resampling.weights(one.name))["best_of_k_gain"])
        low, high = interval(metric.result()["best_of_k_gain"])
        half_width = 1.96 * np.std(values) / np.sqrt(len(values))
        assert low < np.mean(values) < high
        assert (high - low) / 2 == pytest.approx(half_width, rel=0.25)


class TestStructuralDiversity:
    def test_equal_variants_have_none(self, rng):
        image = rng.uniform(-1, 1, (16, 16, 3))
        assert VariantMSSSIM.of(example(np.stack([image] * 3), image)) == pytest.approx(0, abs=1e-9)

    def test_is_the_mean_over_pairs(self, rng):
        variants = rng.uniform(-1, 1, (3, 16, 16, 3))
        pairs = [distance(variants[i], variants[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        assert VariantMSSSIM.of(example(variants, variants[0])) == pytest.approx(np.mean(pairs))

    def test_of_many_variants_neighbours_are_compared(self, rng, monkeypatch):
        pairs = []
        monkeypatch.setattr(
            "tfpix2pix.metrics.variants.structural_distance",
            lambda *pair: pairs.append([int(scales.image[0, 0, 0]) for scales in pair]) or 0,
        )
        VariantMSSSIM.of(example(flat(*range(9)), flat(0)[0]))
        assert pairs == [[index, (index + 1) % 9] for index in range(9)]


class TestLayout:
    SETTING = Setting(segmenter=lambda image: (image[..., 0] > 0).astype(int), segmenter_classes=2)

    def measured(self, variants, labels):
        one = Example("", variants[0], variants=variants, labels=labels)
        return measure([one], ["variant_agreement"], self.SETTING)

    def test_other_colours_of_one_layout_agree_wholly(self):
        labels = np.zeros((16, 16), int)
        labels[:8] = 1
        one = np.where(labels[..., np.newaxis] == 1, 0.2, -0.2) * np.ones(3)
        assert self.measured(np.stack([one, one * 4]), labels) == {"variant_agreement": 1}
        assert self.measured(np.stack([one, -one]), labels) == {"variant_agreement": 0.5}

    def test_pixels_to_ignore_are_left_out(self):
        labels = np.full((16, 16), 255)
        assert self.measured(flat(0.5), labels) == {}
        labels[0, :4] = 1
        assert self.measured(flat(0.5, -0.5, -0.5, -0.5), labels) == {"variant_agreement": 0.25}

    def test_label_maps_are_indices(self):
        assert indices(np.full((1, 1, 1), -1.0)) == 0


class TestBins:
    def test_exact_values(self):
        assert divergence(np.array([5, 5]), np.array([9, 9])) == 0
        assert divergence(np.array([3, 0]), np.array([0, 4])) == pytest.approx(1)
        # shares (1, 0) and (1/2, 1/2): [log2(4/3) + (log2(2/3) + 1) / 2] / 2
        assert divergence(np.array([2, 0]), np.array([1, 1])) == pytest.approx(
            (np.log2(4 / 3) + (np.log2(2 / 3) + 1) / 2) / 2
        )

    def test_the_test_of_proportions_is_scipys(self):
        counts, others = np.array([30, 10, 60]), np.array([12, 14, 54])
        for index, different in enumerate(differing(counts, others)):
            table = [[side[index], side.sum() - side[index]] for side in (counts, others)]
            assert different == (stats.chi2_contingency(table, correction=False).pvalue < 0.05)

    @pytest.mark.parametrize(("targets", "bins"), [(50, 5), (106, 10), (500, 50), (5_000, 100)])
    def test_the_number_of_bins_follows_the_number_of_targets(self, targets, bins):
        assert number_of_bins(targets) == bins

    def sets(self, translations, targets):
        setting = Setting(seed=3)
        ones = [
            Example(str(i), image, target=target, variants=np.stack([image, target]))
            for i, (image, target) in enumerate(zip(translations, targets, strict=True))
        ]
        return measure(ones, ["ndb"], setting)

    def test_equal_sets_do_not_differ_and_a_lost_mode_does(self):
        rng = np.random.default_rng(0)
        modes = flat(-0.8, 0.0, 0.8)

        def drawn(numbers):
            return [modes[number] + rng.normal(0, 0.02, (1, 1, 3)) for number in numbers]

        targets, again, two = (drawn(rng.integers(0, most, 120)) for most in (3, 3, 2))
        same = self.sets(targets, targets)
        assert same == {"ndb": 0, "ndb_share": 0, "jsd": 0}
        alike, lost = self.sets(again, targets), self.sets(two, targets)
        assert alike["jsd"] < 0.15 < 0.2 < lost["jsd"]
        assert alike["ndb"] <= 2 < lost["ndb"]
        assert lost["ndb_share"] == lost["ndb"] / 12
        assert self.sets(two, targets) == lost  # seeded

    def test_few_different_targets_are_few_bins(self, rng):
        targets = np.repeat([[0.0, 0.0], [1.0, 1.0]], 30, axis=0)
        counts = in_bins(targets + 0.1, targets, 6, rng)
        np.testing.assert_array_equal(counts, [[30, 30], [30, 30]])

    def test_too_few_images_are_not_measured(self):
        needs = set(METRICS["ndb"].needs)
        assert choose(["ndb"], needs, 50, kinds={False}) == (["ndb"], {})
        _, reasons = choose(None, needs, 49, kinds={False})
        assert reasons["ndb"] == "it needs 50 images or more, not 49"
        assert Bins(Setting()).result() == {}


class TestCalibration:
    @pytest.mark.parametrize("count", [2, 4, 16])
    def test_variants_of_the_targets_distribution_are_calibrated(self, count):
        rng = np.random.default_rng(0)
        mean, deviation = rng.uniform(-1, 1, (64, 64, 3)), rng.uniform(0.01, 0.3, (64, 64, 3))
        variants, target = rng.normal(mean, deviation, (count, 64, 64, 3)), rng.normal(mean, deviation)
        for level, share in coverage(variants, target).items():
            p = level / 100
            assert share == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / target.size))

    def test_the_quantile_tends_to_the_normal_one(self):
        assert quantile(95, 2) > quantile(95, 4) > quantile(95, 100_000) == pytest.approx(1.96, abs=1e-3)

    def test_variants_without_spread_are_too_sure(self, rng):
        target = rng.uniform(-1, 1, (16, 16, 3))
        values = measure([example(flat(0.0, 0.0, 0.0, 0.0), target)], ["calibration", "calibration_gap"], Setting())
        assert [values[f"calibration_{level}"] for level in LEVELS] == [0, 0, 0, 0]
        assert values["calibration_gap"] == pytest.approx((0.5 + 0.8 + 0.9 + 0.95) / 4)

    def test_the_gap_is_that_of_the_shares_over_all_images(self):
        """An image of which the variants are too sure makes up for one of which they are too unsure."""
        target = np.concatenate([np.zeros((8, 16, 3)), np.full((8, 16, 3), 9.0)])
        ones = [example(flat(-0.5, 0.5), image) for image in (target, target * 0, target * 0)]
        values = measure(ones, ["calibration", "calibration_gap"], Setting())
        assert values["calibration_50"] == pytest.approx((0.5 + 1 + 1) / 3)
        gaps = [abs(values[f"calibration_{level}"] - level / 100) for level in LEVELS]
        assert values["calibration_gap"] == pytest.approx(np.mean(gaps))

    def test_replicates_are_of_the_shares(self, rng):
        metric, resampling = Calibration(), Resampling(5)
        weights, shares = [], []
        for number in range(6):
            one = example(rng.normal(0, 1, (4, 8, 8, 3)), rng.normal(0, 1, (8, 8, 3)))
            weights.append(resampling.weights(str(number)))
            shares.append(metric.update(one, weights[-1])["calibration_80"])
        expected = np.average(np.array(shares)[:, np.newaxis] * np.ones(6), axis=0, weights=np.array(weights))
        np.testing.assert_allclose(metric.result()["calibration_80"], expected)
