"""Measures how well label maps agree: the paper's three metrics (Table 1), from label maps or through a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.images import ratio


class Counts:
    """Counts, for each class and replicate, the pixels that are right, true and predicted.

    The three metrics need no more of a confusion matrix. (A whole matrix of 256 classes in 1,000 replicates would take
    half a gigabyte.)
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: np.ndarray | float = 0.0  # (replicates, 3, classes)

    def update(
        self, predicted: np.ndarray, true: np.ndarray, weights: np.ndarray, of_pixels: np.ndarray | None = None
    ) -> dict[str, float]:
        """Counts two label maps, int (H, W), at the pixels with a known `true` class. Returns their own scores.

        `of_pixels` (H, W, 1): how much each pixel counts; None: all count.
        """
        known = (true >= 0) & (true < self.classes)
        by_pixel = np.ones(int(known.sum())) if of_pixels is None else of_pixels[..., 0][known].astype(np.float64)
        predicted, true = predicted[known], true[known]
        parts = ((true, predicted == true), (true, slice(None)), (predicted, predicted < self.classes))
        counts = np.stack([np.bincount(values[kept], by_pixel[kept], minlength=self.classes) for values, kept in parts])
        self.counts = self.counts + weights[:, np.newaxis, np.newaxis] * counts
        return {name: float(value[0]) for name, value in scores_of(counts[np.newaxis]).items()}

    def result(self) -> dict[str, np.ndarray]:
        return scores_of(self.counts) if np.ndim(self.counts) else {}


def scores_of(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the scores of counts (replicates, 3, classes) of right, true and predicted pixels: (replicates,) each.

    Means are over the classes that are true somewhere or, for IoU, true or predicted. Returns {} without any pixel.
    """
    right, true, predicted = counts[:, 0], counts[:, 1], counts[:, 2]
    union = true + predicted - right
    if not true[0].sum():
        return {}
    with np.errstate(invalid="ignore"):
        return {
            "pixel_accuracy": ratio(right.sum(axis=-1), true.sum(axis=-1)),
            "class_accuracy": _mean(ratio(right, true)),
            "class_iou": _mean(ratio(right, union)),
        }


def _mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the last axis without NaN, or NaN if all are."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def indices(label_map: np.ndarray) -> np.ndarray:
    """Converts a label map (H, W, 1) in [-1, 1] to class indices int (H, W)."""
    return np.rint((np.asarray(label_map[..., 0], np.float64) + 1.0) * 127.5).astype(int)


class Segmentation:
    """Measures per-pixel accuracy, per-class accuracy and class IoU of label maps, each float (H, W, 1) in [-1, 1].

    If parts of the targets are label maps, each has its own three values, such as `pixel_accuracy_tissue`, and
    `class_iou` is the mean of theirs. Counts all pixels of all images, except those to ignore (a target beyond the
    classes). Higher is better.
    Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015, §5.
    """

    def __init__(self, setting: Setting) -> None:
        self.counts = {label_map: Counts(label_map.classes) for label_map in setting.label_maps}

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        scores = {}
        for label_map, counts in self.counts.items():
            translation, target = (
                indices(image[..., label_map.channel :]) for image in (example.translation, example.target)
            )
            scores[label_map.name] = counts.update(translation, target, weights, example.weight)
        return _by_part(scores)

    def result(self) -> dict[str, np.ndarray]:
        return _by_part({label_map.name: counts.result() for label_map, counts in self.counts.items()})


def _by_part(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the scores of label maps, by the names of their parts, under names of their own, and `class_iou`."""
    if "" in scores:
        return dict(scores[""])
    values = {f"{name}_{part}": value for part, of_part in scores.items() for name, value in of_part.items()}
    known = [of_part["class_iou"] for of_part in scores.values() if of_part]
    return {**values, "class_iou": sum(known) / len(known)} if known else {}


class Semantic:
    """Measures the FCN score (paper §3.4): how well a segmenter recognises the true classes in the translations.

    Its label maps of the translations are compared with the true ones. Its scores on the real images,
    `semantic_real_…`, come first: they show how far it can be trusted, and the score of a perfect translation.
    """

    def __init__(self, setting: Setting) -> None:
        self.segmenter = setting.segmenter
        self.counts = {side: Counts(setting.segmenter_classes) for side in ("real_", "")}

    def update(self, example: Example, weights: np.ndarray) -> dict[str, float]:
        images = {"real_": example.target, "": example.translation}
        scores: dict[str, float] = {}
        for side, image in images.items():
            if image is not None:
                of_side = self.counts[side].update(self.segmenter(image), example.labels, weights, example.weight)
                scores.update({f"semantic_{side}{name}": value for name, value in of_side.items()})
        return scores

    def result(self) -> dict[str, np.ndarray]:
        return {
            f"semantic_{side}{name}": values
            for side, counts in self.counts.items()
            for name, values in counts.result().items()
        }
