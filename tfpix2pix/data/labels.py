"""Reads label maps from class indices or colours, and shows them as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfpix2pix.data.images import as_picture, from_signed, read_image
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

FAR = 48.0  # of 255 levels, from the nearest colour; JPEG moves at most 27 % of the facades' label pixels so far
MOST_FAR = 0.6  # fraction of pixels; in photographs 99 % are farther
ROWS_AT_A_TIME = 64  # of a picture, compared with every colour at once; bounds the memory


def standard_colors(classes: int) -> np.ndarray:
    """Returns the PASCAL VOC colour table, uint8 (classes, 3): an index's bits, spread over R, G and B from the top."""
    index = np.arange(classes)
    colors = np.zeros((classes, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors


def class_colors(config: DataConfig, classes: int) -> np.ndarray:
    """Returns the configured colours, or the standard ones, as uint8 (classes, 3)."""
    return np.array(config.class_colors, np.uint8) if config.class_colors else standard_colors(classes)


def to_classes(image: np.ndarray, classes: int, config: DataConfig, where: object) -> np.ndarray:
    """Converts a label map, indices or a picture in `config.class_colors`, to class indices, uint8 (H, W, 1).

    Raises:
        UserError: it has an index beyond the classes that is not `config.ignore_class`, or unknown colours.
    """
    if image.shape[-1] in (3, 4):
        if config.class_colors is None:
            raise UserError(
                f"A label map must hold class indices, or `data.class_colors` must give the colour of each class. "
                f"Received colours in {where}. Set `data.class_colors` to a list of the {classes} classes' colours.",
                "classes",
            )
        label_map, far = nearest_color(image[..., :3], class_colors(config, classes))
        if far > MOST_FAR:
            raise UserError(
                f"A label map must be drawn in the colours of `data.class_colors`. Received {100 * far:.0f} % of "
                f"pixels far from every one of them in {where}. Correct the colours, or leave the number of classes "
                f"out for photographs.",
                "classes",
            )
        return label_map
    wrong = [value for value in np.unique(image).tolist() if value >= classes and value != config.ignore_class]
    if image.shape[-1] != 1 or image.dtype.kind == "f" or wrong:
        received = f"the value {wrong[0]}" if wrong else f"{image.shape[-1]} channels of {image.dtype}"
        raise UserError(
            f"A label map must hold the class indices 0 to {classes - 1}. Received {received} in {where}. Correct "
            f"the file, or set the number of classes, or set `data.ignore_class` to the value of pixels to ignore.",
            "classes",
        )
    return image.astype(np.uint8)


def nearest_color(picture: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the index of each pixel's nearest colour, uint8 (H, W, 1), and the fraction of pixels farther than FAR.

    Colours need not match exactly, because JPEG changes them a little.
    """
    full = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1.0
    table = colors.astype(np.float32)
    rows, far = [], 0
    for top in range(0, len(picture), ROWS_AT_A_TIME):
        part = picture[top : top + ROWS_AT_A_TIME].astype(np.float32) * np.float32(255.0 / full)
        distances = np.square(part[:, :, np.newaxis] - table).sum(axis=-1)
        rows.append(distances.argmin(axis=-1))
        far += int((distances.min(axis=-1) > FAR**2).sum())
    return np.concatenate(rows).astype(np.uint8)[..., np.newaxis], far / (picture.shape[0] * picture.shape[1])


def read_side(path: Path, classes: int | None, config: DataConfig) -> np.ndarray:
    """Reads an input or target file. With `classes`, reads it as a label map and returns its class indices."""
    if classes is None:
        return read_image(path)
    return to_classes(read_image(path, indices=True), classes, config, path)


def pictures_of(config: DataConfig) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Returns two functions, for inputs and for targets, that convert images to pictures.

    Both convert float (H, W, C) in [-1, 1] to uint8 (H, W, 3). Label maps get the colours of their classes.
    """

    def picture(classes: int | None) -> Callable[[np.ndarray], np.ndarray]:
        if classes is None:
            return lambda image: as_picture(from_signed(image))
        table = np.zeros((256, 3), np.uint8)  # pixels of no class are black
        colors = class_colors(config, classes)
        table[: len(colors)] = colors
        return lambda image: table[from_signed(image)[..., 0]]

    return picture(config.input_classes), picture(config.target_classes)


def palette_of(config: DataConfig) -> Sequence[int] | None:
    """Returns the palette of translated label maps, R, G, B of class 0, of class 1, …, or None for photographs."""
    return class_colors(config, config.target_classes).ravel().tolist() if config.target_classes else None
