"""Objectives. A new loss is a function in `terms.py` and a row here."""

from tfpix2pix.lazy import lazy

# (logits, is_real, for_generator) -> scalar
GAN_LOSSES = {
    "vanilla": lazy("tfpix2pix.losses.terms", "vanilla"),
    "lsgan": lazy("tfpix2pix.losses.terms", "lsgan"),
    "hinge": lazy("tfpix2pix.losses.terms", "hinge"),
}

# (translation, target) -> scalar; each has its weight `lambda_<name>` in the configuration
RECONSTRUCTION_LOSSES = {
    "l1": lazy("tfpix2pix.losses.terms", "l1"),
    "l2": lazy("tfpix2pix.losses.terms", "l2"),
}
