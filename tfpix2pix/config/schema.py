"""Defines `Config`, which holds the sections of all rooms and checks the rules about several sections.

Checks names of networks, losses, sources and operators against the keys of their tables.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, field_serializer, field_validator, model_validator

from tfpix2pix.config import RECIPES
from tfpix2pix.config.recipe import APPLIED, with_recipe_beneath
from tfpix2pix.data.parts import scalar_channels
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.losses import PERCEPTUAL_NETWORKS, TERMS, objective_name
from tfpix2pix.losses.settings import ObjectiveConfig, weights_of_named_objective
from tfpix2pix.metrics import METRICS
from tfpix2pix.models import GENERATORS, NOISES, SCALARS
from tfpix2pix.models.settings import DiscriminatorConfig, GeneratorConfig, InferenceConfig
from tfpix2pix.models.sizes import ENHANCERS, PATCHGANS, halved_px, logits_px, padded_size
from tfpix2pix.section import LONGEST_NAME, MAY_CHANGE, NAME, RUN, TASK, RowOf, Section
from tfpix2pix.size import Size
from tfpix2pix.training.settings import TrainingConfig


class Config(Section):
    """Configures a run. Every field has a default, which presets and `--set` change."""

    name: Annotated[str, TASK] = Field("pix2pix", pattern=NAME, max_length=LONGEST_NAME, coerce_numbers_to_str=True)
    """Name of the model, which its exports and the model card have."""
    recipe: Annotated[str | None, TASK, RowOf(RECIPES), MAY_CHANGE] = None
    """Recipe that says how to train: its name, or a .yaml file. The keys of a file that names a recipe replace the
    recipe's values. The values of `--recipe` and `--set recipe=` replace the file's keys. A resolved configuration
    contains the values, and records the name as `{applied: NAME}`."""
    seed: Annotated[int, RUN] = Field(0, ge=0, lt=2**31)
    """Seed of everything random: initial weights, order of the pairs, crops, noise."""
    data: Annotated[DataConfig, TASK] = DataConfig()
    """The pairs."""
    generator: GeneratorConfig = GeneratorConfig()
    """The generator G."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """The discriminator D."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """The objective that G and D are trained for."""
    training: TrainingConfig = TrainingConfig()
    """Length, optimisers, machine and reports of the training."""
    inference: InferenceConfig = InferenceConfig()
    """Use of the trained generator."""

    @property
    def size_multiple_px(self) -> int:
        """Returns the multiple, px, to which the generator pads the height and width of images."""
        spec, row = self.generator, GENERATORS[self.generator.kind]
        more = [spec.enhancers] if "enhancers" in row.options else []
        return row.size_multiple_px(self.data.image_size_px, spec.levels, *more)

    @property
    def coarse_size(self) -> Size:
        """Returns the height and width, px, of the images that the global generator inside enhancers sees."""
        scales = self.generator.enhancers or ENHANCERS
        return padded_size(self.data.size_px, self.size_multiple_px).map(lambda side: side >> scales)

    @property
    def _least_px(self) -> int:
        """Returns the shortest side, px, of the images that a run trains on."""
        return min(self.coarse_size if self.training.coarse_epochs else self.data.size_px)

    @property
    def objective_name(self) -> str:
        """Names the terms that G is trained for, as the paper does: `l1+cgan`."""
        return objective_name(self.objective.weights, self.discriminator.conditional)

    @property
    def best_metric(self) -> str | None:
        """Returns the row of METRICS by which the best checkpoint is chosen, or None if it is not measured."""
        usual = "segmentation" if all(self.data.numbers[1]) else "l1"
        name = self.training.best_by or usual
        return name if name in self.training.validation_metrics else None

    @model_validator(mode="before")
    @classmethod
    def _recipe_and_objective_by_name(cls, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        return weights_of_named_objective(with_recipe_beneath(settings, cls))

    @field_validator("recipe", mode="before")
    @classmethod
    def _read_the_record(cls, recipe: Any) -> Any:
        return recipe.get(APPLIED) if isinstance(recipe, dict) else recipe

    @field_serializer("recipe")
    def _write_a_record(self, recipe: str | None) -> dict[str, str] | None:
        return None if recipe is None else {APPLIED: recipe}

    @model_validator(mode="after")
    def _enhancers_have_a_kind(self) -> Config:
        spec = self.generator
        if spec.enhancers is not None and "enhancers" not in GENERATORS[spec.kind].options:
            raise ValueError(
                f"`generator.enhancers` must be left out for a generator without enhancers. Received {spec.enhancers} "
                f"with `generator.kind: {spec.kind}`. Leave it out, or set `generator.kind: local_enhancer`"
            )
        return self

    @model_validator(mode="after")
    def _scalars_modulate_what_takes_them(self) -> Config:
        spec = self.generator
        takes, has = GENERATORS[spec.kind].takes_scalars, bool(scalar_channels(self.data))
        if SCALARS[spec.scalars] and not (takes and has):
            received = f"`generator.kind: {spec.kind}`" if has else "`data.inputs` without a scalar"
            raise ValueError(
                f"`generator.scalars` must be channels for a generator that takes no scalars, and for data without "
                f"them. Received {spec.scalars} with {received}. Change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _networks_fit_the_image(self) -> Config:
        size = self.data.size_px
        try:
            _ = self.size_multiple_px
        except ValueError as error:  # its text names keys without their sections
            raise ValueError(with_sections(str(error))) from None
        self._check_patches(size)
        return self

    def _check_patches(self, size: Size, made: str = "") -> None:
        """Raises ValueError if D's patches do not fit an image of this size. `made`: how it follows from the data's."""
        spec = self.discriminator
        for scale in range(1, spec.scales + 1):
            if logits_px(min(size), spec.receptive_field_px) < 1:
                fits = ", ".join(str(patch) for patch in PATCHGANS if logits_px(min(size), patch) >= 1)
                of_scale = f", {size} px at scale {scale} of {spec.scales}" if scale > 1 else ""
                fewer = ", fewer `discriminator.scales`" if scale > 1 else ""
                raise ValueError(
                    f"`discriminator.receptive_field_px` must not exceed the padded image, of `data.image_size_px` = "
                    f"{self.data.size_px} here{made}{of_scale}. Received "
                    f"{spec.receptive_field_px}. Use {fits}{fewer}, or larger images"
                )
            size = size.map(halved_px)

    @model_validator(mode="after")
    def _stages_fit_the_networks(self) -> Config:
        spec, kind = self.training, self.generator.kind
        for key in ("coarse_epochs", "fix_global_epochs"):
            epochs = getattr(spec, key)
            if epochs and GENERATORS[kind].coarse is None:
                fit = " or ".join(name for name, row in GENERATORS.items() if row.coarse)
                raise ValueError(
                    f"`training.{key}` must be 0 for a generator without enhancers. Received {epochs:g} with "
                    f"`generator.kind: {kind}`. Set it to 0, or `generator.kind` to {fit}"
                )
            if epochs and self.objective.teacher:
                raise ValueError(
                    f"`training.{key}` must be 0 for a student, which learns at the teacher's size. Received "
                    f"{epochs:g}. Set it to 0"
                )
        if spec.coarse_epochs:
            self._check_patches(self.coarse_size, f", halved to {self.coarse_size} by `training.coarse_epochs`")
        return self

    @model_validator(mode="after")
    def _recomputed_levels_exist(self) -> Config:
        recomputed, kind = self.training.recompute_levels, self.generator.kind
        halvings = self.size_multiple_px.bit_length() - 1  # a U-Net's multiple is 2^levels
        # A residual network's multiple leaves two pixels of its smallest maps. An encoder-decoder has no skips.
        most = {"unet": halvings - 1, "encoder_decoder": 0}.get(kind, halvings)
        if recomputed > most:
            has = f"has {halvings} levels" if kind == "unet" else f"`{kind}` has {most} sizes of maps"
            has = f"`{kind}` has no skip connections" if kind == "encoder_decoder" else has
            raise ValueError(
                f"`training.recompute_levels` must be fewer than the levels of a U-Net, or at most the sizes of maps "
                f"of a residual network. Received {recomputed}, and the generator {has}. Use "
                f"{f'0 to {most}' if most else '0'}"
            )
        return self

    @model_validator(mode="after")
    def _best_metric_is_measured(self) -> Config:
        name, kinds = self.training.best_by, set(self.data.numbers[1])  # of the channels of the targets
        suits = [
            metric
            for metric in self.training.validation_metrics
            if METRICS[metric].score and METRICS[metric].of_label_maps in kinds
        ]
        if name is not None and name not in suits:
            raise ValueError(
                f"`training.best_by` must be one of `training.validation_metrics` that suits the targets, "
                f"{', '.join(suits) or 'none'} here. Received {name}. Change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _noise_has_a_layer(self) -> Config:
        spec = self.generator
        has_noise = NOISES[spec.noise].is_there(spec.dropout_rate)
        if self.inference.noise == "on" and not has_noise:
            raise ValueError(
                f"`inference.noise` must be off for a generator without noise. Received on with `generator.noise: "
                f"{spec.noise}` and `generator.dropout_rate: {spec.dropout_rate:g}`. Change one of them"
            )
        if has_noise and spec.noise == "dropout" and "dropout_layers" in GENERATORS[spec.kind].options:
            last = self.size_multiple_px.bit_length() - 2  # decoder layers before the one that makes the image
            if not any(layer <= last for layer in spec.dropout_layers):
                raise ValueError(
                    f"`generator.dropout_layers` must name one of the decoder's layers, 1 to {last}. Received "
                    f"{list(spec.dropout_layers)}. Name some of these, or set `generator.noise: none`"
                )
        for name, weight in self.objective.weights.items():
            if weight and TERMS[name].needs_noise and not has_noise:
                raise ValueError(
                    f"`objective.weights.{name}` must be 0 for a generator without noise. Received {weight:g} with "
                    f"`generator.noise: {spec.noise}` and `generator.dropout_rate: {spec.dropout_rate:g}`. Change one "
                    f"of them"
                )
        return self

    @model_validator(mode="after")
    def _styles_have_an_encoder(self) -> Config:
        styled = [name for name, weight in self.objective.weights.items() if weight and TERMS[name].needs_encoder]
        rules = (  # key, its value, the only one that an encoder goes with
            ("generator.noise", self.generator.noise, "modulation"),
            ("training.update_order", self.training.update_order, "alternating"),
            ("training.micro_batches", self.training.micro_batches, 1),
            ("training.recompute_levels", self.training.recompute_levels, 0),
            ("training.coarse_epochs", self.training.coarse_epochs, 0),
            ("objective.teacher", self.objective.teacher, None),
        )
        varied = [f"objective.weights.{name}" for name in self.objective.weights if TERMS[name].needs_noise]
        rules += tuple((key, self.objective.weights[key.rpartition(".")[2]], 0) for key in varied)
        for key, value, only in rules:
            if styled and value != only:
                raise ValueError(
                    f"`{key}` must be {'null' if only is None else only} if `objective.weights.{styled[0]}` is not 0. "
                    f"Received {value}. Change it, or leave the weight out"
                )
        return self

    @model_validator(mode="after")
    def _perceptual_network_sees_pictures(self) -> Config:
        name, data = self.objective.perceptual_network, self.data
        if name is None:
            return self
        row, pictures = PERCEPTUAL_NETWORKS.get(name), "for a network that compares pictures"
        rules = [  # key, whether its value is allowed, the rule
            ("target_classes", data.target_classes is None, f"null {pictures}: label maps are not"),
            ("targets", not any(data.numbers[1]), f"without label maps {pictures}"),
            ("color_space", data.color_space == "rgb", f"rgb {pictures}: a and b alone are not"),
        ]
        if row is not None:
            rules += [
                ("target_channels", data.target_channels in (1, 3), "1 or 3 for this network"),
                ("image_size_px", self._least_px >= row.least_px, f"at least {row.least_px} px for this network"),
            ]
        for key, allowed, rule in rules:
            if not allowed:
                raise ValueError(
                    f"`data.{key}` must be {rule}. Received {getattr(data, key)} with "
                    f"`objective.perceptual_network: {name}`. Change it, or leave the network and its weight out"
                )
        return self


def with_sections(message: str) -> str:
    """Adds the sections to keys in an error text of the networks: `generator.levels` for `levels`."""
    keys = ("levels", "residual_blocks", "enhancers")
    sections = {"image_size_px": "data", **dict.fromkeys(keys, "generator")}
    return re.sub(rf"`({'|'.join(sections)})`", lambda key: f"`{sections[key[1]]}.{key[1]}`", message)
