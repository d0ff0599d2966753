"""Decodes and encodes image files, each format by the library that keeps its depth and channels.

Pillow reads most files. It cannot read colour of 16 bits, more than 4 channels, or arrays. TensorFlow's codec reads
such PNG files, tifffile reads such TIFF files, and NumPy reads .npy files. Colour profiles (ICC) are not applied.

The first bytes decide the format, whatever the file's name. Pillow alone would try every format that it knows, and
would let Ghostscript run a PostScript file.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.safe_files import open_regular_file

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF = (".tif", ".tiff")
SIGNATURES = {  # format -> regular expression of a file's first bytes
    "PNG": PNG_SIGNATURE,
    "JPEG": b"\xff\xd8\xff",
    "WEBP": b"RIFF....WEBP",
    "BMP": b"BM",
    "GIF": b"GIF8[79]a",
    "TIFF": b"II[*+]\0|MM\0[*+]",  # + marks files of more than 4 GB
    "NPY": b"\x93NUMPY",
}
HEADER_BYTES = 12  # length of the longest signature
NOT_READ = "is not in a supported format"
BITS_PER_SAMPLE = 258  # the TIFF tag
MOST_CHANNELS_OF_A_BOMB = 4  # for each pixel that Pillow allows
PNG_LEVEL = 2  # zlib's; takes a third of the time of the usual 6, for photographs in files 4 % larger


class Unreadable(ValueError):
    """Reports why an image cannot be read, in words that follow its name: `cannot be read: it is empty`."""


def decode(data: bytes, *, indices: bool = False, most_px: int | None = None) -> np.ndarray:
    """Decodes an image to (H, W, C) uint8, uint16 or float32.

    Args:
        indices: return a palette image's indices, not its colours.
        most_px: refuse an image with more pixels in its header, before memory is allocated for them.

    Raises:
        Unreadable: the data are not in a format of `SIGNATURES`, are broken or too large, or hold other numbers.
    """
    if not data:
        raise Unreadable("cannot be read: it is empty")
    try:
        format_ = format_of(data)
        if most_px is not None:
            with Image.open(io.BytesIO(data), formats=[format_]) as header:
                if math.prod(header.size) > most_px:
                    raise Unreadable(f"has {header.size[0]}x{header.size[1]} px, more than {most_px} in all")
        return _decoded(data, format_, indices)
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("cannot be read: it takes more memory than there is") from error
    except UnidentifiedImageError as error:  # the first bytes are an image's, the others are not
        raise Unreadable(NOT_READ) from error
    except Exception as error:  # parsers raise errors of many types for broken files
        raise Unreadable(f"cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from error


def format_of(start: bytes) -> str:
    """Returns a file's format, a key of `SIGNATURES`, from its first `HEADER_BYTES` or more.

    Raises:
        Unreadable: the file is in another format.
    """
    for name, signature in SIGNATURES.items():
        if re.match(signature, start, re.DOTALL):
            return name
    raise Unreadable(NOT_READ)


@contextmanager
def open_header(path: Path) -> Iterator[Image.Image]:
    """Opens a file with Pillow, which reads only its header.

    Raises:
        OSError: the file cannot be opened.
        Unreadable: it is in a format that Pillow does not read here.
        Exception: Pillow raises errors of many types for a damaged header.
    """
    with open_regular_file(path) as file:
        format_ = format_of(file.read(HEADER_BYTES))
        file.seek(0)
        if format_ == "NPY":
            raise Unreadable(NOT_READ)
        with Image.open(file, formats=[format_]) as image:
            yield image


def _decoded(data: bytes, format_: str, indices: bool) -> np.ndarray:
    if format_ == "NPY":
        return _npy(data)
    if format_ == "PNG" and data[24:25] == b"\x10" and data[25:26] != b"\x00":  # 16 bits, not gray
        return _deep_png(data)
    if format_ == "TIFF" and _is_beyond_pillow(data):
        return _by_tifffile(data)
    return _by_pillow(data, format_, indices)


def encode(image: np.ndarray, suffix: str, palette: Sequence[int] | None = None) -> bytes:
    """Encodes (H, W, C) as PNG (uint8 or uint16, up to 4 channels) or TIFF (any). `palette` colours a gray PNG."""
    buffer = io.BytesIO()
    plain = image[..., 0] if image.shape[-1] == 1 else image
    if suffix in TIFF:
        import tifffile

        rgb = image.shape[-1] in (3, 4) and image.dtype.kind == "u"
        tifffile.imwrite(buffer, plain, photometric="rgb" if rgb else "minisblack", planarconfig="contig")
    elif image.dtype == np.uint16 and image.shape[-1] > 1:
        return _tensorflow().io.encode_png(image).numpy()
    else:
        picture = Image.fromarray(plain)
        if palette is not None:
            picture.putpalette(palette)  # turns mode "L" into "P"; the pixels stay
        picture.save(buffer, format="PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def _by_pillow(data: bytes, format_: str, indices: bool) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=[format_])
            image.load()
        except Image.DecompressionBombWarning as warning:
            raise ValueError(str(warning)) from warning
    if image.mode == "P" and not indices:
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode not in ("P", "L", "RGB", "RGBA", "LA", "I", "I;16", "I;16B", "I;16L", "F"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    array = np.asarray(ImageOps.exif_transpose(image))
    return _as_image(array)


def _npy(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    claimed = 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize
    if claimed > len(data) - file.tell():  # checked before memory is allocated
        raise ValueError(f"it ends too soon: its header claims {dtype} values of shape {shape}")
    file.seek(0)
    return _as_image(np.load(file, allow_pickle=False))


def _check_samples(count: int) -> None:
    """Raises ValueError for decompression bombs, as Pillow does, for the other libraries."""
    most = (Image.MAX_IMAGE_PIXELS or math.inf) * MOST_CHANNELS_OF_A_BOMB
    if count > most:
        raise ValueError(f"it would unpack to {count} values, more than {most}: a decompression bomb")


def _tensorflow() -> Any:
    """Returns the module TensorFlow, loaded without its start-up messages."""
    load_tensorflow()
    import tensorflow

    return tensorflow


def _deep_png(data: bytes) -> np.ndarray:
    tf = _tensorflow()
    _check_samples(int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big"))
    return tf.io.decode_png(data, dtype=tf.uint16).numpy()


def _is_beyond_pillow(data: bytes) -> bool:
    """Returns True if a TIFF file has several channels of more than 8 bits, several pages, or is unknown to Pillow."""
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            if getattr(image, "n_frames", 1) > 1:  # gray pages are channels
                return True
            bits = image.tag_v2.get(BITS_PER_SAMPLE, (8,))
            return len(bits) > 1 and max(bits) > 8  # Pillow would silently cut them to 8
    except UnidentifiedImageError:
        return True


def _by_tifffile(data: bytes) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        _check_samples(series.size)
        array, axes = series.asarray(), series.axes
    if array.ndim == 3 and axes[0] in "CSQI" and axes[-2:] == "YX":  # one plane per channel
        array = np.moveaxis(array, 0, -1)
    return _as_image(array)


def _as_image(array: np.ndarray) -> np.ndarray:
    """Returns an array as an image, (H, W, C) uint8, uint16 or float32. Raises ValueError if it is not an image."""
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"it holds an array of shape {array.shape}, not (H, W) or (H, W, C)")
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"it holds {array.dtype} values, not integers of 8 or 16 bits from 0, or floats")
    return array if array.dtype == np.uint8 else array.astype(np.uint16)
