"""Measures what the variants of an image, its translations by different noise, are good for: variety or mere speckle.

`diversity` in metrics/images.py rises with any noise. These rise, or fall, with variety of use: variants that come
nearer to the target, that differ in structure, that keep the layout of the input.
"""

from __future__ import annotations

import itertools

import numpy as np

from tfpix2pix.metrics.example import Example, Setting, mean_over_pixels
from tfpix2pix.metrics.images import MeanOverImages, Scales, ms_ssim, ratio

ALL_PAIRS = 8  # variants; of more, only neighbours are compared: the number of all pairs grows with the square


class MeansOverImages:
    """Accumulates `of(example)`, several numbers for each image. The values are the means over images."""

    def __init__(self, setting: Setting | None = None) -> None:
        self.totals: dict[str, np.ndarray] = {}
        self.counts: np.ndarray | float = 0.0

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        values = self.of(example)
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + weights * value
        self.counts = self.counts + weights
        return values

    def result(self) -> dict[str, np.ndarray]:
        return {name: ratio(total, self.counts) for name, total in self.totals.items()}

    @staticmethod
    def of(example: Example) -> dict[str, float]:
        raise NotImplementedError


def l1_of_variants(example: Example) -> np.ndarray:
    """Returns the mean absolute difference of every variant to the target, float64 (K,)."""
    target = example.target.astype(np.float64)
    return np.array([mean_over_pixels(np.abs(variant - target), example.weight) for variant in example.variants])


def structural_distance(one: Scales, other: Scales) -> float:
    """Returns 1 − MS-SSIM of two images: 0 if equal."""
    return 1.0 - ms_ssim(one, other)


class BestOfK(MeansOverImages):
    """Measures L1 and 1 − MS-SSIM from the target to the nearest of the K variants, and the means over all of them.
    Lower is better.

    Each distance has its own nearest variant. The best falls with K by chance already, so compare it at one K.
    """

    @staticmethod
    def of(example: Example) -> dict[str, float]:
        target = Scales(example.counted.target, example.weight)
        distances = {
            "l1": l1_of_variants(example),
            "ms_ssim_distance": [structural_distance(Scales(variant), target) for variant in example.counted.variants],
        }
        best = {f"best_of_k_{name}": float(np.min(values)) for name, values in distances.items()}
        return best | {f"mean_of_k_{name}": float(np.mean(values)) for name, values in distances.items()}


class BestOfKGain(MeanOverImages):
    """Measures by how much the nearest of the K variants is nearer to the target, in L1, than the translation without
    noise: above 0 if the noise brings variety of use. Higher is better.

    The best of K draws of a trivial noise, such as one of overall brightness, gains a little too. Noise of single
    pixels loses.
    """

    name = "best_of_k_gain"

    @staticmethod
    def of(example: Example) -> float:
        without = mean_over_pixels(np.abs(example.without_noise.astype(np.float64) - example.target), example.weight)
        return without - float(np.min(l1_of_variants(example)))


class VariantMSSSIM(MeanOverImages):
    """Measures the mean pairwise 1 − MS-SSIM of each image's variants: mean over images. 0 if they are equal.

    It compares all pairs of up to 8 variants. Of more it compares each with the next, the last with the first.
    """

    name = "variant_ms_ssim_distance"

    @staticmethod
    def of(example: Example) -> float:
        variants = [Scales(variant, example.weight) for variant in example.counted.variants]
        pairs = itertools.combinations(range(len(variants)), 2)
        if len(variants) > ALL_PAIRS:
            pairs = ((index, (index + 1) % len(variants)) for index in range(len(variants)))
        return float(np.mean([structural_distance(variants[one], variants[other]) for one, other in pairs]))


class VariantAgreement(MeanOverImages):
    """Measures how many pixels of the variants a segmenter recognises as the class of the input's label map: mean over
    variants and images. Higher is better: colours vary, and the layout stays.

    A segmenter errs on photographs too: `semantic_real_pixel_accuracy` is the value of perfect variants.
    """

    name = "variant_agreement"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.segmenter, self.classes = setting.segmenter, setting.segmenter_classes

    def of(self, example: Example) -> float | None:
        known = (example.labels >= 0) & (example.labels < self.classes)
        if not known.any():
            return None
        labels, weights = example.labels[known], None if example.weight is None else example.weight[..., 0][known]
        if weights is not None and not weights.any():
            return None
        right = [self.segmenter(variant)[known] == labels for variant in example.variants]
        return float(np.mean([np.average(of_variant, weights=weights) for of_variant in right]))
