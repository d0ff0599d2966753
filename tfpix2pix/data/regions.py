"""Reads rectangles of image files without decoding the rest: TIFF in tiles or strips, and arrays (.npy).

The values are those that `formats.decode` gives for the same pixels. What depends on all pixels of a file, or has only
one part that can be decoded, is not read in this way: `open_regions` raises `NotByRegion`, and the file is read whole.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np

from tfpix2pix.data.formats import HEADER_BYTES, UPRIGHT, Palette, Unreadable, as_image, format_of
from tfpix2pix.data.planes import NotByRegion, Plane, Stored, of_array, of_tiff
from tfpix2pix.errors import UserError
from tfpix2pix.safe_files import open_regular_file

CACHE_BYTES = 2**27  # of decoded tiles or strips: two rows of tiles of 512 px in an image 40,000 px wide
FLIPS_ROWS, FLIPS_COLUMNS = (3, 4, 6, 7), (2, 3, 7, 8)  # orientations, of the stored rows and columns


class Regions:
    """Holds an open image file, of which `regions[top:bottom, left:right]` reads a rectangle, (h, w, C) uint8, uint16
    or float32.

    Use it as a context manager, or call `close`. It may be used by several threads.

    Attributes:
        shape: (H, W, C) of the upright image.
        dtype: type of its values.
    """

    def __init__(self, path: Path, file: BinaryIO, stored: Stored, palette: Palette) -> None:
        self.path, self._file, self._stored, self._palette = path, file, stored, palette
        self._status, self._lock = _status(file), Lock()
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._cached_bytes = 0
        height, width = (stored.width, stored.height) if stored.is_turned else (stored.height, stored.width)
        pixel = as_image(stored.shown(np.zeros((1, 1, stored.channels), stored.dtype)), palette)
        self.shape, self.dtype = (height, width, pixel.shape[-1]), pixel.dtype

    def __enter__(self) -> Regions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        """Reads the rectangle of two slices without steps.

        Raises:
            UserError: a part of it is damaged, has other numbers, or the file has changed since it was opened.
        """
        (top, bottom, _), (left, right, _) = (
            part.indices(side) for part, side in zip(place, self.shape[:2], strict=True)
        )
        try:
            array = self._stored.shown(self._upright(top, max(top, bottom), left, max(left, right)))
            return as_image(array, self._palette) if array.size else array.astype(self.dtype)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise errors of many types
            raise unreadable(self.path, error) from error

    def _upright(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """Reads a rectangle of the upright image, stored values."""
        stored = self._stored
        rows, columns = ((left, right), (top, bottom)) if stored.is_turned else ((top, bottom), (left, right))
        if stored.orientation in FLIPS_ROWS:
            rows = stored.height - rows[1], stored.height - rows[0]
        if stored.orientation in FLIPS_COLUMNS:
            columns = stored.width - columns[1], stored.width - columns[0]
        planes = [
            self._of_block(plane, rows, columns)
            if plane.decode is None
            else self._of_segments(number, plane, rows, columns)
            for number, plane in enumerate(stored.planes)
        ]
        array = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)
        return UPRIGHT.get(stored.orientation, np.asarray)(array)

    def _of_block(self, plane: Plane, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Reads a rectangle of a plane whose rows lie one after the other, not compressed."""
        pixel = plane.samples * plane.dtype.itemsize
        (top, bottom), (left, right) = rows, columns
        start, row_bytes = plane.offsets[0] + (top * plane.width + left) * pixel, plane.width * pixel
        if right - left == plane.width:
            data = self._read(start, (bottom - top) * row_bytes)
        else:
            data = b"".join(self._read(start + row * row_bytes, (right - left) * pixel) for row in range(bottom - top))
        shape = (bottom - top, right - left, plane.samples)
        return np.frombuffer(data, plane.dtype).reshape(shape).astype(plane.dtype.newbyteorder("="))

    def _of_segments(self, number: int, plane: Plane, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Reads a rectangle of a plane that is stored in tiles or strips, and decodes those that it touches."""
        (top, bottom), (left, right), (tall, wide) = rows, columns, plane.segment
        result = np.empty((bottom - top, right - left, plane.samples), plane.dtype)
        across = -(-plane.width // wide)
        for down in range(top // tall, -(-bottom // tall)):
            for right_of in range(left // wide, -(-right // wide)):
                segment = self._segment(number, plane, down * across + right_of)
                first_row, first_column = down * tall, right_of * wide
                end_row = min(bottom, first_row + segment.shape[0])
                end_column = min(right, first_column + segment.shape[1])
                begin_row, begin_column = max(top, first_row), max(left, first_column)
                result[begin_row - top : end_row - top, begin_column - left : end_column - left] = segment[
                    begin_row - first_row : end_row - first_row, begin_column - first_column : end_column - first_column
                ]
        return result

    def _segment(self, number: int, plane: Plane, index: int) -> np.ndarray:
        """Returns a decoded tile or strip, (h, w, samples). The last ones stay in memory."""
        key = number, index
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        size = plane.byte_counts[index]
        data = self._read(plane.offsets[index], size) if size else None  # None: left out of a sparse file
        segment = plane.decode(data, index)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = segment
                self._cached_bytes += segment.nbytes
            while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return segment

    def _read(self, start: int, size: int) -> bytes:
        with self._lock:
            if _status(self._file) != self._status:
                raise Unreadable("has changed while it was read")
            self._file.seek(start)
            data = self._file.read(size)
        if len(data) < size:
            raise Unreadable("cannot be read: it ends too soon")
        return data


class Mapped:
    """Holds an open image of which each rectangle that is read goes through a function that keeps its size."""

    def __init__(self, image: Regions | Mapped, function: Callable[[np.ndarray], np.ndarray], channels: int) -> None:
        self._image, self._function = image, function
        self.path, self.shape, self.dtype = image.path, (*image.shape[:2], channels), image.dtype

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        return self._function(self._image[place])

    def close(self) -> None:
        self._image.close()


class Half:
    """Holds a half of an open image, which is read as an image of its own. Closing it closes the image.

    Args:
        axis: 0 for the upper or lower half, 1 for the left or right one.
        is_first: whether it is the upper or left half.
    """

    def __init__(self, image: Regions | Mapped, axis: int, is_first: bool) -> None:
        self._image, length = image, image.shape[axis] // 2
        self._starts = tuple(0 if is_first or other != axis else length for other in (0, 1))
        sides = (length if other == axis else side for other, side in enumerate(image.shape[:2]))
        self.path, self.shape, self.dtype = image.path, (*sides, image.shape[-1]), image.dtype

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        bounds = (part.indices(side)[:2] for part, side in zip(place, self.shape[:2], strict=True))
        moved = (slice(start + low, start + high) for start, (low, high) in zip(self._starts, bounds, strict=True))
        return self._image[tuple(moved)]

    def close(self) -> None:
        self._image.close()


def open_regions(path: Path, palette: Palette = "colors") -> Regions:
    """Opens an image file to read rectangles of it: a TIFF (of a pyramid its largest level) or an array (.npy).

    Args:
        palette: as for `formats.decode`.

    Raises:
        NotByRegion: the file is read whole.
        UserError: it cannot be opened, or is cut off.
    """
    try:
        with open_regular_file(path):  # no pipe, and no device
            file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        stored = _stored(file, palette)
        end = os.fstat(file.fileno()).st_size
        for plane in stored.planes:
            if any(start + size > end for start, size in zip(plane.offsets, plane.byte_counts, strict=True)):
                raise unreadable(path, Unreadable("cannot be read: it ends too soon"))
        return Regions(path, file, stored, palette)
    except BaseException:
        file.close()
        raise


def unreadable(path: Path, error: Exception, name: object = None) -> UserError:
    """Returns the error that names an image file which cannot be read, or the part of it that `name` is."""
    advice = "Replace the file or remove it"
    if isinstance(error, Unreadable):
        reason, _, own_advice = str(error).partition(". ")
        advice = own_advice or advice
    else:
        text = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        reason = f"cannot be read: {text}"
    if path.is_symlink() and not path.exists():
        reason = f"is a link to something that is missing, {path.readlink()}"
    what = name or path
    return UserError(
        f"Every image must be readable and whole. Received {what}, which {reason}. {advice}.",
        "unreadable",
    )


def _stored(file: BinaryIO, palette: Palette) -> Stored:
    try:
        format_ = format_of(file.read(HEADER_BYTES))
        file.seek(0)
        if format_ == "NPY":
            return of_array(file)
        if format_ == "TIFF":
            return of_tiff(file, palette)
    except (NotByRegion, MemoryError):
        raise
    except Exception as error:  # parsers raise errors of many types; reading the whole file explains them
        raise NotByRegion(f"cannot be read by region: {' '.join(str(error).split())}") from error
    raise NotByRegion(f"is a {format_} file, which is decoded whole")


def _status(file: BinaryIO) -> tuple[int, int]:
    """Returns what differs once a file has been written again."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
