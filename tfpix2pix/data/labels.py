"""Reads label maps from class indices, values or colours, and shows them as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tfpix2pix.data.formats import Palette
from tfpix2pix.data.images import MEGAPIXELS, as_picture, match_channels, read_image
from tfpix2pix.data.planes import NotByRegion
from tfpix2pix.data.ranges import from_signed
from tfpix2pix.data.regions import Mapped, Regions, open_regions
from tfpix2pix.data.settings import ClassValues, DataConfig
from tfpix2pix.data.target_parts import TargetPart, split_targets
from tfpix2pix.errors import UserError
from tfpix2pix.tables import lazy

FAR = 48.0  # of 255 levels, from the nearest colour; JPEG moves at most 27 % of the facades' label pixels so far
LEAST_INSTANCES = 8  # different values above the classes, which are then taken for numbers of instances
MOST_FAR = 0.6  # fraction of pixels; in photographs 99 % are farther
PICTURE_OF_STACK = lazy("tfpix2pix.data.stacks", "picture_of_stack")
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


def palette_as(classes: int | None, config: DataConfig, values: ClassValues | None) -> Palette:
    """Returns what a palette file becomes for `to_classes`; of images its picture."""
    if classes is None:
        return "colors"
    if values == "palette_indices":
        return "indices"
    if config.class_colors:
        return "colors"
    may_be_mask = values is None and is_mask(classes, config)
    return "levels" if may_be_mask or isinstance(values, tuple) else "indices"


def palettes_as(config: DataConfig) -> tuple[Palette, Palette]:
    """Returns what palette files of inputs and of targets become."""
    sides = zip(config.classes, config.class_values, strict=True)
    return tuple(palette_as(classes, config, values) for classes, values in sides)


def is_mask(classes: int | None, config: DataConfig) -> bool:
    """Returns True if label maps may hold any two values, the lower for class 0 and the higher for class 1."""
    return classes == 2 and config.ignore_class is None and config.class_colors is None


def decided_values(classes: int, config: DataConfig, occurring: Iterable[int]) -> ClassValues:
    """Decides how gray label maps are read, from the values that occur in those of the training pairs.

    Values below the number of classes are indices. Without `config.class_colors`, two other values of two classes are
    a mask.
    """
    values = sorted(set(occurring))
    if is_drawn_in_gray(classes, config, values):
        return "colors"
    is_pair = is_mask(classes, config) and len(values) == classes and values != [0, 1]
    return tuple(values) if is_pair else "indices"


def is_drawn_in_gray(classes: int, config: DataConfig, values: Iterable[int]) -> bool:
    """Returns True if a value that is too large for an index is near a gray one of `config.class_colors`.

    Colours that are darker than the indices, such as black, do not count: indices counted from 1 are near it, too.
    """
    grays = [red for red, green, blue in config.class_colors or () if red == green == blue and red >= classes]
    levels = [
        value if value <= 255 else value / 257
        for value in values
        if value not in (*range(classes), config.ignore_class)
    ]
    return any(3 * (level - gray) ** 2 <= FAR**2 for level in levels for gray in grays)


def to_classes(
    image: np.ndarray, classes: int, config: DataConfig, where: object, values: ClassValues | None = None
) -> np.ndarray:
    """Converts a label map, of indices, of `values` or in `config.class_colors`, to class indices, uint8 (H, W, 1).

    The alpha of colours is left out, and so is that of gray if it is opaque: a second channel may be something else.

    `values` of None, if nothing has been decided: a file in gray is drawn in the colours if `is_drawn_in_gray`.

    Raises:
        UserError: it has an index or value of no class that is not `config.ignore_class`, or unknown colours.
    """
    if image.dtype == bool:
        image, values = _of_one_bit(image, config, values)
    image = without_opaque_alpha(image)
    if _is_gray_indices(image, classes, config, values):
        image = image[..., :1]
    if image.shape[-1] in (3, 4):
        if config.class_colors is None:
            raise UserError(
                f"A label map must hold class indices, or `data.class_colors` must give the colour of each class. "
                f"Received colours in {where}. Set `data.class_colors` to a list of the {classes} classes' colours.",
                "classes",
            )
        return _of_colors(image, classes, config, where)
    occurring = set(np.unique(image).tolist()) - {config.ignore_class}
    white = np.iinfo(image.dtype).max if image.dtype.kind == "u" and image.shape[-1] == 1 else None
    if values is None and is_mask(classes, config) and white in occurring and occurring <= {0, white}:
        values = (0, white)  # without training pairs that say so
    indices, table = range(classes), values if isinstance(values, tuple) else range(classes)
    if occurring <= {*indices} and not occurring <= {*table}:  # a mask that a model has translated
        table = indices
    wrong = sorted(occurring - {*table}) if image.shape[-1] == 1 else []
    is_gray = image.shape[-1] == 1 and image.dtype.kind == "u"
    if is_gray and (values == "colors" or (values is None and is_drawn_in_gray(classes, config, wrong))):
        label_map = _of_colors(image, classes, config, where)
        ignored = config.ignore_class
        if ignored is not None and (ignored,) * 3 not in config.class_colors:
            label_map[image == ignored] = ignored
        return label_map
    if not is_gray or wrong:
        rule = f"the class indices 0 to {classes - 1}" if table == indices else f"the values {list(table)}"
        received = f"the value {wrong[0]}" if wrong else f"{image.shape[-1]} channels of {image.dtype}"
        numbers = (
            " The values look like numbers of instances, which cannot be targets: write its class for each "
            "instance, such as `labels > 0` for two classes."
            if len(wrong) >= LEAST_INSTANCES
            else ""
        )
        raise UserError(
            f"A label map must hold {rule}. Received {received} in {where}. Correct the file, or set the number of "
            f"classes, their colours (`data.class_colors`), their values in gray (`data.input_class_values`, "
            f"`data.target_class_values`, such as [0,255]), or a value of no class (`data.ignore_class`).{numbers}",
            "classes",
        )
    if table == indices:
        return image.astype(np.uint8)
    order = np.argsort(table)
    label_map = order[np.searchsorted(np.array(table)[order], image).clip(max=classes - 1)]
    return np.where(image == config.ignore_class, image, label_map).astype(np.uint8)


def without_opaque_alpha(image: np.ndarray) -> np.ndarray:
    """Returns a gray image without an alpha channel that is opaque everywhere, and others as they are."""
    has_alpha = image.shape[-1] == 2 and image.dtype.kind == "u" and image[..., 1].min() == np.iinfo(image.dtype).max
    return image[..., :1] if has_alpha else image


def _is_gray_indices(image: np.ndarray, classes: int, config: DataConfig, values: ClassValues | None) -> bool:
    """Returns True if a picture with three equal channels holds class indices, as a gray file of the same pixels would.

    An index that is the gray of a class, other than black, is taken for the colour.
    """
    if image.shape[-1] not in (3, 4) or image.dtype.kind != "u" or values == "colors" or not config.class_colors:
        return False
    if image[..., :3].max() >= classes or (image[..., :3] != image[..., :1]).any():
        return False
    occurring = set(np.unique(image[..., 0]).tolist()) - {0}
    return bool(occurring) and not any((value,) * 3 in config.class_colors for value in occurring)


def _of_one_bit(
    image: np.ndarray, config: DataConfig, values: ClassValues | None
) -> tuple[np.ndarray, ClassValues | None]:
    """Returns a label map of bool as uint8, and how to read it: black and white, or the classes 0 and 1."""
    if config.class_colors and values != "palette_indices":
        return image * np.uint8(255), "colors"
    levels = values if isinstance(values, tuple) else ()
    if 255 in (*levels, config.ignore_class) or values == "palette_indices":
        return image * np.uint8(255), values
    return image.astype(np.uint8), "indices"


def _of_colors(picture: np.ndarray, classes: int, config: DataConfig, where: object) -> np.ndarray:
    label_map, far = nearest_color(match_channels(picture, 3), class_colors(config, classes))
    if far > MOST_FAR:
        raise UserError(
            f"A label map must be drawn in the colours of `data.class_colors`. Received {100 * far:.0f} % of pixels "
            f"far from every one of them in {where}. Correct the colours, or leave the number of classes out for "
            f"photographs.",
            "classes",
        )
    return label_map


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


def read_side(path: Path, side: int, config: DataConfig, key: str = MEGAPIXELS) -> np.ndarray:
    """Reads a file as inputs (`side` 0) or targets (1) are read: an image, or the class indices of a label map.

    `key` names `config.max_megapixels` in messages.
    """
    classes = config.classes[side]
    if classes is None:
        return read_image(path, max_megapixels=config.max_megapixels, key=key)
    return read_labels(path, classes, config, config.class_values[side], key)


def open_side(path: Path, side: int, config: DataConfig) -> Regions | Mapped:
    """Opens a file of inputs (`side` 0) or targets (1) to read rectangles of what `read_side` reads.

    Raises:
        NotByRegion: the file is read whole: its format is, or a label map is read by all of its values.
        UserError: it is damaged.
    """
    classes, values = config.classes[side], config.class_values[side]
    image = open_regions(path, palette_as(classes, config, values))
    if classes is None:
        return image
    if values not in ("indices", "palette_indices") or image.shape[-1] != 1 or image.dtype.kind != "u":
        image.close()
        raise NotByRegion("holds a label map that is read by all of its values")
    return Mapped(image, lambda part: to_classes(part, classes, config, path, values) if part.size else part, 1)


def read_labels(
    path: Path, classes: int, config: DataConfig, values: ClassValues | None = None, key: str = MEGAPIXELS
) -> np.ndarray:
    """Reads a file as a label map, and returns its class indices. `values` are as for `to_classes`."""
    palette = palette_as(classes, config, values)
    image = read_image(path, palette=palette, max_megapixels=config.max_megapixels, key=key)
    return to_classes(image, classes, config, path, values)


def pictures_of(
    config: DataConfig, *, every_part: bool = False
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Returns two functions, for inputs and for targets, that convert images to pictures.

    Both convert float (H, W, C) in [-1, 1] to uint8 (H, W, 3). Label maps get the colours of their classes. If an
    input lies in several files, the first is shown, with the boundaries of instances. Of a target in several files, the
    first is shown too. Of a slice with neighbours the slice itself is shown.

    Args:
        every_part: show all parts of a target in several files side by side. Pictures of inputs are as wide, by white.
    """

    def picture(classes: int | None) -> Callable[[np.ndarray], np.ndarray]:
        if classes is None:
            return lambda image: as_picture(from_signed(image))
        table = np.zeros((256, 3), np.uint8)  # pixels of no class are black
        colors = class_colors(config, classes)
        table[: len(colors)] = colors
        return lambda image: table[from_signed(image)[..., 0]]

    of_input, before = picture(config.input_classes), config.neighbour_slices
    if config.inputs:
        of_input = PICTURE_OF_STACK(config)
    elif before:
        of_input = lambda image: as_picture(from_signed(image[..., before : before + 1]))  # noqa: E731
    if not config.targets:
        return of_input, picture(config.target_classes)
    shown = len(config.targets) if every_part else 1

    of_parts = [picture(part.classes) for part in config.targets[:shown]]

    def of_targets(stack: np.ndarray) -> np.ndarray:
        images = split_targets(stack, config).values()
        return np.concatenate([show(image) for show, image in zip(of_parts, images, strict=False)], axis=1)

    def beside_white(image: np.ndarray) -> np.ndarray:
        first = of_input(image)
        return np.pad(first, ((0, 0), (0, first.shape[1] * (shown - 1)), (0, 0)), constant_values=255)

    return beside_white, of_targets


def palette_of(config: DataConfig, part: TargetPart | None = None) -> Sequence[int] | None:
    """Returns the palette of translated label maps, R, G, B of class 0, of class 1, …, or None for photographs.

    `part`: one of `config.targets`; None: the target is one file.
    """
    classes = part.classes if part else config.target_classes
    return class_colors(config, classes).ravel().tolist() if classes else None
