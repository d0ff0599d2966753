"""The combined objective: G* = arg min_G max_D L_cGAN(G, D) + λ L_L1(G) (paper eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from tfpix2pix.errors import row
from tfpix2pix.losses import BOUNDARIES, GAN_LOSSES, OBJECTIVES, RECONSTRUCTION_LOSSES


@dataclass(frozen=True)
class Objective:
    """Weights λ of the terms of the generator's loss, by name, and the form of the GAN term.

    A term of weight zero is measured and returned all the same, and moves nothing.
    """

    gan_loss: str = "vanilla"  # a row of GAN_LOSSES
    lambda_gan: float = 1.0
    lambdas: dict[str, float] = field(default_factory=lambda: {"l1": 100.0})  # rows of RECONSTRUCTION_LOSSES
    discriminator_factor: float = 0.5  # "we divide the objective by 2 while optimizing D" (paper §3.3)
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        row(GAN_LOSSES, "`gan_loss`", self.gan_loss)
        for name in self.lambdas:
            row(RECONSTRUCTION_LOSSES, "A key of `lambdas`", name)

    @classmethod
    def named(cls, name: str, **changes: Any) -> Objective:
        """One of `OBJECTIVES`: `Objective.named("l1+gan", gan_loss="lsgan")`.

        Whether D sees the input is D's own (`build_patchgan(conditional=…)`).
        """
        weights, _ = row(OBJECTIVES, "The objective", name)
        lambdas = {term: weights.get(f"lambda_{term}", 0.0) for term in RECONSTRUCTION_LOSSES}
        return cls(**{"lambda_gan": weights["lambda_gan"], "lambdas": lambdas, **changes})

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator to train."""
        return self.gan_loss != "none"

    def generator(
        self, fake_logits: tf.Tensor | None, translation: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """`g/total` and its terms, unweighted: `g/gan` (where adversarial), `g/l1`, …; all float32 scalars."""
        translation = tf.identity(translation)  # their gradients are summed here, in pairs, before D's is added
        terms = {name: loss(translation, target) for name, loss in RECONSTRUCTION_LOSSES.items()}
        # What is only measured stays out of the sum, so that it costs no gradient.
        total = tf.add_n([weight * terms[name] for name, weight in self.lambdas.items() if weight] or [0.0])
        if self.adversarial:
            terms = {"gan": GAN_LOSSES[self.gan_loss](fake_logits, True, for_generator=True), **terms}
            if self.lambda_gan:
                total += self.lambda_gan * terms["gan"]
        return {"g/total": total, **{f"g/{name}": term for name, term in terms.items()}}

    def discriminator(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """`d/total` = `discriminator_factor` · (`d/real` + `d/fake`), and `d/real_accuracy` and `d/fake_accuracy`, the
        shares of patches it is right about; all float32 scalars."""
        loss, boundary = GAN_LOSSES[self.gan_loss], BOUNDARIES[self.gan_loss]
        real, fake = loss(real_logits, True, smoothing=self.label_smoothing), loss(fake_logits, False)
        return {
            "d/total": self.discriminator_factor * (real + fake),
            "d/real": real,
            "d/fake": fake,
            "d/real_accuracy": _share(real_logits > boundary),
            "d/fake_accuracy": _share(fake_logits < boundary),
        }


def _share(right: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(right, tf.float32))
