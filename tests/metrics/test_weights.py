"""Weights of pixels in metrics: every row of the table ignores pixels of weight 0, and twins in loops."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.data import astronaut, coffee

from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.bootstrap import Resampling
from tfpix2pix.metrics.example import Example, Setting, Unit, examples_of, mean_over_pixels
from tfpix2pix.metrics.nearest import TrainingTargets, small
from tfpix2pix.metrics.scoring import Scorer, measure
from tfpix2pix.training.samples import picture

SIDE, CLASSES = 48, 4
PHOTOGRAPHS = [photograph()[:SIDE, :SIDE].astype(np.float64) / 127.5 - 1 for photograph in (astronaut, coffee)]
WEIGHT = np.zeros((SIDE, SIDE, 1))
WEIGHT[6:40, 4:36] = 1
WEIGHT[30:36] = 0.5  # a strip that counts by half
SEGMENTER = {
    "segmenter": lambda image: np.clip((image[..., 0] + 1) * 2, 0, 3).astype(int),
    "segmenter_classes": CLASSES,
}
FEATURES = {"features": lambda image: image[::8, ::8].ravel(), "units": (Unit("HU", -1000, 3000),)}
TRAINING = TrainingTargets([small(picture, image, WEIGHT) for image in PHOTOGRAPHS[::-1]], picture)


def noisy(image, seed=1, scale=0.2):
    return np.clip(image + np.random.default_rng(seed).normal(0, scale, image.shape), -1, 1)


def as_label_map(image):
    return np.clip((image[..., :1] + 1) * 2, 0, 3).astype(int) / 127.5 - 1


def example(number, weight=WEIGHT, spoiled=False, label_maps=False):
    """A photograph with noisy translations; `spoiled`: other pixels where the weight is 0."""
    target = PHOTOGRAPHS[number % 2]
    images = {
        "translation": noisy(target, number),
        "without_noise": noisy(target, number + 7),
        "variants": np.stack([noisy(target, number + seed, 0.4) for seed in (20, 30, 40)]),
    }
    if spoiled:
        images = {name: np.where(weight > 0, image, -image) for name, image in images.items()}
        target = np.where(weight > 0, target, target[::-1])
    if label_maps:
        target, images = as_label_map(target), {name: as_label_map(image) for name, image in images.items()}
    labels = SEGMENTER["segmenter"](PHOTOGRAPHS[number % 2])
    return Example(str(number), target=target, input=target, labels=labels, weight=weight, **images)


def rows():
    return [name for name, row in METRICS.items() if "truth" not in row.needs]


def rows_of_images():
    return [name for name in rows() if not METRICS[name].of_label_maps]


@pytest.mark.parametrize("name", rows())
def test_pixels_of_weight_0_count_nowhere(name):
    row = METRICS[name]
    setting = Setting(classes=CLASSES if row.of_label_maps else None, **SEGMENTER, **FEATURES, training=TRAINING)
    count = max(2, row.least_images)
    of = [
        [example(number, spoiled=spoiled, label_maps=bool(row.of_label_maps)) for number in range(count)]
        for spoiled in (False, True)
    ]
    clean, spoiled = (measure(examples, [name], setting) for examples in of)
    assert clean and clean.keys() == spoiled.keys()
    assert spoiled == pytest.approx(clean, abs=1e-9)


@pytest.mark.parametrize("name", rows())
def test_full_weights_are_no_weights(name):
    row = METRICS[name]
    setting = Setting(classes=CLASSES if row.of_label_maps else None, **SEGMENTER, **FEATURES, training=TRAINING)
    count = max(2, row.least_images)
    full, none = (
        measure(
            [example(number, weight=weight, label_maps=bool(row.of_label_maps)) for number in range(count)],
            [name],
            setting,
        )
        for weight in (np.ones((SIDE, SIDE, 1)), None)
    )
    assert full == pytest.approx(none, abs=1e-9)


def test_l1_l2_psnr_and_lab_equal_their_twins():
    one = example(0)
    total, off, squares = 0.0, 0.0, 0.0
    for y in range(SIDE):
        for x in range(SIDE):
            for channel in range(3):
                weight, by = WEIGHT[y, x, 0], one.translation[y, x, channel] - one.target[y, x, channel]
                total, off, squares = total + weight, off + weight * abs(by), squares + weight * by * by
    measured = measure([one], ["l1", "l2", "psnr"], Setting())
    assert measured["l1"] == pytest.approx(off / total)
    assert measured["l2"] == pytest.approx(squares / total)
    assert measured["psnr_db"] == pytest.approx(10 * np.log10(4 / (squares / total)))


def test_the_pixels_inside_a_rectangle_are_an_image_of_their_own():
    """Metrics of single pixels have the values that they have for the crop."""
    weight = np.zeros((SIDE, SIDE, 1))
    weight[6:40, 4:36] = 1
    names = ["l1", "l2", "psnr", "lab_intersection", "diversity", "calibration", "best_of_k_gain", "sharpness"]
    whole = example(0, weight=weight)
    inner = (slice(6, 40), slice(4, 36))
    cut = Example(
        "0", whole.translation[inner], target=whole.target[inner], without_noise=whole.without_noise[inner],
        variants=whole.variants[:, inner[0], inner[1]],
    )  # fmt: skip
    assert measure([whole], names, Setting()) == pytest.approx(measure([cut], names, Setting()), abs=1e-9)


def window_means(image, size=11, sigma=1.5):
    """Twin: means over Gaussian windows, in loops."""
    steps = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    height, width = (side - size + 1 for side in image.shape[:2])
    means = np.empty((height, width, *image.shape[2:]))
    for y in range(height):
        for x in range(width):
            means[y, x] = np.tensordot(kernel, image[y : y + size, x : x + size], ([0, 1], [0, 1]))
    return means


def similarity_twin(translation, target, weight):
    """SSIM and its contrast-structure term: means over windows by the mean weight of their pixels, each (C,).

    `translation` and `target` are times the weight.
    """
    a, b = (0.5 * image + 0.5 for image in (translation, target))
    mean_a, mean_b = window_means(a), window_means(b)
    covariance = window_means(a * b) - mean_a * mean_b
    variances = window_means(a * a) - mean_a**2 + window_means(b * b) - mean_b**2
    structure = (2 * covariance + 0.03**2) / (variances + 0.03**2)
    whole = structure * (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    counts = window_means(weight)
    return [(counts * values).sum(axis=(0, 1)) / counts.sum() for values in (whole, structure)]


def test_ssim_equals_its_twin():
    one = example(0)
    whole, _ = similarity_twin(one.translation * WEIGHT, one.target * WEIGHT, WEIGHT)
    assert measure([one], ["ssim"], Setting())["ssim"] == pytest.approx(whole.mean(), abs=1e-9)


def test_ms_ssim_equals_its_twin():
    one = example(0)
    translation, target, weight = one.translation * WEIGHT, one.target * WEIGHT, WEIGHT
    scales, product = np.array([0.0448, 0.2856, 0.3001]), 1.0  # 48, 24 and 12 px hold a window
    for scale, exponent in enumerate(scales / scales.sum()):
        whole, structure = similarity_twin(translation, target, weight)
        product = product * np.maximum(whole if scale == 2 else structure, 0) ** exponent
        translation, target, weight = (
            image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1).mean(axis=(1, 3))
            for image in (translation, target, weight)
        )
    assert measure([one], ["ms_ssim"], Setting())["ms_ssim"] == pytest.approx(product.mean(), abs=1e-9)


def test_ms_ssim_leaves_out_scales_without_a_window_that_counts():
    """Halvings of 250 px leave out the last column, so a mask at the right edge has no weight at coarse scales."""
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (250, 250, 1))
    weight = np.zeros_like(target)
    weight[:, -1:] = 1
    one = Example("a", noisy(target), target=target, weight=weight)
    value = measure([one], ["ms_ssim"], Setting())["ms_ssim"]
    assert 0 < value < 1


def test_one_group_has_no_interval():
    scorer = Scorer(["l1"], Setting(), Resampling(20))
    for number in range(3):
        scorer.update(replace(example(number), group="a"))
    assert scorer.figures()["l1"].low is None
    scorer.update(replace(example(3), group="b"))
    assert scorer.figures()["l1"].low is not None


def test_an_image_without_a_pixel_that_counts_is_left_out():
    empty = example(1, weight=np.zeros((SIDE, SIDE, 1)))
    scorer = Scorer(rows_of_images(), Setting(**SEGMENTER, **FEATURES, training=TRAINING))
    assert scorer.update(empty) == {}
    assert (scorer.count, scorer.figures()) == (0, {})
    scorer.update(example(0))
    assert scorer.figures()["l1"].value == measure([example(0)], ["l1"], Setting())["l1"]


def test_batches_with_weights_become_examples_with_weights():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, 3, 8, 8, 3)).astype(np.float32)
    weights = rng.uniform(0, 1, (3, 8, 8, 1)).astype(np.float32)
    made = list(examples_of(lambda image: image, [(*images, weights)]))
    np.testing.assert_array_equal([one.weight for one in made], weights)
    assert [one.weight for one in examples_of(lambda image: image, [tuple(images)])] == [None] * 3


def test_mean_over_pixels_is_over_channels_too():
    values = np.arange(12.0).reshape(2, 2, 3)
    weight = np.array([[[0], [1]], [[0.5], [0]]])
    assert mean_over_pixels(values, weight) == pytest.approx((3 + 4 + 5 + 0.5 * (6 + 7 + 8)) / 4.5)
    assert mean_over_pixels(values, None) == 5.5
