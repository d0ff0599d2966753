"""Figures of a translation beside its target, each float (H, W, C) in [-1, 1]. Accumulators (example.py)."""

from __future__ import annotations

import itertools
import math

import numpy as np
from skimage.metrics import structural_similarity

from tfpix2pix.evaluation.example import Example, Setting

SSIM_WINDOW_PX = 11


class MeanOverImages:
    """Accumulates `of(example)`, one number an image; the figure is their mean over images, under `name`."""

    name: str

    def __init__(self, setting: Setting | None = None) -> None:
        self.totals, self.counts = 0.0, 0.0

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        value = self.of(example)
        self.totals, self.counts = self.totals + weights * value, self.counts + weights
        return {self.name: value}

    def result(self) -> dict[str, np.ndarray]:
        return {self.name: ratio(self.totals, self.counts)} if np.any(self.counts) else {}

    @staticmethod
    def of(example: Example) -> float:
        raise NotImplementedError


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where below is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below != 0, np.asarray(above, np.float64) / below, np.nan)


def difference(example: Example) -> np.ndarray:
    """float64 (H, W, C): translation minus target."""
    return example.translation.astype(np.float64) - example.target


class L1(MeanOverImages):
    """Mean absolute difference on the [-1, 1] range: mean over images of the mean over pixels. Lower is better."""

    name = "l1"

    @staticmethod
    def of(example: Example) -> float:
        return float(np.mean(np.abs(difference(example))))


class L2(MeanOverImages):
    """Mean squared difference on the [-1, 1] range: mean over images of the mean over pixels. Lower is better."""

    name = "l2"

    @staticmethod
    def of(example: Example) -> float:
        return float(np.mean(np.square(difference(example))))


class PSNR(MeanOverImages):
    """Peak signal-to-noise ratio, dB, for a peak-to-peak range of 2: mean over images. Higher is better.

    200 dB at most, which equal images have: a mean with infinity in it would say nothing of the others.
    """

    name = "psnr_db"

    @staticmethod
    def of(example: Example) -> float:
        return 10.0 * math.log10(4.0 / max(float(np.mean(np.square(difference(example)))), 4e-20))


class SSIM(MeanOverImages):
    """Structural similarity, 1 where equal: Gaussian windows of σ 1.5 px, K 0.01 and 0.03; mean over pixels, channels
    and images. Higher is better.

    On [0, 1]: it compares means as ratios, so on [-1, 1], where black is not 0, it would be another figure. Of images
    smaller than its window of 11 px, over the whole. Source: Wang et al., 2004, by scikit-image.
    """

    name = "ssim"

    @staticmethod
    def of(example: Example) -> float:
        translation, target = example.translation, example.target
        options = {"data_range": 1.0, "channel_axis": -1, "gaussian_weights": True, "sigma": 1.5}
        least = min(target.shape[:2])
        window = {} if least >= SSIM_WINDOW_PX else {"win_size": least - 1 + least % 2}
        if least < 3:
            return float(np.array_equal(translation, target))
        pair = (np.asarray(each, np.float64) * 0.5 + 0.5 for each in (target, translation))
        return float(structural_similarity(*pair, use_sample_covariance=False, **options, **window))


class Sharpness:
    """Mean gradient magnitude of the translations over that of the targets: below 1 is blurrier, 1 as sharp.

    Over all pixels, channels and images: the root of the squared differences to the pixel below and to the right.
    """

    name = "sharpness"

    def __init__(self, setting: Setting | None = None) -> None:
        self.translations, self.targets = 0.0, 0.0

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        of_both = [gradient_magnitude(image) for image in (example.translation, example.target)]
        self.translations, self.targets = self.translations + weights * of_both[0], self.targets + weights * of_both[1]
        return {self.name: of_both[0] / of_both[1]} if of_both[1] else {}

    def result(self) -> dict[str, np.ndarray]:
        values = ratio(self.translations, self.targets)
        return {self.name: values} if np.isfinite(values[..., :1]).any() else {}


class Gradient(MeanOverImages):
    """Mean gradient magnitude of the translations themselves, per pixel on [-1, 1]: sharpness without a target."""

    name = "gradient_magnitude"

    @staticmethod
    def of(example: Example) -> float:
        return gradient_magnitude(example.translation)


def gradient_magnitude(image: np.ndarray) -> float:
    """Mean over pixels and channels of the root of the squared forward differences, per pixel, of (H, W, C)."""
    image = np.asarray(image, np.float64)
    down, right = np.diff(image, axis=0)[:, :-1], np.diff(image, axis=1)[:-1]
    # `np.hypot`, which minds overflow, takes four times as long.
    return float(np.mean(np.sqrt(down * down + right * right))) if down.size else 0.0


class Diversity(MeanOverImages):
    """`diversity` of each image's variants: mean over images. The paper's open question is how little of it dropout
    gives (§3.1, §5)."""

    name = "diversity"

    @staticmethod
    def of(example: Example) -> float:
        return diversity(example.variants)


def diversity(samples: np.ndarray) -> float:
    """Mean pairwise L1 between translations (K, H, W, C) of one image, in units of their range; 0 where all are equal.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"Diversity is between samples: at least 2 are needed. Received {len(samples)}.")
    values = np.asarray(samples, np.float64)
    return float(np.mean([np.mean(np.abs(a - b)) for a, b in itertools.combinations(values, 2)]))
