"""How well label maps agree: the paper's three figures (Table 1), from one confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np


class Segmentation:
    """Per-pixel accuracy, per-class accuracy and class IoU of label maps, each float (H, W, 1) in [-1, 1].

    Over all pixels of all images but those to ignore (a target beyond the classes); means over the classes that are in
    the targets or, of IoU, in either. Higher is better.
    Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015, §5.
    """

    def __init__(self, data: Any) -> None:
        self.classes = data.target_classes
        self.confusion = np.zeros((self.classes, self.classes), np.int64)  # target, translation

    def update(self, translation: np.ndarray, target: np.ndarray) -> None:
        indices = [np.rint((np.asarray(each, np.float64) + 1.0) * 127.5).astype(int) for each in (target, translation)]
        known = indices[0] < self.classes
        joint = indices[0][known] * self.classes + indices[1][known]
        self.confusion += np.bincount(joint, minlength=self.classes**2).reshape(self.confusion.shape)

    def result(self) -> dict[str, float]:
        right, wanted = np.diag(self.confusion), self.confusion.sum(axis=1)
        union = wanted + self.confusion.sum(axis=0) - right
        if not wanted.sum():
            return {}
        return {
            "pixel_accuracy": float(right.sum() / wanted.sum()),
            "class_accuracy": float(np.mean((right / np.maximum(wanted, 1))[wanted > 0])),
            "class_iou": float(np.mean((right / np.maximum(union, 1))[union > 0])),
        }
