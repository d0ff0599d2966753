"""Accumulators over (translation, target), each float (H, W, C) in [-1, 1], in memory that does not grow with them."""

from __future__ import annotations

import itertools
import math

import numpy as np
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

LAB_CHANNELS = ("L", "a", "b")
LAB_RANGES = ((0.0, 100.0), (-110.0, 110.0), (-110.0, 110.0))
LAB_BINS = 100
SSIM_WINDOW_PX = 11


class MeanOverImages:
    """Accumulates `of(translation, target)`, one number an image; `result` is the mean over images, under `name`."""

    name: str

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, translation: np.ndarray, target: np.ndarray) -> None:
        self.total += self.of(translation, target)
        self.count += 1

    def result(self) -> dict[str, float]:
        return {self.name: self.total / max(self.count, 1)}

    @staticmethod
    def of(translation: np.ndarray, target: np.ndarray) -> float:
        raise NotImplementedError


class L1(MeanOverImages):
    """Mean absolute difference on the [-1, 1] range: mean over images of the mean over pixels. Lower is better."""

    name = "l1"

    @staticmethod
    def of(translation: np.ndarray, target: np.ndarray) -> float:
        return float(np.mean(np.abs(translation.astype(np.float64) - target)))


class PSNR(MeanOverImages):
    """Peak signal-to-noise ratio, dB, for a peak-to-peak range of 2: mean over images. Higher is better."""

    name = "psnr_db"

    @staticmethod
    def of(translation: np.ndarray, target: np.ndarray) -> float:
        error = float(np.mean(np.square(translation.astype(np.float64) - target)))
        return 10.0 * math.log10(4.0 / max(error, 1e-20))


class SSIM(MeanOverImages):
    """Structural similarity, 1 where equal: Gaussian windows of σ 1.5 px, K 0.01 and 0.03, for a range of 2; mean over
    pixels, channels and images. Higher is better.

    Of images smaller than its window of 11 px, over the whole. Source: Wang et al., 2004, by scikit-image.
    """

    name = "ssim"

    @staticmethod
    def of(translation: np.ndarray, target: np.ndarray) -> float:
        options = {"data_range": 2.0, "channel_axis": -1, "gaussian_weights": True, "sigma": 1.5}
        least = min(target.shape[:2])
        window = {} if least >= SSIM_WINDOW_PX else {"win_size": least - 1 + least % 2}
        if least < 3:
            return float(np.array_equal(translation, target))
        pair = (np.asarray(each, np.float64) for each in (target, translation))
        return float(structural_similarity(*pair, use_sample_covariance=False, **options, **window))


class Sharpness:
    """Mean gradient magnitude of the translations over that of the targets: below 1 is blurrier, 1 as sharp.

    Over all pixels, channels and images: the root of the squared differences to the pixel below and to the right.
    """

    def __init__(self) -> None:
        self.sums = np.zeros(2)

    def update(self, translation: np.ndarray, target: np.ndarray) -> None:
        self.sums += [gradient_magnitude(translation), gradient_magnitude(target)]

    def result(self) -> dict[str, float]:
        translations, targets = self.sums
        return {"sharpness": float(translations / targets)} if targets else {}


def gradient_magnitude(image: np.ndarray) -> float:
    """Mean over pixels and channels of the root of the squared forward differences, per pixel, of (H, W, C)."""
    image = np.asarray(image, np.float64)
    down, right = np.diff(image, axis=0)[:, :-1], np.diff(image, axis=1)[:-1]
    return float(np.mean(np.hypot(down, right))) if down.size else 0.0


def diversity(samples: np.ndarray) -> float:
    """Mean pairwise L1 between translations (K, H, W, C) of one image, in units of their range; 0 where all are equal.

    The paper's open question is how little of it dropout gives (§3.1, §5).

    Raises:
        ValueError: fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"Diversity is between samples: at least 2 are needed. Received {len(samples)}.")
    values = np.asarray(samples, np.float64)
    return float(np.mean([np.mean(np.abs(a - b)) for a, b in itertools.combinations(values, 2)]))


class LabIntersection:
    """Overlap of the sets' colour histograms in CIE Lab, per channel, 0 to 1 (paper Fig. 7). Higher is better.

    Histograms of all pixels of all images: `LAB_BINS` bins over L [0, 100], a and b [-110, 110]. Not defined, and
    left out of the result, unless images have 3 channels.
    """

    def __init__(self) -> None:
        self.histograms = np.zeros((2, 3, LAB_BINS))

    def update(self, translation: np.ndarray, target: np.ndarray) -> None:
        if target.shape[-1] != 3:
            return
        for histograms, image in zip(self.histograms, (translation, target), strict=True):
            lab = rgb2lab(np.clip(image.astype(np.float64) * 0.5 + 0.5, 0.0, 1.0))
            for channel, limits in enumerate(LAB_RANGES):
                histograms[channel] += np.histogram(lab[..., channel], bins=LAB_BINS, range=limits)[0]

    def result(self) -> dict[str, float]:
        counts = self.histograms.sum(axis=-1, keepdims=True)
        if not counts.all():
            return {}
        overlap = np.minimum(*(self.histograms / counts)).sum(axis=-1)
        return {
            f"lab_intersection_{channel}": float(value) for channel, value in zip(LAB_CHANNELS, overlap, strict=True)
        }
