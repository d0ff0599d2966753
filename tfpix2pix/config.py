"""The whole run in one validated object, read from a preset or a YAML file and written beside every run.

Imports no TensorFlow: a configuration is checked in milliseconds. Names of networks, losses, sources and operators
are checked against their tables' keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tfpix2pix.data import OPERATORS, SOURCES
from tfpix2pix.errors import unknown_name
from tfpix2pix.evaluation import METRICS
from tfpix2pix.losses import GAN_LOSSES, RECONSTRUCTION_LOSSES
from tfpix2pix.models import DISCRIMINATORS, GENERATORS
from tfpix2pix.models.depth import unet_levels


def row_of(table: dict[str, Any]) -> Any:
    """The type of a field that names a row of `table`."""

    def check(name: str) -> str:
        if name not in table:
            raise ValueError(unknown_name("", name, table).strip())
        return name

    return Annotated[str, AfterValidator(check)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class DataConfig(Section):
    source: row_of(SOURCES) = "combined"
    """Where pairs come from: `combined` images (either half is the input), `photographs` with an operator, or the
    `sample_photographs` that scikit-image ships."""
    dir: str | None = None
    """Folder of the data, with train/, val/ and test/ inside or images directly."""
    input_side: Literal["left", "right"] = "left"
    """`combined`: the half that is the input; facades from labels to photo is `right`."""
    operator: row_of(OPERATORS) = "edges"
    """`photographs`: what makes the input from a photograph."""
    held_out_fraction: float = Field(0.2, ge=0, lt=1)
    """Share that is never trained on where the data has no val/ folder: of the images (`combined`) or of every
    photograph's width (`photographs`), between 0 and 1."""
    image_size_px: int = Field(256, ge=2, le=8192)
    """Height and width of a training image, px; a multiple of 2^levels of the generator."""
    fit: Literal["resize", "crop"] = "resize"
    """How an image comes to `image_size_px`: `resize` it (aspect ratio not kept), or cut a `crop` at its own scale."""
    jitter_ratio: float = Field(1.0, ge=1, le=4)
    """`resize`: enlarge to this times the size before a random crop (paper: 286/256 = 1.1171875); 1 for no jitter."""
    mirror: bool = True
    """Mirror input and target together, left to right, every other time (training only)."""
    input_channels: int = Field(3, ge=1)
    """Channels of the input image: 1 gray, 3 RGB."""
    target_channels: int = Field(3, ge=1)
    """Channels of the target and of the translation."""
    cache_mb: int = Field(512, ge=0)
    """Decoded images kept in memory, MB."""

    @property
    def jitter_size_px(self) -> int:
        """Size to resize to before the random crop."""
        return round(self.image_size_px * self.jitter_ratio)


class GeneratorConfig(Section):
    kind: row_of(GENERATORS) = "unet"
    """Network that translates: `unet`, or the ablation `encoder_decoder` without skip connections."""
    base_filters: int = Field(64, ge=1, le=512)
    """Filters of the first layer; deeper ones have up to 8 times as many."""
    levels: int | None = Field(None, ge=2, le=12)
    """Halvings from the image to the bottleneck; null: as many as `data.image_size_px` allows, 8 at the most."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation after each convolution but the first, the bottleneck's and the last."""
    dropout_rate: float = Field(0.5, ge=0, lt=1)
    """Share of units dropped in the first three decoder layers: the noise z. 0 for none."""


class DiscriminatorConfig(Section):
    kind: row_of(DISCRIMINATORS) = "patchgan"
    """Network that judges."""
    receptive_field_px: Literal[1, 16, 34, 70, 142, 286] = 70
    """Side of the patch that one logit judges, px."""
    base_filters: int = Field(64, ge=1, le=512)
    """Filters of the first layer; deeper ones have up to 8 times as many."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation after each convolution but the first and the last."""
    conditional: bool = True
    """Whether it sees the input beside the target (cGAN) or not (GAN)."""


class ObjectiveConfig(Section):
    gan_loss: row_of(GAN_LOSSES) = "vanilla"
    """Form of the adversarial term."""
    lambda_gan: float = Field(1.0, ge=0)
    """Weight of the adversarial term; at 0 it is measured only."""
    lambda_l1: float = Field(100.0, ge=0)
    """Weight of the mean absolute difference (the paper's λ)."""
    lambda_l2: float = Field(0.0, ge=0)
    """Weight of the mean squared difference."""

    def lambdas(self) -> dict[str, float]:
        """Weights of the reconstruction terms by their name in the table."""
        return {name: getattr(self, f"lambda_{name}") for name in RECONSTRUCTION_LOSSES}


class TrainingConfig(Section):
    steps: int = Field(80_000, ge=1)
    """Training steps, each on one batch (facades: 400 images × 200 epochs)."""
    batch_size: int = Field(1, ge=1)
    """Pairs a step."""
    learning_rate: float = Field(2e-4, gt=0)
    """Of Adam, for both networks."""
    beta_1: float = Field(0.5, ge=0, lt=1)
    """Of Adam: decay of the mean gradient."""
    beta_2: float = Field(0.999, ge=0, lt=1)
    """Of Adam: decay of the mean squared gradient."""
    log_every_steps: int = Field(20, ge=1)
    """Steps between lines of metrics.jsonl and TensorBoard's points; each is the mean over the steps between."""
    sample_every_steps: int = Field(1_000, ge=1)
    """Steps between sample grids."""
    checkpoint_every_steps: int = Field(1_000, ge=1)
    """Steps between checkpoints: at most these are lost when a machine dies."""
    keep_last: int = Field(2, ge=1)
    """Checkpoints kept."""
    validation_images: int = Field(50, ge=0)
    """Held-out pairs measured before and after training; 0 for none."""
    validation_metrics: tuple[row_of(METRICS), ...] = tuple(METRICS)
    """What is measured on them."""


class InferenceConfig(Section):
    statistics: Literal["image", "moving"] = "image"
    """What `batch` norm uses after training: each image's own statistics (as the paper's test) or moving averages."""
    noise: Literal["off", "on"] = "off"
    """Whether exports and `translate` drop units by a noise vector unless told otherwise."""


class Config(Section):
    """A run. Every field has a default; presets and `--set` change some."""

    name: str = Field("pix2pix", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the model: of its exports, and in the model card."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of everything random: weights, order, crops, noise."""
    data: DataConfig = DataConfig()
    """Pairs."""
    generator: GeneratorConfig = GeneratorConfig()
    """G."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """D."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """What G and D are trained for."""
    training: TrainingConfig = TrainingConfig()
    """How long, how fast, how often reported."""
    inference: InferenceConfig = InferenceConfig()
    """How the trained generator is used."""

    @property
    def levels(self) -> int:
        """Halvings of the generator, resolved from the image size where the configuration leaves them open."""
        return unet_levels(self.data.image_size_px, self.generator.levels)

    @property
    def size_multiple_px(self) -> int:
        """The generator takes images whose height and width are multiples of this."""
        return 2**self.levels

    @model_validator(mode="after")
    def _networks_fit_the_image(self) -> Config:
        size = self.data.image_size_px
        unet_levels(size, self.generator.levels)  # raises, saying what would fit
        if self.discriminator.receptive_field_px > size:
            known = get_args(DiscriminatorConfig.model_fields["receptive_field_px"].annotation)
            fits = ", ".join(str(patch) for patch in known if patch <= size)
            raise ValueError(
                f"`discriminator.receptive_field_px` must be at most `data.image_size_px` = {size}. "
                f"Received {self.discriminator.receptive_field_px}. Use {fits}, or larger images"
            )
        return self
