"""How far the patches of translations, taken together, are from those of photographs: realism by scale."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.ndimage import correlate1d

from tfpix2pix.evaluation.example import Example, Setting

PATCH_PX = 7
LEAST_PX = 16  # of a level of the pyramid
AN_IMAGE = 128  # patches of each level
MOST = 16_384  # patches kept of each level and side
PROJECTIONS = 512
LEAST_DEVIATION = 2 / 255  # one grey level of 8 bits: a constant channel, as opaque alpha, is not blown up
SMOOTHING = np.array([1, 4, 6, 4, 1]) / 16


class SlicedWasserstein:
    """Sliced Wasserstein distance (×10³) between the 7×7 patches of all translations and of all targets, on each level
    of a Laplacian pyramid, 0 where equal; `swd` is the levels' mean. Lower is better.

    A level is named by its shorter side in the first image, px. Patches are normalised per channel by the targets' mean
    and standard deviation (at least one grey level of 8 bits), so that colours and contrast that differ count. At most
    16,384 patches a level and side are kept, a uniform sample of all. Where patches lie depends on the example's name,
    so another pairing changes the figure by the sampling alone. Images that are larger or smaller than the first count
    on the levels of as many halvings. Source: Karras et al., "Progressive growing of GANs", 2018, §5; there each side
    is normalised by its own statistics.
    """

    def __init__(self, setting: Setting) -> None:
        self.seed = setting.seed
        self.levels: list[int] = []  # px
        self.samples: list[Sample] = []  # of each level

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        shorter = min(example.target.shape[:2])
        if not self.levels:
            sizes = [-(-shorter >> level) for level in range(32)]  # a halving keeps the middle row of an odd number
            self.levels = [size for level, size in enumerate(sizes) if level == 0 or size >= LEAST_PX]
            self.samples = [Sample(MOST, generator(self.seed, f"kept/{level}")) for level in range(len(self.levels))]
        pyramids = [laplacian(image, len(self.levels)) for image in (example.translation, example.target)]
        for level, (given, wanted) in enumerate(zip(*pyramids, strict=False)):
            room = np.array(wanted.shape[:2]) - PATCH_PX + 1
            if room.min() < 1:
                break
            corners = generator(self.seed, f"{example.name}/{level}").integers(0, room, (AN_IMAGE, 2))
            self.samples[level].add(np.stack([patches(image, corners) for image in (given, wanted)], axis=1))
        return {}

    def result(self) -> dict[str, np.ndarray]:
        found = {}
        for level, sample in zip(self.levels, self.samples, strict=True):
            if sample.count:
                sides = np.moveaxis(sample.kept[: min(sample.count, MOST)], 1, 0)
                found[f"swd_{level}"] = np.array([1e3 * distance(*sides, seed=self.seed)])
        return {"swd": np.mean(list(found.values()), axis=0), **found} if found else {}


class Sample:
    """A uniform sample of at most `most` of all rows that were added: each newcomer takes a random place or none
    (reservoir sampling, Vitter 1985)."""

    def __init__(self, most: int, rng: np.random.Generator) -> None:
        self.most, self.rng, self.count = most, rng, 0
        self.kept = np.zeros(0)

    def add(self, rows: np.ndarray) -> None:
        if not self.count:
            self.kept = np.zeros((self.most, *rows.shape[1:]), np.float32)
        numbers = self.count + np.arange(len(rows))
        places = np.where(numbers < self.most, numbers, self.rng.integers(0, numbers + 1))
        taken = places < self.most
        self.kept[places[taken]] = rows[taken]  # of several for one place the last stays, as one by one
        self.count += len(rows)


def distance(given: np.ndarray, wanted: np.ndarray, *, seed: int = 0) -> float:
    """Between two sets of patches (N, PATCH_PX, PATCH_PX, C), normalised per channel by the second's statistics."""
    mean, deviation = wanted.mean(axis=(0, 1, 2), dtype=np.float64), wanted.std(axis=(0, 1, 2), dtype=np.float64)
    sides = [
        ((side - mean) / np.maximum(deviation, LEAST_DEVIATION)).reshape(len(side), -1) for side in (given, wanted)
    ]
    return sliced_wasserstein(*sides, generator(seed, "projections"))


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, projections: int = PROJECTIONS) -> float:
    """Mean over random directions of the Wasserstein-1 distance between the projections of (N, D) and (N, D)."""
    directions = rng.normal(size=(a.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.mean(np.abs(np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0))))


def laplacian(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """(H, W, C) -> what each halving takes away, fine to coarse, and what is left."""
    pyramid, image = [], np.asarray(image, np.float32)
    for _ in range(levels - 1):
        low = smoothed(image)[::2, ::2]
        pyramid.append(image - enlarged(low, image.shape))
        image = low
    return [*pyramid, image]


def smoothed(image: np.ndarray) -> np.ndarray:
    return correlate1d(correlate1d(image, SMOOTHING, axis=0, mode="mirror"), SMOOTHING, axis=1, mode="mirror")


def enlarged(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Twice as large, to `shape`, smoothed."""
    apart = np.zeros(shape, image.dtype)
    apart[::2, ::2] = image
    return 4 * smoothed(apart)


def patches(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(H, W, C), (N, 2) -> (N, PATCH_PX, PATCH_PX, C)."""
    return np.lib.stride_tricks.sliding_window_view(image, (PATCH_PX, PATCH_PX), (0, 1))[
        corners[:, 0], corners[:, 1]
    ].transpose(0, 2, 3, 1)


def generator(seed: int, what: str) -> np.random.Generator:
    """A stream of its own for each use of a seed."""
    key = hashlib.sha256(f"{seed}/{what}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
