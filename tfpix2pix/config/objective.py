"""The section `objective`, and the names by which the paper calls objectives."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, model_validator

from tfpix2pix.config.section import Section, row_of
from tfpix2pix.errors import row
from tfpix2pix.losses import GAN_LOSSES, OBJECTIVES, RECONSTRUCTION_LOSSES, SMOOTHED


class ObjectiveConfig(Section):
    """Written as a name (`objective: l1+cgan`), as a name with changes (`{name: l1+cgan, lambda_l1: 10}`) or as
    weights; the name becomes weights here and `discriminator.conditional`."""

    gan_loss: row_of(GAN_LOSSES) = "vanilla"
    """Form of the adversarial term; `none` trains no discriminator."""
    lambda_gan: float = Field(1.0, ge=0)
    """Weight of the adversarial term; at 0 the discriminator is trained and the term measured all the same."""
    lambda_l1: float = Field(100.0, ge=0)
    """Weight of the mean absolute difference (the paper's λ)."""
    lambda_l2: float = Field(0.0, ge=0)
    """Weight of the mean squared difference."""
    discriminator_factor: float = Field(0.5, gt=0)
    """Times the discriminator's objective: a half slows it relative to the generator (the paper)."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """The discriminator is told 1 minus this of real pairs (`vanilla` and `lsgan`): it stays less sure of itself."""

    def lambdas(self) -> dict[str, float]:
        """Weights of the reconstruction terms by their name in the table; 0 for one without a key here."""
        return {name: getattr(self, f"lambda_{name}", 0.0) for name in RECONSTRUCTION_LOSSES}

    @model_validator(mode="after")
    def _has_what_it_trains_for(self) -> ObjectiveConfig:
        if self.gan_loss == "none" and self.lambda_gan:
            raise ValueError(
                f"`objective.gan_loss` must not be none where the adversarial term has a weight. Received "
                f"`lambda_gan` {self.lambda_gan:g}. Use {', '.join(name for name in GAN_LOSSES if name != 'none')}, "
                f"or an objective without it: l1, l2"
            )
        if not (self.lambda_gan or any(self.lambdas().values())):
            raise ValueError(
                "`objective` must give at least one term a weight. Received 0 for all. Use "
                f"one of {', '.join(OBJECTIVES)}"
            )
        if self.label_smoothing and self.gan_loss not in SMOOTHED:
            raise ValueError(
                f"`objective.label_smoothing` must be 0 for a loss without labels. Received {self.label_smoothing:g} "
                f"with `gan_loss: {self.gan_loss}`. Set it to 0, or use {' or '.join(SMOOTHED)}"
            )
        return self


def weights_of_named_objective(settings: dict[str, Any]) -> dict[str, Any]:
    """A configuration with `objective: gan` or `objective: {name: gan, …}` -> with weights and what D sees.

    Raises:
        ValueError: no such objective, or `discriminator.conditional` contradicts it.
    """
    given = settings.get("objective", {})
    given = {"name": given} if isinstance(given, str) else given
    if not isinstance(given, (dict, BaseModel)):
        raise ValueError(
            f"`objective` must be a name ({', '.join(OBJECTIVES)}) or a mapping of weights. Received {given!r}. "
            "Name one"
        )
    if not isinstance(given, dict) or "name" not in given:
        return settings
    name = given["name"]
    weights, conditional = row(OBJECTIVES, "`objective`", name)
    changes = {key: value for key, value in given.items() if key != "name"}
    settings = {**settings, "objective": {**weights, **changes}}
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
