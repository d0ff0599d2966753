"""Combines the terms to the objective G* = arg min_G max_D L_cGAN(G, D) + λ L_L1(G) (paper eq. 4) and further terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from tfpix2pix.losses import GAN_LOSSES, OBJECTIVES, TERMS, WEIGHTS
from tfpix2pix.losses.style import Style
from tfpix2pix.losses.terms import mean_over_scales
from tfpix2pix.tables import row

Logits = tf.Tensor | Sequence[tf.Tensor]  # float32, of one scale of D or of each
Features = Sequence[Sequence[tf.Tensor]]  # for each scale of D, the maps of its hidden layers
Variant = tuple[tf.Tensor, tf.Tensor]  # the translation by another noise, and the distance (N,) of the two noises


@dataclass(frozen=True)
class Objective:
    """Computes the losses of G and D from the weights of the terms, by name, and the form of the GAN term.

    A term without a weight does not train G. It is still measured and returned if its inputs are there and it is not
    `costly`: D's features, which `feature_matching` needs, are only computed if that term has a weight. Terms of the
    noise and of the style are left out, of `g/total` too, if there is no variant or style, as in validation.

    Raises:
        ValueError: a name is unknown, or a term needs a discriminator that the GAN loss does not train.
    """

    gan_loss: str = "vanilla"  # a row of GAN_LOSSES
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))  # rows of TERMS
    discriminator_factor: float = 0.5  # "we divide the objective by 2 while optimizing D" (paper §3.3)
    label_smoothing: float = 0.0
    diversity_clip: float | None = 1.0  # largest ratio that `diversity_sensitive` rewards; None: no limit

    def __post_init__(self) -> None:
        row(GAN_LOSSES, "`gan_loss`", self.gan_loss)
        for name, weight in self.weights.items():
            term = row(TERMS, "A key of `weights`", name)
            if weight and term.needs_discriminator and not self.adversarial:
                raise ValueError(
                    f"`gan_loss` must train a discriminator for {name} of `weights`. Received {self.gan_loss}, "
                    f"which trains none. Use {', '.join(key for key, loss in GAN_LOSSES.items() if loss.adversarial)}, "
                    f"or leave {name} out."
                )

    @classmethod
    def named(cls, name: str, **changes: Any) -> Objective:
        """Makes one of `OBJECTIVES`: `Objective.named("l1+gan", gan_loss="lsgan")`.

        Whether D sees the input is set when D is built (`build_patchgan(conditional=…)`).
        """
        return cls(**{"weights": dict(row(OBJECTIVES, "The objective", name).weights), **changes})

    @property
    def adversarial(self) -> bool:
        """Returns True if the objective trains a discriminator."""
        return GAN_LOSSES[self.gan_loss].adversarial

    @property
    def boundary(self) -> float:
        """Returns the logit above which D's answer is "real"."""
        return GAN_LOSSES[self.gan_loss].boundary

    @property
    def needs_features(self) -> bool:
        """Returns True if a term with a weight needs the maps of D's hidden layers."""
        return any(weight and "real_features" in TERMS[name].needs for name, weight in self.weights.items())

    @property
    def needs_teacher(self) -> bool:
        """Returns True if a term with a weight needs the translation of a teacher."""
        return any(weight and TERMS[name].needs_teacher for name, weight in self.weights.items())

    @property
    def noise_terms(self) -> list[str]:
        """Returns the names of the terms with a weight that need a generator with noise, and a variant."""
        return [name for name, weight in self.weights.items() if weight and TERMS[name].needs_noise]

    @property
    def style_terms(self) -> list[str]:
        """Returns the names of the terms with a weight that need an encoder of styles."""
        return [name for name, weight in self.weights.items() if weight and TERMS[name].needs_encoder]

    @property
    def needs_network(self) -> bool:
        """Returns True if a term with a weight needs a perceptual network."""
        return any(weight and TERMS[name].needs_network for name, weight in self.weights.items())

    def generator(
        self,
        fake_logits: Logits | None,
        translation: tf.Tensor,
        target: tf.Tensor,
        features: tuple[Features, Features] | None = None,
        teacher: tf.Tensor | None = None,
        variant: Variant | None = None,
        perceptual_network: Callable[[tf.Tensor], Any] | None = None,
        style: Style | None = None,
    ) -> dict[str, tf.Tensor]:
        """Returns `g/total` and its terms without weights, float32 scalars: `g/gan` (if adversarial), `g/l1`, ….

        Args:
            fake_logits: D's logits for the translation; None without a discriminator.
            translation: float32 (N, H, W, C) in [-1, 1], as is `target`.
            features: D's hidden maps for the target and for the translation; None unless the objective
                `needs_features`.
            teacher: the teacher's translation, as `translation`; None unless the objective `needs_teacher`.
            variant: another translation of the same inputs, as `translation`, and `noise_distance` of the two noises;
                None without `noise_terms`.
            perceptual_network: a function from images, as `translation`, to feature maps, each times its weight; None
                unless the objective `needs_network`.
            style: what the encoder found; None without `style_terms`.
        """
        known: dict[str, Any] = {"translation": translation, "target": target}
        if self.adversarial:
            known |= {"gan_loss": GAN_LOSSES[self.gan_loss], "fake_logits": tf.nest.flatten(fake_logits)}
        if features is not None and self.needs_features:
            known |= dict(zip(("real_features", "fake_features"), features, strict=True))
        if teacher is not None:
            known["teacher"] = tf.stop_gradient(teacher)
        if variant is not None:
            other, distance = variant
            known |= {"variant": other, "noise_distance": distance, "diversity_clip": self.diversity_clip}
        if perceptual_network is not None and self.needs_network:
            known["perceptual_network"] = perceptual_network
        if style is not None:
            known["style"] = style
        total, terms = tf.zeros(()), {}
        for name, term in TERMS.items():
            if (term.needs_noise and variant is None) or (term.needs_encoder and style is None):
                continue
            weight = self.weights.get(name, 0.0)
            if weight and "translation" in term.needs:
                # Identities, so that the gradients of the translation are summed in pairs (models/norms.py).
                known["translation"] = tf.identity(known["translation"])
            if weight or (known.keys() >= set(term.needs) and not term.costly):
                terms[name] = term.call(*(known[need] for need in term.needs))
            if weight:  # a term that is only measured is not in the sum, so it needs no gradient
                total += weight * terms[name]
        return {"g/total": total, **{f"g/{name}": term for name, term in terms.items()}}

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> dict[str, tf.Tensor]:
        """Returns `d/total` = `discriminator_factor` · (`d/real` + `d/fake`), its two parts, and `d/real_accuracy` and
        `d/fake_accuracy`, the fractions of patches that D judges right.

        All are float32 scalars, means over D's scales.
        """
        loss = GAN_LOSSES[self.gan_loss]
        reals, fakes = tf.nest.flatten(real_logits), tf.nest.flatten(fake_logits)
        real = mean_over_scales([loss.call(logits, True, smoothing=self.label_smoothing) for logits in reals])
        fake = mean_over_scales([loss.call(logits, False) for logits in fakes])
        return {
            "d/total": self.discriminator_factor * (real + fake),
            "d/real": real,
            "d/fake": fake,
            "d/real_accuracy": mean_over_scales([_fraction(logits > loss.boundary) for logits in reals]),
            "d/fake_accuracy": mean_over_scales([_fraction(logits < loss.boundary) for logits in fakes]),
        }


def _fraction(right: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(right, tf.float32))
