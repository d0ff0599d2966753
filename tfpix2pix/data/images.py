"""Image files and arrays: the only place where uint8 and uint16 exist. Inside, images are float32 in [-1, 1]."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_file

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
EXIF_ORIENTATION = 0x0112  # 5 to 8 swap height and width
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def read_image(path: Path) -> np.ndarray:
    """The first frame of an image file: (H, W, C) uint8 or uint16, upright by its EXIF orientation.

    Raises:
        UserError: the file cannot be read, is no image, or ends too soon.
    """
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = (
            "is in no format that is read" if isinstance(error, UnidentifiedImageError) else f"cannot be read: {error}"
        )
        raise UserError(
            f"Every image must be readable and whole. Received {path}, which {reason}. Replace the file or remove it."
        ) from error


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file as `read_image` would give it, from its header alone."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (width, height) if image.getexif().get(EXIF_ORIENTATION, 1) >= 5 else (height, width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return read_image(path).shape[:2]  # says what is wrong


def decode(data: bytes) -> np.ndarray:
    """`read_image` of encoded bytes; raises what Pillow raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except Image.DecompressionBombWarning as warning:
            raise ValueError(str(warning)) from warning
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers, whose range is not known; save it with 8 or 16 bits")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode not in ("L", "RGB", "RGBA", "LA", "I", "I;16", "I;16B", "I;16L"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    array = np.asarray(ImageOps.exif_transpose(image))
    if array.dtype != np.uint8:
        if array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
            raise ValueError("it holds numbers of more than 16 bits; save it with 8 or 16 bits")
        array = array.astype(np.uint16)
    return array if array.ndim == 3 else array[..., np.newaxis]


def match_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) with `channels` channels and the same dtype: gray repeated, colour made gray, alpha dropped or opaque.

    Raises:
        UserError: there is no plain way from C to `channels`.
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
    if channels == 4:
        return np.concatenate([match_channels(image, 3), np.full_like(image[..., :1], opaque)], axis=-1)
    raise UserError(
        f"An image must have the {channels} channels of the configuration, or 1 or 3 to convert from. "
        f"Received {have}. Set `data.input_channels` and `data.target_channels` to fit the data."
    )


def to_signed(image: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> float32 in [-1, 1]."""
    return image.astype(np.float32) * np.float32(2.0 / np.iinfo(image.dtype).max) - np.float32(1.0)


def from_signed(image: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """float in [-1, 1] -> uint8 or uint16, clipped and rounded to nearest."""
    levels = np.iinfo(dtype).max
    return np.rint(np.clip((np.asarray(image, np.float32) + 1.0) * (levels / 2.0), 0, levels)).astype(dtype)


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    """(H, W, C) uint8 or uint16 at `times` its height and width, bicubic."""
    return resized(image, (image.shape[1] * times, image.shape[0] * times))


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) uint8 or uint16 at (width, height), bicubic: what an input of super-resolution looks like."""
    levels = np.iinfo(image.dtype).max
    bands = [Image.fromarray(band.astype(np.float32)).resize(size, Image.Resampling.BICUBIC) for band in
             np.moveaxis(image, -1, 0)]  # fmt: skip
    return np.stack([np.rint(np.clip(band, 0, levels)).astype(image.dtype) for band in bands], axis=-1)


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes (H, W, C) uint8 of 1, 3 or 4 channels, or uint16 of 1, as PNG, whole or not at all."""
    squeezed = image[..., 0] if image.shape[-1] == 1 else image
    buffer = io.BytesIO()
    Image.fromarray(squeezed).save(buffer, format="PNG")
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
