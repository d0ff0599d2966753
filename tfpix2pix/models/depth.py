"""How deep a U-Net an image size allows. Imports no TensorFlow, for the configuration's sake."""

from __future__ import annotations

MAX_AUTOMATIC_LEVELS = 8  # the paper's depth at 256 px
MAX_BOTTLENECK_PX = 8  # a larger one sees too little of the image at once


def unet_levels(image_size_px: int, levels: int | None = None) -> int:
    """The halvings of a U-Net for `image_size_px`: `levels` if they divide it, else the deepest that does.

    Automatic depth is 8 for 256 px, 7 for 128 px, 6 for 320 px: at most 8, with a bottleneck of at most 8 px.

    Raises:
        ValueError: no such depth, with the nearest sizes and depth that fit.
    """
    divides = next(n for n in range(MAX_AUTOMATIC_LEVELS, -1, -1) if image_size_px % 2**n == 0)
    if levels is None:
        if divides >= 2 and image_size_px >> divides <= MAX_BOTTLENECK_PX:
            return divides
        rule = "must be a small number times a power of two, so that halving it reaches a few pixels"
        fits = [size for size in range(4, 2 * image_size_px + 8) if _automatic(size)]
    else:
        if image_size_px % 2**levels == 0:
            return levels
        rule = f"must be a multiple of {2**levels} for a U-Net of {levels} levels"
        fits = [2**levels * n for n in range(1, image_size_px // 2**levels + 2)]
    nearest = sorted(sorted(fits, key=lambda size: abs(size - image_size_px))[:2])
    depth = f", or `levels: {divides}`" if divides >= 2 else ""
    advice = f"Use {' or '.join(map(str, nearest))}{depth}."
    raise ValueError(f"`image_size_px` {rule}. Received {image_size_px}. {advice}")


def _automatic(size_px: int) -> bool:
    deepest = next(n for n in range(MAX_AUTOMATIC_LEVELS, -1, -1) if size_px % 2**n == 0)
    return deepest >= 2 and size_px >> deepest <= MAX_BOTTLENECK_PX
