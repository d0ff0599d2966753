"""Computes the image sizes that networks take: generators by their levels, discriminators by their receptive field.

Imports no TensorFlow, because the configuration uses it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tfpix2pix.size import Size, SizePx

MAX_AUTOMATIC_LEVELS = 8  # the paper's depth at 256 px
MAX_BOTTLENECK_PX = 8  # units of a larger one would see too little of the image
RESNET_HALVINGS, GLOBAL_HALVINGS = 2, 4
ENHANCERS = 1  # of `local_enhancer`, unless another number is set


def padded_px(size_px: int, multiple_px: int) -> int:
    """Returns the smallest multiple of `multiple_px` that is at least `size_px`."""
    return -(-size_px // multiple_px) * multiple_px


def padded_size(size: Size, multiple_px: int) -> Size:
    """Returns the smallest size of which both sides are multiples of `multiple_px`, and that contains `size`."""
    return size.map(lambda side: padded_px(side, multiple_px))


def input_sides(
    input_size_px: SizePx | str | None, image_size_px: SizePx | None
) -> tuple[int, int] | tuple[None, None]:
    """Returns height and width of a network's input, None if they are not fixed.

    Args:
        input_size_px: side of the input, or its height and width; `any`: not fixed; None: those of training.
        image_size_px: side of a training image, or its height and width; None: not fixed.
    """
    size_px = None if input_size_px == "any" else input_size_px or image_size_px
    return (None, None) if size_px is None else Size.of(size_px)


def unet_levels(image_size_px: SizePx, levels: int | None = None) -> int:
    """Returns the number of halvings of a U-Net for `image_size_px`: `levels`, or a number chosen for the size.

    The automatic choice pads least among the depths with a bottleneck of at most 8 px, and is the deepest of those: 8
    for 256 px, 7 for 128 px, 6 for 300 px, which is padded to 320. The shorter side of a rectangle limits the depth,
    and the longer side is that of the bottleneck: 8 for 512x1024 px, whose bottleneck is 2x4.

    Raises:
        ValueError: 2^levels is more than the image's shorter side, or the image is smaller than 4 px.
    """
    size = Size.of(image_size_px)
    deepest = min(size).bit_length() - 1  # the largest n with 2^n <= the shorter side
    if levels is None:
        if deepest < 2:
            raise ValueError(f"`image_size_px` must be at least 4 for a U-Net. Received {size}. Use 4 or more")
        fitting = range(2, min(deepest, MAX_AUTOMATIC_LEVELS) + 1)
        sizes = {n: padded_size(size, 2**n) for n in fitting}
        small = [n for n in fitting if max(sizes[n]) >> n <= MAX_BOTTLENECK_PX] or [fitting[-1]]
        return min(small, key=lambda n: (math.prod(sizes[n]), -n))
    if levels > deepest:
        raise ValueError(
            f"`levels` must halve the image no further than to one pixel, {deepest} times at most for "
            f"`image_size_px` = {size}. Received {levels}. Use {deepest}, or images of {2**levels} px"
        )
    return levels


def unet_multiple_px(image_size_px: SizePx, levels: int | None) -> int:
    """Returns the size multiple of a U-Net and of its ablation: 2^levels."""
    return 2 ** unet_levels(image_size_px, levels)


def residual_multiple_px(halvings: int) -> int:
    """Returns the size multiple of a residual network, which leaves 2 px for its reflections after `halvings`."""
    return 2 ** (halvings + 1)


def resnet_multiple_px(image_size_px: SizePx, levels: int | None) -> int:
    """Returns the size multiple of a residual network. Its depth does not depend on the size.

    Raises:
        ValueError: `levels` is set, or the image is smaller than 8 px.
    """
    _check_no_levels("resnet", levels, "twice")
    _check_at_least(8, image_size_px, "a resnet")
    return residual_multiple_px(RESNET_HALVINGS)


def global_multiple_px(image_size_px: SizePx, levels: int | None) -> int:
    """Returns the size multiple of pix2pixHD's global generator.

    Raises:
        ValueError: `levels` is set, or the image is smaller than 16 px, a pixel of the deepest map.
    """
    _check_no_levels("global", levels, "four times")
    _check_at_least(2**GLOBAL_HALVINGS, image_size_px, "a global generator")
    return residual_multiple_px(GLOBAL_HALVINGS)


def enhancer_multiple_px(image_size_px: SizePx, levels: int | None, enhancers: int | None = None) -> int:
    """Returns the size multiple of pix2pixHD's local enhancers, each of which halves the image for what is inside it.

    Raises:
        ValueError: `levels` is set, `enhancers` is below 1, or the image is smaller than a pixel of the deepest map.
    """
    _check_no_levels("local_enhancer", levels, "four times, and once for each enhancer")
    smallest = 2 ** (GLOBAL_HALVINGS + ENHANCERS)
    _check_at_least(smallest, image_size_px, "a local enhancer")
    enhancers = ENHANCERS if enhancers is None else enhancers
    size = Size.of(image_size_px)
    room = (min(size) // 2**GLOBAL_HALVINGS).bit_length() - 1
    if not 1 <= enhancers <= room:
        larger = f", or images of {2 ** (GLOBAL_HALVINGS + enhancers)} px" if enhancers > room else ""
        raise ValueError(
            f"`enhancers` must halve the image no further than to {2**GLOBAL_HALVINGS} px, which the global generator "
            f"needs: 1 to {room} of them for `image_size_px` = {size}. Received {enhancers}. Use "
            f"{room if larger else 1}{larger}"
        )
    return residual_multiple_px(GLOBAL_HALVINGS + enhancers)


def _check_no_levels(kind: str, levels: int | None, times: str) -> None:
    if levels is not None:
        raise ValueError(
            f"`levels` must be left out for the {kind} generator, which always halves {times}. Received {levels}. "
            f"Set `residual_blocks` for its depth"
        )


def _check_at_least(smallest_px: int, image_size_px: SizePx, what: str) -> None:
    size = Size.of(image_size_px)
    if min(size) < smallest_px:
        raise ValueError(
            f"`image_size_px` must be at least {smallest_px} for {what}. Received {size}. Use {smallest_px} or more"
        )


class Convolution(NamedTuple):
    """Describes a hidden convolution of a PatchGAN."""

    filters_factor: int  # times `base_filters`
    kernel: int
    stride: int


def _stack(*factors: int) -> tuple[Convolution, ...]:
    """Returns 4×4 convolutions of stride 2, the last of stride 1."""
    return tuple(Convolution(f, 4, 1 if i == len(factors) - 1 else 2) for i, f in enumerate(factors))


# Hidden layers by receptive field (paper §6.1.2). A convolution to one logit with the last layer's kernel follows.
PATCHGANS: dict[int, tuple[Convolution, ...]] = {
    1: (Convolution(1, 1, 1), Convolution(2, 1, 1)),  # PixelGAN
    16: _stack(1, 2),
    34: _stack(1, 2, 4),
    70: _stack(1, 2, 4, 8),
    142: _stack(1, 2, 4, 8, 8),
    286: _stack(1, 2, 4, 8, 8, 8),
}


def receptive_field(layers_: Sequence[tuple[int, int]]) -> int:
    """Returns the side, px, of the patch that one unit after a stack of (kernel, stride) sees.

    From the last layer back, r ← (r-1)·stride + kernel.
    """
    size = 1
    for kernel, stride in reversed(layers_):
        size = (size - 1) * stride + kernel
    return size


def receptive_field_of_scale(receptive_field_px: int, scale: int) -> int:
    """Returns the side, px of the full-size image, of the patch that a logit of a scale sees. Scale 1 is the finest.

    Each further scale sees means of 3×3 pixels at every second pixel.
    """
    return receptive_field([(3, 2)] * (scale - 1) + [(receptive_field_px, 1)])


def halved_px(size_px: int) -> int:
    """Returns the side of an image at half the scale."""
    return -(-size_px // 2)


def logits_px(image_size_px: int, receptive_field_px: int) -> int:
    """Returns the side of the map of logits for an image of this side, 0 or less if it is smaller than a patch.

    Every 4×4 convolution pads a pixel on each side, so a patch may reach beyond the image. The paper's 286 px patch has
    6×6 logits on 256 px.
    """
    hidden = PATCHGANS[receptive_field_px]
    size = image_size_px
    for _, kernel, stride in (*hidden, Convolution(1, hidden[-1].kernel, 1)):
        if kernel > 1:
            size = halved_px(size) if stride == 2 else size - 1
    return size
