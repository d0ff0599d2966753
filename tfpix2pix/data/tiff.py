"""Reads the TIFF files that Pillow cannot read whole, by tifffile: deep colour, more bands than a mode holds, pages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 274, 277
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339  # the last of these tags
SIGNED = 2  # a value of SAMPLE_FORMAT
WHITE_IS_ZERO, INK = 0, 5  # values of PHOTOMETRIC
INKS = 4  # cyan, magenta, yellow, black


class Layout(NamedTuple):
    """Holds what the header of a file says about the image in it, before it is turned upright."""

    height: int
    width: int
    channels: int
    dtype: np.dtype
    orientation: int
    photometric: int
    has_alpha: bool  # the band after the colours may be transparency


class _Reading(threading.local):
    """Marks a thread that reads a file, in which tifffile's messages are left out: they name no file."""

    active = False


_reading = _Reading()


def is_beyond_pillow(image: Image.Image) -> bool:
    """Returns True if an opened TIFF file has several bands of more than 8 bits, more bands than its mode, pages, or 8
    bits with a sign, or if it is compressed and big-endian with floats or 32 bits.

    Pillow would silently cut the bits to 8, leave out the other bands and pages, take -1 for 255, and mix up the bytes
    of a value.
    """
    if getattr(image, "n_frames", 1) > 1:  # gray pages are channels
        return True
    if image.mode in ("F", "I") and image.tag_v2.prefix == b"MM" and image.tag_v2.get(COMPRESSION, 1) != 1:
        return True
    bits, bands = image.tag_v2.get(BITS_PER_SAMPLE, (8,)), image.tag_v2.get(SAMPLES, 1)
    has_other_bands = bands > len(image.getbands()) and image.mode != "P"
    return (len(bits) > 1 and max(bits) > 8) or has_other_bands or (max(bits) == 8 and _has_sign(image))


def shown_of_pillow(array: np.ndarray, image: Image.Image) -> np.ndarray:
    """Returns the pixels that Pillow has read from an opened TIFF file with 0 for black, and of 16 bits with a sign
    as such."""
    if image.mode.startswith("I;16") and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        return np.iinfo(np.uint16).max - array  # Pillow itself does this for 1 and 8 bits
    return array.astype(np.int16) if is_signed(image) else array


def is_signed(image: Image.Image) -> bool:
    """Returns True if an opened TIFF file has 16 bits with a sign, which Pillow reads as 32 bits."""
    return image.mode == "I" and max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))) == 16 and _has_sign(image)


def _has_sign(image: Image.Image) -> bool:
    return SIGNED in image.tag_v2.get(SAMPLE_FORMAT, ())


def layout(file: BinaryIO) -> Layout:
    """Reads the layout of the image that `read` returns, from an open file's header.

    Raises:
        ValueError: the image has other axes than height, width and one more.
        Exception: tifffile raises errors of many types for a damaged header.
    """
    with opened(file) as tiff:
        series = image_of(tiff)
        page, sides = series.keyframe, dict(zip(series.axes, series.shape, strict=True))
        height, width = sides["Y"], sides["X"]
        channels = series.size // (height * width)
        return Layout(
            height, width, channels - is_ink(page, channels, series.dtype), series.dtype,
            orientation_of(page), page.photometric, not page.extrasamples or page.extrasamples[0] > 0,
        )  # fmt: skip


def read(file: BinaryIO) -> tuple[np.ndarray, int]:
    """Reads an open file. Returns its first image, (H, W) or (H, W, C), and its orientation.

    Gray pages, and planes, become channels, whatever their axis is called: a depth, a time, a channel. Ink becomes RGB.

    Raises:
        ValueError: the image has other axes, or it is compressed in a way that is not read.
        Exception: tifffile raises errors of many types for a damaged file.
    """
    with opened(file) as tiff:
        series = image_of(tiff)
        page, orientation = series.keyframe, orientation_of(series.keyframe)
        array = np.moveaxis(_pixels(series), (series.axes.index("Y"), series.axes.index("X")), (0, 1))
        array = shown(array, page)
        if array.ndim == 3 and is_ink(page, array.shape[-1], array.dtype):
            array = np.concatenate([_without_ink(array[..., :INKS]), array[..., INKS:]], axis=-1)
    return array, orientation


def shown(array: np.ndarray, page: Any) -> np.ndarray:
    """Returns the values of a page, (H, W) or (H, W, C), with 0 for black. May change `array`."""
    if page.photometric == WHITE_IS_ZERO and array.dtype.kind in "bu":  # floats have no largest value
        gray = slice(page.samplesperpixel - len(page.extrasamples) if page.samplesperpixel > 1 else None)
        array[..., gray] = ~array[..., gray] & array.dtype.type(2**page.bitspersample - 1)
    return array


def orientation_of(page: Any) -> int:
    """Returns a page's orientation, a number of TIFF and EXIF."""
    return page.tags.valueof(ORIENTATION, 1)


@contextmanager
def opened(file: BinaryIO) -> Iterator[Any]:
    import tifffile

    logger = logging.getLogger("tifffile")
    logger.addFilter(_is_wanted)  # adds it once
    _reading.active = True
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            yield tiff
    finally:
        _reading.active = False


def _is_wanted(record: logging.LogRecord) -> bool:
    return not _reading.active


def image_of(tiff: Any) -> Any:
    """Returns the first series of an opened file. Raises ValueError if it is no image of any number of channels."""
    if not tiff.series:
        raise ValueError("it holds no image")
    series = tiff.series[0]
    if len(series.shape) not in (2, 3) or not {"Y", "X"} <= {*series.axes} or 0 in series.shape:
        axes = f": its axes are {series.axes}" if series.axes else ""
        raise ValueError(f"it holds an array of shape {series.shape}, not (H, W) or (H, W, C){axes}")
    return series


def _pixels(series: Any) -> np.ndarray:
    try:
        return series.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise ValueError(undecoded(series.keyframe)) from error


def undecoded(page: Any) -> str:
    """Says that a page's compression needs imagecodecs, in words that follow `cannot be read:`."""
    name = getattr(page.compression, "name", page.compression)
    return (
        f"its compression {name} is read by the package imagecodecs (`pip install imagecodecs`) alone, and not "
        f"by Pillow with these bands, pages or bits: install it, or save the file with Deflate or uncompressed"
    )


def is_ink(page: Any, channels: int, dtype: np.dtype) -> bool:
    return page.photometric == INK and channels >= INKS and dtype.kind == "u"


def _without_ink(ink: np.ndarray) -> np.ndarray:
    """Converts (H, W, 4) of cyan, magenta, yellow and black to RGB of the same dtype."""
    full = np.iinfo(ink.dtype).max
    light = 1.0 - ink / full
    return np.rint(light[..., :3] * light[..., 3:] * full).astype(ink.dtype)
