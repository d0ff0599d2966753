"""What turns a photograph into the input that the generator shall learn to turn back into it.

Each takes a photograph (H, W, 3) uint8 and returns (H, W, 1) uint8.
"""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2gray
from skimage.feature import canny

EDGE_SIGMA_PX = 1.0


def edges(photograph: np.ndarray) -> np.ndarray:
    """Black Canny edges on white, thresholds at the 80 % and 90 % quantiles of the gradient. Source: Canny 1986."""
    found = canny(rgb2gray(photograph), EDGE_SIGMA_PX, low_threshold=0.80, high_threshold=0.90, use_quantiles=True)
    return np.where(found, 0, 255).astype(np.uint8)[..., np.newaxis]


def grayscale(photograph: np.ndarray) -> np.ndarray:
    """Luminance, for colourisation."""
    return np.rint(rgb2gray(photograph) * 255).astype(np.uint8)[..., np.newaxis]
