"""Finds where the pixels of an image lie in a TIFF file or an array (.npy), so that a part can be read alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfpix2pix.data import tiff
from tfpix2pix.data.formats import SIDEWAYS, Palette, npy_header, opened

MOST_SEGMENT_BYTES = 2**27  # of a tile or strip, which is decoded whole
LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)  # compressions that all programs decode to the same values
LZW = 5
MODES = ("L", "LA", "P", "RGB", "RGBA", "RGBX", "I", "I;16", "I;16B", "I;16L", "F")  # of Pillow, read alike by tifffile


class NotByRegion(Exception):
    """Reports why a file is read whole, in words that follow its name: `is a JPEG file`."""


@dataclass(frozen=True)
class Plane:
    """Holds where the pixels of an image, or of one channel of it, lie in a file."""

    width: int
    samples: int
    dtype: np.dtype
    offsets: Sequence[int]
    byte_counts: Sequence[int]
    segment: tuple[int, int] = (1, 1)  # height and width of tiles or strips
    decode: Callable[[bytes | None, int], np.ndarray] | None = None  # None: rows lie one after the other, as they are


class Stored(NamedTuple):
    """Holds an image as it is stored."""

    height: int
    width: int
    dtype: np.dtype
    planes: list[Plane]
    shown: Callable[[np.ndarray], np.ndarray] = np.asarray  # turns stored values into those of `formats.decode`
    orientation: int = 1

    @property
    def channels(self) -> int:
        return sum(plane.samples for plane in self.planes)

    @property
    def is_turned(self) -> bool:
        return self.orientation >= SIDEWAYS


def of_array(file: BinaryIO) -> Stored:
    """Returns where the pixels of an array lie. Raises NotByRegion if they are no rows of an image."""
    shape, is_transposed, dtype = npy_header(file)
    if len(shape) not in (2, 3) or 0 in shape or dtype.kind not in "uif" or (is_transposed and max(shape[1:]) > 1):
        raise NotByRegion("is no array of rows")
    height, width, channels = (*shape, 1)[:3]
    size = height * width * channels * dtype.itemsize
    plane = Plane(width, channels, dtype, [file.tell()], [size])
    return Stored(height, width, dtype.newbyteorder("="), [plane])


def of_tiff(file: BinaryIO, palette: Palette) -> Stored:
    """Returns where the pixels of a TIFF file lie, of a pyramid those of its largest level.

    Raises:
        NotByRegion: its pixels are not read by region.
        Exception: tifffile raises errors of many types for a damaged header.
    """
    shown = _shown(file, palette)
    with tiff.opened(file) as parsed:
        series = tiff.image_of(parsed)
        page, sides = series.keyframe, dict(zip(series.axes, series.shape, strict=True))
        height, width = sides["Y"], sides["X"]
        if tiff.is_ink(page, series.size // (height * width), series.dtype):
            raise NotByRegion("holds inks, which are converted whole")
        if page.bitspersample not in (8, 16, 32, 64) or series.dtype.kind not in "uif" or page.imagedepth > 1:
            raise NotByRegion(f"holds {page.bitspersample} bits a value")
        beside = "YX" in (series.axes[:2], series.axes[-2:])
        if (page.imagelength, page.imagewidth) != (height, width) or not beside:
            raise NotByRegion(f"has the axes {series.axes}")
        pages = [page] if page.samplesperpixel > 1 or len(series.shape) == 2 else list(series.pages)
        if series.dataoffset is not None:
            planes = _blocks(parsed, series, height, width)
        else:
            planes = [plane for part in pages for plane in _planes(parsed, page, part)]
        seen, orientation = partial(shown, page=page), tiff.orientation_of(page)
        stored = Stored(height, width, np.dtype(series.dtype), planes, seen, orientation)
    if stored.channels * height * width != series.size:
        raise NotByRegion("holds pages in several files or places")
    return stored


def _shown(file: BinaryIO, palette: Palette) -> Callable[[np.ndarray, Any], np.ndarray]:
    """Returns a function from stored values and a page to the values that `formats.decode` gives.

    Raises:
        NotByRegion: Pillow decodes the file, and its values may be others than those of tifffile.
    """
    try:
        image = opened(file, "TIFF")
        is_beyond = tiff.is_beyond_pillow(image)
    except UnidentifiedImageError:
        is_beyond = True
    finally:
        file.seek(0)
    if is_beyond:
        return tiff.shown
    tags = image.tag_v2
    photometric, compression = tags.get(tiff.PHOTOMETRIC, 1), tags.get(tiff.COMPRESSION, 1)
    if compression not in LOSSLESS:
        raise NotByRegion(f"is compressed in a way (TIFF compression {compression}) that is decoded whole")
    is_dark = photometric == tiff.WHITE_IS_ZERO and image.mode == "I"
    premultiplied = tags.get(tiff.EXTRA_SAMPLES) == (1,)
    if image.mode not in MODES or is_dark or premultiplied or (image.mode == "P" and palette == "levels"):
        raise NotByRegion(f"holds pixels (mode {image.mode}) that are converted whole")
    if image.mode == "P" and palette == "colors":
        colors = _colors(image)
        return lambda array, page: colors[array[..., 0]]
    if image.mode == "RGBX":
        return lambda array, page: array[..., :3]
    return tiff.shown


def _colors(image: Image.Image) -> np.ndarray:
    """Returns the colours of a palette file, uint8 (256, 3)."""
    part = Image.new("P", (256, 1))
    part.putdata(range(256))
    part.putpalette(image.palette.palette, image.palette.rawmode or image.palette.mode)
    return np.asarray(part.convert("RGB"))[0]


def _blocks(parsed: Any, series: Any, height: int, width: int) -> list[Plane]:
    """Returns the planes of an image that is not compressed and lies in one piece."""
    dtype = np.dtype(parsed.byteorder + series.dtype.char)
    count, samples = series.size // (height * width), 1
    if series.axes.startswith("YX"):
        count, samples = 1, count
    size = height * width * samples * dtype.itemsize
    return [Plane(width, samples, dtype, [series.dataoffset + size * number], [size]) for number in range(count)]


def _planes(parsed: Any, page: Any, part: Any) -> list[Plane]:
    """Returns the planes of a page `part`, whose tags are those of `page`: one, or one for each channel."""
    if part is None or part.parent is not parsed:
        raise NotByRegion("holds pages in several files or places")
    is_separate = page.planarconfig == 2 and page.samplesperpixel > 1
    count, samples = (page.samplesperpixel, 1) if is_separate else (1, page.samplesperpixel)
    height, width, dtype = page.imagelength, page.imagewidth, np.dtype(page.dtype)
    if part.is_contiguous and not page.is_tiled:
        ordered, size = np.dtype(parsed.byteorder + dtype.char), height * width * samples * dtype.itemsize
        return [Plane(width, samples, ordered, [part.dataoffsets[0] + size * n], [size]) for n in range(count)]
    tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    if tall * wide * samples * dtype.itemsize > MOST_SEGMENT_BYTES:
        raise NotByRegion(f"holds strips or tiles of {wide}x{tall} px, which are decoded whole")
    each = -(-height // tall) * -(-width // wide)
    offsets, counts = list(part.dataoffsets), list(part.databytecounts)
    if len(offsets) != each * count or len(counts) != len(offsets):
        raise NotByRegion("lists another number of tiles or strips than it has")
    decode = _decoder(parsed, page, part, (tall, wide, samples))
    return [
        Plane(
            width, samples, dtype, offsets[first : first + each], counts[first : first + each], (tall, wide),
            lambda data, index, first=first: decode(data, first + index),
        )
        for first in range(0, each * count, each)
    ]  # fmt: skip


def _decoder(
    parsed: Any, page: Any, part: Any, shape: tuple[int, int, int]
) -> Callable[[bytes | None, int], np.ndarray]:
    """Returns a function from the bytes of a tile or strip and its number to its pixels, (h, w, samples).

    Raises:
        NotByRegion: its compression is not decoded.
    """
    options = {"jpegtables": part.jpegtables} if getattr(part, "jpegtables", None) else {}
    empty = np.full(shape, page.nodata, page.dtype)

    def by_tifffile(data: bytes | None, index: int) -> np.ndarray:
        if data is None:
            return empty
        return page.decode(data, index, **options)[0][0]

    try:
        page.decode(None, 0)
    except ValueError as error:
        if page.compression != LZW or page.predictor not in (1, 2) or page.dtype.kind not in "ui":
            reason = tiff.undecoded(page) if "imagecodecs" in str(error) else str(error)
            raise NotByRegion(f"cannot be read by region: {reason}") from error
    else:
        return by_tifffile
    ordered = np.dtype(parsed.byteorder + page.dtype.char)

    def by_pillow(data: bytes | None, index: int) -> np.ndarray:
        if data is None:
            return empty
        tall, wide, samples = shape
        first = index * tall % (-(-page.imagelength // tall) * tall)
        rows = tall if page.is_tiled else min(tall, page.imagelength - first)
        unpacked = _unpacked_lzw(data, rows, wide * samples * ordered.itemsize)
        values = np.frombuffer(unpacked, ordered).reshape(rows, wide, samples).astype(page.dtype)
        return np.cumsum(values, axis=1, dtype=page.dtype) if page.predictor == 2 else values

    return by_pillow


def _unpacked_lzw(data: bytes, rows: int, row_bytes: int) -> bytes:
    """Unpacks LZW by Pillow, which takes the bytes for the one strip of a gray image. tifffile needs imagecodecs."""
    tags = {256: row_bytes, 257: rows, 258: 8, 259: LZW, 262: 1, 273: 0, 277: 1, 278: rows, 279: len(data)}
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = start
    entries = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, value in tags.items()
    )
    header = b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little") + entries + bytes(4)
    return opened(io.BytesIO(header + data), "TIFF").tobytes()
