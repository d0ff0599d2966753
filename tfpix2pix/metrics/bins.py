"""Measures whether the translations fill the modes of the targets as often as these do, on small images' pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.cluster.vq import kmeans2, vq

from tfpix2pix.data.images import resized
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.patches import Sample, generator

SIDE_PX = 16  # of the small images
AN_BIN = 10  # targets, on average: fewer give a test of proportions no power
MOST_BINS = 100
LEAST_IMAGES = 50  # for 5 bins
MOST_IMAGES = 10_000  # that are kept
ROUNDS = 20  # of K-means
SIGNIFICANT = 1.959964  # deviations: two-sided, 5 %


class Bins:
    """Measures the number of statistically different bins (`ndb`), its share of all bins (`ndb_share`) and the
    Jensen-Shannon divergence of the bins' shares in bits (`jsd`, 0 to 1). Lower is better.

    K-means on the targets, reduced to 16×16 px by averages, makes one bin of every 10 of them, at most 100 bins. The
    first variant of each image belongs to the nearest centre. A bin is different if a two-sample test of proportions
    says so at 5 %: even equal distributions differ in about one of 20 bins, and less where a translation is near to
    its own target. At most 10,000 images are kept, a uniform sample. Source: Richardson and Weiss, "On GANs and GMMs",
    NeurIPS 2018, §3.
    """

    def __init__(self, setting: Setting) -> None:
        self.seed = setting.seed
        self.sample = Sample(MOST_IMAGES, generator(self.seed, "bins/kept"))

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        self.sample.add(
            np.stack([thumbnail(image) for image in (example.counted.variants[0], example.counted.target)])[np.newaxis]
        )
        return {}

    def result(self) -> dict[str, np.ndarray]:
        if self.sample.count < LEAST_IMAGES:
            return {}
        translations, targets = np.moveaxis(self.sample.kept[: self.sample.count], 1, 0)
        counts = in_bins(translations, targets, number_of_bins(len(targets)), generator(self.seed, "bins"))
        different = int(differing(*counts).sum())
        values = {"ndb": different, "ndb_share": different / counts.shape[1], "jsd": divergence(*counts)}
        return {name: np.array([value], np.float64) for name, value in values.items()}


def number_of_bins(targets: int) -> int:
    """Returns the number of bins for a number of targets."""
    return min(targets // AN_BIN, MOST_BINS)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduces (H, W, C) to 16×16 px by averages: float32 (16 · 16 · C,)."""
    return resized(np.asarray(image, np.float32), (SIDE_PX, SIDE_PX), Image.Resampling.BOX).ravel()


def in_bins(translations: np.ndarray, targets: np.ndarray, bins: int, rng: np.random.Generator) -> np.ndarray:
    """Counts both sets (N, D) in the bins that K-means makes of the targets: int (2, bins).

    There are fewer bins if there are fewer different targets.
    """
    centres = np.unique(targets, axis=0)
    if len(centres) > bins:
        centres, _ = kmeans2(targets, _spread_out(targets, bins, rng), iter=ROUNDS, minit="matrix", missing="warn")
    return np.stack([np.bincount(vq(side, centres)[0], minlength=len(centres)) for side in (translations, targets)])


def _spread_out(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws rows as first centres, each in proportion to its squared distance from those drawn before (k-means++,
    Arthur and Vassilvitskii 2007). There must be as many different rows."""
    centres = [rows[rng.integers(len(rows))]]
    squares = np.full(len(rows), np.inf)
    while len(centres) < count:
        squares = np.minimum(squares, np.sum((rows - centres[-1]).astype(np.float64) ** 2, axis=1))
        centres.append(rows[rng.choice(len(rows), p=squares / squares.sum())])
    return np.stack(centres)


def differing(counts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tests every bin of two counts (bins,): True if the shares differ, by the two-sample z-test at 5 %."""
    total, total_of_others = counts.sum(), others.sum()
    pooled = (counts + others) / (total + total_of_others)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / total + 1 / total_of_others))
    return np.abs(counts / total - others / total_of_others) > SIGNIFICANT * deviation


def divergence(counts: np.ndarray, others: np.ndarray) -> float:
    """Returns the Jensen-Shannon divergence of the shares in two counts (bins,), bits: 0 if equal, 1 if disjoint."""
    shares = np.stack([counts / counts.sum(), others / others.sum()])
    terms = np.log2(np.where(shares > 0, shares, 1.0) / np.where(shares > 0, shares.mean(axis=0), 1.0))
    return float(np.mean(np.sum(shares * terms, axis=1)))
