"""Which image sizes a generator takes. Imports no TensorFlow, for the configuration's sake.

Any size is taken: images are reflected to the network's size multiple and the translation is cropped back
(`padding.py`). What is chosen here is that multiple.
"""

from __future__ import annotations

MAX_AUTOMATIC_LEVELS = 8  # the paper's depth at 256 px
MAX_BOTTLENECK_PX = 8  # a larger one sees too little of the image at once
RESNET_MULTIPLE_PX = 8  # two halvings, and a map of at least 2 px, which its reflections need


def padded_px(size_px: int, multiple_px: int) -> int:
    """The least multiple of `multiple_px` that holds `size_px`."""
    return -(-size_px // multiple_px) * multiple_px


def unet_levels(image_size_px: int, levels: int | None = None) -> int:
    """The halvings of a U-Net for `image_size_px`: `levels` if that many fit, else chosen for the size.

    Automatic depth pads least, with a bottleneck of at most 8 px, and is the deepest of those: 8 for 256 px,
    7 for 128 px, 6 for 300 px, which becomes 320.

    Raises:
        ValueError: 2^levels is more than the image has pixels, or the image is smaller than 4 px.
    """
    deepest = image_size_px.bit_length() - 1  # the largest n with 2^n <= image_size_px
    if levels is None:
        if deepest < 2:
            raise ValueError(f"`image_size_px` must be at least 4 for a U-Net. Received {image_size_px}. Use 4 or more")
        fitting = range(2, min(deepest, MAX_AUTOMATIC_LEVELS) + 1)
        sizes = {n: padded_px(image_size_px, 2**n) for n in fitting}
        small = [n for n in fitting if sizes[n] >> n <= MAX_BOTTLENECK_PX] or [fitting[-1]]
        return min(small, key=lambda n: (sizes[n], -n))
    if levels > deepest:
        raise ValueError(
            f"`levels` must halve the image no further than to one pixel, {deepest} times at most for "
            f"`image_size_px` = {image_size_px}. Received {levels}. Use {deepest}, or images of {2**levels} px"
        )
    return levels


def unet_multiple_px(image_size_px: int, levels: int | None) -> int:
    """The size multiple of a U-Net and of its ablation: 2^levels."""
    return 2 ** unet_levels(image_size_px, levels)


def resnet_multiple_px(image_size_px: int, levels: int | None) -> int:
    """The size multiple of a residual network, whose depth does not depend on the size.

    Raises:
        ValueError: `levels` is given, which such a network does not have, or the image is smaller than 8 px.
    """
    if levels is not None:
        raise ValueError(
            f"`levels` must be left out for the resnet generator, which always halves twice. Received {levels}. "
            f"Set `residual_blocks` for its depth"
        )
    if image_size_px < 8:
        raise ValueError(f"`image_size_px` must be at least 8 for a resnet. Received {image_size_px}. Use 8 or more")
    return RESNET_MULTIPLE_PX
