"""How good a translation is. A new metric is a class in `metrics.py` and a row here."""

from tfpix2pix.lazy import lazy

# () -> an accumulator with `update(translation, target)` and `result()`
METRICS = {
    "l1": lazy("tfpix2pix.evaluation.metrics", "L1"),
    "psnr": lazy("tfpix2pix.evaluation.metrics", "PSNR"),
    "sharpness": lazy("tfpix2pix.evaluation.metrics", "Sharpness"),
    "lab_intersection": lazy("tfpix2pix.evaluation.metrics", "LabIntersection"),
}
