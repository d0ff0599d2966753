"""The combined objective: G* = arg min_G max_D L_cGAN(G, D) + λ L_L1(G) (paper eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import tensorflow as tf

from tfpix2pix.losses import GAN_LOSSES, RECONSTRUCTION_LOSSES

DISCRIMINATOR_FACTOR = 0.5  # "we divide the objective by 2 while optimizing D" (paper §3.3)


@dataclass(frozen=True)
class Objective:
    """Weights λ of the terms of the generator's loss, by name, and the form of the GAN term.

    A term of weight zero is measured and returned all the same, and moves nothing.
    """

    gan_loss: str = "vanilla"
    lambda_gan: float = 1.0
    lambdas: dict[str, float] = field(default_factory=lambda: {"l1": 100.0})  # rows of RECONSTRUCTION_LOSSES

    def generator(self, fake_logits: tf.Tensor, translation: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        """`g/total` and its terms, unweighted: `g/gan`, `g/l1`, …; all float32 scalars."""
        gan = GAN_LOSSES[self.gan_loss](fake_logits, True, for_generator=True)
        terms = {name: loss(translation, target) for name, loss in RECONSTRUCTION_LOSSES.items()}
        total = self.lambda_gan * gan
        for name, weight in self.lambdas.items():
            if weight:  # so that a term that is only measured costs no gradient
                total += weight * terms[name]
        return {"g/total": total, "g/gan": gan, **{f"g/{name}": term for name, term in terms.items()}}

    def discriminator(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """`d/total` = ½ (`d/real` + `d/fake`); all float32 scalars."""
        real = GAN_LOSSES[self.gan_loss](real_logits, True)
        fake = GAN_LOSSES[self.gan_loss](fake_logits, False)
        return {"d/total": DISCRIMINATOR_FACTOR * (real + fake), "d/real": real, "d/fake": fake}
