"""Networks. Each table row builds one kind of network from keyword arguments; a new network is a function and a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfpix2pix.lazy import lazy
from tfpix2pix.models.sizes import resnet_multiple_px, unet_multiple_px

COMMON = ("base_filters", "norm", "norm_epsilon", "bias", "upsampling", "noise", "dropout_rate")
UNET = (
    *COMMON, "max_filters_factor", "levels", "bottleneck_norm", "leaky_slope", "skip_activation", "last_upsampling",
    "dropout_layers",
)  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """A kind of generator: how it is built and which sizes it takes."""

    build: Callable[..., Any]  # (image_size_px, **options) -> keras.Model
    size_multiple_px: Callable[[int, int | None], int]  # (image_size_px, levels); raises where nothing fits
    options: tuple[str, ...]  # keys of the configuration's `generator` section that `build` takes


GENERATORS = {
    "unet": Architecture(lazy("tfpix2pix.models.unet", "build_unet"), unet_multiple_px, UNET),
    "encoder_decoder": Architecture(lazy("tfpix2pix.models.unet", "build_encoder_decoder"), unet_multiple_px, UNET),
    "resnet": Architecture(
        lazy("tfpix2pix.models.resnet", "build_resnet"), resnet_multiple_px, (*COMMON, "residual_blocks")
    ),
}

DISCRIMINATORS = {
    "patchgan": lazy("tfpix2pix.models.patchgan", "build_patchgan"),
}

# What networks compute in -> Keras's name of it; `auto` asks the machine (`training/devices.py`).
PRECISIONS = {"auto": None, "float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
