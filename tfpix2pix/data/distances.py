"""Reads masks as distance fields: how far each pixel is from the boundary of the mask (kind `distance` of `data.inputs`
and `data.targets`).

A network that sees a mask sees its boundary alone near it. A field says everywhere how far the boundary is.
"""

from __future__ import annotations

import math

import numpy as np

from tfpix2pix.data.labels import without_opaque_alpha
from tfpix2pix.data.parts import InputPart
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

HALF_PX = 0.5  # from the centre of a pixel to its edge


def read_distance(image: np.ndarray, part: InputPart, data: DataConfig, path: object) -> np.ndarray:
    """Returns the signed distances of a mask or label map by the part's range, float32 (H, W, 1) from 0 to 1, as an
    input has them. The rest is as for `distances_px`."""
    low, high = part.range
    return ((distances_px(image, part, data, path) - low) / (high - low)).astype(np.float32)


def distances_px(image: np.ndarray, part: InputPart, data: DataConfig, path: object) -> np.ndarray:
    """Returns the signed distances of a mask or label map within the part's range, px, float64 (H, W, 1), as a target
    has them. All values but 0 are inside.

    Raises:
        UserError: the image has several channels, or values that are not finite.
    """
    image = without_opaque_alpha(image)
    if image.shape[-1] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    if image.shape[-1] != 1 or not np.isfinite(image).all():
        received = f"{image.shape[-1]} channels" if image.shape[-1] != 1 else "NaN or infinity"
        raise UserError(
            f"A mask for a distance field must be one channel of numbers, 0 outside. Received {received} in {path} "
            f"({part.name}). Save it in gray.",
            "channels",
        )
    return np.clip(signed_distances(image[..., 0] != 0), *part.range)[..., np.newaxis]


def margin_px(part: InputPart, data: DataConfig) -> int:
    """Returns the width of the rim around a rectangle, px, in which all boundaries lie that its distances within the
    part's range depend on."""
    return math.ceil(max(map(abs, part.range)) + HALF_PX)


def signed_distances(inside: np.ndarray) -> np.ndarray:
    """Returns the distance of each pixel's centre to the boundary of a mask (H, W), px: positive inside, negative
    outside, and infinite if the mask has no boundary."""
    from scipy.ndimage import distance_transform_edt  # takes half a second, and few inputs are distance fields

    if inside.all() or not inside.any():
        return np.where(inside, np.inf, -np.inf)
    to_outside, to_inside = (distance_transform_edt(mask) for mask in (inside, ~inside))
    return np.where(inside, to_outside - HALF_PX, HALF_PX - to_inside)
