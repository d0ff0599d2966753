"""Structural similarity at several scales."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

from tfpix2pix.evaluation.example import Example
from tfpix2pix.evaluation.images import SSIM, SSIM_WINDOW_PX, MeanOverImages

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, fine to coarse
SIGMA_PX = 1.5
C1, C2 = 0.01**2, 0.03**2


class MSSSIM(MeanOverImages):
    """Multi-scale structural similarity, 1 where equal: contrast and structure at five scales, luminance at the last.

    On [0, 1], windows of `images.SSIM` wholly inside the image, halved by averages of 2×2 px. Contrast and structure
    below 0 count as 0. Images below 176 px have as many scales as hold a window, their weights raised to a sum of 1;
    below 11 px it is SSIM. Source: Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality
    assessment", 2003.
    """

    name = "ms_ssim"

    @staticmethod
    def of(example: Example) -> float:
        pair = [np.asarray(image, np.float64) * 0.5 + 0.5 for image in (example.translation, example.target)]
        scales = sum(min(pair[0].shape[:2]) >= SSIM_WINDOW_PX * 2**scale for scale in range(len(WEIGHTS)))
        if not scales:
            return SSIM.of(example)
        weights = np.array(WEIGHTS[:scales])
        if scales < len(WEIGHTS):
            weights /= weights.sum()  # of all five the paper's own are kept, whose sum is 1.0001
        value = 1.0
        for scale, weight in enumerate(weights):
            whole, structure = similarities(*pair)
            value = value * np.maximum(whole if scale == scales - 1 else structure, 0.0) ** weight
            pair = [halved(image) for image in pair]
        return float(np.mean(value))


def similarities(image: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of two images (H, W, C) in [0, 1]: mean over pixels of SSIM and of its contrast-structure term, each (C,)."""
    mean, other_mean = windowed(image), windowed(other)
    covariance = windowed(image * other) - mean * other_mean
    variances = windowed(image**2) - mean**2 + windowed(other**2) - other_mean**2
    structure = (2 * covariance + C2) / (variances + C2)
    luminance = (2 * mean * other_mean + C1) / (mean**2 + other_mean**2 + C1)
    return (luminance * structure).mean(axis=(0, 1)), structure.mean(axis=(0, 1))


def windowed(image: np.ndarray) -> np.ndarray:
    """Weighted means over the Gaussian windows that lie wholly inside: (H, W, C) -> (H - 10, W - 10, C)."""
    half = SSIM_WINDOW_PX // 2
    window = np.exp(-0.5 * (np.arange(-half, half + 1) / SIGMA_PX) ** 2)
    for axis in (0, 1):
        image = correlate1d(image, window / window.sum(), axis=axis)
    return image[half:-half, half:-half]


def halved(image: np.ndarray) -> np.ndarray:
    """Averages of 2×2 px; a last odd row or column is left out."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    even = image[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
