"""How good a translation is. A new metric is a class in `metrics.py` and a row here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfpix2pix.lazy import lazy


@dataclass(frozen=True)
class Metric:
    """A row of `METRICS`."""

    make: Callable[[Any], Any]  # (DataConfig) -> an accumulator with `update(translation, target)` and `result()`
    of_label_maps: bool = False  # of class indices, or of images

    @classmethod
    def of_images(cls, name: str) -> "Metric":
        make = lazy("tfpix2pix.evaluation.metrics", name)
        return cls(lambda data: make())


METRICS = {
    "l1": Metric.of_images("L1"),
    "psnr": Metric.of_images("PSNR"),
    "sharpness": Metric.of_images("Sharpness"),
    "lab_intersection": Metric.of_images("LabIntersection"),
    "segmentation": Metric(lazy("tfpix2pix.evaluation.segmentation", "Segmentation"), of_label_maps=True),
}
