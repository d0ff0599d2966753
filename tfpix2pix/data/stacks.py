"""Reads the parts of an input that lies in several files (`data.inputs`), and stacks them to one image.

A stack is uint8 (H, W, C) if every part has 8 bits, and else float32 from 0 to 1, in which each image is scaled by its
own range. Class indices stay as they are. Instance maps are numbered anew: their ids may have any depth, and only the
boundaries count. A mask may become a distance field. A scalar is a channel of one value, scaled by its range.

The stack of a target (`data.targets`) is float32 and holds the values of its files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.data.formats import Palette
from tfpix2pix.data.images import MEGAPIXELS, as_picture, read_image
from tfpix2pix.data.labels import class_colors, palette_as, to_classes, without_opaque_alpha
from tfpix2pix.data.pairs import with_channels
from tfpix2pix.data.parts import LARGEST_ID, InputPart
from tfpix2pix.data.ranges import from_signed, full_range, in_range, to_signed
from tfpix2pix.data.scalars import Scalar, check_within, scalar_parts
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

NUMBERS = 256  # that 8 bits hold
BOUNDARY_COLOR = 255  # white, on the pictures of stacks


def stack_reader(
    data: DataConfig, read: Callable[..., np.ndarray] | None = None, key: str = MEGAPIXELS
) -> Callable[[Sequence[Path | Scalar]], np.ndarray]:
    """Returns a function from the files and scalars of an input, one for each part, to their stack. The arguments are
    those of `part_reader`."""
    read_parts = part_reader(data, read, key)

    def stacked_items(items: Sequence[Path | Scalar]) -> np.ndarray:
        where = [item.where if isinstance(item, Scalar) else item for item in items]
        return stacked(read_parts(items), data, where)

    return stacked_items


def part_reader(
    data: DataConfig, read: Callable[..., np.ndarray] | None = None, key: str = MEGAPIXELS
) -> Callable[[Sequence[Path | Scalar]], list[np.ndarray | float]]:
    """Returns a function from the files and scalars of an input, one for each part, to the images as files hold them
    and the numbers.

    Args:
        read: (path, palette) -> the image in a file; None: `read_image`.
        key: names `data.max_megapixels` in messages.
    """
    read = read or partial(read_image, max_megapixels=data.max_megapixels, key=key)

    def parts_of(items: Sequence[Path | Scalar]) -> list[np.ndarray | float]:
        return [
            read(item, palette=part.row.palette(part, data)) if part.row.in_files else item.value
            for item, part in zip(items, data.inputs, strict=True)
        ]

    return parts_of


def stacked(images: Sequence[np.ndarray | float], data: DataConfig, where: Sequence[object]) -> np.ndarray:
    """Stacks images as files hold them, and numbers, one for each part of `data.inputs`: (H, W, C), uint8 or float32
    from 0 to 1.

    Args:
        images: (H, W, C), or (H, W) for one channel; a number for a scalar.
        where: names of the images, for messages.

    Raises:
        UserError: an array is not an image, a part does not fit, or two images differ in size.
    """
    images = [image[..., np.newaxis] if image.ndim == 2 else image for image in map(np.asarray, images)]
    rows = list(zip(images, data.inputs, where, strict=True))
    in_files = [row for row in rows if row[1].row.in_files]
    for image, part, path in in_files:
        if image.ndim != 3 or 0 in image.shape:
            received = f"an array of shape {image.shape}" if image.ndim else f"the number {image}"
            raise UserError(
                f"A part of an input must be one image, (H, W, C) or (H, W). Received {received} in {path} "
                f"({part.name}). {'Take the images of a batch in turn' if image.ndim else 'Give an image'}."
            )
    height, width = _one_size(in_files, "an input")
    return joined([part.row.read(image, part, data, path) for image, part, path in rows], height, width)


def joined(images: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Stacks the parts of an input as the rows of their kinds read them: uint8, or float32 from 0 to 1."""
    images = [np.broadcast_to(image, (height, width, image.shape[-1])) for image in images]
    if any(image.dtype != np.uint8 for image in images):
        images = [image if image.dtype.kind == "f" else image.astype(np.float32) / np.float32(255) for image in images]
    return np.concatenate(images, axis=-1)


def target_stack_reader(data: DataConfig, read: Callable[..., np.ndarray]) -> Callable[[Sequence[Path]], np.ndarray]:
    """Returns a function from the files of a target, one for each part, to their stack (`stacked_targets`).

    `read`: (path, palette) -> the image in a file.
    """

    def stacked_files(files: Sequence[Path]) -> np.ndarray:
        parts = zip(files, data.targets, strict=True)
        return stacked_targets([read(path, palette=part.row.palette(part, data)) for path, part in parts], data, files)

    return stacked_files


def stacked_targets(images: Sequence[np.ndarray], data: DataConfig, where: Sequence[Path]) -> np.ndarray:
    """Stacks images, one for each part of `data.targets`: float32 (H, W, C) of their own values, class indices of label
    maps, and distances of masks.

    Raises:
        UserError: an image has other channels than its part, a label map has values of no class, or two differ in size.
    """
    rows = list(zip(images, data.targets, where, strict=True))
    _one_size(rows, "a target")
    return joined_targets([part.row.read_target(image, part, data, path) for image, part, path in rows])


def joined_targets(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks the parts of a target as the rows of their kinds read them: float32."""
    return np.concatenate([image.astype(np.float32) for image in images], axis=-1)


def _one_size(rows: Sequence[tuple[np.ndarray, Any, object]], what: str) -> tuple[int, int]:
    """Returns the height and width of images, each with its part and its path. Raises UserError if two differ."""
    first, _, first_path = rows[0]
    height, width = first.shape[:2]
    for image, part, path in rows:
        if image.shape[:2] != (height, width):
            raise UserError(
                f"The files of {what} must be of one size. Received {width}x{height} px in {first_path} and "
                f"{image.shape[1]}x{image.shape[0]} px in {path} ({part.name}). Replace a file.",
                "size",
            )
    return height, width


def stacked_by_name(images: Mapping[str, np.ndarray | float], data: DataConfig) -> np.ndarray:
    """Stacks arrays and numbers by the names of their parts, as translators take a stack: uint8, or float32 in [-1, 1].

    Raises:
        UserError: a part is missing or unknown, or as `stacked`.
    """
    names = check_names(images, data)
    for part in scalar_parts(data):
        number = images[part.name]
        if isinstance(number, (int, float)) and math.isfinite(number):
            check_within(number, part, data, f"the argument {part.name!r}", trained=True)
    as_translated = data.model_copy(update={"alpha": "drop"})
    stack = stacked([images[name] for name in names], as_translated, [f"the argument {name!r}" for name in names])
    return stack if stack.dtype == np.uint8 else to_signed(stack)


def check_stack(images: np.ndarray, data: DataConfig) -> None:
    """Raises UserError if an array, (H, W), (H, W, C) or (N, H, W, C), is not a stack of the parts of `data.inputs`."""
    channels = images.shape[-1] if images.ndim > 2 else 1
    if channels != data.input_channels or not (images.dtype == np.uint8 or images.dtype.kind == "f"):
        names = " and ".join(part.name for part in data.inputs)
        raise UserError(
            f"A stack of {names} must have {data.input_channels} channels, uint8 or float in [-1, 1]. Received "
            f"{channels} of {images.dtype}. Give a mapping of the names to arrays."
        )


def check_names(given: Iterable[str], data: DataConfig) -> list[str]:
    """Returns the names of the parts of an input. Raises UserError if other names are given."""
    names, given = [part.name for part in data.inputs or ()], list(given)
    if sorted(given) != sorted(names):
        takes = f"{' and '.join(names)}, each by its name" if names else "images without names"
        received = " and ".join(given) or "images without names"
        raise UserError(f"This model must be given {takes}. Received {received}. Give {example_of(data)}.")
    return names


def example_of(data: DataConfig) -> str:
    """Returns how an input is given to a model, for messages: `input` t1=PATH `input` dose=NUMBER."""
    example = " ".join(f"`input` {part.name}={'PATH' if part.row.in_files else 'NUMBER'}" for part in data.inputs or ())
    return example or "the images alone"


def read_picture(image: np.ndarray, part: InputPart, data: DataConfig, path: object) -> np.ndarray:
    """Returns a picture with the part's channels: uint8 as it is, others as float32 from 0 to 1 by the part's range."""
    example = f"`{{name: {part.name}, range: [0, 4095]}}` of `data.inputs`"
    image = in_range(image, part.range, "range", path, clip=data.clips[0], example=example)
    image = with_channels(image, part.stacked_channels, data, path, sides=())
    if image.dtype == np.uint8 and part.range is None:
        return image
    low, high = full_range(image.dtype, part.range)
    return np.clip((image.astype(np.float32) - low) / np.float32(high - low), 0, 1).astype(np.float32)


def with_channels_of_part(image: np.ndarray, part: InputPart, data: DataConfig, path: object) -> np.ndarray:
    """Returns the image of a part of a target, with the part's channels. Raises UserError if it has others."""
    return with_channels(image, part.stacked_channels, data, path, sides=())


def read_label_map(image: np.ndarray, part: InputPart, data: DataConfig, path: object) -> np.ndarray:
    """Returns the class indices of a label map, or of a mask of 0 and white, uint8 (H, W, 1).

    Raises:
        UserError: it has an index of no class that is not `data.ignore_class`, or unknown colours.
    """
    if image.dtype.kind == "i" and image.min() >= 0:  # an array; files are unsigned
        image = image.astype(f"u{image.dtype.itemsize}")
    return to_classes(image, part.classes, data, f"{path} ({part.name})")


def palette_of_label_map(part: InputPart, data: DataConfig) -> Palette:
    """Returns what a palette file becomes for `read_label_map`."""
    return palette_as(part.classes, data, None)


def read_instances(image: np.ndarray, part: InputPart, data: DataConfig, path: object) -> np.ndarray:
    """Returns an instance map, numbered by `numbered`, uint8 (H, W, 1).

    Ids are whole numbers of any depth, or R + 256 G + 65,536 B of a colour, as COCO writes them.
    """
    image = without_opaque_alpha(image)
    channels = image.shape[-1]
    if channels in (3, 4) and image.dtype == np.uint8:
        ids = image[..., :3].astype(np.int64) @ np.array([1, 256, 65536])
    elif channels == 1 and _are_whole_numbers(image):
        ids = image[..., 0].astype(np.int64)
    else:
        raise UserError(
            f"An instance map must hold whole numbers in one channel, or ids coded in RGB of 8 bits. Received "
            f"{channels} channel{'s' * (channels > 1)} of {image.dtype} in {path}. Convert it.",
            "classes",
        )
    return numbered(ids)[..., np.newaxis]


def _are_whole_numbers(image: np.ndarray) -> bool:
    if image.dtype.kind in "uib":
        return True
    return bool(np.isfinite(image).all() and np.abs(image).max() <= LARGEST_ID and not (image % 1).any())


def numbered(ids: np.ndarray) -> np.ndarray:
    """Numbers instances anew, uint8, so that instances that touch have different numbers.

    Up to 256 instances have a number each, by the order of their ids. Beyond 256, some that do not touch share one.

    Args:
        ids: whole numbers (H, W).
    """
    known, ranks = np.unique(ids, return_inverse=True)
    ranks = ranks.reshape(ids.shape)
    if len(known) <= NUMBERS:
        return ranks.astype(np.uint8)
    beside = np.concatenate(
        [np.stack([a.ravel(), b.ravel()]) for a, b in ((ranks[1:], ranks[:-1]), (ranks[:, 1:], ranks[:, :-1]))], axis=1
    )
    touching: list[set[int]] = [set() for _ in known]
    for first, second in np.unique(np.sort(beside[:, beside[0] != beside[1]], axis=0), axis=1).T.tolist():
        touching[second].add(first)  # the earlier one, which has its number when the later gets one
    numbers = np.zeros(len(known), np.uint8)
    for rank in range(len(known)):
        taken = {int(numbers[other]) for other in touching[rank]}
        free = (number % NUMBERS for number in range(rank, rank + NUMBERS))
        numbers[rank] = next((number for number in free if number not in taken), rank % NUMBERS)
    return numbers[ranks]


def picture_of_stack(data: DataConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from a stack, float (H, W, C) in [-1, 1], to a picture of its first part that lies in files,
    uint8 (H, W, 3).

    Label maps have the colours of their classes. White lines show the boundaries of instances.
    """
    starts = np.cumsum([0, *(part.stacked_channels for part in data.inputs)])
    place = next(index for index, part in enumerate(data.inputs) if part.row.in_files)
    first, lines = data.inputs[place], [index for index, part in enumerate(data.inputs) if part.kind == "instances"]
    colors, before = np.zeros((NUMBERS, 3), np.uint8), data.neighbour_slices
    if first.classes:
        table = class_colors(data, first.classes)
        colors[: len(table)] = table

    def picture(stack: np.ndarray) -> np.ndarray:
        values = from_signed(stack[..., starts[place] : starts[place + 1]])
        if before and first.kind == "image":  # a slice of a volume, and its neighbours
            values = values[..., before : before + 1]
        shown = colors[values[..., 0]] if first.row.numbers else as_picture(values)
        for index in lines:
            ids = stack[..., starts[index]]
            right = np.pad(ids[:, 1:] != ids[:, :-1], ((0, 0), (0, 1)))
            below = np.pad(ids[1:] != ids[:-1], ((0, 1), (0, 0)))
            shown[right | below] = BOUNDARY_COLOR
        return shown

    return picture
