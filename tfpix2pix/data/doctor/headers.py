"""Reads size, channels and depth of image files on disk, from their headers."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from tfpix2pix.data import tiff
from tfpix2pix.data.formats import HEADER_BYTES, PNG_BITS, PNG_SIGNATURE, SIDEWAYS, format_of, open_header, upright_size
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.volumes import is_volume, open_volume, slices_of
from tfpix2pix.safe_files import open_regular_file

MODES = {  # Pillow's mode -> channels and depth, in words
    "1": "black and white, 1 bit",
    "L": "gray, 8 bits",
    "P": "palette, 8 bits",
    "LA": "gray with alpha, 8 bits",
    "I;16": "gray, 16 bits",
    "I;16B": "gray, 16 bits",
    "I;16L": "gray, 16 bits",
    "I": "gray, 32 bits",
    "F": "gray, float",
}
CHANNELS = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}
TRANSPARENT = ", with a transparent colour"  # of a PNG file or a GIF: becomes an alpha channel
WITH_SIGN = " with a sign"  # after bits, of a TIFF file or an array: values become floats
NEGATIVE = ", WhiteIsZero"  # of a TIFF file: its stored values are read as their negative


class Header(NamedTuple):
    """Holds what the header of one file shows."""

    size: str  # `512x256 px`, width first, upright; of a volume `512x256 px, 180 slices`
    channels: str  # `RGB, 8 bits`
    profile: str = ""  # name of its colour profile (ICC), unless that is sRGB
    palette: bytes = b""  # R, G, B of index 0, of index 1, …; empty without a palette


def header(path: Path, data: DataConfig | None = None) -> Header | None:
    """Reads the header of an image file, or of a volume whose slices `data` describes.

    Returns None if it is damaged, because reading the file then explains why.
    """
    try:
        if is_volume(path):
            return _of_volume(path, data or DataConfig())
        with open_regular_file(path) as file:
            format_ = format_of(file.read(HEADER_BYTES))
        return _of_array(path) if format_ == "NPY" else _by_pillow(path)
    except UnidentifiedImageError:
        return _by_tifffile(path)
    except Exception:  # parsers raise errors of many types
        return None


def _by_pillow(path: Path) -> Header | None:
    with open_header(path) as image:
        profile = _profile(image.info.get("icc_profile"))
        if image.format == "TIFF" and tiff.is_beyond_pillow(image):
            return _by_tifffile(path, profile)
        width, height = upright_size(image)
        bits = _bits(path, image)
        channels = MODES.get(image.mode) or f"{image.mode}, {bits} bits"
        is_signed = image.format == "TIFF" and tiff.is_signed(image)
        channels = f"gray, {bits} bits{WITH_SIGN}" if is_signed else channels
        is_negative = image.format == "TIFF" and image.tag_v2.get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO
        channels += TRANSPARENT * (image.mode != "P" and "transparency" in image.info)
        channels += NEGATIVE * (is_negative and image.mode != "F" and not is_signed)
        return Header(f"{width}x{height} px", channels, profile, _palette(image))


def _palette(image: Image.Image) -> bytes:
    """Returns the palette of an opened file. `Image.getpalette` would decode all of it."""
    if image.mode != "P" or image.palette is None:
        return b""
    part = Image.new("P", (1, 1))
    part.putpalette(image.palette.palette, image.palette.rawmode or image.palette.mode)
    return _one_of_equals(bytes(part.getpalette("RGB")))


@lru_cache(maxsize=64)
def _one_of_equals(palette: bytes) -> bytes:
    """Returns the object of an equal palette, so that files which share one take its memory once."""
    return palette


def _profile(icc: bytes | None) -> str:
    """Returns the name of a colour profile, or "" if it is sRGB or missing."""
    if not icc:
        return ""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip()
    except (ImageCms.PyCMSError, OSError):
        name = "unreadable"
    return "" if "srgb" in name.lower() else name


def _bits(path: Path, image: Image.Image) -> int:
    """Returns the bits per channel of a colour image, also if Pillow would cut 16 to 8."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(tiff.BITS_PER_SAMPLE, (8,)))
    if image.format == "PNG":
        with path.open("rb") as file:
            start = file.read(PNG_BITS + 1)
        return start[PNG_BITS] if start[:8] == PNG_SIGNATURE else 8
    return 8


def _of_volume(path: Path, data: DataConfig) -> Header:
    volume = open_volume(path, data.max_megapixels)
    slices = slices_of(volume, data.slice_axis)
    height, width = slices[0].size
    depth = "float" if volume.dtype.kind == "f" else f"{volume.dtype.itemsize * 8} bits"
    return Header(f"{width}x{height} px, {len(slices)} slice{'s' * (len(slices) > 1)}", f"gray, {depth}")


def _of_array(path: Path) -> Header:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return _of(array.shape, array.dtype)


def _by_tifffile(path: Path, profile: str = "") -> Header | None:
    """Reads the header of a TIFF file that tifffile reads: deep colour, many bands, pages or planes."""
    try:
        with open_regular_file(path) as file:
            stored = tiff.layout(file)
    except Exception:  # parsers raise errors of many types
        return None
    shape = (stored.height, stored.width) if stored.orientation < SIDEWAYS else (stored.width, stored.height)
    is_negative = stored.photometric == tiff.WHITE_IS_ZERO and stored.dtype.kind in "bu"
    upright = _of((*shape, stored.channels), stored.dtype, has_alpha=stored.has_alpha)
    return upright._replace(channels=upright.channels + NEGATIVE * is_negative, profile=profile)


def _of(shape: tuple[int, ...], dtype: np.dtype, *, has_alpha: bool = True) -> Header:
    height, width, channels = (*shape, 1)[:3]
    depth = {"f": "float", "b": "1 bit"}.get(dtype.kind) or f"{dtype.itemsize * 8} bits"
    depth += WITH_SIGN * (dtype.kind == "i" and dtype.itemsize < 4)
    is_named = channels in CHANNELS and (has_alpha or channels in (1, 3))
    return Header(f"{width}x{height} px", f"{CHANNELS[channels] if is_named else f'{channels} channels'}, {depth}")
