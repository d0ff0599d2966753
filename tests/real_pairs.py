"""Real pairs that are on every machine: OpenMoji's drawings, and photographs of scikit-image with their edges.

They lie as in the archives of facades and shoes: the target first, the input second.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.spatial import cKDTree
from skimage.color import rgb2gray
from skimage.feature import canny

from tfpix2pix.data.openmoji import Library
from tfpix2pix.data.photographs import SAMPLE_PHOTOGRAPHS

Pairs = dict[str, tuple[np.ndarray, np.ndarray]]

FACADES = np.array([
    (0, 0, 223), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 223), (112, 255, 143), (191, 255, 64),
    (255, 239, 0), (255, 159, 0), (255, 80, 0), (255, 0, 0), (175, 0, 0),
], np.uint8)  # the colours of CMP Facades, in the order of its classes  # fmt: skip
SIZE_PX = 192
LEAST_EDGES = 0.01  # share of a square's pixels: bare sky has less, and says nothing
DRAWN = range(0x1F32F, 0x1F440, 8)  # plants, food, buildings, animals: every eighth character, so that few are alike


@cache
def drawing(name: str, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours and lines of one drawing. Drawn anew, without a cache: 10 ms."""
    pytest.importorskip("resvg_py", reason="it needs tfpix2pix[openmoji]")
    lines, colors = Library.installed().draw(name, size_px)
    return colors, lines


def drawings(count: int = len(DRAWN), size_px: int = SIZE_PX) -> Pairs:
    """Coloured drawings and their lines."""
    return {name: drawing(name, size_px) for name in islice((f"{point:X}" for point in DRAWN), count)}


def classes_of(colors: np.ndarray) -> np.ndarray:
    """The class of every pixel: int (H, W), of the nearest colour of FACADES."""
    return cKDTree(FACADES.astype(float)).query(colors.astype(float))[1]


def label_maps(count: int, size_px: int = SIZE_PX) -> Pairs:
    """Coloured drawings and their label maps, in the colours of facades."""
    return {name: (colors, FACADES[classes_of(colors)]) for name, (colors, _) in drawings(count, size_px).items()}


@cache
def photographs(size_px: int = SIZE_PX) -> Pairs:
    """Squares of photographs in which there is something to see, and their edges, black on white."""
    pairs = {}
    for file in SAMPLE_PHOTOGRAPHS:
        whole = np.asarray(Image.open(Path(skimage.data.__file__).parent / file).convert("RGB"))
        for top in range(0, len(whole) - size_px + 1, size_px):
            for left in range(0, whole.shape[1] - size_px + 1, size_px):
                photograph = whole[top : top + size_px, left : left + size_px]
                edges = canny(rgb2gray(photograph), sigma=2)
                if edges.mean() >= LEAST_EDGES:
                    drawn = np.where(edges, np.uint8(0), np.uint8(255))
                    pairs[f"{Path(file).stem}-{top}-{left}"] = photograph, np.stack([drawn] * 3, axis=-1)
    return pairs


def write(folder: Path, pairs: Pairs, held_out: int = 0, quality: int = 95) -> Path:
    """Combined JPEG images, train/NAME.jpg and, of the last `held_out` pairs, val/NAME.jpg."""
    for number, (name, sides) in enumerate(pairs.items()):
        split = "train" if number < len(pairs) - held_out else "val"
        (folder / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(sides, axis=1)).save(folder / split / f"{name}.jpg", quality=quality)
    return folder
