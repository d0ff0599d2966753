"""Figures of a translator on pairs it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tfpix2pix.evaluation import METRICS


def measure(translate: Callable, pairs: Iterable[tuple], metrics: Sequence[str], data: Any) -> dict[str, float]:
    """The figures named by `metrics` (rows of `METRICS`) over `pairs` (input, target), each (N, H, W, C) in [-1, 1].

    Of `metrics`, those that suit the targets of `data` (a DataConfig): images, or label maps.
    """
    label_maps = bool(data.target_classes)
    accumulators = [METRICS[name].make(data) for name in metrics if METRICS[name].of_label_maps == label_maps]
    for image, target in pairs:
        translations = np.asarray(translate(image))
        for translation, wanted in zip(translations, np.asarray(target), strict=True):
            for accumulator in accumulators:
                accumulator.update(translation, wanted)
    return {name: value for accumulator in accumulators for name, value in accumulator.result().items()}
