"""Reads a folder of DICOM files of one series as a volume, by pydicom.

The extra `medical` brings pydicom, which is imported when the first folder is opened.
Source of the geometry: DICOM PS3.3, C.7.6.2.1.1, equation C.7.6.2.1-1.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfpix2pix.data.formats import Unreadable
from tfpix2pix.data.nifti import check_affine, check_decoded_size, check_size, needs
from tfpix2pix.errors import listed, plural, shortly
from tfpix2pix.safe_files import open_regular_file

SUFFIXES = (".dcm", ".dicom", ".ima")
OF_DICOM = re.compile(r"(?i).+\.(dcm|dicom|ima)|[^.]+|.+\.\d+")  # scanners write IM0001, and numbers between dots
DIRECTORY = "DICOMDIR"  # an index of other files
PREAMBLE_BYTES, MAGIC = 128, b"DICM"
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's x and y go to the left and to the back
MOST_TURN = 1e-3  # difference between the directions of parallel slices
MOST_UNEVEN = 0.02  # of the spacing of slices; scanners round positions
NO_STEP_MM = 1e-3  # slices that are nearer lie at one place
MOST_LISTED = 6  # series that a message lists
DEFLATED = "1.2.840.10008.1.2.1.99"  # a transfer syntax that packs the header too, which may unpack to anything
TAGS = (
    "BitsAllocated", "BitsStored", "Columns", "ImageOrientationPatient", "ImagePositionPatient", "NumberOfFrames",
    "PhotometricInterpretation", "PixelRepresentation", "PixelSpacing", "Rows", "SamplesPerPixel", "SeriesDescription",
    "SeriesInstanceUID", "SliceThickness", "SpacingBetweenSlices",
)  # fmt: skip


def may_be_dicom(name: str) -> bool:
    """Returns True if a file of this name may be a slice of a DICOM series."""
    name = name[name.rfind("/") + 1 :]
    return bool(OF_DICOM.fullmatch(name)) and name.upper() != DIRECTORY


def is_dicom(path: Path) -> bool:
    """Returns True if a file is read as a slice of a DICOM series: by its ending, or without one by its bytes."""
    if not may_be_dicom(path.name):
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with open_regular_file(path) as file:
            return file.read(PREAMBLE_BYTES + len(MAGIC))[PREAMBLE_BYTES:] == MAGIC
    except OSError:
        return False


def is_series(folder: Path) -> bool:
    """Returns True if a folder holds DICOM files, so that it is read as a volume."""
    try:
        return any(is_dicom(path) and path.is_file() for path in folder.iterdir() if path.name[0] != ".")
    except OSError:  # no folder, or not readable
        return False


def load_pydicom() -> Any:
    """Imports pydicom, without its messages about values. Raises UserError if it is not installed."""
    try:
        import pydicom
    except ImportError as error:
        raise needs("pydicom") from error
    warnings.filterwarnings("ignore", module="pydicom")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    return pydicom


class _Slice(NamedTuple):
    """Holds what is needed of the header of one file."""

    path: Path
    series: tuple[str, str]  # SeriesInstanceUID and SeriesDescription
    rows: int
    columns: int
    position: np.ndarray  # of the centre of the first pixel, mm, DICOM's axes
    along_row: np.ndarray  # direction in which the column number grows
    along_column: np.ndarray
    spacing: tuple[float, float]  # of rows and of columns, mm
    thickness: float | None
    bits: int

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.along_row, self.along_column)


@dataclass(frozen=True)
class Series:
    """Holds the geometry of a DICOM series, and reads its slices.

    Attributes:
        path: the folder.
        shape: numbers of columns, rows and slices.
        affine: float64 (4, 4), voxel indices -> mm towards the right, the front and the head (RAS+).
        dtype: type of the values before they are rescaled.
        files: of the slices, in the order of their places.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: np.ndarray
    dtype: np.dtype
    files: tuple[Path, ...]
    most_px: float
    header: None = None  # of NIfTI

    @property
    def size_bytes(self) -> int:
        """Returns the size of `whole`."""
        return 4 * math.prod(self.shape)

    def has_planes(self, axis: int) -> bool:
        """Returns True if a slice is a file of its own."""
        return axis == 2

    def plane(self, axis: int, index: int) -> np.ndarray:
        """Reads one file: float32 (columns, rows), rescaled."""
        return _pixels(self.files[index], self.shape[:2]).T

    def whole(self) -> np.ndarray:
        """Reads all files: float32 (columns, rows, slices), rescaled. Raises TooLarge as compressed NIfTI does."""
        check_decoded_size(self.shape, self.most_px)
        voxels = np.empty(self.shape, np.float32)
        for index in range(self.shape[2]):
            voxels[..., index] = self.plane(2, index)
        return voxels

    def values(self, stored: np.ndarray) -> np.ndarray:
        """Returns the values, which `plane` and `whole` have rescaled."""
        return stored


def open_series(folder: Path, most_px: float) -> Series:
    """Reads the headers of the DICOM files in a folder, and sorts the slices by their places.

    Args:
        most_px: most pixels of a slice.

    Raises:
        TooLarge: a slice claims more.
        Unreadable: a file is damaged or holds another thing than a gray slice, there are several series, or slices
            are not parallel, of one size and evenly spaced.
        OSError: the folder cannot be read.
    """
    pydicom = load_pydicom()
    paths = [path for path in sorted(folder.iterdir()) if path.name[0] != "." and path.is_file() and is_dicom(path)]
    slices = [slice_ for path in paths if (slice_ := _slice(pydicom, path)) is not None]
    if not slices:
        raise Unreadable("holds DICOM files without images")
    _check_one_series(slices)
    first = slices[0]
    for other in slices[1:]:
        if (other.columns, other.rows, other.spacing) != (first.columns, first.rows, first.spacing):
            raise Unreadable(
                f"holds slices of several sizes: {_size(first)} in {first.path.name} and {_size(other)} in "
                f"{other.path.name}"
            )
        turn = max(np.abs(getattr(other, key) - getattr(first, key)).max() for key in ("along_row", "along_column"))
        if turn > MOST_TURN:
            raise Unreadable(
                f"holds slices that are not parallel: {first.path.name} and {other.path.name}. Remove localizers, or "
                f"put slices of each direction into a folder of their own"
            )
    slices = sorted(slices, key=lambda slice_: float(slice_.position @ first.normal))
    step = _step(slices)
    affine = np.eye(4)
    affine[:3] = np.stack(
        [
            slices[0].along_row * first.spacing[1],
            slices[0].along_column * first.spacing[0],
            step,
            slices[0].position,
        ],
        axis=1,
    )
    affine = TO_RAS @ affine
    check_affine(affine)
    shape = (first.columns, first.rows, len(slices))
    check_size((*shape[:2], 1), most_px)
    dtype = np.dtype(np.uint8 if max(slice_.bits for slice_ in slices) <= 8 else np.uint16)
    return Series(folder, shape, affine, dtype, tuple(slice_.path for slice_ in slices), most_px)


def _size(slice_: _Slice) -> str:
    return f"{slice_.columns}x{slice_.rows} px of {slice_.spacing[1]:g}x{slice_.spacing[0]:g} mm"


def _check_one_series(slices: Sequence[_Slice]) -> None:
    """Raises Unreadable, which lists the series, if there are several."""
    counts = Counter(slice_.series[0] for slice_ in slices)
    if len(counts) == 1:
        return
    names = dict(slice_.series for slice_ in reversed(slices))
    series = [
        f"{names[uid] or 'without a description'} ({plural(count, 'file')}, {uid})"
        for uid, count in counts.most_common()
    ]
    raise Unreadable(
        f"holds {len(counts)} series: {listed(series, MOST_LISTED)}. Put the files of each series into a folder of "
        f"their own, and give the folder of the one that you mean"
    )


def _step(slices: Sequence[_Slice]) -> np.ndarray:
    """Returns the vector from a slice to the next, mm. Raises Unreadable if slices are missing or at one place."""
    normal = slices[0].normal
    if len(slices) == 1:
        return normal * (slices[0].thickness or 1.0)
    places = np.array([slice_.position @ normal for slice_ in slices])
    steps = np.diff(places)
    spacing = float(np.median(steps))
    if (nearest := int(steps.argmin())) is not None and steps[nearest] < NO_STEP_MM:
        a, b = (slices[index].path.name for index in (nearest, nearest + 1))
        raise Unreadable(
            f"holds two slices at one place: {a} and {b}. Keep one of them, or put echoes and times into a folder each"
        )
    wrong = int(np.abs(steps - spacing).argmax())
    if abs(steps[wrong] - spacing) > MOST_UNEVEN * spacing:
        a, b = (slices[index].path.name for index in (wrong, wrong + 1))
        missing = round(float(steps[wrong] / spacing)) - 1
        lacking = f", where {missing} seem{'s' * (missing == 1)} to be missing" if missing > 0 else ""
        raise Unreadable(
            f"holds slices that are unevenly spaced: {steps[wrong]:.4g} mm between {a} and {b}, but {spacing:.4g} mm "
            f"between most{lacking}. Copy the series whole"
        )
    return (slices[-1].position - slices[0].position) / (len(slices) - 1)


def _slice(pydicom: Any, path: Path) -> _Slice | None:
    """Reads the header of a file. Returns None if it holds no image."""
    try:
        with open_regular_file(path) as file:
            is_dicom_file = file.read(PREAMBLE_BYTES + len(MAGIC))[PREAMBLE_BYTES:] == MAGIC
        syntax = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID if is_dicom_file else None
        if syntax == DEFLATED:
            raise Unreadable(f"cannot be read: {path.name} is deflated, header and all. Write it in another syntax")
        data = pydicom.dcmread(path, force=not is_dicom_file, specific_tags=list(TAGS), stop_before_pixels=True)
        if "Rows" not in data or "Columns" not in data:
            if not is_dicom_file:
                raise Unreadable(f"cannot be read: {path.name} is not a DICOM file")
            return None
        return _of_header(pydicom, data, syntax, path)
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(f"cannot be read: {path.name}: {error.strerror or error}") from error
    except Exception as error:  # parsers raise errors of many types for broken files
        raise Unreadable(f"cannot be read: {path.name}: {shortly(error)}") from error


def _of_header(pydicom: Any, data: Any, syntax: Any, path: Path) -> _Slice:
    kind = str(data.get("PhotometricInterpretation", ""))
    if int(data.get("SamplesPerPixel", 1)) != 1 or not kind.startswith("MONOCHROME"):
        raise Unreadable(f"holds {path.name}, an image in colour ({kind or 'unknown'}), not a gray slice")
    if int(data.get("NumberOfFrames", None) or 1) > 1:
        raise Unreadable(f"holds {path.name}, many frames in one file. Convert it to NIfTI, as dcm2niix does")
    if syntax is not None and syntax.is_compressed and not _can_decode(pydicom, syntax):
        raise Unreadable(
            f"holds {path.name}, compressed as {syntax.name}, for which no decoder is installed. Add one (pip install "
            f"pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg), or write the files without compression"
        )
    lacking = [key for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing") if not data.get(key)]
    if lacking:
        raise Unreadable(f"holds {path.name} without {lacking[0]}, so the place of its slice is not known")
    position, direction, spacing = (
        np.array([float(value) for value in data[key].value])
        for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    if (len(position), len(direction), len(spacing)) != (3, 6, 2) or not (spacing > 0).all():
        raise Unreadable(f"holds {path.name}, whose place or spacing is not valid")
    between = data.get("SpacingBetweenSlices") or data.get("SliceThickness")
    return _Slice(
        path, (str(data.get("SeriesInstanceUID", "")), str(data.get("SeriesDescription", ""))), int(data.Rows),
        int(data.Columns), position, direction[:3], direction[3:], (float(spacing[0]), float(spacing[1])),
        abs(float(between)) if between else None, int(data.get("BitsAllocated", 16)),
    )  # fmt: skip


def _can_decode(pydicom: Any, syntax: Any) -> bool:
    try:
        return pydicom.pixels.get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _pixels(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Reads the pixels of a file as rescaled values, float32 (rows, columns).

    `size`: columns and rows that its header had when the series was opened.
    """
    pydicom = load_pydicom()
    try:
        with open_regular_file(path) as file:
            data = pydicom.dcmread(file, force=True)
            if not hasattr(data, "file_meta") or "TransferSyntaxUID" not in data.file_meta:
                data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        if (int(data.Columns), int(data.Rows)) != size:
            raise Unreadable(f"holds {path.name}, which has changed since it was opened")
        pixels = data.pixel_array
        if data.PhotometricInterpretation == "MONOCHROME1":  # the smallest value is white
            pixels = _negative(pixels, data)
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        return (pixels.astype(np.float64) * slope + intercept).astype(np.float32)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # decoders raise errors of many types for broken files
        raise Unreadable(f"cannot be read: {path.name}: {shortly(error)}") from error


def _negative(pixels: np.ndarray, data: Any) -> np.ndarray:
    """Returns stored values with black and white exchanged: the smallest that the bits hold becomes the largest."""
    if pixels.dtype.kind == "f":
        return -pixels
    most = -1 if int(data.get("PixelRepresentation", 0)) else 2 ** int(data.BitsStored) - 1
    return most - pixels.astype(np.int64)
