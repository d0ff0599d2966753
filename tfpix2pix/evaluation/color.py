"""Whether the colours are the photographs' (paper §4.2, Fig. 7)."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

from tfpix2pix.evaluation.example import Example, Setting
from tfpix2pix.evaluation.images import ratio

CHANNELS = ("L", "a", "b")
BINS = 100
# Grey, black and white have a = b = 0. With an edge of a bin at 0, rounding would decide into which bin they go.
AROUND_NEUTRAL = (-111.1, 108.9)
RANGES = ((0.0, 100.0), AROUND_NEUTRAL, AROUND_NEUTRAL)


class LabIntersection:
    """Overlap of the sets' colour histograms in CIE Lab, per channel, 0 to 1 (paper Fig. 7). Higher is better.

    Histograms of all pixels of all images: `BINS` bins over L [0, 100], a and b [-111.1, 108.9], where neutral colours
    lie in the middle of a bin. Not defined, and left out of the result, unless images have 3 channels.
    """

    def __init__(self, setting: Setting | None = None) -> None:
        self.histograms: np.ndarray | float = 0.0  # (replicates, translations and targets, channels, bins)

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        if example.target.shape[-1] != 3:
            return {}
        own = np.stack([lab_histograms(image) for image in (example.translation, example.target)])
        self.histograms = self.histograms + weights[:, np.newaxis, np.newaxis, np.newaxis] * own
        return {name: float(value[0]) for name, value in _figures(own[np.newaxis]).items()}

    def result(self) -> dict[str, np.ndarray]:
        return _figures(self.histograms) if np.ndim(self.histograms) else {}


def lab_histograms(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [-1, 1] -> (3, BINS): the pixels of each bin of L, a and b."""
    lab = rgb2lab(np.clip(image.astype(np.float32) * 0.5 + 0.5, 0.0, 1.0))
    return np.stack(
        [np.histogram(lab[..., channel], bins=BINS, range=limits)[0] for channel, limits in enumerate(RANGES)]
    )


def _figures(histograms: np.ndarray) -> dict[str, np.ndarray]:
    """(replicates, 2, 3, BINS) -> name -> (replicates,)."""
    shares = ratio(histograms, histograms.sum(axis=-1, keepdims=True))
    overlap = np.minimum(shares[:, 0], shares[:, 1]).sum(axis=-1)
    return {f"lab_intersection_{name}": overlap[:, channel] for channel, name in enumerate(CHANNELS)}
