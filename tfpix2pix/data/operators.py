"""Turns photographs into inputs, from which the generator learns to restore the photograph.

An operator takes a photograph (H, W, 3) uint8, the data's configuration and a NumPy random generator that depends only
on the seed and the photograph's name. It returns an input (H, W, C) uint8 of the same height and width.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.color import lab2rgb, rgb2gray, rgb2lab
from skimage.feature import canny
from skimage.filters import gaussian
from skimage.morphology import dilation

from tfpix2pix.data.images import resized
from tfpix2pix.data.settings import DataConfig

HOLE_SPACING = 0.5  # of the image size: side of the squares with one hole each, so that every crop has some
HOLE_SPREAD = 0.4  # of a hole's mean side: largest deviation of its sides
MAX_HOLE_SIDE = 0.95  # of that square's side


def edges(photograph: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """Draws Canny edges, black on white. Thresholds are quantiles: dark and bright photographs have as many edges.

    Source: Canny, "A computational approach to edge detection", PAMI 1986, by scikit-image.
    """
    low, high = sorted(config.edge_quantiles)
    lines = canny(
        rgb2gray(photograph), config.edge_sigma_px, low_threshold=low, high_threshold=high, use_quantiles=True
    )
    if config.edge_thickness_px > 1:
        lines = dilation(lines, np.ones((config.edge_thickness_px,) * 2, bool))
    return np.where(lines, 0, 255).astype(np.uint8)[..., np.newaxis]


def grayscale(photograph: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """Makes the gray picture of the same CIE lightness, for colourisation: only a and b are missing."""
    lab = rgb2lab(photograph)
    lab[..., 1:] = 0
    return np.rint(lab2rgb(lab)[..., :1] * 255).astype(np.uint8)


def mask(photograph: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """Cuts rectangular holes for inpainting, and returns RGBA. Holes are transparent and black, as after an eraser."""
    height, width = photograph.shape[:2]
    out = np.concatenate([photograph, np.full((height, width, 1), 255, np.uint8)], axis=-1)
    cell = max(2, round(min(config.size_px) * HOLE_SPACING))
    mean = cell * config.hole_fraction**0.5
    least, most = (
        max(1, round(min(mean * factor, cell * MAX_HOLE_SIDE))) for factor in (1 - HOLE_SPREAD, 1 + HOLE_SPREAD)
    )
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            sides = rng.integers(least, most + 1, 2)
            down, right = rng.integers(0, cell - sides + 1)
            out[top + down : top + down + sides[0], left + right : left + right + sides[1]] = 0
    return out


def downsample(photograph: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """Reduces each side by `downsample_factor`, as a coarser sensor would, and enlarges again, for super-resolution."""
    height, width = photograph.shape[:2]
    small = (max(1, width // config.downsample_factor), max(1, height // config.downsample_factor))
    return resized(np.asarray(Image.fromarray(photograph).resize(small, Image.Resampling.BOX)), (width, height))


def blur(photograph: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """Blurs by a Gaussian, for deblurring."""
    smooth = gaussian(photograph, config.blur_sigma_px, channel_axis=-1, preserve_range=True)
    return np.rint(smooth).astype(np.uint8)


def posterize(photograph: np.ndarray, config: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """Rounds each channel to `posterize_levels` even steps from 0 to 255."""
    steps = config.posterize_levels - 1
    return np.rint(np.rint(photograph / 255.0 * steps) / steps * 255).astype(np.uint8)
