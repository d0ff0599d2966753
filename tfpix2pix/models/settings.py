"""Holds the configuration sections `generator`, `discriminator` and `inference`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tfpix2pix.models import BIASES, DISCRIMINATORS, GENERATORS, NOISES, NORMS, SCALARS, SKIP_ACTIVATIONS, UPSAMPLINGS
from tfpix2pix.section import SIZE, TASK, Section, row_of


class GeneratorConfig(Section):
    """Configures the generator G."""

    kind: row_of(GENERATORS) = "unet"
    """The network that translates: `unet`, `resnet`, `encoder_decoder`, the paper's ablation without skip
    connections, or those of pix2pixHD, `global` and `local_enhancer`."""
    base_filters: Annotated[int, SIZE] = Field(64, ge=1, le=512)
    """Number of filters in the first layer. Deeper layers have up to `max_filters_factor` times as many (`resnet`: 4,
    `global`: 16). `local_enhancer`: that of the outermost enhancer; each network inside it has twice as many."""
    max_filters_factor: int = Field(8, ge=1, le=64)
    """`unet`: the largest number of filters in a layer, as a multiple of `base_filters`. The paper has 8 (512 filters).
    At 256 px, 4 leaves 31 % of the weights and 2 leaves 9 %."""
    levels: Annotated[int | None, SIZE] = Field(None, ge=2, le=12)
    """`unet`: number of halvings from the image to the bottleneck. null: as many as fit `data.image_size_px`, at most
    8."""
    residual_blocks: Annotated[int, SIZE] = Field(9, ge=1, le=64)
    """`resnet`, `global`, `local_enhancer`: number of residual blocks between the halvings and the doublings. Each has
    two convolutions."""
    enhancers: Annotated[int | None, SIZE] = Field(None, ge=1, le=6)
    """`local_enhancer`: number of enhancers around the global generator. Each sees the image at twice the size of what
    is inside it. null: 1."""
    enhancer_blocks: Annotated[int, SIZE] = Field(3, ge=1, le=64)
    """`local_enhancer`: number of residual blocks of each enhancer."""
    norm: row_of(NORMS) = "batch"
    """Normalisation after each convolution, except the last. `unet` also leaves out the first and the bottleneck.
    `instance_non_affine` is `instance` without scale and offset."""
    norm_epsilon: float = Field(1e-5, gt=0, lt=1)
    """Small number that the norm adds to the variance."""
    bottleneck_norm: bool = False
    """`unet`: normalise the bottleneck too. At batch size 1 this erases a bottleneck of one pixel."""
    bias: row_of(BIASES) = "last"
    """Convolutions that have a bias: `all`; `unnormalized`, those without a norm; or only the `last`. Without norms,
    all have one."""
    leaky_slope: float = Field(0.2, ge=0, lt=1)
    """`unet`: negative slope of the encoder's LeakyReLU."""
    skip_activation: row_of(SKIP_ACTIVATIONS) = "after"
    """`unet`: apply the activation `after` a skip connection is concatenated, or `before`."""
    upsampling: row_of(UPSAMPLINGS) = "transposed"
    """Way to double the size of a map in the decoder. `transposed`: transposed convolution as in the paper, which can
    leave a checkerboard. `blurred`: the same, followed by a fixed [1, 2, 1]/4 filter. `resize` (nearest neighbour) and
    `bilinear`: resize, then convolve. `subpixel`: convolve, then move channels to pixels (depth to space)."""
    last_upsampling: row_of(UPSAMPLINGS) | None = None
    """`unet`: the same choice for the last layer, which makes the translation. null: as `upsampling`."""
    noise: row_of(NOISES) = "dropout"
    """The noise z. `dropout` drops units in the decoder. `gaussian` adds an input channel drawn from N(0, 1).
    `modulation` scales and shifts every normalised map by a few numbers drawn from N(0, 1)."""
    dropout_rate: float = Field(0.5, ge=0, lt=1)
    """`noise: dropout`: fraction of units that are dropped. 0 switches dropout off."""
    dropout_layers: tuple[Annotated[int, Field(ge=1, le=12)], ...] = (1, 2, 3)
    """`unet`: decoder layers with dropout, counted from the bottleneck."""
    noise_dimensions: int = Field(8, ge=2, le=512, multiple_of=2)
    """`noise: modulation`: how many numbers one z is, an even number."""
    scalars: Annotated[row_of(SCALARS), TASK] = "channels"
    """Use of the scalars in `data.inputs`. `channels`: each is a channel of the input. `modulation`: each scales and
    shifts every normalised map, where no norm subtracts it."""


class DiscriminatorConfig(Section):
    """Configures the discriminator D."""

    kind: row_of(DISCRIMINATORS) = "patchgan"
    """The network that judges."""
    receptive_field_px: Annotated[Literal[1, 16, 34, 70, 142, 286], SIZE] = 70
    """Side of the patch that one logit judges, px. Each further scale about doubles it."""
    scales: int = Field(1, ge=1, le=3)
    """Number of discriminators, each with its own weights. They see the image at full, half and quarter size. Losses
    are averaged over them."""
    base_filters: Annotated[int, SIZE] = Field(64, ge=1, le=512)
    """Number of filters in the first layer. Deeper layers have up to `max_filters_factor` times as many."""
    max_filters_factor: int = Field(8, ge=1, le=64)
    """The largest number of filters in a layer, as a multiple of `base_filters`."""
    norm: row_of(NORMS) = "batch"
    """Normalisation after each convolution, except the first and the last."""
    norm_epsilon: float = Field(1e-5, gt=0, lt=1)
    """Small number that the norm adds to the variance."""
    bias: row_of(BIASES) = "unnormalized"
    """Convolutions that have a bias, as for the generator."""
    leaky_slope: float = Field(0.2, ge=0, lt=1)
    """Negative slope of LeakyReLU."""
    spectral_norm: bool = False
    """Divide each kernel by its largest singular value (spectral normalisation)."""
    conditional: bool = True
    """Show the discriminator the input beside the target (cGAN). false: the target alone (GAN)."""


def _switch(value: object) -> object:
    """Converts True and False to "on" and "off", because YAML reads an unquoted on or off as a boolean."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class InferenceConfig(Section):
    """Configures the use of the trained generator."""

    statistics: Literal["image", "moving"] = "image"
    """Statistics of `batch` norm after training: those of each `image` (the paper's test), or `moving` averages."""
    noise: Annotated[Literal["off", "on"], BeforeValidator(_switch)] = "off"
    """Default of exports and `translate`: `on` feeds noise to the generator."""
