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
    score: str | None = None  # which of its values says that a translator is better; None: none does
    higher_is_better: bool = True

    @classmethod
    def of_images(cls, name: str, score: str | None = None, higher_is_better: bool = True) -> "Metric":
        make = lazy("tfpix2pix.evaluation.metrics", name)
        return cls(lambda data: make(), score=score, higher_is_better=higher_is_better)


METRICS = {
    "l1": Metric.of_images("L1", score="l1", higher_is_better=False),
    "psnr": Metric.of_images("PSNR", score="psnr_db"),
    "ssim": Metric.of_images("SSIM", score="ssim"),
    "sharpness": Metric.of_images("Sharpness"),
    "lab_intersection": Metric.of_images("LabIntersection"),
    "segmentation": Metric(
        lazy("tfpix2pix.evaluation.segmentation", "Segmentation"), of_label_maps=True, score="class_iou"
    ),
}
