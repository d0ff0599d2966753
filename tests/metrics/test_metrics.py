"""Metrics against scikit-image and by their meaning."""

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.data import astronaut
from skimage.filters import gaussian
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tfpix2pix.metrics import METRICS, title_of
from tfpix2pix.metrics.example import Example, Setting, examples_of
from tfpix2pix.metrics.images import Diversity, diversity
from tfpix2pix.metrics.scoring import measure

TARGET = astronaut()[:128, :128].astype(np.float64) / 127.5 - 1
NOISY = np.clip(TARGET + np.random.default_rng(0).normal(0, 0.2, TARGET.shape), -1, 1)
IMAGES = Setting()
USUAL = tuple(name for name, row in METRICS.items() if row.while_training and not row.of_label_maps)


def result(translation, target, *names):
    return measure([Example("", translation, None, target)], names, IMAGES)


def test_l1_l2_and_psnr_equal_their_twins():
    assert result(NOISY, TARGET, "l1")["l1"] == pytest.approx(np.abs(NOISY - TARGET).mean())
    assert result(NOISY, TARGET, "l2")["l2"] == pytest.approx(((NOISY - TARGET) ** 2).mean())
    expected = peak_signal_noise_ratio(TARGET, NOISY, data_range=2)
    assert result(NOISY, TARGET, "psnr")["psnr_db"] == pytest.approx(expected)


def test_psnr_of_equal_images_is_a_number():
    assert result(TARGET, TARGET, "psnr")["psnr_db"] == pytest.approx(200)


def test_ssim_equals_scikit_images_of_8_bits():
    noisy, target = (np.rint((image + 1) * 127.5).astype(np.uint8) for image in (NOISY, TARGET))
    twin = structural_similarity(
        target, noisy, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    signed = (image.astype(np.float64) / 127.5 - 1 for image in (noisy, target))
    assert result(*signed, "ssim")["ssim"] == pytest.approx(twin, abs=1e-9)


def test_means_are_over_images():
    examples = [Example("a", TARGET, None, TARGET), Example("b", TARGET + 0.5, None, TARGET)]
    assert measure(examples, ["l1"], IMAGES)["l1"] == pytest.approx(0.25)


def test_lab_intersection_equals_its_twin():
    labs = [rgb2lab((image + 1) / 2).reshape(-1, 3) for image in (NOISY, TARGET)]
    measured = result(NOISY, TARGET, "lab_intersection")
    for channel, (name, limits) in enumerate(zip("Lab", ((0, 100), (-111.1, 108.9), (-111.1, 108.9)), strict=True)):
        edges = np.linspace(*limits, 101)
        histograms = [np.histogram(lab[:, channel], edges)[0] / len(lab) for lab in labs]
        assert measured[f"lab_intersection_{name}"] == pytest.approx(np.minimum(*histograms).sum(), abs=1e-6)


def test_perfect_and_disjoint_colours():
    perfect = result(TARGET, TARGET, "lab_intersection")
    assert all(value == pytest.approx(1) for value in perfect.values())
    black, white = np.full((8, 8, 3), -1.0), np.full((8, 8, 3), 1.0)
    assert result(black, white, "lab_intersection")["lab_intersection_L"] == 0


def test_a_barely_tinted_white_is_white():
    """One level of 255 in blue or in red, as trained networks give it for white paper."""
    white = np.full((8, 8, 3), 1.0)
    for channel in range(3):
        tinted = white.copy()
        tinted[..., channel] -= 2 / 255
        figures = result(tinted, white, "lab_intersection")
        assert figures["lab_intersection_a"] == figures["lab_intersection_b"] == 1


def test_lab_histograms_are_of_all_images_together():
    black, white = np.full((8, 8, 3), -1.0), np.full((8, 8, 3), 1.0)
    swapped = [Example("a", black, None, white), Example("b", white, None, black)]
    assert measure(swapped, ["lab_intersection"], IMAGES)["lab_intersection_L"] == pytest.approx(1)


def test_colour_of_gray_is_left_out():
    assert result(TARGET[..., :1], TARGET[..., :1], "lab_intersection") == {}


def test_sharpness_equals_its_twin():
    def magnitude(image):
        down, right = image[1:, :-1] - image[:-1, :-1], image[:-1, 1:] - image[:-1, :-1]
        return np.sqrt(down**2 + right**2).mean()

    assert result(NOISY, TARGET, "sharpness")["sharpness"] == pytest.approx(magnitude(NOISY) / magnitude(TARGET))
    assert result(NOISY, TARGET, "gradient")["gradient_magnitude"] == pytest.approx(magnitude(NOISY))


def test_sharpness_is_one_for_the_target_less_for_its_blur_more_for_noise():
    blurred = gaussian(TARGET, 2, channel_axis=-1)
    values = [result(image, TARGET, "sharpness")["sharpness"] for image in (blurred, TARGET, NOISY)]
    assert values[0] < 0.6
    assert values[1] == 1
    assert values[2] > 1.5
    flat = np.zeros((8, 8, 3))
    assert result(flat, flat, "sharpness") == {}


WORSE = {  # what makes a translation worse -> by which metrics one sees it
    "blur": (lambda image: gaussian(image, 2, channel_axis=-1), {"l1", "l2", "psnr", "ssim", "ms_ssim", "sharpness"}),
    "noise": (
        lambda image: np.clip(image + np.random.default_rng(1).normal(0, 0.2, image.shape), -1, 1),
        {"l1", "l2", "psnr", "ssim", "ms_ssim", "sharpness", "lab_intersection"},
    ),
    "colour shift": (
        lambda image: np.clip(image + np.array([0.3, 0.0, -0.3]), -1, 1),
        {"l1", "l2", "psnr", "ssim", "ms_ssim", "lab_intersection"},
    ),
    "shuffled pairing": (lambda image: image[::-1, ::-1], {"l1", "l2", "psnr", "ssim", "ms_ssim"}),
}


@pytest.mark.parametrize("change", WORSE)
def test_every_metric_moves_the_right_way(change):
    make_worse, by = WORSE[change]
    for name in by:
        good, bad = result(TARGET, TARGET, name), result(make_worse(TARGET), TARGET, name)
        for figure in good:
            if METRICS[name].better == "near 1":
                assert abs(bad[figure] - 1) > abs(good[figure] - 1) + 0.1, (name, figure)
            else:
                order = (bad[figure], good[figure]) if METRICS[name].better == "higher" else (good[figure], bad[figure])
                assert order[0] < order[1], (name, figure)


def test_what_only_compares_sets_does_not_see_the_pairing():
    examples = [Example(str(i), image, None, TARGET) for i, image in enumerate((NOISY, TARGET[::-1]))]
    shuffled = [Example(str(i), image, None, TARGET) for i, image in enumerate((TARGET[::-1], NOISY))]
    assert measure(examples, ["lab_intersection"], IMAGES) == pytest.approx(
        measure(shuffled, ["lab_intersection"], IMAGES)
    )


def test_diversity_is_the_mean_pairwise_l1():
    samples = np.stack([np.full((4, 4, 3), value) for value in (0.0, 0.1, 0.4)])
    assert diversity(samples) == pytest.approx((0.1 + 0.4 + 0.3) / 3)
    assert diversity(samples[:1].repeat(3, axis=0)) == 0
    with pytest.raises(ValueError, match="there must be at least 2. Received 1"):
        diversity(samples[:1])
    assert Diversity.of(Example("", samples[0], variants=samples)) == pytest.approx((0.1 + 0.4 + 0.3) / 3)


def test_measure_takes_what_suits_of_batches():
    batches = [(TARGET[None, :64, :64], TARGET[None, :64, :64]), (TARGET[None], TARGET[None] - 0.1)]
    values = measure(examples_of(lambda image: image, batches), ("l1", "psnr", "segmentation"), IMAGES)
    assert values["l1"] == pytest.approx(0.05)
    assert set(values) == {"l1", "psnr_db"}


@pytest.mark.parametrize("name", METRICS)
def test_every_row_says_what_it_needs_and_how_it_is_measured(name):
    row = METRICS[name]
    assert set(row.needs) <= {
        "target", "input", "labels", "variants", "without_noise", "features", "segmenter", "truth", "unit",
        "training",
    }  # fmt: skip
    assert row.better in ("higher", "lower", "near 1", "")
    assert len(row.protocol) > 30
    assert not (row.while_training and row.needs != ("target",))


def test_every_figure_has_a_title_in_words():
    levels, sides = (16, 100, 256), ("", "real_")
    accuracies = ("pixel_accuracy", "class_accuracy", "class_iou")
    keys = [
        "l1", "l2", "psnr_db", "ssim", "ms_ssim", "sharpness", "gradient_magnitude", "diversity", "fid", "kid", "swd",
        *(f"lab_intersection_{channel}" for channel in "Lab"), *(f"swd_{px}" for px in levels), *accuracies,
        *(f"semantic_{side}{key}" for side in sides for key in accuracies),
        *(f"{which}_of_k_{key}" for which in ("best", "mean") for key in ("l1", "ms_ssim_distance")),
        *(f"calibration_{level}" for level in (50, 80, 90, 95)), "calibration_gap", "best_of_k_gain",
        "variant_ms_ssim_distance", "variant_agreement", "ndb", "ndb_share", "jsd", "nearest_training",
        "nearest_training_real", "copied", "copied_real",
    ]  # fmt: skip
    titles = [title_of(key) for key in keys]
    assert len(set(titles)) == len(titles)
    assert all(title[0].isupper() and "_" not in title for title in titles)
    assert title_of("ssim") == "Structural similarity (SSIM)"
    assert title_of("swd_100") == "Sliced Wasserstein distance at 100 px"
    assert title_of("semantic_real_class_iou") == "FCN score of the real images: class IoU"
    assert title_of("mine") == "mine"
    assert all(row.titles for row in METRICS.values())
