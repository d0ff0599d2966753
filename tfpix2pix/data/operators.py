"""What turns a photograph into the input that the generator shall learn to turn back into it.

Each takes a photograph (H, W, 3) uint8 and returns (H, W, 1) uint8.
"""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2gray
from skimage.feature import canny

EDGE_SIGMA_PX = 1.5
EDGE_QUANTILES = (0.6, 0.8)  # of the gradient's magnitude: dense enough to tell one texture from another


def edges(photograph: np.ndarray) -> np.ndarray:
    """Black Canny edges on white; thresholds are quantiles, so that dark and bright photographs have as many edges.

    Source: Canny, "A computational approach to edge detection", PAMI 1986, by scikit-image.
    """
    low, high = EDGE_QUANTILES
    found = canny(rgb2gray(photograph), EDGE_SIGMA_PX, low_threshold=low, high_threshold=high, use_quantiles=True)
    return np.where(found, 0, 255).astype(np.uint8)[..., np.newaxis]


def grayscale(photograph: np.ndarray) -> np.ndarray:
    """Luminance, for colourisation."""
    return np.rint(rgb2gray(photograph) * 255).astype(np.uint8)[..., np.newaxis]
