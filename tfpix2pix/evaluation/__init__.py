"""How good a translation is. A new metric is a class in a module of this room and a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfpix2pix.lazy import lazy


@dataclass(frozen=True)
class Metric:
    """A row of `METRICS`."""

    make: Callable[[Any], Any]  # (Setting) -> an Accumulator, both of evaluation/example.py
    protocol: str  # how its figures come about, in one sentence that stands beside them
    needs: tuple[str, ...] = ("target",)  # of an Example or the Setting; without them it is not measured
    of_label_maps: bool | None = False  # of class indices, of images, or (None) of both
    score: str | None = None  # which of its figures says that a translator is better; None: none does
    better: str = "higher"  # of all its figures, what is better: `higher`, `lower`, `near 1`, or `` (neither)
    most: float | None = None  # what its figures cannot exceed, nor their intervals
    while_training: bool = False  # whether it is among the held-out figures of a run unless a configuration says so

    @property
    def higher_is_better(self) -> bool:
        """Of its score."""
        return self.better == "higher"

    def suits(self, label_maps: bool) -> bool:
        return self.of_label_maps is None or self.of_label_maps == label_maps


def _of(module: str, name: str, protocol: str, **more: Any) -> Metric:
    return Metric(lazy(f"tfpix2pix.evaluation.{module}", name), protocol, **more)


METRICS = {
    "l1": _of(
        "images",
        "L1",
        "mean absolute difference on [-1, 1] over pixels and channels; mean over images",
        score="l1",
        better="lower",
        while_training=True,
    ),
    "l2": _of(
        "images",
        "L2",
        "mean squared difference on [-1, 1] over pixels and channels; mean over images",
        score="l2",
        better="lower",
    ),
    "psnr": _of(
        "images",
        "PSNR",
        "10 log10(4 / mean squared difference on [-1, 1]), dB, at most 200; mean over images",
        score="psnr_db",
        while_training=True,
    ),
    "ssim": _of(
        "images",
        "SSIM",
        "structural similarity (Wang et al. 2004): Gaussian windows of sigma 1.5 px (11 px), K 0.01 "
        "and 0.03, on [0, 1], each channel alone; mean over pixels, channels and images",
        score="ssim",
        most=1.0,
        while_training=True,
    ),
    "ms_ssim": _of(
        "multiscale",
        "MSSSIM",
        "multi-scale structural similarity (Wang et al. 2003) on [0, 1]: five scales, weights "
        "0.0448, 0.2856, 0.3001, 0.2363, 0.1333, windows inside the image, below 0 counts as 0; "
        "below 176 px fewer scales, their weights raised to a sum of 1; mean over channels and images",
        score="ms_ssim",
        most=1.0,
    ),
    "sharpness": _of(
        "images",
        "Sharpness",
        "mean gradient magnitude (forward differences) of all translations over that of all "
        "targets; 1 is as sharp, less is blurrier",
        better="near 1",
        while_training=True,
    ),
    "lab_intersection": _of(
        "color",
        "LabIntersection",
        "intersection of the histograms of all pixels of all images in CIE Lab, per "
        "channel: 100 bins over L [0, 100], a and b [-111.1, 108.9] (paper Fig. 7)",
        most=1.0,
        while_training=True,
    ),
    "gradient": _of(
        "images",
        "Gradient",
        "mean gradient magnitude (forward differences) of the translations on [-1, 1]: sharpness "
        "without a target; mean over images",
        needs=(),
        better="",
    ),
    "diversity": _of(
        "images",
        "Diversity",
        "mean absolute difference on [-1, 1] between translations of one image by different "
        "noise, over all pairs of them; mean over images",
        needs=("variants",),
        better="",
    ),
    "swd": _of(
        "patches",
        "SlicedWasserstein",
        "sliced Wasserstein distance x 1000 between 7x7 px patches of all translations "
        "and of all targets, 128 an image and level, on a Laplacian pyramid (levels named by their px), normalised by "
        "the targets' mean and deviation "
        "(at least 2/255), 512 projections; swd is the levels' mean (after Karras et al. 2018)",
        score="swd",
        better="lower",
    ),
    "fid": _of(
        "features",
        "FID",
        "Frechet distance between Gaussians fitted to the features of translations and of targets "
        "(Heusel et al. 2017); biased upwards for few images",
        needs=("target", "features"),
        score="fid",
        better="lower",
    ),
    "kid": _of(
        "features",
        "KID",
        "squared maximum mean discrepancy between the features of translations and of targets, "
        "kernel (x.y / D + 1)^3, unbiased, in blocks of up to 1,000 images, averaged by size (Binkowski et al. 2018)",
        needs=("target", "features"),
        score="kid",
        better="lower",
    ),
    "semantic": _of(
        "segmentation",
        "Semantic",
        "the FCN score (paper section 3.4): label maps that a segmenter sees in the "
        "translations against the true ones, figures as of `segmentation`; semantic_real_… are its scores of the real "
        "images",
        needs=("segmenter", "labels"),
        score="semantic_class_iou",
        most=1.0,
    ),
    "segmentation": _of(
        "segmentation",
        "Segmentation",
        "label maps, one confusion matrix over all pixels of all images but those to "
        "ignore: per-pixel accuracy, per-class accuracy, class IoU (paper Table 6; Long et al. 2015)",
        of_label_maps=True,
        score="class_iou",
        most=1.0,
        while_training=True,
    ),
}
