"""Reads the weights of pixels (`data.weight`): 1 counts in full, 0 nowhere, and a fraction in part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import without_opaque_alpha
from tfpix2pix.data.pairs import Pair, Weighted, checked
from tfpix2pix.data.ranges import Range, full_range
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import label_parts
from tfpix2pix.data.weight_settings import ALPHA, Nodata, weight_as_yaml
from tfpix2pix.errors import UserError, listed

SLACK = 1e-4  # of floats that should lie in [0, 1]
DIMMEST = 0.25


def checked_whole(
    pair: Sequence[np.ndarray],
    config: DataConfig,
    path: Path,
    target_path: Path | None = None,
    weight: tuple[np.ndarray, Path] | None = None,
) -> Pair | Weighted:
    """Returns the pair as `checked` does, with the weights of its pixels if `config.weight` is set.

    Args:
        weight: the image of the weights and its file, if they lie in files.

    Raises:
        UserError: the pair cannot be trained on, or the weights do not fit it.
    """
    if config.weight is None:
        return checked(pair, config, path, target_path)
    where = target_path or path
    if weight is not None:
        values = read_weight(*weight)
        where = weight[1]
    elif config.weight == ALPHA:
        pair, values = _from_alpha(pair, config, where)
    else:
        pair, values = _from_nodata(pair, config, config.weight, where)
    (height, width), (own_height, own_width) = pair[1].shape[:2], values.shape[:2]
    if (height, width) != (own_height, own_width):
        raise UserError(
            f"Weights must be as large as their target. Received {own_width}x{own_height} px in {where} for a target "
            f"of {width}x{height} px in {target_path or path}. Replace one of the files.",
            "weights",
        )
    return (*checked(pair, config, path, target_path), values)


def nothing_counts(images: int, config: DataConfig) -> UserError:
    """Returns the error that no pixel of any image counts."""
    return UserError(
        f"At least one pixel of an image must count. Received {images} whose weights are all 0. Check "
        f"`data.weight: {weight_as_yaml(config.weight)}`."
    )


def on_uncounted(names: Sequence[str], images: int, config: DataConfig) -> list[str]:
    """Returns a sentence on the images, of this number, that are left out because no pixel of them counts."""
    if not names:
        return []
    return [
        f"{len(names)} of {images} images {'are' if names[1:] else 'is'} left out, because the weights of all pixels "
        f"are 0 (`data.weight: {weight_as_yaml(config.weight)}`): {listed(names)}."
    ]


def read_weight(image: np.ndarray, path: object) -> np.ndarray:
    """Converts an image of weights to float32 (H, W, 1) in [0, 1].

    Integers count from 0 to the largest value of their type, or are 0 and 1. Floats lie in [0, 1].

    Raises:
        UserError: the image has colours or transparency, or floats outside [0, 1].
    """
    image = without_opaque_alpha(image)
    if image.shape[-1] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    if image.shape[-1] != 1:
        raise UserError(
            f"Weights must be a gray image. Received {image.shape[-1]} channels in {path}. Save it in gray, or set "
            f"`data.weight: {ALPHA}` for the alpha channel of the targets.",
            "weights",
        )
    if image.dtype.kind in "ub":
        most = 1 if image.dtype.kind == "b" or image.max(initial=0) <= 1 else np.iinfo(image.dtype).max
        return image.astype(np.float32) / np.float32(most)
    least, most = float(image.min()), float(image.max())
    if not (least >= -SLACK and most <= 1 + SLACK):  # nor NaN
        raise UserError(
            f"Weights in floats must lie in [0, 1]. Received {least:g} to {most:g} in {path}. Divide them by their "
            f"largest value.",
            "weights",
        )
    return np.clip(image, 0, 1).astype(np.float32)


def _from_alpha(pair: Sequence[np.ndarray], config: DataConfig, where: object) -> tuple[Pair, np.ndarray]:
    """Returns the pair without the alpha channel of its target, and that channel as weights."""
    image, target = pair
    if target.shape[-1] not in (2, 4):
        raise UserError(
            f"With `data.weight: {ALPHA}` every target must have an alpha channel. Received {target.shape[-1]} "
            f"channel{'s' * (target.shape[-1] > 1)} in {where}. Save it with transparency, or give the weights in "
            f"files.",
            "weights",
        )
    low, high = full_range(target.dtype)
    values = (target[..., -1:].astype(np.float32) - np.float32(low)) / np.float32(high - low)
    if image.shape[-1] == config.input_channels + 1:  # a combined image
        image = image[..., :-1]
    return (image, match_channels(target[..., :-1], config.target_channels, where)), np.clip(values, 0, 1)


def _from_nodata(
    pair: Sequence[np.ndarray], config: DataConfig, setting: Nodata, where: object
) -> tuple[Pair, np.ndarray]:
    """Returns the pair with the value for black where it has no data, and weights of 0 there, 1 elsewhere.

    A pixel has no data if every channel of the input or of the target has the value. With `nan`, one channel suffices.
    Label maps do not say so.
    """
    filled, whole = [], None
    for image, classes, value_range in zip(pair, config.classes, config.ranges, strict=True):
        measured = np.delete(image, [part.channel for part in label_parts(config)], axis=-1) if filled else image
        if classes is not None or (config.inputs and not filled) or not measured.shape[-1]:
            lacks = np.zeros(image.shape[:2], bool)
        else:
            lacks = without_data(measured, setting)
        filled.append(blackened(image, lacks, value_range, where))
        whole = lacks if whole is None or whole.shape != lacks.shape else whole | lacks
    return tuple(filled), (~whole).astype(np.float32)[..., np.newaxis]


def without_data(image: np.ndarray, setting: Nodata) -> np.ndarray:
    """Returns where (H, W, C) has no data, bool (H, W): every channel has the value, or with `nan` one of them."""
    if setting.nodata == "nan":
        return np.isnan(image).any(-1) if image.dtype.kind == "f" else np.zeros(image.shape[:2], bool)
    return (image == np.asarray(setting.nodata, np.float32)).all(-1)


def blackened(image: np.ndarray, lacks: np.ndarray, value_range: Range | None, where: object) -> np.ndarray:
    """Returns (H, W, C) with the value for black where it has no data, by `without_data`."""
    if not lacks.any():
        return image
    low, _ = full_range(image.dtype, value_range)
    if np.ndim(low):
        image = match_channels(image, len(low), where)
    image = image.copy()
    limits = np.iinfo(image.dtype) if image.dtype.kind == "u" else np.finfo(np.float32)
    image[lacks] = np.clip(low, limits.min, limits.max)
    return image


def dimmed(picture: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Returns a picture, uint8 (H, W, 3), darker where pixels count less: `DIMMEST` of its levels at a weight of 0.

    `weight`: (H, W, 1) in [0, 1], which is repeated for pictures side by side; None: all pixels count.
    """
    if weight is None:
        return picture
    weight = np.tile(weight, (1, picture.shape[1] // weight.shape[1], 1))
    return np.rint(picture * (DIMMEST + (1 - DIMMEST) * weight)).astype(np.uint8)
