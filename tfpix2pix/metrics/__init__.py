"""Measures how good translations are. A new metric is a class in a module of this room and a row here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfpix2pix.tables import lazy


@dataclass(frozen=True)
class Metric:
    """Describes a metric: a row of `METRICS`. A metric may have several values, which have names of their own."""

    make: Callable[[Any], Any]  # (Setting) -> an Accumulator, both in metrics/example.py
    protocol: str  # how its values are computed, in one sentence that is shown beside them
    needs: tuple[str, ...] = ("target",)  # fields of Example or Setting; without them it is not measured
    of_label_maps: bool | None = False  # True: for class indices; False: for images; None: for both
    score: str | None = None  # name of the value by which translators are compared; None: not compared
    better: str = "higher"  # which values are better, for all its names: `higher`, `lower`, `near 1`, or `` (neither)
    least: float | None = None  # smallest possible value, which bounds the intervals too
    most: float | None = None  # largest possible value, likewise
    least_images: int = 1  # that it needs; of fewer it is not measured
    of_channels: bool = False  # it chooses the channels of parts (`data.targets`); others see the images among them
    while_training: bool = False  # runs measure it on held-out pairs, unless their configuration lists others
    in_unit: bool = False  # its values are in the targets' unit
    titles: Mapping[str, str] = field(default_factory=dict)  # name of a value -> its title; * stands for any text

    def unit_of(self, name: str, units: Iterable[Any]) -> str:
        """Returns the unit of one of its values, or "". `units`: of the targets (`Unit` in metrics/example.py)."""
        return next((unit.name for unit in units if self.in_unit and name in map(unit.of, self.titles)), "")

    def bounded(self, limit: float) -> float:
        """Returns an end of an interval, moved into the possible values."""
        limit = limit if self.least is None else max(limit, self.least)
        return limit if self.most is None else min(limit, self.most)

    def suits(self, kinds: Collection[bool]) -> bool:
        """Returns True if it measures targets of these kinds: True for label maps, False for images."""
        return self.of_label_maps is None or self.of_label_maps in kinds


def title_of(name: str) -> str:
    """Returns the title of a metric's value, or `name` if it is not in a row of `METRICS`."""
    return titled(name)[0]


def titled(name: str) -> tuple[str, str]:
    """Returns the title of a metric's value, and which values are better, as the row of `METRICS` has them."""
    for row in METRICS.values():
        for key, title in row.titles.items():
            start, star, end = key.partition("*")
            if name == key or (star and name.startswith(start) and name.endswith(end)):
                return title.replace("*", name[len(start) : len(name) - len(end)]), row.better
    return name, ""


def _of(module: str, name: str, protocol: str, **more: Any) -> Metric:
    return Metric(lazy(f"tfpix2pix.metrics.{module}", name), protocol, **more)


_SHARE = {"least": 0.0, "most": 1.0}
_ERROR = {"better": "lower", "least": 0.0}
_AMOUNT = {"better": "", "least": 0.0}
_OF_LABEL_MAPS = {
    "pixel_accuracy": "Per-pixel accuracy",
    "class_accuracy": "Per-class accuracy",
    "class_iou": "Class IoU",
}
METRICS = {
    "l1": _of(
        "images",
        "L1",
        "mean absolute difference on [-1, 1] over pixels and channels; mean over images",
        score="l1",
        **_ERROR,
        while_training=True,
        titles={"l1": "Mean absolute difference (L1)"},
    ),
    "l2": _of(
        "images",
        "L2",
        "mean squared difference on [-1, 1] over pixels and channels; mean over images",
        score="l2",
        **_ERROR,
        titles={"l2": "Mean squared difference (L2)"},
    ),
    "psnr": _of(
        "images",
        "PSNR",
        "10 log10(4 / mean squared difference on [-1, 1]), dB, at most 200; mean over images",
        score="psnr_db",
        while_training=True,
        titles={"psnr_db": "Peak signal-to-noise ratio (PSNR), dB"},
    ),
    "ssim": _of(
        "images",
        "SSIM",
        "structural similarity (Wang et al. 2004): Gaussian windows of sigma 1.5 px (11 px), K 0.01 "
        "and 0.03, on [0, 1], each channel alone; mean over pixels, channels and images",
        score="ssim",
        least=-1.0,
        most=1.0,
        while_training=True,
        titles={"ssim": "Structural similarity (SSIM)"},
    ),
    "ms_ssim": _of(
        "images",
        "MSSSIM",
        "multi-scale structural similarity (Wang et al. 2003) on [0, 1]: five scales, weights "
        "0.0448, 0.2856, 0.3001, 0.2363, 0.1333, windows inside the image, below 0 counts as 0; "
        "below 176 px fewer scales, their weights raised to a sum of 1; mean over channels and images",
        score="ms_ssim",
        **_SHARE,
        titles={"ms_ssim": "Multi-scale structural similarity (MS-SSIM)"},
    ),
    "sharpness": _of(
        "images",
        "Sharpness",
        "mean gradient magnitude (forward differences) of all translations over that of all "
        "targets; 1 is as sharp, less is blurrier",
        better="near 1",
        least=0.0,
        while_training=True,
        titles={"sharpness": "Sharpness relative to the targets"},
    ),
    "lab_intersection": _of(
        "images",
        "LabIntersection",
        "intersection of the histograms of all pixels of all images in CIE Lab, per "
        "channel: 100 bins over L [0, 100], a and b [-111.1, 108.9] (paper Fig. 7)",
        **_SHARE,
        while_training=True,
        titles={
            "lab_intersection_L": "Overlap of lightness histograms (Lab L)",
            "lab_intersection_a": "Overlap of green–red histograms (Lab a)",
            "lab_intersection_b": "Overlap of blue–yellow histograms (Lab b)",
        },
    ),
    "gradient": _of(
        "images",
        "Gradient",
        "mean gradient magnitude (forward differences) of the translations on [-1, 1]: sharpness "
        "without a target; mean over images",
        needs=(),
        **_AMOUNT,
        titles={"gradient_magnitude": "Mean gradient magnitude"},
    ),
    "diversity": _of(
        "images",
        "Diversity",
        "mean absolute difference on [-1, 1] between translations of one image by different "
        "noise, over all pairs of them; mean over images",
        needs=("variants",),
        **_AMOUNT,
        titles={"diversity": "Diversity over noise"},
    ),
    "unit_errors": _of(
        "units",
        "Errors",
        "errors of translations in the unit of the targets (`data.target_unit`), over all pixels and channels of all "
        "images: mean absolute (unit_mae) and root of the mean squared (unit_rmse)",
        needs=("target", "unit"),
        of_channels=True,
        score="unit_mae",
        **_ERROR,
        in_unit=True,
        titles={
            "unit_mae": "Mean absolute error (MAE), in the targets' unit",
            "unit_rmse": "Root mean squared error (RMSE), in the targets' unit",
            "unit_mae_*": "Mean absolute error (MAE) of *, in its unit",
            "unit_rmse_*": "Root mean squared error (RMSE) of *, in its unit",
        },
    ),
    "unit_bias": _of(
        "units",
        "Bias",
        "mean of translation minus target in the unit of the targets, over all pixels and channels of all images",
        needs=("target", "unit"),
        of_channels=True,
        better="",
        in_unit=True,
        titles={"unit_bias": "Bias, in the targets' unit", "unit_bias_*": "Bias of *, in its unit"},
    ),
    "correlation": _of(
        "units",
        "Correlation",
        "Pearson's r of translation and target, and R2 = 1 - sum (x - y)^2 / sum (y - mean y)^2, over all pixels and "
        "channels of all images",
        needs=("target", "unit"),
        of_channels=True,
        score="pearson_r",
        most=1.0,
        titles={
            "pearson_r": "Correlation (Pearson's r)",
            "r2": "Share of variance that is explained (R²)",
            "pearson_r_*": "Correlation (Pearson's r) of *",
            "r2_*": "Share of variance that is explained (R²) of *",
        },
    ),
    "swd": _of(
        "patches",
        "SlicedWasserstein",
        "sliced Wasserstein distance x 1000 between 7x7 px patches of all translations and of all targets, 128 an "
        "image and level, on a Laplacian pyramid (levels named by their px), normalised by the targets' mean and "
        "deviation (at least 2/255), 512 projections; swd is the levels' mean (after Karras et al. 2018)",
        score="swd",
        **_ERROR,
        titles={
            "swd": "Sliced Wasserstein distance (SWD)",
            "swd_*": "Sliced Wasserstein distance at * px",
        },
    ),
    "fid": _of(
        "features",
        "FID",
        "Frechet distance between Gaussians fitted to the features of translations and of targets "
        "(Heusel et al. 2017); biased upwards for few images",
        needs=("target", "features"),
        score="fid",
        **_ERROR,
        titles={"fid": "Fréchet distance of features (FID)"},
    ),
    "kid": _of(
        "features",
        "KID",
        "squared maximum mean discrepancy between the features of translations and of targets, "
        "kernel (x.y / D + 1)^3, unbiased, in blocks of up to 1,000 images, averaged by size (Binkowski et al. 2018)",
        needs=("target", "features"),
        score="kid",
        better="lower",
        titles={"kid": "Kernel distance of features (KID)"},
    ),
    "semantic": _of(
        "segmentation",
        "Semantic",
        "the FCN score (paper section 3.4): label maps that a segmenter sees in the "
        "translations against the true ones, figures as of `segmentation`; semantic_real_… are its scores of the real "
        "images",
        needs=("segmenter", "labels"),
        score="semantic_class_iou",
        **_SHARE,
        titles={
            f"semantic_{side}{key}": f"FCN score{of}: {title[0].lower()}{title[1:]}"
            for side, of in (("", ""), ("real_", " of the real images"))
            for key, title in _OF_LABEL_MAPS.items()
        },
    ),
    "entropy": _of(
        "entropy",
        "Entropy",
        "fill colours of pairs whose true probabilities are known: a translation has the colour that three quarters of "
        "the pixels inside the shape are near to, or none. entropy_bits: for each input, Miller-Madow entropy of its "
        "variants' colours times the share that has one, mean over inputs; 2 variants a colour or more. "
        "entropy_pooled_bits: the same, of all variants of a kind of shape together. entropy_kl_bits: KL(truth || "
        "model) by kind, no colour being an outcome too, 1/2 added to each count",
        needs=("truth", "variants", "target", "input"),
        **_AMOUNT,
        titles={
            "entropy_bits": "Entropy of the colour given the input, bits",
            "entropy_true_bits": "Entropy of the colour given the input, of the data, bits",
            "entropy_pooled_bits": "Entropy of the colour given the kind of shape, bits",
            "entropy_kl_bits": "Divergence of the colours from the data's (KL), bits",
            "colors_present": "Colours that occur",
            "colors_possible": "Colours that occur in the data",
            "no_color": "Fraction of translations without a clear colour",
            "outline_l1": "Mean absolute difference on the outline",
            "paper_l1": "Mean absolute difference on the paper around the shape",
        },
    ),
    "segmentation": _of(
        "segmentation",
        "Segmentation",
        "label maps, one confusion matrix over all pixels of all images but those to "
        "ignore: per-pixel accuracy, per-class accuracy, class IoU (paper Table 6; Long et al. 2015); if parts of the "
        "targets are label maps, of each part, and class_iou is their mean",
        of_label_maps=True,
        of_channels=True,
        score="class_iou",
        **_SHARE,
        while_training=True,
        titles={**_OF_LABEL_MAPS, **{f"{key}_*": f"{title} of *" for key, title in _OF_LABEL_MAPS.items()}},
    ),
    "best_of_k": _of(
        "variants",
        "BestOfK",
        "distance on [-1, 1] from the target to the nearest of the K variants by different noise, and the mean over "
        "the variants: L1, and 1 - MS-SSIM as of `ms_ssim`, each with its own nearest variant; mean over images; the "
        "best falls with K, so only values of one K are comparable",
        needs=("target", "variants"),
        **_ERROR,
        titles={
            f"{which}_of_k_{key}": f"{title} of the variants"
            for which, word in (("best", "nearest"), ("mean", "mean"))
            for key, title in {
                "l1": f"Distance (L1), {word}",
                "ms_ssim_distance": f"Structural distance (1 − MS-SSIM), {word}",
            }.items()
        },
    ),
    "best_of_k_gain": _of(
        "variants",
        "BestOfKGain",
        "L1 of the translation without noise minus L1 of the best of the K variants, paired by image; mean over "
        "images; above 0 the noise brings useful variety, although a trivial noise, such as one of brightness, gains "
        "a little too",
        needs=("target", "variants", "without_noise"),
        titles={"best_of_k_gain": "Gain in L1 of the best variant over no noise"},
    ),
    "nearest": _of(
        "nearest",
        "Nearest",
        "distance from a translation to the nearest of up to 1,000 training targets (nearest_training), and from its "
        "target to it (nearest_training_real): root of the mean squared difference on [-1, 1] of their pictures' means "
        "over 32x32 fields; mean over images; copies are much nearer than the real targets, and blurry images somewhat",
        needs=("target", "training"),
        of_label_maps=None,
        of_channels=True,
        **_AMOUNT,
        titles={
            "nearest_training": "Distance to the nearest training target",
            "nearest_training_real": "Distance of real targets to the nearest training target",
        },
    ),
    "copied": _of(
        "nearest",
        "Copied",
        "share of translations that are copies of a training target: the distance of `nearest` is below half of the "
        "mean distance of the 50 nearest training targets (after Carlini et al. 2023); copied_real is that share of "
        "the held-out targets themselves, which is above 0 if the data have near-duplicates",
        needs=("target", "training"),
        of_label_maps=None,
        of_channels=True,
        better="lower",
        **_SHARE,
        titles={
            "copied": "Share of copies of training targets",
            "copied_real": "Share of copies among the real targets",
        },
    ),
    "variant_ms_ssim": _of(
        "variants",
        "VariantMSSSIM",
        "1 - MS-SSIM, as of `ms_ssim`, between translations of one image by different noise, over all pairs of up to 8 "
        "of them, else over neighbours; mean over images",
        needs=("variants",),
        better="",
        **_SHARE,
        titles={"variant_ms_ssim_distance": "Structural diversity over noise (1 − MS-SSIM)"},
    ),
    "variant_agreement": _of(
        "variants",
        "VariantAgreement",
        "share of the pixels of the translations by different noise in which a segmenter sees the class of the input's "
        "label map; mean over variants and images; semantic_real_pixel_accuracy is the value of perfect ones",
        needs=("variants", "segmenter", "labels"),
        **_SHARE,
        titles={"variant_agreement": "Layout kept over noise (per-pixel accuracy)"},
    ),
    "ndb": _of(
        "bins",
        "Bins",
        "number (ndb) and share of statistically different bins, and Jensen-Shannon divergence of their shares in bits "
        "(jsd): K-means on the targets' pixels at 16x16 px, one bin for 10 targets, at most 100; the first variant of "
        "each image against the targets, two-sample z-test at 5 %: about one of 20 bins differs by chance "
        "(Richardson & Weiss 2018)",
        needs=("target", "variants"),
        **_ERROR,
        least_images=50,
        titles={
            "ndb": "Number of different bins (NDB)",
            "ndb_share": "Share of different bins (NDB / bins)",
            "jsd": "Jensen–Shannon divergence of the bins (JSD)",
        },
    ),
    "calibration": _of(
        "calibration",
        "Calibration",
        "share of pixels and channels whose target lies within mean +- q deviations of the K variants (deviation with "
        "K - 1; q: Student's t of K - 1 degrees times sqrt(1 + 1/K), the normal quantile for large K); mean over "
        "images; a calibrated model has 0.5, 0.8, 0.9 and 0.95, lower values mean too sure",
        needs=("target", "variants"),
        better="",
        **_SHARE,
        titles={
            f"calibration_{level}": f"Share of targets inside the {level} % interval of the variants"
            for level in (50, 80, 90, 95)
        },
    ),
    "calibration_gap": _of(
        "calibration",
        "CalibrationGap",
        "mean absolute difference between the four shares of `calibration` over all images and their levels",
        needs=("target", "variants"),
        better="lower",
        **_SHARE,
        titles={"calibration_gap": "Gap of the intervals' shares from their levels"},
    ),
}
