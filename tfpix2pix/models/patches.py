"""The discriminators' layers by receptive field, and which images they fit. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Convolution(NamedTuple):
    filters_factor: int  # times `base_filters`
    kernel: int
    stride: int


def _stack(*factors: int) -> tuple[Convolution, ...]:
    """4×4 convolutions of stride 2, the last of stride 1."""
    return tuple(Convolution(f, 4, 1 if i == len(factors) - 1 else 2) for i, f in enumerate(factors))


# Hidden layers by receptive field (paper §6.1.2); a convolution to one logit of the last layer's kernel follows.
PATCHGANS: dict[int, tuple[Convolution, ...]] = {
    1: (Convolution(1, 1, 1), Convolution(2, 1, 1)),  # PixelGAN
    16: _stack(1, 2),
    34: _stack(1, 2, 4),
    70: _stack(1, 2, 4, 8),
    142: _stack(1, 2, 4, 8, 8),
    286: _stack(1, 2, 4, 8, 8, 8),
}


def receptive_field(layers_: Sequence[tuple[int, int]]) -> int:
    """Side, px, of what one unit on a stack of (kernel, stride) sees: from the last back, r ← (r-1)·stride + kernel."""
    size = 1
    for kernel, stride in reversed(layers_):
        size = (size - 1) * stride + kernel
    return size


def receptive_field_of_scale(receptive_field_px: int, scale: int) -> int:
    """Side, px of the whole image, of what a logit of a scale sees; 1 is the finest. Each further one looks through
    means of 3×3 pixels at every second one."""
    return receptive_field([(3, 2)] * (scale - 1) + [(receptive_field_px, 1)])


def halved_px(size_px: int) -> int:
    """Side of an image at half the scale."""
    return -(-size_px // 2)


def logits_px(image_size_px: int, receptive_field_px: int) -> int:
    """Height and width of the map of logits; 0 or less where the padded image is smaller than a patch.

    Every 4×4 convolution pads a pixel on each side, so a patch may reach beyond the image: the paper's 286 px patch
    has 6×6 logits on 256 px.
    """
    hidden = PATCHGANS[receptive_field_px]
    size = image_size_px
    for _, kernel, stride in (*hidden, Convolution(1, hidden[-1].kernel, 1)):
        if kernel > 1:
            size = halved_px(size) if stride == 2 else size - 1
    return size
