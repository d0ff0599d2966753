"""The sections `generator` and `discriminator`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfpix2pix.config.section import SIZE, Section, row_of
from tfpix2pix.models import DISCRIMINATORS, GENERATORS

Upsampling = Literal["transposed", "blurred", "resize", "bilinear", "subpixel"]


class GeneratorConfig(Section):
    kind: row_of(GENERATORS) = "unet"
    """Network that translates: `unet`, the ablation `encoder_decoder` without skip connections, or `resnet`."""
    base_filters: Annotated[int, SIZE] = Field(64, ge=1, le=512)
    """Filters of the first layer; deeper ones have up to `max_filters_factor` times as many (`resnet`: 4)."""
    max_filters_factor: int = Field(8, ge=1, le=64)
    """`unet`: no layer has more filters than this many times `base_filters`. 8 is the paper's (512 of 64); at
    256 px, 4 leaves 31 % of the weights and 2 leaves 9 %."""
    levels: Annotated[int | None, SIZE] = Field(None, ge=2, le=12)
    """`unet`: halvings from the image to the bottleneck; null: as many as suit `data.image_size_px`, 8 at the most."""
    residual_blocks: Annotated[int, SIZE] = Field(9, ge=1, le=64)
    """`resnet`: blocks of two convolutions between the halvings and the doublings."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation after each convolution but the last and, in `unet`, the first and the bottleneck's."""
    norm_epsilon: float = Field(1e-5, gt=0, lt=1)
    """Added to the variance by the norm."""
    bottleneck_norm: bool = False
    """`unet`: normalise the bottleneck too; where that is one pixel, nothing of it is left at batch size 1."""
    bias: Literal["all", "unnormalized", "last"] = "last"
    """Which convolutions have a bias: `all`, those that no norm follows, or the last alone; without norms all have."""
    leaky_slope: float = Field(0.2, ge=0, lt=1)
    """`unet`: slope of the encoder's LeakyReLU below zero."""
    skip_activation: Literal["after", "before"] = "after"
    """`unet`: activations after a skip connection's concatenation, or before it."""
    upsampling: Upsampling = "transposed"
    """How the decoder doubles a map: `transposed` convolution as in the paper, which can leave a checkerboard;
    `blurred`, the same and then a fixed [1, 2, 1]/4 filter; `resize` (nearest) and `bilinear`, then a convolution;
    `subpixel` (convolution, then depth to space)."""
    last_upsampling: Upsampling | None = None
    """`unet`: the same for the layer whose result is the translation; null: as the others."""
    noise: Literal["dropout", "gaussian", "none"] = "dropout"
    """The noise z: units dropped in the decoder, a channel of N(0, 1) beside the input, or none."""
    dropout_rate: float = Field(0.5, ge=0, lt=1)
    """`noise: dropout`: share of units dropped; 0 for none."""
    dropout_layers: tuple[Annotated[int, Field(ge=1, le=12)], ...] = (1, 2, 3)
    """`unet`: decoder layers that drop units, counted from the bottleneck."""


class DiscriminatorConfig(Section):
    kind: row_of(DISCRIMINATORS) = "patchgan"
    """Network that judges."""
    receptive_field_px: Annotated[Literal[1, 16, 34, 70, 142, 286], SIZE] = 70
    """Side of the patch that one logit judges, px; at each further scale about twice as large."""
    scales: int = Field(1, ge=1, le=3)
    """Networks that judge, each with weights of its own: the image itself, at half and at a quarter of its side. Losses
    are means over them."""
    base_filters: Annotated[int, SIZE] = Field(64, ge=1, le=512)
    """Filters of the first layer; deeper ones have up to `max_filters_factor` times as many."""
    max_filters_factor: int = Field(8, ge=1, le=64)
    """No layer has more filters than this many times `base_filters`."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation after each convolution but the first and the last."""
    norm_epsilon: float = Field(1e-5, gt=0, lt=1)
    """Added to the variance by the norm."""
    bias: Literal["all", "unnormalized", "last"] = "unnormalized"
    """Which convolutions have a bias, as for the generator."""
    leaky_slope: float = Field(0.2, ge=0, lt=1)
    """Slope of LeakyReLU below zero."""
    spectral_norm: bool = False
    """Divide every kernel by its largest singular value (spectral normalisation)."""
    conditional: bool = True
    """Whether it sees the input beside the target (cGAN) or not (GAN)."""
