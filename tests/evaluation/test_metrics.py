"""Metrics against scikit-image and by their meaning."""

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.data import astronaut
from skimage.filters import gaussian
from skimage.metrics import peak_signal_noise_ratio

from tfpix2pix.config import DataConfig
from tfpix2pix.evaluation import METRICS
from tfpix2pix.evaluation.held_out import measure
from tfpix2pix.evaluation.metrics import diversity

RNG = np.random.default_rng(0)
TARGET = astronaut()[:128, :128].astype(np.float64) / 127.5 - 1
NOISY = np.clip(TARGET + RNG.normal(0, 0.2, TARGET.shape), -1, 1)
IMAGES = DataConfig()
ALL = tuple(name for name, row in METRICS.items() if not row.of_label_maps)


def result(translation, target, name):
    metric = METRICS[name].make(IMAGES)
    metric.update(translation, target)
    return metric.result()


def test_l1_and_psnr_equal_their_twins():
    assert result(NOISY, TARGET, "l1")["l1"] == pytest.approx(np.abs(NOISY - TARGET).mean())
    expected = peak_signal_noise_ratio(TARGET, NOISY, data_range=2)
    assert result(NOISY, TARGET, "psnr")["psnr_db"] == pytest.approx(expected)


def test_means_are_over_images():
    metric = METRICS["l1"].make(IMAGES)
    metric.update(TARGET, TARGET)
    metric.update(TARGET + 0.5, TARGET)
    assert metric.result()["l1"] == pytest.approx(0.25)


def test_lab_intersection_equals_its_twin():
    labs = [rgb2lab((image + 1) / 2).reshape(-1, 3) for image in (NOISY, TARGET)]
    measured = result(NOISY, TARGET, "lab_intersection")
    for channel, (name, limits) in enumerate(zip("Lab", ((0, 100), (-110, 110), (-110, 110)), strict=True)):
        edges = np.linspace(*limits, 101)
        histograms = [np.histogram(lab[:, channel], edges)[0] / len(lab) for lab in labs]
        assert measured[f"lab_intersection_{name}"] == pytest.approx(np.minimum(*histograms).sum(), abs=1e-6)


def test_perfect_and_disjoint_colours():
    perfect = result(TARGET, TARGET, "lab_intersection")
    assert all(value == pytest.approx(1) for value in perfect.values())
    black, white = np.full((8, 8, 3), -1.0), np.full((8, 8, 3), 1.0)
    assert result(black, white, "lab_intersection")["lab_intersection_L"] == 0


def test_colour_of_gray_is_left_out():
    assert result(TARGET[..., :1], TARGET[..., :1], "lab_intersection") == {}


@pytest.mark.parametrize("name", [name for name in ALL if name != "sharpness"])
def test_noise_makes_every_metric_worse(name):
    clean, noisy = result(TARGET, TARGET, name), result(NOISY, TARGET, name)
    better = np.less if name == "l1" else np.greater
    assert all(better(clean[key], noisy[key]) for key in clean)


def test_sharpness_equals_its_twin():
    def magnitude(image):
        down, right = image[1:, :-1] - image[:-1, :-1], image[:-1, 1:] - image[:-1, :-1]
        return np.sqrt(down**2 + right**2).mean()

    assert result(NOISY, TARGET, "sharpness")["sharpness"] == pytest.approx(magnitude(NOISY) / magnitude(TARGET))


def test_sharpness_is_one_for_the_target_less_for_its_blur_more_for_noise():
    blurred = gaussian(TARGET, 2, channel_axis=-1)
    values = [result(image, TARGET, "sharpness")["sharpness"] for image in (blurred, TARGET, NOISY)]
    assert values[0] < 0.6
    assert values[1] == 1
    assert values[2] > 1.5
    flat = np.zeros((8, 8, 3))
    assert result(flat, flat, "sharpness") == {}


def test_diversity_is_the_mean_pairwise_l1():
    samples = np.stack([np.full((4, 4, 3), value) for value in (0.0, 0.1, 0.4)])
    assert diversity(samples) == pytest.approx((0.1 + 0.4 + 0.3) / 3)
    assert diversity(samples[:1].repeat(3, axis=0)) == 0
    with pytest.raises(ValueError, match="at least 2 are needed. Received 1"):
        diversity(samples[:1])


def test_measure_goes_over_batches():
    pairs = [(TARGET[None, :64, :64], TARGET[None, :64, :64]), (TARGET[None], TARGET[None] - 0.1)]
    values = measure(lambda image: image, pairs, ("l1", "psnr", "segmentation"), IMAGES)
    assert values["l1"] == pytest.approx(0.05)
    assert set(values) == {"l1", "psnr_db"}
