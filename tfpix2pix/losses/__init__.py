"""Objectives. A new loss is a function in `terms.py` and a row here."""

from __future__ import annotations

from collections.abc import Mapping

from tfpix2pix.lazy import lazy

# (logits, is_real, for_generator, smoothing) -> scalar
GAN_LOSSES = {
    "vanilla": lazy("tfpix2pix.losses.terms", "vanilla"),
    "lsgan": lazy("tfpix2pix.losses.terms", "lsgan"),
    "hinge": lazy("tfpix2pix.losses.terms", "hinge"),
    "none": lazy("tfpix2pix.losses.terms", "none"),
}
BOUNDARIES = {"vanilla": 0.0, "lsgan": 0.5, "hinge": 0.0, "none": 0.0}  # a logit above says "real"
SMOOTHED = ("vanilla", "lsgan")  # those with labels to smooth

# (translation, target) -> scalar; each has its weight `lambda_<name>` in the configuration
RECONSTRUCTION_LOSSES = {
    "l1": lazy("tfpix2pix.losses.terms", "l1"),
    "l2": lazy("tfpix2pix.losses.terms", "l2"),
}

LAMBDA = 100.0  # the paper's weight of the reconstruction term beside the adversarial one (§3.3)


def _weights(gan: float = 0.0, l1: float = 0.0, l2: float = 0.0) -> dict[str, float]:
    return {"lambda_gan": gan, "lambda_l1": l1, "lambda_l2": l2}


# The objectives that the paper compares (§4.2, Table 1) and L2: weights, and whether D sees the input (None: either).
OBJECTIVES: dict[str, tuple[dict[str, float], bool | None]] = {
    "l1": (_weights(l1=LAMBDA), None),
    "gan": (_weights(gan=1.0), False),
    "cgan": (_weights(gan=1.0), True),
    "l1+gan": (_weights(gan=1.0, l1=LAMBDA), False),
    "l1+cgan": (_weights(gan=1.0, l1=LAMBDA), True),
    "l2": (_weights(l2=LAMBDA), None),
}


def objective_name(lambda_gan: float, lambdas: Mapping[str, float], conditional: bool) -> str:
    """What weights amount to, in the names of `OBJECTIVES` where it is one of them."""
    terms = [name for name, weight in lambdas.items() if weight]
    if lambda_gan:
        terms.append("cgan" if conditional else "gan")
    return "+".join(terms)
