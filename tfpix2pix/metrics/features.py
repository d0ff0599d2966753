"""Measures distances between the sets of translations and of targets in the features of a network."""

from __future__ import annotations

import numpy as np

from tfpix2pix.metrics.example import Example, Setting

BLOCK = 1_000  # images whose kernels are compared with each other


class Remembered:
    """Computes the features of an image once for all metrics. Keeps those of the last images."""

    def __init__(self, features, most: int = 2) -> None:
        self.features, self.most = features, most
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns the features, float64 (D,), of an image (H, W, C) in [-1, 1]."""
        for known, values in self.kept:
            if known is image:
                return values
        values = np.asarray(self.features(image), np.float64).ravel()
        self.kept = [*self.kept, (image, values)][-self.most :]
        return values


class FID:
    """Measures the Fréchet distance between Gaussians fitted to the features of translations and of targets: 0 if they
    are equal. Lower is better.

    It is biased upwards for few images, so compare only sets of one size. Source: Heusel et al., "GANs trained by a two
    time-scale update rule converge to a local Nash equilibrium", 2017, eq. 6.
    """

    def __init__(self, setting: Setting) -> None:
        self.features = setting.features
        self.moments = (Moments(), Moments())

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        for moments, image in zip(self.moments, (example.counted.translation, example.counted.target), strict=True):
            moments.add(self.features(image))
        return {}

    def result(self) -> dict[str, np.ndarray]:
        if self.moments[0].count < 2:
            return {}
        gaussians = [part for moments in self.moments for part in (moments.mean, moments.covariance)]
        return {"fid": np.array([frechet_distance(*gaussians)])}


class Moments:
    """Accumulates the mean and covariance of vectors, one at a time. Source: Welford, 1962."""

    def __init__(self) -> None:
        self.count, self.mean, self._products = 0, np.zeros(()), np.zeros(())

    def add(self, vector: np.ndarray) -> None:
        self.count += 1
        before = vector - self.mean
        self.mean = self.mean + before / self.count
        self._products = self._products + np.outer(before, vector - self.mean)

    @property
    def covariance(self) -> np.ndarray:
        return self._products / (self.count - 1)


def frechet_distance(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> float:
    """Returns |μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½) of two Gaussians.

    The root is taken of Σ^½ Σ' Σ^½, which has the same trace and stays symmetric if there are fewer images than
    features and Σ is singular.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ other_covariance @ root)
    trace = np.trace(covariance) + np.trace(other_covariance) - 2 * np.sqrt(np.maximum(inner, 0.0)).sum()
    return max(0.0, float(np.sum((mean - other_mean) ** 2) + trace))  # rounding may go below


class KID:
    """Measures the squared maximum mean discrepancy, by a cubic kernel, between the features of translations and of
    targets. Lower is better. For similar sets it is about 0, as often below as above.

    It is unbiased for any number of images. Every 1,000 images are a block. The result is the mean over blocks,
    weighted by size. A last block of a single image is left out. Source: Bińkowski et al., "Demystifying MMD GANs",
    2018, eq. 4 and §3; Zaremba et al., "B-tests", 2013.
    """

    def __init__(self, setting: Setting) -> None:
        self.features = setting.features
        self.block: list[tuple[np.ndarray, np.ndarray]] = []
        self.total, self.count = 0.0, 0

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        self.block.append((self.features(example.counted.translation), self.features(example.counted.target)))
        if len(self.block) == BLOCK:
            self.total, self.count = self._with_block()
            self.block = []
        return {}

    def _with_block(self) -> tuple[float, int]:
        if len(self.block) < 2:
            return self.total, self.count
        translations, targets = (np.stack(side) for side in zip(*self.block, strict=True))
        size = len(self.block)
        return self.total + size * squared_discrepancy(translations, targets), self.count + size

    def result(self) -> dict[str, np.ndarray]:
        total, count = self._with_block()
        return {"kid": np.array([total / count])} if count else {}


def squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the unbiased estimate of MMD² between (N, D) and (N, D), by the kernel (x·y / D + 1)³."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)  # cubes of large features need float64's digits
    count, size = a.shape

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / size + 1.0) ** 3

    def mean_off_diagonal(kernels: np.ndarray) -> float:
        return float(kernels.sum() - np.trace(kernels)) / (count * (count - 1))

    return mean_off_diagonal(kernel(a, a)) + mean_off_diagonal(kernel(b, b)) - 2.0 * float(kernel(a, b).mean())
