"""Decodes and encodes image files, each format by the library that keeps its depth and channels.

Pillow reads most files. It cannot read colour of 16 bits, more than 4 channels, or arrays. TensorFlow's codec reads
such PNG files, tifffile reads such TIFF files (`tiff`), and NumPy reads .npy files. Whichever reads a file, the image
is upright by its EXIF orientation, 0 is black, and ink (CMYK) becomes RGB. Colour profiles (ICC) are not applied.

The first bytes decide the format, whatever the file's name. Pillow alone would try every format that it knows, and
would let Ghostscript run a PostScript file.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import IO, Any, BinaryIO, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from tfpix2pix.data import tiff
from tfpix2pix.data.settings import MOST_MEGAPIXELS
from tfpix2pix.data.tiff import HEIGHT, ORIENTATION, WIDTH
from tfpix2pix.data.tiff_writing import write_tiff
from tfpix2pix.quiet import load_tensorflow, quiet_pillow
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
OTHERS = {  # formats that are not read -> regular expression of a file's first bytes
    "a HEIC photograph": b"....ftyp(hei[cxms]|hev[cx]|m[is]f1)",
    "an AVIF image": b"....ftypavi[fs]",
    "a JPEG 2000 image": b"\0\0\0\x0cjP  ",
    "a Photoshop file": b"8BPS",
    "an SVG drawing": b"(\xef\xbb\xbf)?\\s*(<\\?xml.{0,2000})?<svg",
    "a web page": b"(?i)(\xef\xbb\xbf)?\\s*<(!doctype html|html)",
    "a PDF file": b"%PDF",
    "a ZIP archive": b"PK\3\4",
    "a pointer of Git LFS, which `git lfs pull` replaces with the image": b"version https://git-lfs",
}
NOT_READ = f"is not in a supported format ({', '.join(SIGNATURES)})"
SIDEWAYS = 5  # values of ORIENTATION, of EXIF and TIFF, from this on swap height and width
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # orientation -> turns (H, W, …) upright; others are
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}
PNG_BITS = 24  # place of the byte with the bits of a channel
PNG_KEYWORD_BYTES = 79  # of a chunk of text, at most
PNG_ORIENTATIONS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # chunks of a PNG that may hold one
MOST_CHANNELS = 4  # for each pixel that is allowed
LARGE_ONES_TAKE_TURNS = Lock()
PNG_LEVEL = 2  # zlib's; takes a third of the time of the usual 6, for photographs in files 4 % larger
Palette = Literal["colors", "indices", "levels", "ids"]
quiet_pillow()


class Unreadable(ValueError):
    """Reports why an image cannot be read, in words that follow its name. A second sentence says what to do."""


class TooLarge(Unreadable):
    """Reports that an image's header claims more pixels or values than are allowed.

    `megapixels` is the number of them to allow for this image.
    """

    def __init__(self, text: str, megapixels: float) -> None:
        super().__init__(text)
        self.megapixels = math.ceil(megapixels)


def decode(data: bytes, *, palette: Palette = "colors", most_px: float = MOST_MEGAPIXELS * 1e6) -> np.ndarray:
    """Decodes an image to (H, W, C) uint8, uint16 or, of int8 and int16 too, float32. One bit of label maps is bool.

    Args:
        palette: what a palette image becomes. `colors`: its picture. The others are for label maps, and leave images of
            one bit boolean. `indices`: its indices. `levels`: the same, but of a palette in gray its levels, because
            programs number colours as they occur, anew in each file. `ids`: as `indices`, and whole numbers keep their
            type, of any depth.
        most_px: largest number of pixels. The header is looked at, before memory is allocated for the pixels.

    Raises:
        TooLarge: its header claims more pixels, or more than four values for each that is allowed.
        Unreadable: the data are not in a format of `SIGNATURES`, are broken, or hold other numbers.
    """
    if not data:
        raise Unreadable("cannot be read: it is empty")
    try:
        image = _decoded(data, format_of(data), palette, most_px)
        return image * np.uint8(255) if palette == "colors" and image.dtype == bool else image
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
    other = next((name for name, signature in OTHERS.items() if re.match(signature, start, re.DOTALL)), None)
    raise Unreadable(f"{NOT_READ}: it is {other}" if other else NOT_READ)


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
        with opened(file, format_) as image:
            yield image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Returns (width, height) of the upright image, from a header that `open_header` has opened."""
    width, height = image.size
    if image.format == "TIFF" and tiff.is_beyond_pillow(image):
        height, width, _, _, orientation, *_ = tiff.layout(image.fp)
        return (height, width) if orientation >= SIDEWAYS else (width, height)
    if image.format == "TIFF":  # Pillow may have swapped `size` itself
        width, height = image.tag_v2[WIDTH], image.tag_v2[HEIGHT]
    return (height, width) if _orientation(image) >= SIDEWAYS else (width, height)


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and not _may_be_turned(image.fp):  # Pillow would decode all of it to find out
        return 1
    return image.getexif().get(ORIENTATION, 1)


def _may_be_turned(file: IO[bytes]) -> bool:
    """Returns True if a PNG file has a chunk that may hold its orientation. Skips the pixels."""
    position, found = file.tell(), False
    file.seek(len(PNG_SIGNATURE))
    while not found and len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        is_text = kind in (b"tEXt", b"zTXt", b"iTXt")
        name = file.read(min(length, PNG_KEYWORD_BYTES)) if is_text else b""
        found = kind in PNG_ORIENTATIONS or name.startswith(PNG_ORIENTATIONS)
        file.seek(length - len(name) + 4, io.SEEK_CUR)
    file.seek(position)
    return found


def opened(file: BinaryIO, format_: str) -> Image.Image:
    """Opens an image of a known format with Pillow, which reads only its header.

    `Image.open` would refuse images above a limit of Pillow's own, one for all of the process.
    """
    Image.preinit()
    factory, accepts = Image.OPEN[format_]
    start = file.read(16)
    file.seek(0)
    if accepts and accepts(start) is not True:
        raise UnidentifiedImageError
    try:
        return factory(file, "")
    except (SyntaxError, IndexError, TypeError, struct.error) as error:  # what Image.open expects of a damaged header
        raise UnidentifiedImageError from error


def check_header(file: BinaryIO, most_px: float) -> None:
    """Raises TooLarge as `decode` does, from the header of an open file. A damaged header is left to `decode`."""
    try:
        format_ = format_of(file.read(HEADER_BYTES))
        file.seek(0)
        if format_ == "NPY":
            claims = _npy_claims(npy_header(file)[0])
        elif format_ == "TIFF" and _is_beyond_pillow(file):
            claims = _tiff_claims(file)
        else:
            claims = _pillow_claims(opened(file, format_))
    except Exception:  # parsers raise errors of many types
        return
    _check_claims(claims, most_px)


def _decoded(data: bytes, format_: str, palette: Palette, most_px: float) -> np.ndarray:
    if format_ == "NPY":
        return _npy(data, most_px, palette)
    if format_ == "PNG" and data[PNG_BITS : PNG_BITS + 1] == b"\x10" and data[25:26] != b"\x00":  # 16 bits, not gray
        return _deep_png(data, most_px)
    if format_ == "TIFF" and _is_beyond_pillow(io.BytesIO(data)):
        return _tiff(data, most_px, palette)
    return _by_pillow(data, format_, palette, most_px)


class _Claims(NamedTuple):
    """Holds what the header of an image claims."""

    height: int
    width: int
    values: int


def _check_claims(claims: _Claims, most_px: float) -> None:
    """Raises TooLarge if a header claims more pixels than `most_px`, or more than `MOST_CHANNELS` values for each."""
    height, width, values = claims
    allowed = f"the {most_px / 1e6:g} megapixels that are allowed"
    if height * width > most_px:
        raise TooLarge(f"has {width}x{height} px, more than {allowed}", height * width / 1e6)
    if values > MOST_CHANNELS * most_px:
        each = f"more than {MOST_CHANNELS} for each pixel of {allowed}"
        raise TooLarge(f"has {values / 1e6:g} million values, {each}", values / MOST_CHANNELS / 1e6)


def encode(image: np.ndarray, suffix: str, palette: Sequence[int] | None = None, **options: Any) -> bytes:
    """Encodes (H, W, C) as PNG (uint8 or uint16, up to 4 channels) or TIFF (any). `palette` colours a gray image.

    `options`: further arguments of `write_tiff`.
    """
    buffer = io.BytesIO()
    plain = image[..., 0] if image.shape[-1] == 1 else image
    if suffix in TIFF:
        write_tiff(buffer, image, palette, **options)
    elif image.dtype == np.uint16 and image.shape[-1] > 1:
        load_tensorflow()
        import tensorflow as tf

        return tf.io.encode_png(image).numpy()
    else:
        picture = Image.fromarray(plain)
        if palette is not None:
            picture.putpalette(palette)  # turns mode "L" into "P"; the pixels stay
        picture.save(buffer, format="PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def _pillow_claims(image: Image.Image) -> _Claims:
    return _Claims(image.height, image.width, image.height * image.width)


@contextmanager
def _beyond_pillows_limit() -> Iterator[None]:
    """Lifts Pillow's own limit of pixels for the block. It is one for all of the process, so blocks take turns."""
    with LARGE_ONES_TAKE_TURNS:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def loaded(data: bytes, format_: str, most_px: float) -> Image.Image:
    """Reads an image of a known format with Pillow. Raises TooLarge as `decode` does."""
    image = opened(io.BytesIO(data), format_)
    _check_claims(claims := _pillow_claims(image), most_px)
    with _beyond_pillows_limit() if claims.values > (Image.MAX_IMAGE_PIXELS or math.inf) else nullcontext():
        image.load()
    return image


def _by_pillow(data: bytes, format_: str, palette: Palette, most_px: float) -> np.ndarray:
    image = loaded(data, format_, most_px)
    if image.mode == "P" and palette == "colors":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode not in ("1", "P", "L", "RGB", "RGBA", "LA", "I", "I;16", "I;16B", "I;16L", "F"):
        image = image.convert("RGB")
    array = np.asarray(ImageOps.exif_transpose(image))
    if format_ == "TIFF":
        array = tiff.shown_of_pillow(array, image)
    if image.mode == "P" and palette == "levels":
        array = _levels(array, np.reshape(image.getpalette("RGB"), (-1, 3)).astype(np.uint8))
    array = as_image(array, palette)
    bits = data[PNG_BITS] if format_ == "PNG" else 8
    return array if palette != "colors" else _with_alpha(array, _transparent_color(image, bits))


def _transparent_color(image: Image.Image, bits: int) -> np.ndarray | None:
    """Returns the colour that a PNG of `bits` (chunk tRNS) or a gray GIF declares transparent, as it is read, or None.

    The transparent colours of a palette are left to its conversion.
    """
    color = image.info.get("transparency")
    if image.mode == "P" or not isinstance(color, (int, tuple)):
        return None
    return np.array(color) * (255 // (2**bits - 1) if image.mode == "L" else 1)  # Pillow scales 2 and 4 bits to 8


def _with_alpha(image: np.ndarray, transparent: np.ndarray | None) -> np.ndarray:
    """Adds an alpha channel that is 0 where (H, W, C) has the colour `transparent`. None: returns the image."""
    if transparent is None:
        return image
    image = image * np.uint8(255) if image.dtype == bool else image
    opaque = (image != transparent).any(axis=-1, keepdims=True)
    return np.concatenate([image, opaque * image.dtype.type(np.iinfo(image.dtype).max)], axis=-1)


def _levels(indices: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Returns the gray level of each pixel, or the indices if a pixel has a colour or all have one level."""
    used = colors[np.unique(indices)]
    tells = (used == used[:, :1]).all() and (len(used) == 1 or len(np.unique(used[:, 0])) > 1)
    return colors[:, 0][indices] if tells else indices


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads the shape of an array, whether its columns come first, and its type. Leaves the file at its first value."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read_header(file)


def _npy_claims(shape: tuple[int, ...]) -> _Claims:
    return _Claims(*(*shape, 1, 1)[:2], math.prod(shape))


def _npy(data: bytes, most_px: float, palette: Palette) -> np.ndarray:
    file = io.BytesIO(data)
    shape, _, dtype = npy_header(file)
    _check_claims(_npy_claims(shape), most_px)
    claimed = 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize
    if claimed > len(data) - file.tell():  # checked before memory is allocated
        raise ValueError(f"it ends too soon: its header claims {dtype} values of shape {shape}")
    file.seek(0)
    return as_image(np.load(file, allow_pickle=False), palette)


def _deep_png(data: bytes, most_px: float) -> np.ndarray:
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    _check_claims(_Claims(height, width, height * width), most_px)
    load_tensorflow()  # without its start-up messages
    import tensorflow as tf

    header = opened(io.BytesIO(data), "PNG")
    array = _with_alpha(tf.io.decode_png(data, dtype=tf.uint16).numpy(), _transparent_color(header, 16))
    return UPRIGHT.get(_orientation(header), np.asarray)(array)


def _is_beyond_pillow(file: BinaryIO) -> bool:
    """Returns True if tifffile must read a TIFF file: Pillow would read a part of it, or does not know it."""
    try:
        return tiff.is_beyond_pillow(opened(file, "TIFF"))
    except UnidentifiedImageError:
        return True
    finally:
        file.seek(0)


def _tiff_claims(file: BinaryIO) -> _Claims:
    height, width, channels = tiff.layout(file)[:3]
    return _Claims(height, width, height * width * channels)


def _tiff(data: bytes, most_px: float, palette: Palette) -> np.ndarray:
    _check_claims(_tiff_claims(io.BytesIO(data)), most_px)
    array, orientation = tiff.read(io.BytesIO(data))
    return UPRIGHT.get(orientation, np.asarray)(as_image(array, palette))


def as_image(array: np.ndarray, palette: Palette) -> np.ndarray:
    """Returns an array as an image, (H, W, C) as `decode` does. Raises ValueError if it is not one."""
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"it holds an array of shape {array.shape}, not (H, W) or (H, W, C)")
    if array.dtype == bool or (palette == "ids" and array.dtype.kind in "iu"):
        return array
    if array.dtype.kind == "f" or (palette == "colors" and array.dtype.kind == "i" and array.dtype.itemsize < 4):
        return array.astype(np.float32)
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"it holds {array.dtype} values, not integers of 8 or 16 bits from 0, int16 or floats")
    return array if array.dtype == np.uint8 else array.astype(np.uint16)
