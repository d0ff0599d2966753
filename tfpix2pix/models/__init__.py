"""Lists the networks. A row builds a kind of network from keyword arguments. A new network is a function and a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfpix2pix.models.sizes import enhancer_multiple_px, global_multiple_px, resnet_multiple_px, unet_multiple_px
from tfpix2pix.tables import lazy

COMMON = ("base_filters", "norm", "norm_epsilon", "bias", "upsampling", "noise", "dropout_rate", "noise_dimensions")
UNET = (
    *COMMON, "max_filters_factor", "levels", "bottleneck_norm", "leaky_slope", "skip_activation", "last_upsampling",
    "dropout_layers",
)  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """Describes a kind of generator: the function that builds it, and the sizes that it takes."""

    build: Callable[..., Any]  # (image_size_px, **options) -> keras.Model
    # (image_size_px, one number or height and width; levels) -> px, with `enhancers` third if `options` has it; raises
    # ValueError if they do not fit
    size_multiple_px: Callable[..., int]
    options: tuple[str, ...]  # keys of the configuration's `generator` section that `build` takes
    # As `build`: a network of the layers inside, which is trained first if `training.coarse_epochs` is set
    coarse: Callable[..., Any] | None = None
    takes_scalars: bool = False  # `build` has the argument `scalar_channels`
    title: str = ""  # in a text on methods, with its source as `references.py` cites it


GENERATORS = {
    "unet": Architecture(
        lazy("tfpix2pix.models.unet", "build_unet"),
        unet_multiple_px,
        UNET,
        takes_scalars=True,
        title="the U-Net of pix2pix (Isola et al. 2017)",
    ),
    "encoder_decoder": Architecture(
        lazy("tfpix2pix.models.unet", "build_encoder_decoder"),
        unet_multiple_px,
        UNET,
        takes_scalars=True,
        title="the encoder-decoder of pix2pix, without skip connections (Isola et al. 2017)",
    ),
    "resnet": Architecture(
        lazy("tfpix2pix.models.resnet", "build_resnet"),
        resnet_multiple_px,
        (*COMMON, "residual_blocks"),
        takes_scalars=True,
        title="a residual network (Johnson et al. 2016)",
    ),
    "global": Architecture(
        lazy("tfpix2pix.models.resnet", "build_global"),
        global_multiple_px,
        (*COMMON, "residual_blocks"),
        takes_scalars=True,
        title="the global generator of pix2pixHD (Wang et al. 2018)",
    ),
    "local_enhancer": Architecture(
        lazy("tfpix2pix.models.enhancer", "build_local_enhancer"),
        enhancer_multiple_px,
        (*COMMON, "residual_blocks", "enhancers", "enhancer_blocks"),
        coarse=lazy("tfpix2pix.models.enhancer", "build_coarse"),
        takes_scalars=True,
        title="the global generator of pix2pixHD inside local enhancers (Wang et al. 2018)",
    ),
}

DISCRIMINATORS = {
    "patchgan": lazy("tfpix2pix.models.patchgan", "build_patchgan"),
}

# (name, seed, epsilon, statistics) -> layer, or None
NORMS = {
    "batch": lazy("tfpix2pix.models.blocks", "batch_norm"),
    "instance": lazy("tfpix2pix.models.blocks", "instance_norm"),
    "none": lazy("tfpix2pix.models.blocks", "no_norm"),
    "instance_non_affine": lazy("tfpix2pix.models.blocks", "instance_norm_non_affine"),
}

# Whether a norm follows a convolution -> whether the convolution has a bias. The last one always has one. Without
# norms, all have one.
BIASES: dict[str, Callable[[bool], bool]] = {
    "all": lambda normalized: True,
    "unnormalized": lambda normalized: not normalized,  # a norm's offset would cancel it
    "last": lambda normalized: False,
}

# (blocks, map, filters, name, …) -> map of twice the side
UPSAMPLINGS = {
    "transposed": lazy("tfpix2pix.models.upsampling", "transposed"),
    "blurred": lazy("tfpix2pix.models.upsampling", "blurred"),
    "resize": lazy("tfpix2pix.models.upsampling", "resize"),
    "bilinear": lazy("tfpix2pix.models.upsampling", "bilinear"),
    "subpixel": lazy("tfpix2pix.models.upsampling", "subpixel"),
}

# Whether scalars are taken out of the input, to modulate the maps.
SCALARS = {"channels": False, "modulation": True}

# Whether the activation comes before the concatenation of a skip connection.
SKIP_ACTIVATIONS = {"after": False, "before": True}


@dataclass(frozen=True)
class NoiseKind:
    """Describes a kind of noise z: the class that builds it, whether a generator has any, the way between two, and
    whether translations differ by it without a term that asks for variety."""

    # (dropout rate, maps with dropout, size, has_input, dimensions, seed) -> a `Noise` of models/noise.py
    build: Callable[..., Any]
    is_there: Callable[[float], bool]  # (dropout rate) -> whether the generator has noise
    # (start (size,), end (size,), fractions (count,)) -> vectors (count, size) from one to the other
    path: Callable[..., Any]
    varies: bool = False


ARC = lazy("tfpix2pix.models.noise_path", "along_an_arc")
FLIPS = lazy("tfpix2pix.models.noise_path", "unit_by_unit")

NOISES = {
    "dropout": NoiseKind(lazy("tfpix2pix.models.noise", "NoiseByDropout"), lambda rate: rate > 0, FLIPS),
    "gaussian": NoiseKind(lazy("tfpix2pix.models.noise", "NoiseByChannel"), lambda rate: True, ARC),
    "none": NoiseKind(lazy("tfpix2pix.models.noise", "Noise"), lambda rate: False, ARC),
    "modulation": NoiseKind(lazy("tfpix2pix.models.modulation", "NoiseByModulation"), lambda rate: True, ARC, True),
}

# Number format of the computation -> Keras's name of it. `auto` depends on the machine (`training/devices.py`).
PRECISIONS = {"auto": None, "float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
