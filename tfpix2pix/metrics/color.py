"""Compares the colours of translations with those of the photographs (paper §4.2, Fig. 7)."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.images import ratio

CHANNELS = ("L", "a", "b")
BINS = 100
# Grey, black and white have a = b = 0. If a bin began at 0, rounding would decide their bin.
AROUND_NEUTRAL = (-111.1, 108.9)
RANGES = ((0.0, 100.0), AROUND_NEUTRAL, AROUND_NEUTRAL)


class LabIntersection:
    """Measures the overlap of the sets' colour histograms in CIE Lab, per channel, 0 to 1 (paper Fig. 7). Higher is
    better.

    The histograms count all pixels of all images in `BINS` bins over L [0, 100], a and b [-111.1, 108.9], so that
    neutral colours lie in the middle of a bin. Images without 3 channels are left out of the result.
    """

    def __init__(self, setting: Setting | None = None) -> None:
        self.histograms: np.ndarray | float = 0.0  # (replicates, translations and targets, channels, bins)

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        if example.target.shape[-1] != 3:
            return {}
        histograms = np.stack([lab_histograms(image) for image in (example.translation, example.target)])
        self.histograms = self.histograms + weights[:, np.newaxis, np.newaxis, np.newaxis] * histograms
        return {name: float(value[0]) for name, value in _overlaps(histograms[np.newaxis]).items()}

    def result(self) -> dict[str, np.ndarray]:
        return _overlaps(self.histograms) if np.ndim(self.histograms) else {}


def lab_histograms(image: np.ndarray) -> np.ndarray:
    """Counts the pixels of (H, W, 3) in [-1, 1] in each bin of L, a and b: (3, BINS)."""
    lab = rgb2lab(np.clip(image.astype(np.float32) * 0.5 + 0.5, 0.0, 1.0))
    return np.stack(
        [np.histogram(lab[..., channel], bins=BINS, range=limits)[0] for channel, limits in enumerate(RANGES)]
    )


def _overlaps(histograms: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the overlap of histograms (replicates, 2, 3, BINS): name -> (replicates,)."""
    shares = ratio(histograms, histograms.sum(axis=-1, keepdims=True))
    overlap = np.minimum(shares[:, 0], shares[:, 1]).sum(axis=-1)
    return {f"lab_intersection_{name}": overlap[:, channel] for channel, name in enumerate(CHANNELS)}
