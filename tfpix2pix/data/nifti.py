"""Reads the header, the slices and the whole of a NIfTI file, and writes one, by nibabel's headers and NumPy.

The extra `medical` brings nibabel, which is imported when the first file is opened.
"""

from __future__ import annotations

import gzip
import logging
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfpix2pix.data.formats import MOST_CHANNELS, TooLarge, Unreadable
from tfpix2pix.errors import UserError, shortly
from tfpix2pix.files import whole_file
from tfpix2pix.safe_files import open_regular_file

SUFFIXES = (".nii.gz", ".nii")
GZIP = b"\x1f\x8b"  # first bytes of a compressed file
HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 has 348
MOST_RATIO = 1032  # of deflate: a byte unpacks to no more
COMPRESSION = 6  # of files that are written
BLOCK_BYTES = 2**22  # read at a time from a compressed file


def is_nifti(name: str) -> bool:
    """Returns True if a file of this name is read as a NIfTI volume."""
    return name.lower().endswith(SUFFIXES)


def without_suffix(name: str) -> str:
    """Returns the name of a NIfTI file without its ending, of which `.nii.gz` is one."""
    return name[: -len(next(suffix for suffix in SUFFIXES if name.lower().endswith(suffix)))]


def needs(module: str) -> UserError:
    """Returns the error for a missing package of the extra `medical`."""
    return UserError(
        f"Volumes need nibabel, and those in DICOM files pydicom too. Received no module {module}. Install them with "
        f"pip install 'tfpix2pix[medical]'."
    )


def load_nibabel() -> Any:
    """Imports nibabel, without its messages about headers. Raises UserError if it is not installed."""
    try:
        import nibabel
    except ImportError as error:
        raise needs("nibabel") from error
    nibabel.imageglobals.logger.setLevel(logging.CRITICAL)
    return nibabel


@dataclass(frozen=True)
class Nifti:
    """Holds the header of a NIfTI file, and reads its voxels as they are stored.

    Attributes:
        path: the file.
        shape: numbers of voxels (I, J, K).
        affine: float64 (4, 4), voxel indices -> mm towards the right, the front and the head (RAS+).
        dtype: type of the stored values.
        header: nibabel's.
        start: place of the first voxel in the file, or in what it unpacks to, bytes.
        scale: slope and intercept of the values.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: np.ndarray
    dtype: np.dtype
    header: Any
    start: int
    scale: tuple[float, float]
    is_compressed: bool

    @property
    def size_bytes(self) -> int:
        """Returns the size of the stored values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def has_planes(self, axis: int) -> bool:
        """Returns True if a slice can be read without the others."""
        return not self.is_compressed

    def plane(self, axis: int, index: int) -> np.ndarray:
        """Reads the stored values of one slice: 2-D, the other two axes in their order."""
        with open_regular_file(self.path) as file:
            self._check_length(os.fstat(file.fileno()).st_size)
        voxels = np.memmap(self.path, self.dtype, mode="r", offset=self.start, shape=self.shape, order="F")
        return np.array(voxels.take(index, axis))

    def whole(self) -> np.ndarray:
        """Reads all stored values (I, J, K). Never unpacks more than the header claims.

        Raises:
            Unreadable: the file ends too soon or is damaged.
        """
        buffer = bytearray(self.size_bytes)
        with _unpacking(self.path) as file:
            _skip(file, self.start)
            view, position = memoryview(buffer), 0
            while position < len(buffer) and (count := file.readinto(view[position : position + BLOCK_BYTES])):
                position += count
            self._check_length(self.start + position)
            file.read(1)  # at the end of the file, its checksum is compared
        return np.frombuffer(buffer, self.dtype).reshape(self.shape, order="F")

    def values(self, stored: np.ndarray) -> np.ndarray:
        """Converts stored values to float32 by the header's slope and intercept."""
        slope, intercept = self.scale
        if self.scale == (1.0, 0.0):
            return stored.astype(np.float32)
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)

    def _check_length(self, size_bytes: int) -> None:
        needed = self.start + self.size_bytes
        if size_bytes < needed:
            raise Unreadable(f"cannot be read: it ends too soon, after {size_bytes} of {needed} bytes")


def open_nifti(path: Path, most_px: float) -> Nifti:
    """Reads the header of a NIfTI file.

    Args:
        most_px: most pixels of a slice. A compressed file, which is decoded whole, may have four times as many voxels.

    Raises:
        TooLarge: the header claims more.
        Unreadable: the file is not NIfTI, is damaged, or holds another thing than one volume of numbers.
        OSError: the file cannot be opened.
    """
    nibabel = load_nibabel()
    with open_regular_file(path) as file:
        is_compressed, size_bytes = file.read(2) == GZIP, os.fstat(file.fileno()).st_size
    with _unpacking(path) as file:
        start = file.read(HEADER_BYTES)
    try:
        header = _header(nibabel, start)
        return _of_header(path, header, most_px, is_compressed, size_bytes)
    except Unreadable:
        raise
    except Exception as error:  # headers that are damaged raise errors of many types
        raise Unreadable(f"cannot be read: {shortly(error)}") from error


def _of_header(path: Path, header: Any, most_px: float, is_compressed: bool, size_bytes: int) -> Nifti:
    """Checks what a header claims of a file of `size_bytes`, before memory is taken."""
    shape = tuple(int(side) for side in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise Unreadable(
            f"has {len(shape)} dimensions ({'x'.join(map(str, shape))}): split it into files of three dimensions, as "
            f"`nibabel.funcs.four_to_three` does"
        )
    shape = (*shape, 1, 1, 1)[:3]
    if min(shape) < 1:
        raise Unreadable(f"holds no voxels ({'x'.join(map(str, shape))})")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise Unreadable(f"holds values of the type {dtype}, not whole numbers or floats of up to 64 bits")
    check_size(shape, most_px)
    affine = np.array(header.get_best_affine(), np.float64)
    check_affine(affine)
    slope, intercept = header.get_slope_inter()
    scale = (1.0, 0.0) if slope is None else (float(slope), float(intercept))
    start = int(header.get_data_offset())
    if start < 0:
        raise Unreadable(f"cannot be read: its voxels begin at byte {start}")
    volume = Nifti(path, shape, affine, dtype, header, start, scale, is_compressed)
    if is_compressed:
        check_decoded_size(shape, most_px)
        if volume.size_bytes > MOST_RATIO * size_bytes:
            raise Unreadable(
                f"claims {volume.size_bytes / 1e6:.0f} MB of voxels, more than its {size_bytes} bytes can unpack to"
            )
    return volume


def check_size(shape: tuple[int, int, int], most_px: float) -> None:
    """Raises TooLarge if a slice along any axis has more than `most_px`."""
    height, width = sorted(shape)[1:]
    if height * width > most_px:
        raise TooLarge(
            f"has slices of {width}x{height} px, more than the {most_px / 1e6:g} megapixels that are allowed",
            height * width / 1e6,
        )


def check_decoded_size(shape: tuple[int, int, int], most_px: float) -> None:
    """Raises TooLarge if a volume that is decoded whole has more than `MOST_CHANNELS` voxels for each of `most_px`."""
    if math.prod(shape) > MOST_CHANNELS * most_px:
        raise TooLarge(
            f"is decoded whole and has {math.prod(shape) / 1e6:g} million voxels, more than {MOST_CHANNELS} for each "
            f"pixel of the {most_px / 1e6:g} megapixels that are allowed",
            math.prod(shape) / MOST_CHANNELS / 1e6,
        )


def check_affine(affine: np.ndarray) -> None:
    """Raises Unreadable if an affine does not map voxels to three dimensions."""
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise Unreadable("has an affine that cannot be inverted, so its voxels have no places: correct its header")


def _header(nibabel: Any, start: bytes) -> Any:
    """Parses the first bytes of a file of NIfTI-1 or NIfTI-2, of either byte order."""
    for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        size = kind.template_dtype.itemsize
        if len(start) < size or not kind.may_contain_header(start):
            continue
        header = kind(start[:size], check=True)
        if not bytes(header["magic"]).startswith(b"n+"):
            raise Unreadable("is a NIfTI header whose voxels lie in another file (.img): save it as one .nii file")
        return header
    raise Unreadable("is not a NIfTI file (.nii, .nii.gz)" if start else "cannot be read: it is empty")


@contextmanager
def _unpacking(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file, and unpacks it while it is read if it is compressed. Raises Unreadable for damaged data."""
    try:
        with open_regular_file(path) as file:
            is_compressed = file.read(2) == GZIP
            file.seek(0)
            if not is_compressed:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
    except EOFError as error:
        raise Unreadable("cannot be read: it ends too soon, so it was not copied whole") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Unreadable(f"cannot be read: {shortly(error)}") from error


def _skip(file: IO[bytes], count: int) -> None:
    while count > 0 and (block := file.read(min(count, BLOCK_BYTES))):
        count -= len(block)


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray, like: Any = None) -> None:
    """Writes a volume (I, J, K) whole or not at all, compressed if the path ends in .nii.gz.

    Args:
        affine: (4, 4), voxel indices -> mm towards the right, the front and the head.
        like: header of a NIfTI file whose zooms, units and codes of the affine are kept; None: mm.

    Raises:
        RunError: the file cannot be written.
    """
    nibabel = load_nibabel()
    is_second = like is not None and isinstance(like, nibabel.Nifti2Header)
    kind = nibabel.Nifti2Image if is_second else nibabel.Nifti1Image
    header = _kept(like) if like is not None else None
    image = kind(voxels, affine, header=header, dtype=voxels.dtype)
    if header is None:
        image.header.set_xyzt_units("mm")
        image.set_sform(affine, code="scanner")
        image.set_qform(affine, code="scanner")
    with whole_file(path) as temporary, temporary.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)


def _kept(like: Any) -> Any:
    """Returns a copy of a header without what says something of its voxels: their scale, range, meaning and origin."""
    header = like.copy()
    header.extensions.clear()
    for key in ("cal_min", "cal_max", "scl_slope", "scl_inter", "descrip", "aux_file"):
        header[key] = 0 if header[key].dtype.kind == "f" else b""
    header.set_intent("none")
    return header
