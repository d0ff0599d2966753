"""Measures images: distances to the target, structural similarity, sharpness, colours and diversity."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.ndimage import correlate1d
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from tfpix2pix.metrics.example import Example, Setting, mean_over_pixels

SSIM_WINDOW_PX = 11


class MeanOverImages:
    """Accumulates `of(example)`, one number for each image. The value `name` is the mean over images.

    `of` returns None for an image that does not count.
    """

    name: str

    def __init__(self, setting: Setting | None = None) -> None:
        self.totals, self.counts = 0.0, 0.0

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        value = self.of(example)
        if value is None:
            return {}
        self.totals, self.counts = self.totals + weights * value, self.counts + weights
        return {self.name: value}

    def result(self) -> dict[str, np.ndarray]:
        return {self.name: ratio(self.totals, self.counts)} if np.any(self.counts) else {}

    @staticmethod
    def of(example: Example) -> float | None:
        raise NotImplementedError


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Returns above / below, NaN if below is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below != 0, np.asarray(above, np.float64) / below, np.nan)


def difference(example: Example) -> np.ndarray:
    """Returns translation minus target, float64 (H, W, C)."""
    return example.translation.astype(np.float64) - example.target


class L1(MeanOverImages):
    """Measures the mean absolute difference on [-1, 1]: mean over images of the mean over pixels. Lower is better."""

    name = "l1"

    @staticmethod
    def of(example: Example) -> float:
        return mean_over_pixels(np.abs(difference(example)), example.weight)


class L2(MeanOverImages):
    """Measures the mean squared difference on [-1, 1]: mean over images of the mean over pixels. Lower is better."""

    name = "l2"

    @staticmethod
    def of(example: Example) -> float:
        return mean_over_pixels(np.square(difference(example)), example.weight)


class PSNR(MeanOverImages):
    """Measures the peak signal-to-noise ratio, dB, for a peak-to-peak range of 2: mean over images. Higher is better.

    Equal images have 200 dB, the largest value: with an infinite one, the mean would not depend on the others.
    """

    name = "psnr_db"

    @staticmethod
    def of(example: Example) -> float:
        return 10.0 * math.log10(4.0 / max(L2.of(example), 4e-20))


class SSIM(MeanOverImages):
    """Measures structural similarity, 1 if equal: Gaussian windows of σ 1.5 px, K 0.01 and 0.03; mean over pixels,
    channels and images. Higher is better.

    Computed on [0, 1]: it compares means as ratios, so it would differ on [-1, 1], where black is not 0. Images smaller
    than the window of 11 px are one window. A window counts by the mean weight of its pixels. Source: Wang et al.,
    2004, by scikit-image.
    """

    name = "ssim"

    @staticmethod
    def of(example: Example) -> float:
        translation, target = example.counted.translation, example.counted.target
        options = {"data_range": 1.0, "channel_axis": -1, "gaussian_weights": True, "sigma": 1.5}
        least = min(target.shape[:2])
        window = {} if least >= SSIM_WINDOW_PX else {"win_size": least - 1 + least % 2}
        if least < 3:
            return float(np.array_equal(translation, target))
        pair = (np.asarray(image, np.float64) * 0.5 + 0.5 for image in (target, translation))
        options |= {"use_sample_covariance": False, **window}
        if example.weight is None or least < SSIM_WINDOW_PX:
            return float(structural_similarity(*pair, **options))
        _, similarity = structural_similarity(*pair, full=True, **options)
        inner = slice(SSIM_WINDOW_PX // 2, -(SSIM_WINDOW_PX // 2))
        return mean_over_pixels(similarity[inner, inner], windowed(example.weight))


class Sharpness:
    """Measures the mean gradient magnitude of the translations over that of the targets: 1 is as sharp, less blurrier.

    The gradient is the root of the squared differences to the pixel below and to the right. Its mean is over all
    pixels, channels and images.
    """

    name = "sharpness"

    def __init__(self, setting: Setting | None = None) -> None:
        self.translations, self.targets = 0.0, 0.0

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        translation, target = (
            gradient_magnitude(image, example.weight) for image in (example.translation, example.target)
        )
        self.translations, self.targets = self.translations + weights * translation, self.targets + weights * target
        return {self.name: translation / target} if target else {}

    def result(self) -> dict[str, np.ndarray]:
        if not np.ndim(self.targets):
            return {}
        values = ratio(self.translations, self.targets)
        return {self.name: values} if np.isfinite(values[..., :1]).any() else {}


class Gradient(MeanOverImages):
    """Measures the mean gradient magnitude of the translations, per pixel on [-1, 1]: sharpness without a target."""

    name = "gradient_magnitude"

    @staticmethod
    def of(example: Example) -> float:
        return gradient_magnitude(example.translation, example.weight)


def gradient_magnitude(image: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Returns, for (H, W, C), the mean over pixels and channels of the root of the squared forward differences.

    With `weight` (H, W, 1), a difference counts by the least weight of its three pixels; 0 if none counts.
    """
    image = np.asarray(image, np.float64)
    down, right = np.diff(image, axis=0)[:, :-1], np.diff(image, axis=1)[:-1]
    # `np.hypot`, which avoids overflow, takes four times as long.
    magnitude = np.sqrt(down * down + right * right)
    if weight is None or not down.size:
        return float(np.mean(magnitude)) if down.size else 0.0
    least = np.minimum(np.minimum(weight[:-1, :-1], weight[1:, :-1]), weight[:-1, 1:])
    return mean_over_pixels(magnitude, least) if least.any() else 0.0


LAB_CHANNELS = ("L", "a", "b")
LAB_BINS = 100
# Grey, black and white have a = b = 0. If a bin began at 0, rounding would decide their bin.
AROUND_NEUTRAL = (-111.1, 108.9)
LAB_RANGES = ((0.0, 100.0), AROUND_NEUTRAL, AROUND_NEUTRAL)


class LabIntersection:
    """Measures the overlap of the sets' colour histograms in CIE Lab, per channel, 0 to 1 (paper Fig. 7). Higher is
    better.

    The histograms count all pixels of all images in `LAB_BINS` bins over L [0, 100], a and b [-111.1, 108.9], so that
    neutral colours lie in the middle of a bin. Images without 3 channels are left out of the result.
    """

    def __init__(self, setting: Setting | None = None) -> None:
        self.histograms: np.ndarray | float = 0.0  # (replicates, translations and targets, channels, bins)

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        if example.target.shape[-1] != 3:
            return {}
        images = (example.translation, example.target)
        histograms = np.stack([lab_histograms(image, example.weight) for image in images])
        self.histograms = self.histograms + weights[:, np.newaxis, np.newaxis, np.newaxis] * histograms
        return {name: float(value[0]) for name, value in _overlaps(histograms[np.newaxis]).items()}

    def result(self) -> dict[str, np.ndarray]:
        return _overlaps(self.histograms) if np.ndim(self.histograms) else {}


def lab_histograms(image: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Counts the pixels of (H, W, 3) in [-1, 1] in each bin of L, a and b: (3, LAB_BINS).

    A pixel counts by its `weight` (H, W, 1).
    """
    lab = rgb2lab(np.clip(image.astype(np.float32) * 0.5 + 0.5, 0.0, 1.0))
    weights = None if weight is None else weight[..., 0]
    return np.stack(
        [
            np.histogram(lab[..., channel], bins=LAB_BINS, range=limits, weights=weights)[0]
            for channel, limits in enumerate(LAB_RANGES)
        ]
    )


def _overlaps(histograms: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the overlap of histograms (replicates, 2, 3, LAB_BINS): name -> (replicates,)."""
    shares = ratio(histograms, histograms.sum(axis=-1, keepdims=True))
    overlap = np.minimum(shares[:, 0], shares[:, 1]).sum(axis=-1)
    return {f"lab_intersection_{name}": overlap[:, channel] for channel, name in enumerate(LAB_CHANNELS)}


class Diversity(MeanOverImages):
    """Measures the `diversity` of each image's variants: mean over images. Dropout gives little, which the paper leaves
    as an open question (§3.1, §5)."""

    name = "diversity"

    @staticmethod
    def of(example: Example) -> float:
        return diversity(example.variants, example.weight)


def diversity(samples: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Returns the mean pairwise L1 of translations (K, H, W, C) of one image, in units of their range.

    It is 0 if all are equal. Pixels count by `weight` (H, W, 1).

    Raises:
        ValueError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"Diversity compares samples, so there must be at least 2. Received {len(samples)}. Add more.")
    values = np.asarray(samples, np.float64)
    return float(np.mean([mean_over_pixels(np.abs(a - b), weight) for a, b in itertools.combinations(values, 2)]))


WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, fine to coarse
SIGMA_PX = 1.5
C1, C2 = 0.01**2, 0.03**2


class MSSSIM(MeanOverImages):
    """Measures multi-scale structural similarity, 1 if equal: contrast and structure at five scales, luminance at the
    last.

    Computed on [0, 1], with the windows of `SSIM` that lie inside the image; averages of 2×2 px halve it. Contrast and
    structure below 0 count as 0. Images below 176 px have as many scales as hold a window, and their weights are raised
    to a sum of 1. Below 11 px it is SSIM. A window counts by the mean weight of its pixels. Source: Wang, Simoncelli
    and Bovik, "Multi-scale structural similarity for image quality assessment", 2003.
    """

    name = "ms_ssim"

    @staticmethod
    def of(example: Example) -> float:
        return ms_ssim(Scales(example.counted.translation), Scales(example.counted.target, example.weight))


class Scales:
    """Holds what MS-SSIM needs of one image alone, so that one that is compared with many is smoothed once.

    Args:
        image: float (H, W, C) in [-1, 1].
        weight: (H, W, 1), how much each pixel counts; None: all count.
    """

    def __init__(self, image: np.ndarray, weight: np.ndarray | None = None) -> None:
        self.image = image
        self.weights: list[np.ndarray] = []  # of the windows, at every scale; none if all pixels count
        self.moments: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # of every scale: image, means, variances
        image = np.asarray(image, np.float64) * 0.5 + 0.5
        while len(self.moments) < len(WEIGHTS) and min(image.shape[:2]) >= SSIM_WINDOW_PX:
            mean = windowed(image)
            self.moments.append((image, mean, windowed(image**2) - mean**2))
            image = halved(image)
            if weight is not None:
                self.weights.append(windowed(np.asarray(weight, np.float64)))
                weight = halved(weight)


def ms_ssim(one: Scales, other: Scales) -> float:
    """Returns the MS-SSIM of two images of one size, as `MSSSIM` describes it, by the weights of `other`."""
    if not one.moments:
        return SSIM.of(Example("", one.image, target=other.image))
    # At coarse scales, a last odd row or column is left out, and no window that counts may be left.
    scales = [scale for scale in range(len(one.moments)) if not other.weights or other.weights[scale].any()]
    weights = np.array([WEIGHTS[scale] for scale in scales])
    if len(scales) < len(WEIGHTS):
        weights /= weights.sum()  # all five keep the paper's weights, whose sum is 1.0001
    value = 1.0
    for scale, weight in zip(scales, weights, strict=True):
        whole, structure = similarities(one.moments[scale], other.moments[scale], *other.weights[scale : scale + 1])
        value = value * np.maximum(whole if scale == scales[-1] else structure, 0.0) ** weight
    return float(np.mean(value))


def similarities(
    one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...], weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean over windows, by their weight, of SSIM and of its contrast-structure term, each (C,), from the
    moments of two images in [0, 1] at one scale of `Scales`."""
    (image, mean, variance), (other_image, other_mean, other_variance) = one, other
    covariance = windowed(image * other_image) - mean * other_mean
    structure = (2 * covariance + C2) / (variance + other_variance + C2)
    luminance = (2 * mean * other_mean + C1) / (mean**2 + other_mean**2 + C1)
    weights = None if weight is None else np.broadcast_to(weight, structure.shape)
    return tuple(np.average(values, axis=(0, 1), weights=weights) for values in (luminance * structure, structure))


def windowed(image: np.ndarray) -> np.ndarray:
    """Returns the means over the Gaussian windows that lie inside the image: (H, W, C) -> (H - 10, W - 10, C)."""
    half = SSIM_WINDOW_PX // 2
    window = np.exp(-0.5 * (np.arange(-half, half + 1) / SIGMA_PX) ** 2)
    for axis in (0, 1):
        image = correlate1d(image, window / window.sum(), axis=axis)
    return image[half:-half, half:-half]


def halved(image: np.ndarray) -> np.ndarray:
    """Halves an image by averages of 2×2 px. A last odd row or column is left out."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    even = image[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
