"""Holds the configuration section `objective`, and turns the paper's names of objectives into weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from tfpix2pix.errors import UserError
from tfpix2pix.losses import GAN_LOSSES, OBJECTIVES, PERCEPTUAL_NETWORKS, TERMS, WEIGHTS
from tfpix2pix.section import SIZE, START, TEACHER, RowOf, Section, row_of, weights_of
from tfpix2pix.tables import row

OLD = "lambda_"  # prefix of the weights' earlier keys: `lambda_l1` is `weights.l1` now


class ObjectiveConfig(Section):
    """Holds the objective's weights and options.

    A file may have a name (`objective: l1+cgan`), a name with changes (`{name: l1+cgan, weights: {l1: 10}}`) or
    weights. A name is replaced by weights here and by `discriminator.conditional`.
    """

    gan_loss: row_of(GAN_LOSSES) = "vanilla"
    """Form of the adversarial loss. `none` trains no discriminator."""
    weights: weights_of(TERMS) = Field(default_factory=lambda: dict(WEIGHTS))
    """Weight of each loss term in the generator's objective. A term that is left out keeps the weight of the named
    objective."""
    discriminator_factor: float = Field(0.5, gt=0)
    """Factor of the discriminator's loss. The paper's 0.5 slows the discriminator relative to the generator."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """One-sided label smoothing (`vanilla` and `lsgan`): the label of real pairs is 1 minus this number."""
    diversity_clip: float | None = Field(1.0, gt=0)
    """`weights.diversity_sensitive`: the largest difference of two translations, relative to their noises, that is
    rewarded. At 1, they are 1.13 of the range of 2 apart on average. null: no limit."""
    teacher: Annotated[str | None, TEACHER] = None
    """Name, step and digest of the model that a student learns from. `tfpix2pix distill` sets it."""
    perceptual_network: Annotated[str | None, RowOf(PERCEPTUAL_NETWORKS)] = None
    """`weights.perceptual`: network whose maps are compared: its name, or the path of a SavedModel folder or of a run
    that takes images like the targets. `vgg19` is Keras's, with its ImageNet weights. null: no network."""
    perceptual_identity: Annotated[str | None, START] = None
    """Name and digest of the network in a folder. A new run writes them here."""

    encoder_filters: Annotated[int, SIZE] = Field(64, ge=1, le=512)
    """`weights.style_kl`: number of filters in the first layer of the encoder, which finds the style of a target in the
    training. Deeper layers have up to 8 times as many."""

    @model_validator(mode="before")
    @classmethod
    def _complete_weights(cls, settings: Any) -> Any:
        settings = objective_settings(settings)
        if isinstance(settings, dict) and isinstance(settings.get("weights"), Mapping):
            weights = {**WEIGHTS, **settings["weights"]}
            kept = {name: weight for name, weight in weights.items() if name in WEIGHTS or weight != 0}
            rank = list(TERMS).index
            order = sorted(kept, key=lambda name: rank(name) if name in TERMS else -1)
            settings = {**settings, "weights": {name: kept[name] for name in order}}
        return settings

    @model_validator(mode="after")
    def _terms_suit_the_gan_loss(self) -> ObjectiveConfig:
        adversarial = ", ".join(name for name, loss in GAN_LOSSES.items() if loss.adversarial)
        for name, weight in self.weights.items():
            if weight and TERMS[name].needs_discriminator and not GAN_LOSSES[self.gan_loss].adversarial:
                raise ValueError(
                    f"`objective.gan_loss` must train a discriminator if `objective.weights.{name}` is not 0. "
                    f"Received {self.gan_loss} with {weight:g}. Use {adversarial}, or an objective without it: l1, l2"
                )
        if not any(self.weights.values()):
            raise ValueError(
                "`objective.weights` must give at least one term a weight. Received 0 for all. Use "
                f"one of {', '.join(OBJECTIVES)}"
            )
        taught = [name for name, weight in self.weights.items() if weight and TERMS[name].needs_teacher]
        if taught and self.teacher is None:
            raise ValueError(
                f"`objective.weights.{taught[0]}` must be 0 without a teacher. Received {self.weights[taught[0]]:g}. "
                f"Use `tfpix2pix distill`"
            )
        if self.teacher is not None and not taught:
            raise ValueError(
                "`objective.weights.teacher_l1` or `objective.weights.teacher_ms_ssim` must not be 0 for a student. "
                "Received 0 for both. Give one a weight"
            )
        varied = [name for name, weight in self.weights.items() if weight and TERMS[name].needs_noise]
        if varied and self.teacher is not None:
            raise ValueError(
                f"`objective.weights.{varied[0]}` must be 0 for a student, whose teacher translates without noise. "
                f"Received {self.weights[varied[0]]:g}. Leave it out"
            )
        perceiving = [name for name, weight in self.weights.items() if weight and TERMS[name].needs_network]
        if perceiving and self.perceptual_network is None:
            raise ValueError(
                f"`objective.weights.{perceiving[0]}` must be 0 without a network. Received "
                f"{self.weights[perceiving[0]]:g}. Set `objective.perceptual_network` to "
                f"{', '.join(PERCEPTUAL_NETWORKS)} or the path of a SavedModel"
            )
        if self.perceptual_network is not None and not perceiving:
            raise ValueError(
                f"`objective.weights.perceptual` must not be 0 with a network. Received 0 with "
                f"`objective.perceptual_network: {self.perceptual_network}`. Give it a weight, or leave the network out"
            )
        if self.label_smoothing and not GAN_LOSSES[self.gan_loss].smoothed:
            smoothed = " or ".join(name for name, loss in GAN_LOSSES.items() if loss.smoothed)
            raise ValueError(
                f"`objective.label_smoothing` must be 0 for a loss without labels. Received {self.label_smoothing:g} "
                f"with `gan_loss: {self.gan_loss}`. Set it to 0, or use {smoothed}"
            )
        return self


def objective_settings(value: Any) -> Any:
    """Returns the section as a mapping: only a name as `{name: …}`, and old keys (`lambda_l1`) as weights.

    Raises:
        UserError: a weight is set under both keys, with different values.
    """
    value = {"name": value} if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    old = {key: key.removeprefix(OLD) for key in value if weight_key(key) != key}
    if not old:
        return dict(value)
    weights = value.get("weights", {})
    if not isinstance(weights, Mapping):
        return dict(value)
    for key, name in old.items():
        if weights.get(name, value[key]) != value[key]:
            raise UserError(
                f"`objective.weights.{name}` and `objective.{key}` must not differ: they are one weight. Received "
                f"{weights[name]} and {value[key]}. Leave {key} out."
            )
    present = {key: setting for key, setting in value.items() if key not in old}
    return {**present, "weights": {**weights, **{name: value[key] for key, name in old.items()}}}


def weight_key(key: str) -> str:
    """Returns the present form of a key of this section: `weights.l1` for `lambda_l1`, any other unchanged."""
    name = key.removeprefix(OLD)
    return f"weights.{name}" if name != key and name in TERMS else key


def weights_of_named_objective(settings: dict[str, Any]) -> dict[str, Any]:
    """Replaces the name in `objective: gan` or `objective: {name: gan, …}` by weights and `discriminator.conditional`.

    Raises:
        ValueError: the name is unknown, or `discriminator.conditional` contradicts it.
    """
    objective = objective_settings(settings.get("objective", {}))
    if not isinstance(objective, (dict, BaseModel)):
        raise ValueError(
            f"`objective` must be a name ({', '.join(OBJECTIVES)}) or a mapping of weights. Received {objective!r}. "
            "Name one"
        )
    if not isinstance(objective, dict) or "name" not in objective:
        return settings
    name = objective["name"]
    weights, conditional = row(OBJECTIVES, "`objective`", name)
    changes = {key: value for key, value in objective.items() if key != "name"}
    if isinstance(changes.get("weights", {}), Mapping):  # other types are an error of the field
        changes["weights"] = {**dict.fromkeys(WEIGHTS, 0.0), **weights, **changes.get("weights", {})}
    settings = {**settings, "objective": changes}
    discriminator = settings.get("discriminator") or {}
    if isinstance(discriminator, BaseModel):
        discriminator = discriminator.model_dump(exclude_unset=True)
    if conditional is not None and isinstance(discriminator, dict):
        if discriminator.get("conditional", conditional) != conditional:
            raise ValueError(
                f"`discriminator.conditional` must be {str(conditional).lower()} for the objective {name}. "
                f"Received {discriminator['conditional']}. Leave it out, or name another objective"
            )
        settings["discriminator"] = {**discriminator, "conditional": conditional}
    return settings
