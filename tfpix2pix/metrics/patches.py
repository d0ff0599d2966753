"""Measures how far the patches of all translations are from those of all targets, at each scale."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.ndimage import correlate1d

from tfpix2pix.files import as_bytes
from tfpix2pix.metrics.example import Example, Setting

PATCH_PX = 7
LEAST_PX = 16  # shorter side of the smallest level of the pyramid
AN_IMAGE = 128  # patches of an image on each level
MOST = 16_384  # patches that are kept for each level and side
PROJECTIONS = 512
LEAST_DEVIATION = 2 / 255  # one grey level of 8 bits; a constant channel, such as opaque alpha, is not amplified
SMOOTHING = np.array([1, 4, 6, 4, 1]) / 16


class SlicedWasserstein:
    """Measures the sliced Wasserstein distance (×10³) between the 7×7 patches of all translations and of all targets,
    on each level of a Laplacian pyramid: 0 if equal. `swd` is the mean over levels. Lower is better.

    A level is named by its shorter side in the first image, px. Patches are normalised per channel by the targets' mean
    and standard deviation (at least one grey level of 8 bits), so that differences of colour and contrast count. At
    most 16,384 patches are kept for each level and side, a uniform sample of all. The positions of patches depend on
    the example's name, so another pairing changes the metric only by the sampling. Images larger or smaller than the
    first count on the levels with as many halvings. Source: Karras et al., "Progressive growing of GANs", 2018, §5,
    which normalises each side by its own statistics.
    """

    def __init__(self, setting: Setting) -> None:
        self.seed = setting.seed
        self.levels: list[int] = []  # px
        self.samples: list[Sample] = []  # one for each level

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        shorter = min(example.target.shape[:2])
        if not self.levels:
            sizes = [-(-shorter >> level) for level in range(32)]  # a halving keeps the middle row of an odd number
            self.levels = [size for level, size in enumerate(sizes) if level == 0 or size >= LEAST_PX]
            self.samples = [Sample(MOST, generator(self.seed, f"kept/{level}")) for level in range(len(self.levels))]
        pyramids = [
            laplacian(image, len(self.levels)) for image in (example.counted.translation, example.counted.target)
        ]
        for level, (translation, target) in enumerate(zip(*pyramids, strict=False)):
            room = np.array(target.shape[:2]) - PATCH_PX + 1
            if room.min() < 1:
                break
            corners = generator(self.seed, f"{example.name}/{level}").integers(0, room, (AN_IMAGE, 2))
            self.samples[level].add(np.stack([patches(image, corners) for image in (translation, target)], axis=1))
        return {}

    def result(self) -> dict[str, np.ndarray]:
        distances = {}
        for level, sample in zip(self.levels, self.samples, strict=True):
            if sample.count:
                sides = np.moveaxis(sample.kept[: min(sample.count, MOST)], 1, 0)
                distances[f"swd_{level}"] = np.array([1e3 * distance(*sides, seed=self.seed)])
        return {"swd": np.mean(list(distances.values()), axis=0), **distances} if distances else {}


class Sample:
    """Keeps a uniform sample of at most `most` of all added rows (reservoir sampling, Vitter 1985)."""

    def __init__(self, most: int, rng: np.random.Generator) -> None:
        self.most, self.rng, self.count = most, rng, 0
        self.kept = np.zeros(0)

    def add(self, rows: np.ndarray) -> None:
        if not self.count:
            self.kept = np.zeros((self.most, *rows.shape[1:]), np.float32)
        numbers = self.count + np.arange(len(rows))
        slots = np.where(numbers < self.most, numbers, self.rng.integers(0, numbers + 1))
        inside = slots < self.most
        self.kept[slots[inside]] = rows[inside]  # the last row for a slot stays, as if they were added one by one
        self.count += len(rows)


def distance(translations: np.ndarray, targets: np.ndarray, *, seed: int = 0) -> float:
    """Returns the distance of two sets of patches (N, PATCH_PX, PATCH_PX, C).

    Both are normalised per channel by the statistics of `targets`.
    """
    mean, deviation = targets.mean(axis=(0, 1, 2), dtype=np.float64), targets.std(axis=(0, 1, 2), dtype=np.float64)
    sides = [
        ((side - mean) / np.maximum(deviation, LEAST_DEVIATION)).reshape(len(side), -1)
        for side in (translations, targets)
    ]
    return sliced_wasserstein(*sides, generator(seed, "projections"))


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, projections: int = PROJECTIONS) -> float:
    """Returns the mean over random directions of the Wasserstein-1 distance of the projections of both (N, D)."""
    directions = rng.normal(size=(a.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.mean(np.abs(np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0))))


def laplacian(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """Returns the Laplacian pyramid of (H, W, C): the detail that halvings remove, fine to coarse, and the rest."""
    pyramid, image = [], np.asarray(image, np.float32)
    for _ in range(levels - 1):
        low = smoothed(image)[::2, ::2]
        pyramid.append(image - enlarged(low, image.shape))
        image = low
    return [*pyramid, image]


def smoothed(image: np.ndarray) -> np.ndarray:
    return correlate1d(correlate1d(image, SMOOTHING, axis=0, mode="mirror"), SMOOTHING, axis=1, mode="mirror")


def enlarged(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Doubles an image to `shape`, smoothed."""
    apart = np.zeros(shape, image.dtype)
    apart[::2, ::2] = image
    return 4 * smoothed(apart)


def patches(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Cuts the patches (N, PATCH_PX, PATCH_PX, C) with these corners (N, 2) out of (H, W, C)."""
    return np.lib.stride_tricks.sliding_window_view(image, (PATCH_PX, PATCH_PX), (0, 1))[
        corners[:, 0], corners[:, 1]
    ].transpose(0, 2, 3, 1)


def generator(seed: int, use: str) -> np.random.Generator:
    """Returns the random generator for one use of a seed. Each use has its own stream."""
    key = hashlib.sha256(as_bytes(f"{seed}/{use}")).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
