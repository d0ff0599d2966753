"""How well label maps agree: the paper's three figures (Table 1), from label maps or through a segmenter."""

from __future__ import annotations

import numpy as np

from tfpix2pix.evaluation.example import Example, Setting
from tfpix2pix.evaluation.images import ratio


class Counts:
    """What the three figures need of a confusion matrix: of each class the pixels that are right, that are wanted and
    that were given, in every replicate. (A matrix of 256 classes in 1,000 replicates would be half a gigabyte.)"""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: np.ndarray | float = 0.0  # (replicates, 3, classes)

    def update(self, given: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """Counts two label maps, int (H, W), where `wanted` is one of the classes; the figures of these two alone."""
        known = (wanted >= 0) & (wanted < self.classes)
        given, wanted = given[known], wanted[known]
        inside = given < self.classes
        of = (wanted[given == wanted], wanted, given[inside])
        own = np.stack([np.bincount(each.ravel(), minlength=self.classes) for each in of]).astype(np.float64)
        self.counts = self.counts + weights[:, np.newaxis, np.newaxis] * own
        return {name: float(value[0]) for name, value in figures(own[np.newaxis]).items()}

    def result(self) -> dict[str, np.ndarray]:
        return figures(self.counts) if np.ndim(self.counts) else {}


def figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(replicates, 3, classes) of right, wanted, given -> (replicates,) of each figure; {} where nothing was wanted.

    Means over the classes that are wanted or, of IoU, either wanted or given.
    """
    right, wanted, given = counts[:, 0], counts[:, 1], counts[:, 2]
    union = wanted + given - right
    if not wanted[0].sum():
        return {}
    with np.errstate(invalid="ignore"):
        return {
            "pixel_accuracy": ratio(right.sum(axis=-1), wanted.sum(axis=-1)),
            "class_accuracy": _mean(ratio(right, wanted)),
            "class_iou": _mean(ratio(right, union)),
        }


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of the numbers; NaN where there are none."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def indices(label_map: np.ndarray) -> np.ndarray:
    """A label map as metrics get it, (H, W, 1) in [-1, 1] -> int (H, W)."""
    return np.rint((np.asarray(label_map[..., 0], np.float64) + 1.0) * 127.5).astype(int)


class Segmentation:
    """Per-pixel accuracy, per-class accuracy and class IoU of label maps, each float (H, W, 1) in [-1, 1].

    Over all pixels of all images but those to ignore (a target beyond the classes). Higher is better.
    Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015, §5.
    """

    def __init__(self, setting: Setting) -> None:
        self.counts = Counts(setting.classes)

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        return self.counts.update(indices(example.translation), indices(example.target), weights)

    def result(self) -> dict[str, np.ndarray]:
        return self.counts.result()


class Semantic:
    """The FCN score (paper §3.4): can a segmenter see in the translation what should be there?

    The segmenter looks at the translations, and its label maps are scored against the true ones. Its scores of the
    real images, `semantic_real_…`, come first: they say how far it can be trusted, and what a perfect translation gets.
    """

    def __init__(self, setting: Setting) -> None:
        self.segmenter = setting.segmenter
        self.counts = {side: Counts(setting.segmenter_classes) for side in ("real_", "")}

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        images = {"real_": example.target, "": example.translation}
        own: dict[str, float] = {}
        for side, image in images.items():
            if image is not None:
                seen = self.counts[side].update(self.segmenter(image), example.labels, weights)
                own.update({f"semantic_{side}{name}": value for name, value in seen.items()})
        return own

    def result(self) -> dict[str, np.ndarray]:
        return {
            f"semantic_{side}{name}": values
            for side, counts in self.counts.items()
            for name, values in counts.result().items()
        }
