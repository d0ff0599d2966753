"""Holds sources of pairs, and checks every pair that is read from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import to_classes
from tfpix2pix.data.ranges import in_range, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.size import Size

if TYPE_CHECKING:
    from tfpix2pix.data.crops import OpenPair

Pair = tuple[np.ndarray, np.ndarray]  # input and target, each (H, W, C) uint8, uint16 or float32
Weighted = tuple[np.ndarray, np.ndarray, np.ndarray]  # and the weights of the pixels, float32 (H, W, 1) in [0, 1]

MAX_ENLARGEMENT = 4
AXES = {"left": 1, "right": 1, "top": 0, "bottom": 0}  # axis along which a combined image is cut in half
SHARED = {"crop": "size", "resize_crop": "size", "pad": "shape"}  # `data.fit` -> what input and target must share


@dataclass(frozen=True)
class Fault:
    """Describes why a pair cannot be trained on: the kind of fault, the file, and one sentence."""

    kind: str  # `partner`, `repeated` or `missing`, known from the names; or the `kind` of a UserError
    where: str
    message: str
    files: tuple[str, ...] = ()  # all that the pair has


@dataclass(frozen=True)
class Source:
    """Holds a finite sequence of named pairs, which are read by index."""

    names: Sequence[str]
    read: Callable[[int], Pair]
    # A pair's files on disk: one, or input and target. The folder of a DICOM series stands for its files.
    files: Callable[[int], tuple[Path, ...]] = lambda index: ()
    skipped: Sequence[Fault] = ()  # faults of the pairs that were left out
    at_epoch: Callable[[int, int], Pair] | None = None  # (index, epoch) -> pair, if pairs change from epoch to epoch
    digests: Sequence[str] = ()  # of the pairs, if they are known without reading files
    stored: Callable[[int, int], np.ndarray] | None = None  # (index, side) -> image, before a label map becomes classes
    weighted: Callable[[int], Weighted] | None = None  # a pair and the weights of its pixels, if it has any
    groups: Sequence[str] = ()  # of the pairs, if `data.group` is a column of a table
    divided: bool = False  # folders or a column divide the data into splits
    slices: Callable[[int], Any] | None = None  # (index) -> the input's `Slice`, or None, if pairs may be slices
    scalars: Callable[[int], tuple[float, ...]] = lambda index: ()  # of a pair's input: numbers that lie in no image
    opened: Callable[[int], OpenPair | None] | None = None  # opens a large pair to read parts of it; None: a small one
    # (index) -> the parts of an input in several files, images as files hold them and numbers
    parts: Callable[[int], Sequence[np.ndarray | float]] | None = None

    @classmethod
    def reading(
        cls, names: Sequence[str], whole: Callable[[int], Pair | Weighted], config: DataConfig, **more: Any
    ) -> Source:
        """Returns a source of which `whole` reads a pair, with the weights of its pixels if `config.weight` is set.

        `more`: the other fields.
        """
        return cls(names, lambda index: whole(index)[:2], weighted=whole if config.weight else None, **more)

    def __len__(self) -> int:
        return len(self.names)

    def is_slice(self, index: int) -> bool:
        """Returns True if the input of a pair is a slice of a volume."""
        return self.slices is not None and self.slices(index) is not None

    def whole(self, index: int) -> Pair | Weighted:
        """Reads a pair with the weights of its pixels, if the source has any."""
        return self.weighted(index) if self.weighted else self.read(index)

    def is_large(self, index: int) -> bool:
        """Returns True if a pair is read in parts."""
        large = self.opened(index) if self.opened else None
        if large is None:
            return False
        large.close()
        return True

    def middle(self, index: int, size: Size) -> Pair | Weighted:
        """Reads a pair as `whole` does, or of a large one the rectangle of `size` in its middle."""
        large = self.opened(index) if self.opened else None
        if large is None:
            return self.whole(index)
        with large:
            fits = large.size.height >= size.height and large.size.width >= size.width
            return large.middle(size) if fits else self.whole(index)

    def sample(self, index: int) -> Pair | Weighted:
        """Reads a pair as `whole` does, or of a large one its middle."""
        large = self.opened(index) if self.opened else None
        if large is None:
            return self.whole(index)
        with large:
            return large.sample()


def checked(pair: Sequence[np.ndarray], config: DataConfig, path: Path, target_path: Path | None = None) -> Pair:
    """Returns the pair with the configured channels. Raises UserError if it cannot be trained on.

    `target_path` is the target's file; None if both are in `path`.
    """
    paths = (path, target_path or path)
    sizes = [image.shape[:2] for image in pair]
    shared = SHARED.get(config.fit)
    if sizes[0] != sizes[1] and (shared == "size" or (shared == "shape" and not _are_of_one_shape(sizes, config))):
        (height, width), (target_height, target_width) = sizes
        raise UserError(
            f"With `data.fit: {config.fit}` input and target must be of one {shared}. Received {width}x{height} px in "
            f"{path} and {target_width}x{target_height} px in {paths[1]}. Replace a file, or set `data.fit: resize`.",
            "size",
        )
    for size, file in zip(sizes, paths, strict=True):
        check_size(*size, config, file)
    sides = zip(
        pair, config.classes, config.class_values, config.ranges, config.clips,
        (config.input_channels, config.target_channels), paths, ("input", "target"), strict=True,
    )  # fmt: skip
    images = []
    for image, classes, values, value_range, clip, channels, file, side in sides:
        if classes is not None:
            images.append(to_classes(image, classes, config, file, values))
            continue
        sides_of_file = (side,) if target_path else ("input", "target")
        image = with_channels(image, channels, config, file, sides_of_file)
        key, example = f"data.{side}_range", ""
        if side == "target" and not all(config.numbers[1]) and config.targets:
            name = next(part.name for part in config.targets if not part.classes)  # class indices are in their range
            key, example = "range", f"`{{name: {name}, range: [0, 4095]}}` of `data.targets`"
        images.append(in_range(image, value_range, key, file, clip=clip, example=example))
    return tuple(images)


def _are_of_one_shape(sizes: Sequence[tuple[int, int]], config: DataConfig) -> bool:
    """Returns True if both (height, width) have one aspect ratio, to the pixel of a training image."""
    tall, wide = config.jitter_size_px
    scaled = [min(tall / height, wide / width) * np.array((height, width)) for height, width in sizes]
    return bool(np.abs(scaled[0] - scaled[1]).max() <= 1)


def signed(pair: Pair | Weighted, config: DataConfig) -> Pair | Weighted:
    """Converts a source's pair to float32 in [-1, 1], by `config.ranges`. Weights stay as they are."""
    images = zip(pair[:2], config.ranges, strict=True)
    return (*(to_signed(image, value_range) for image, value_range in images), *pair[2:])


def with_channels(
    image: np.ndarray, channels: int, config: DataConfig, path: Path, sides: Sequence[str] = ("input", "target")
) -> np.ndarray:
    """Converts by `match_channels`. Raises UserError if that would drop alpha and `config.alpha` is `refuse`."""
    if image.shape[-1] in (2, 4) and channels in (1, 3) and config.alpha == "refuse":
        kind = "gray with alpha" if image.shape[-1] == 2 else "RGBA"
        settings = " ".join(f"--set data.{side}_channels={image.shape[-1]}" for side in sides)
        more = "" if config.makes_inputs or not sides else f"`{settings}` to translate transparency too, or "
        raise UserError(
            f"An image must have as many channels as the configuration, {channels} here. Received {kind} in {path}. "
            f"Add {more}`--set data.alpha=drop` to leave the transparency out.",
            "channels",
        )
    return match_channels(image, channels, path)


def check_size(height: int, width: int, config: DataConfig, path: Path, held_out: float = 0.0) -> None:
    """Raises UserError if an image of this size (px) is too small for the configured image size.

    `held_out` is the fraction of a photograph's width that is held out; 0 if photographs are not divided.
    """
    crop = config.fit == "crop"
    least = config.size_px if crop else config.size_px.map(lambda side: -(-side // MAX_ENLARGEMENT))
    if height < least.height or width < least.width:
        why = "to cut a crop from it" if crop else f"to be enlarged {MAX_ENLARGEMENT} times at most"
        part = f", its part of a `data.held_out_fraction` of {held_out:g}" if held_out else ""
        other = ", another `data.held_out_fraction`" if held_out else ""
        raise UserError(
            f"Input and target must each be at least {_high_and_wide(least)} {why}. "
            f"Received {width}x{height} px from {path}{part}. Use larger images{other}, or a smaller "
            f"`data.image_size_px`.",
            "size",
        )


def _high_and_wide(size: Size) -> str:
    return f"{size} px high and wide" if size.is_square else f"{size.height} px high and {size.width} px wide"
