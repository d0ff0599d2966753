"""Reads, converts and writes images: uint8, uint16 or float of any range in files, float32 in [-1, 1] inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tfpix2pix.data.cache import Cache
from tfpix2pix.data.formats import (
    Palette,
    TooLarge,
    Unreadable,
    check_header,
    decode,
    encode,
    open_header,
    upright_size,
)
from tfpix2pix.data.settings import MOST_MEGAPIXELS, DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file
from tfpix2pix.safe_files import open_regular_file

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy"})
MEGAPIXELS = "data.max_megapixels"  # the key that messages name
LARGE_BYTES = 2**24  # of a file whose header is looked at before the file is read; decoding looks at it again
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def list_images(folder: Path) -> list[Path]:
    """Lists the image files directly in `folder`, sorted by name.

    A link without a target is listed too, so that reading it raises an error that names it.
    """
    try:
        with os.scandir(folder) as entries:  # knows which entries are files, without a call for each
            names = sorted(entry.name for entry in entries if entry.is_symlink() or entry.is_file())
    except OSError as error:
        raise UserError(f"A folder must be readable. Received {folder}: {error.strerror}. Check the path.") from error
    paths = [folder / name for name in names if Path(name).suffix.lower() in SUFFIXES]
    links = {path for path in paths if path.is_symlink() and path.exists() and not path.is_file()}
    return [path for path in paths if path not in links]


def image_reader(config: DataConfig) -> Callable[..., np.ndarray]:
    """Returns `read_image` with `config.max_megapixels`. It keeps up to `config.cache_files_mb` of files in memory."""
    cache, most = Cache(config.cache_files_mb), config.max_megapixels

    def read_bytes(path: Path) -> bytes:
        return cache.get(path, lambda: _bytes_of_image(path, most), len)

    return partial(read_image, read_bytes=read_bytes, max_megapixels=most)


def _bytes_of_image(path: Path, max_megapixels: float) -> bytes:
    """Reads a file. Raises TooLarge before it reads a large one that claims too many pixels."""
    with open_regular_file(path) as file:
        if os.fstat(file.fileno()).st_size > LARGE_BYTES:
            check_header(file, max_megapixels * 1e6)
            file.seek(0)
        return file.read()


def read_image(
    path: Path,
    *,
    palette: Palette = "colors",
    read_bytes: Callable[[Path], bytes] | None = None,
    max_megapixels: float = MOST_MEGAPIXELS,
    key: str = MEGAPIXELS,
) -> np.ndarray:
    """Reads the first frame of an image file: (H, W, C) uint8, uint16 or float32, turned by its EXIF orientation.

    Args:
        palette: as for `decode`: for label maps, what a palette becomes.
        read_bytes: reads the file.
        max_megapixels: most pixels that its header may claim.
        key: names `max_megapixels` in messages.

    Raises:
        UserError: the file cannot be read, is not an image, is too large, or ends too soon.
    """
    try:
        data = read_bytes(path) if read_bytes else _bytes_of_image(path, max_megapixels)
        return decode(data, palette=palette, most_px=max_megapixels * 1e6)
    except TooLarge as error:
        raise UserError(
            f"An image must have at most `{key}` megapixels, {max_megapixels:g} here. Received {path}, which {error}. "
            f"Set `{key}` to {error.megapixels} if you know the file, or make the image smaller.",
            "unreadable",
        ) from error
    except (OSError, Unreadable) as error:
        reason = str(error) if isinstance(error, Unreadable) else f"cannot be read: {error.strerror or error}"
        raise UserError(
            f"Every image must be readable and whole. Received {path}, which {reason}. Replace the file or remove it.",
            "unreadable",
        ) from error


def read_size(path: Path) -> tuple[int, int]:
    """Reads (height, width) of the image that `read_image` would return, from the file's header."""
    try:
        with open_header(path) as image:
            return upright_size(image)[::-1]
    except Exception:  # parsers raise errors of many types; reading the whole file explains them
        return read_image(path).shape[:2]


def match_channels(image: np.ndarray, channels: int, where: object = "an array") -> np.ndarray:
    """Converts (H, W, C) to `channels` channels of the same dtype: repeats gray, turns colour gray, drops alpha or adds
    an opaque one.

    Raises:
        UserError: C cannot be converted to `channels` in these ways.
    """
    have, integers = image.shape[-1], image.dtype.kind == "u"
    opaque = np.iinfo(image.dtype).max if integers else 1
    if have == channels:
        return image
    if have in (2, 4):  # gray or colour with alpha
        image, have = image[..., : have - 1], have - 1
        if have == channels:
            return image
    if (have, channels) == (1, 3):
        return np.repeat(image, 3, axis=-1)
    if (have, channels) == (3, 1):
        luminance = image @ LUMA
        return (np.rint(luminance) if integers else luminance).astype(image.dtype)[..., np.newaxis]
    if channels == 4 and have in (1, 3):
        return np.concatenate([match_channels(image, 3), np.full_like(image[..., :1], opaque)], axis=-1)
    raise UserError(
        f"An image must have the {channels} channels of the configuration, or 1 or 3 to convert from. "
        f"Received {image.shape[-1]} in {where}. Set `data.input_channels` and `data.target_channels` to fit the data.",
        "channels",
    )


def full_range(dtype: np.dtype | type, value_range: tuple[float, float] | None = None) -> tuple[float, float]:
    """Returns the values that are mapped to -1 and 1: `value_range` if it is set.

    The default is 0 and the largest value of an integer type, or 0 and 1 for floats.
    """
    return value_range or (0.0, float(np.iinfo(dtype).max) if np.dtype(dtype).kind == "u" else 1.0)


def check_range(image: np.ndarray, value_range: tuple[float, float] | None, key: str, where: object) -> None:
    """Raises UserError if values are not finite or lie outside the range that is mapped to [-1, 1]."""
    if value_range is None and image.dtype.kind == "u":
        return
    (low, high), least, most = full_range(image.dtype, value_range), float(image.min()), float(image.max())
    slack = 1e-4 * (high - low)
    if not np.isfinite(image).all():
        raise UserError(
            f"Values of an image must be finite. Received NaN or infinity in {where}. Replace the file.", "range"
        )
    if not (low - slack <= least and most <= high + slack):
        raise UserError(
            f"Values of an image must lie within `{key}`, {low:g} to {high:g} here. Received {least:g} to {most:g} in "
            f"{where}. Set `{key}` to the range of your data, as in `--set {key}=[0,4095]`.",
            "range",
        )


def to_signed(image: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """Converts uint8, uint16 or float in `full_range` to float32 in [-1, 1]."""
    low, high = full_range(image.dtype, value_range)
    return (image.astype(np.float32) - np.float32(low)) * np.float32(2.0 / (high - low)) - np.float32(1.0)


def from_signed(
    image: np.ndarray, dtype: np.dtype | type = np.uint8, value_range: tuple[float, float] | None = None
) -> np.ndarray:
    """Converts float in [-1, 1] to `full_range` of uint8, uint16 (clipped and rounded to nearest) or float32."""
    low, high = full_range(dtype, value_range)
    values = (np.asarray(image, np.float32) + 1.0) * np.float32((high - low) / 2.0) + np.float32(low)
    values = np.clip(values, low, high)
    return (np.rint(values) if np.dtype(dtype).kind == "u" else values).astype(dtype)


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    """Resizes (H, W, C) to `times` its height and width, bicubic."""
    return resized(image, (image.shape[1] * times, image.shape[0] * times))


def resized(
    image: np.ndarray, size: tuple[int, int], method: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    """Resizes (H, W, C) of any dtype to `size`, (width, height). Smooths an image that shrinks."""
    bands = [
        np.asarray(Image.fromarray(band.astype(np.float32)).resize(size, method)) for band in np.moveaxis(image, -1, 0)
    ]
    if image.dtype.kind == "u":
        levels = np.iinfo(image.dtype).max
        bands = [np.rint(np.clip(band, 0, levels)) for band in bands]
    return np.stack(bands, axis=-1).astype(image.dtype)


def suffix_for(channels: int, dtype: np.dtype | type) -> str:
    """Returns the ending of a format that loses nothing: PNG for 8 and 16 bits and 1 to 4 channels, else TIFF."""
    return ".png" if np.dtype(dtype).kind == "u" and channels <= 4 else ".tif"


def as_picture(image: np.ndarray) -> np.ndarray:
    """Converts an image to (H, W, 3) to look at: gray or colour without alpha, or the first channel of other images."""
    return match_channels(image if image.shape[-1] in (1, 2, 3, 4) else image[..., :1], 3)


def write_image(path: Path, image: np.ndarray, palette: Sequence[int] | None = None) -> None:
    """Writes (H, W, C) uint8, uint16 or float32 in the format of the path's suffix, .png or .tif."""
    data = encode(image, path.suffix, palette)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def reflected_indices(length, total, arange=np.arange, minimum=np.minimum, maximum=np.maximum):
    """Returns indices that extend an axis of `length` to `total` by reflection, centred, without repeating the edge.

    Works as `np.pad(mode="reflect")`, for any `length` of at least 1. Pass TensorFlow's functions to use it in a graph.
    """
    period = maximum(2 * (length - 1), 1)
    steps = (arange(total) - (total - length) // 2) % period
    return minimum(steps, period - steps)
