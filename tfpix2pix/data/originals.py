"""Reads the pixels of an image file as the file holds them, and encodes a part of them as a file of the same kind.

`formats.decode` makes every file an image that a network takes. Here palette indices, one bit, ink and the type of an
array stay as they are. Whatever the file, its pixels are upright by its EXIF orientation, and the new file says none.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from tfpix2pix.data import tiff
from tfpix2pix.data.formats import PNG_BITS, PNG_LEVEL, UPRIGHT, decode, encode, format_of, loaded, opened

COLOR_OF_PNG = 25  # place of the byte with the kind of colour; 0 is gray
BEST_JPEG = {"quality": 95, "subsampling": 0}
OPTIONS: dict[str, dict[str, Any]] = {  # of Pillow: nothing is lost, but by JPEG
    "PNG": {"compress_level": PNG_LEVEL},
    "JPEG": BEST_JPEG,
    "WEBP": {"lossless": True, "exact": True},
    "GIF": {"optimize": False},  # would number the colours of a palette anew
}
KEPT = ("icc_profile", "dpi", "transparency")  # of a file, beside its pixels


class Original(NamedTuple):
    """Holds the pixels of a file, and how others of their kind become such a file."""

    pixels: np.ndarray  # (H, W) or (H, W, C) of the file's own type
    encode: Callable[[np.ndarray], bytes]


def open_original(data: bytes, most_px: float) -> Original:
    """Opens an image file that `decode` reads. JPEG is encoded anew, at quality 95; the others lose nothing.

    Raises:
        TooLarge: as `decode` does.
        Exception: parsers raise errors of many types for broken files.
    """
    format_ = format_of(data)
    if format_ == "NPY":
        return Original(np.load(io.BytesIO(data), allow_pickle=False), _as_npy)
    if format_ == "PNG" and data[PNG_BITS] == 16 and data[COLOR_OF_PNG] != 0:
        return Original(decode(data, most_px=most_px), lambda pixels: encode(pixels, ".png"))
    if format_ == "TIFF" and _is_of_tifffile(data):
        pixels, orientation = tiff.read(io.BytesIO(data))
        return Original(UPRIGHT.get(orientation, np.asarray)(pixels), _as_tiff)
    return _of_pillow(loaded(data, format_, most_px), format_, data[PNG_BITS])


def _is_of_tifffile(data: bytes) -> bool:
    """Returns True for a TIFF file that Pillow reads in part, or as 16 bits from white to black or with a sign."""
    try:
        image = opened(io.BytesIO(data), "TIFF")
    except Image.UnidentifiedImageError:
        return True
    white_is_zero = image.tag_v2.get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO
    return tiff.is_beyond_pillow(image) or tiff.is_signed(image) or (white_is_zero and image.mode.startswith("I;16"))


def _as_npy(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()


def _as_tiff(pixels: np.ndarray) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    rgb = pixels.ndim == 3 and pixels.shape[-1] in (3, 4) and pixels.dtype.kind == "u"
    planes = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
    tifffile.imwrite(buffer, pixels, photometric="rgb" if rgb else "minisblack", **planes)
    return buffer.getvalue()


def _of_pillow(image: Image.Image, format_: str, png_bits: int) -> Original:
    mode, palette = image.mode, image.getpalette("RGB") if image.mode == "P" else None
    options = {**OPTIONS.get(format_, {}), **{key: image.info[key] for key in KEPT if image.info.get(key) is not None}}
    if format_ == "PNG" and mode == "L" and isinstance(options.get("transparency"), int):
        options["transparency"] *= 255 // (2**png_bits - 1)  # Pillow scales 2 and 4 bits to 8
    if format_ not in ("PNG", "GIF"):
        options.pop("transparency", None)

    def encode_pixels(pixels: np.ndarray) -> bytes:
        size, buffer = pixels.shape[1::-1], io.BytesIO()
        if mode == "1":
            part = Image.fromarray(pixels)
        else:
            part = Image.frombytes(mode, size, np.ascontiguousarray(pixels).tobytes())
        if palette is not None:
            part.putpalette(palette)
        part.save(buffer, format=format_, **options)
        return buffer.getvalue()

    return Original(np.asarray(ImageOps.exif_transpose(image)), encode_pixels)
