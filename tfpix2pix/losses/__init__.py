"""Lists the losses and objectives. A new loss is a function in `terms.py` and a row that describes it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tfpix2pix.tables import lazy


@dataclass(frozen=True)
class GanLoss:
    """Describes a form of the adversarial objective.

    Attributes:
        call: (logits, is_real, for_generator, smoothing) -> scalar, the mean over the logits.
        boundary: a logit above it means "real".
        smoothed: True if it has labels that can be smoothed.
        adversarial: True if it trains a discriminator.
    """

    call: Callable[..., Any]
    boundary: float = 0.0
    smoothed: bool = False
    adversarial: bool = True
    title: str = ""  # in a text on methods, with its source as `references.py` cites it


GAN_LOSSES = {
    "vanilla": GanLoss(lazy("tfpix2pix.losses.terms", "vanilla"), smoothed=True, title="binary cross-entropy"),
    "lsgan": GanLoss(
        lazy("tfpix2pix.losses.terms", "lsgan"), boundary=0.5, smoothed=True, title="least squares (Mao et al. 2017)"
    ),
    "hinge": GanLoss(lazy("tfpix2pix.losses.terms", "hinge"), title="the hinge loss (Lim & Ye 2017)"),
    "none": GanLoss(lazy("tfpix2pix.losses.terms", "none"), adversarial=False),
}

IMAGES = ("translation", "target")  # float32 (N, H, W, C) in [-1, 1]
JUDGEMENT = ("gan_loss", "fake_logits")  # a row of GAN_LOSSES; D's logits for the translation, one tensor a scale
FEATURES = ("real_features", "fake_features")  # for each scale of D, the maps of its hidden layers
TAUGHT = ("translation", "teacher")  # of the student and of its teacher, float32 (N, H, W, C) in [-1, 1]
# The variant is the translation of the same input by another noise, and `noise_distance` (N,) that of the two noises.
VARIED = ("translation", "variant", "noise_distance")
STYLED = ("style",)  # a `Style` of losses/style.py: what the encoder found
PERCEIVED = (*IMAGES, "perceptual_network")  # a function from images to feature maps, each times its weight


@dataclass(frozen=True)
class Term:
    """Describes a term of the generator's objective. Its weight is `objective.weights.<name>`.

    Attributes:
        call: takes the arguments in `needs` and returns a scalar.
        about: description of its weight, for `presets --keys`.
        needs: `IMAGES`, `JUDGEMENT`, `FEATURES`, `TAUGHT`, `PERCEIVED`, `STYLED`, or `VARIED`, which
            `diversity_clip` may follow.
        costly: True if a weight of 0 saves its time: it is not measured then.
        title: in a text on methods, with its source as `references.py` cites it.
    """

    call: Callable[..., Any]
    about: str
    needs: tuple[str, ...] = IMAGES
    costly: bool = False
    title: str = ""

    @property
    def needs_discriminator(self) -> bool:
        return self.needs in (JUDGEMENT, FEATURES, STYLED)

    @property
    def needs_teacher(self) -> bool:
        return self.needs == TAUGHT

    @property
    def needs_noise(self) -> bool:
        return "variant" in self.needs

    @property
    def needs_encoder(self) -> bool:
        return self.needs == STYLED

    @property
    def needs_network(self) -> bool:
        return self.needs == PERCEIVED


TERMS = {
    "gan": Term(
        lazy("tfpix2pix.losses.terms", "adversarial"),
        "Weight of the adversarial term. At 0, the discriminator is still trained and the term is still measured.",
        JUDGEMENT,
        title="the adversarial term",
    ),
    "l1": Term(
        lazy("tfpix2pix.losses.terms", "l1"), "Weight of the mean absolute difference (the paper's λ).", title="L1"
    ),
    "l2": Term(lazy("tfpix2pix.losses.terms", "l2"), "Weight of the mean squared difference.", title="L2"),
    "feature_matching": Term(
        lazy("tfpix2pix.losses.terms", "feature_matching"),
        "Weight of the mean absolute difference between the discriminator's hidden maps for the target and for the "
        "translation. It is 10 in pix2pixHD.",
        FEATURES,
        title="feature matching (Wang et al. 2018)",
    ),
    "teacher_l1": Term(
        lazy("tfpix2pix.losses.terms", "l1"),
        "Weight of the mean absolute difference from the teacher's translation, for `tfpix2pix distill`.",
        TAUGHT,
        title="L1 from the teacher's translation",
    ),
    "teacher_ms_ssim": Term(
        lazy("tfpix2pix.losses.terms", "structural_dissimilarity"),
        "Weight of 1 - MS-SSIM of the translation and the teacher's, for `tfpix2pix distill`.",
        TAUGHT,
        title="1 − MS-SSIM of the translation and the teacher's (Wang et al. 2003)",
    ),
    "diversity_sensitive": Term(
        lazy("tfpix2pix.losses.diversity", "diversity_sensitive"),
        "Weight of minus the difference of two translations by different noise, relative to the noises. It is 8 beside "
        "an `l1` of 10 in DSGAN. A second forward pass of the generator makes the other translation.",
        (*VARIED, "diversity_clip"),
        title="the diversity-sensitive term (Yang et al. 2019)",
    ),
    "mode_seeking": Term(
        lazy("tfpix2pix.losses.diversity", "mode_seeking"),
        "Weight of the inverse of that difference. It is 1 beside an `l1` of 10 in MSGAN, which is 2 here, because the "
        "other translation has no gradient.",
        VARIED,
        title="the mode-seeking term (Mao et al. 2019)",
    ),
    "style_kl": Term(
        lazy("tfpix2pix.losses.style", "style_kl"),
        "Weight of the divergence of the targets' styles from N(0, 1), nats. With it, an encoder finds a style in each "
        "target, and the terms that compare with the target see the translation by that style. It is 0.01 beside an "
        "`l1` of 10 in BicycleGAN.",
        STYLED,
        title="the divergence of the styles from N(0, 1) (Zhu et al. 2017)",
    ),
    "style_recovery": Term(
        lazy("tfpix2pix.losses.style", "style_recovery"),
        "Weight of the mean absolute difference of a style and of what the encoder finds in the translation by it. It "
        "is 0.5 in BicycleGAN.",
        STYLED,
        title="the recovery of the style (Zhu et al. 2017)",
    ),
    "perceptual": Term(
        lazy("tfpix2pix.losses.terms", "perceptual"),
        "Weight of the mean absolute difference between the maps of `objective.perceptual_network` for the target and "
        "for the translation. It is 10 in pix2pixHD, whose network has other weights than Keras's.",
        PERCEIVED,
        title="the perceptual term (Johnson et al. 2016)",
    ),
    "pyramid_l1": Term(
        lazy("tfpix2pix.losses.pyramid", "pyramid_l1"),
        "Weight of the mean over four scales, from full size to 1/8, of the mean absolute difference, for pairs that "
        "are shifted by a few pixels. 100 with `l1` at 0 weighs as much as the paper's λ.",
        costly=True,
        title="L1 at four scales (Liu et al. 2022)",
    ),
}


@dataclass(frozen=True)
class PerceptualNetwork:
    """Describes a network with published weights, whose maps the term `perceptual` compares.

    Attributes:
        open: takes no arguments and returns a function from RGB images, float32 (N, H, W, 3) in [-1, 1], to maps.
        least_px: smallest height and width of an image, px, at which every map has a pixel.
    """

    open: Callable[[], Callable[[Any], Any]]
    least_px: int


PERCEPTUAL_NETWORKS = {"vgg19": PerceptualNetwork(lazy("tfpix2pix.losses.perceptual", "vgg19"), least_px=16)}

LAMBDA = 100.0  # the paper's weight of the reconstruction term beside the adversarial one (§3.3)
WEIGHTS = {"gan": 1.0, "l1": LAMBDA}  # the default objective


class NamedObjective(NamedTuple):
    """Describes an objective that the paper names: a row of `OBJECTIVES`."""

    weights: dict[str, float]
    conditional: bool | None  # whether D sees the input; None: either


# The objectives that the paper compares (§4.2, Table 1) and L2.
OBJECTIVES = {
    "l1": NamedObjective({"l1": LAMBDA}, None),
    "gan": NamedObjective({"gan": 1.0}, False),
    "cgan": NamedObjective({"gan": 1.0}, True),
    "l1+gan": NamedObjective({"gan": 1.0, "l1": LAMBDA}, False),
    "l1+cgan": NamedObjective({"gan": 1.0, "l1": LAMBDA}, True),
    "l2": NamedObjective({"l2": LAMBDA}, None),
}


def objective_name(weights: Mapping[str, float], conditional: bool) -> str:
    """Names an objective by its terms with a weight, such as `l1+cgan`, in the words of `OBJECTIVES`."""
    terms = [name for name in TERMS if weights.get(name) and name != "gan"]
    if weights.get("gan"):
        terms.append("cgan" if conditional else "gan")
    return "+".join(terms)
