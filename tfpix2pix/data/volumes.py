"""Opens volumes, NIfTI files and folders of DICOM files, and reads their slices as upright images.

A slice is shown as radiologists look at it: axial ones from the feet, with the front on top and the patient's right on
the left; coronal ones from the front; sagittal ones from the right, with the front on the left.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfpix2pix.data.dicom import is_series, open_series
from tfpix2pix.data.formats import Unreadable
from tfpix2pix.data.images import MEGAPIXELS, Cache, reading
from tfpix2pix.data.nifti import is_nifti, load_nibabel, open_nifti
from tfpix2pix.errors import UserError

SLICE_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}  # `data.slice_axis` -> axis of the patient: right, front, head
LETTERS = "xyz"  # of these axes, in the names of slices
LEAST_DIGITS = 3  # of a slice's number
MOST_APART_MM = 1e-3  # difference between equal affines
NUMBERS = np.iinfo(np.uint16).max  # largest whole number that label maps hold in 16 bits
KEPT_HEADERS = 8192  # of volumes that were opened


class Volume(Protocol):
    """Describes an open volume: a `Nifti` or a `Series`."""

    path: Path
    shape: tuple[int, int, int]
    affine: np.ndarray  # float64 (4, 4), voxel indices -> mm towards the right, the front and the head (RAS+)
    dtype: np.dtype
    header: Any
    size_bytes: int

    def has_planes(self, axis: int) -> bool:
        """Returns True if a slice can be read without the others."""

    def plane(self, axis: int, index: int) -> np.ndarray:
        """Reads the stored values of one slice, the other two axes in their order."""

    def whole(self) -> np.ndarray:
        """Reads all stored values."""

    def values(self, stored: np.ndarray) -> np.ndarray:
        """Converts stored values to float32."""


def is_volume(path: Path) -> bool:
    """Returns True if a path is read as a volume: a NIfTI file, or a folder with DICOM files."""
    return is_nifti(path.name) and not path.is_dir() if path.suffix.lower() in (".nii", ".gz") else is_series(path)


def open_volume(path: Path, max_megapixels: float, key: str = MEGAPIXELS) -> Volume:
    """Reads the headers of a volume, and keeps them while its file does not change.

    Args:
        path: a NIfTI file, or a folder with the DICOM files of one series.
        max_megapixels: most pixels of a slice, millions.
        key: names `max_megapixels` in messages.

    Raises:
        UserError: it cannot be read, is too large, holds several volumes, or a package is not installed.
    """
    with reading(path, max_megapixels, key):
        states = [file.stat() for file in (path.iterdir() if path.is_dir() else (path,))]
        latest, size = max(state.st_mtime_ns for state in states), sum(state.st_size for state in states)
        return _opened(path, max_megapixels, (len(states), latest, size))


@lru_cache(maxsize=KEPT_HEADERS)
def _opened(path: Path, max_megapixels: float, state: tuple[int, int, int]) -> Volume:
    return (open_series if path.is_dir() else open_nifti)(path, max_megapixels * 1e6)


def check_one_geometry(volumes: Sequence[Volume]) -> None:
    """Raises UserError if volumes, which are read slice by slice together, differ in shape or affine."""
    first = volumes[0]
    for other in volumes[1:]:
        if other.shape != first.shape:
            raise UserError(
                f"Volumes of a pair must have one shape. Received {_shape(first)} in {first.path} and {_shape(other)} "
                f"in {other.path}. Resample one onto the other.",
                "size",
            )
        apart_mm = float(np.abs(other.affine - first.affine).max())
        if apart_mm > MOST_APART_MM:
            raise UserError(
                f"Volumes of a pair must have one affine, to {MOST_APART_MM:g} mm. Received {first.path} and "
                f"{other.path}, whose affines differ by {apart_mm:.3g} mm. Resample one onto the other, or correct a "
                f"header.",
                "size",
            )


def _shape(volume: Volume) -> str:
    return "x".join(map(str, volume.shape))


class Cut(NamedTuple):
    """Describes how slices lie in the array of a volume."""

    axis: int  # of the array
    is_transposed: bool  # the first of the other axes runs along rows of the image
    turns: tuple[bool, bool]  # rows and columns run against the array

    @classmethod
    def of(cls, affine: np.ndarray, slice_axis: str) -> Cut:
        """Returns the cut along the array's axis that is nearest to an axis of the patient, by the affine."""
        orientation = load_nibabel().io_orientation(affine)  # of each array axis: the patient's, and its sense
        axes = [int(axis) for axis in orientation[:, 0]]
        axis = axes.index(SLICE_AXES[slice_axis])
        others = [other for other in range(3) if other != axis]
        is_transposed = axes[others[0]] < axes[others[1]]
        rows, columns = others[::-1] if is_transposed else others
        # Images run to the feet or the back, and to the patient's left or back: against the axes of the patient.
        return cls(axis, is_transposed, (orientation[rows, 1] > 0, orientation[columns, 1] > 0))

    def image(self, plane: np.ndarray) -> np.ndarray:
        """Returns the upright image (H, W) of a plane of the array."""
        image = plane.T if self.is_transposed else plane
        return image[:: -1 if self.turns[0] else 1, :: -1 if self.turns[1] else 1]

    def plane(self, image: np.ndarray) -> np.ndarray:
        """Returns the plane of an upright image: the inverse of `image`."""
        plane = image[:: -1 if self.turns[0] else 1, :: -1 if self.turns[1] else 1]
        return plane.T if self.is_transposed else plane


@dataclass(frozen=True, eq=False)
class Slice:
    """Holds the place of a slice, which stands for a file of an image."""

    volume: Volume
    cut: Cut
    slice_axis: str
    index: int  # in the array
    neighbours: int = 0  # slices before and after that are channels too
    holds_numbers: bool = False  # of classes or instances, or weights: whole numbers stay whole

    @property
    def count(self) -> int:
        """Returns the number of slices of the volume."""
        return self.volume.shape[self.cut.axis]

    @property
    def size(self) -> tuple[int, int]:
        """Returns height and width of the image, px."""
        others = [side for axis, side in enumerate(self.volume.shape) if axis != self.cut.axis]
        return tuple(others[::-1] if self.cut.is_transposed else others)

    @property
    def label(self) -> str:
        """Returns what the slice's name ends with: `#z012`."""
        digits = max(LEAST_DIGITS, len(str(self.count - 1)))
        return f"#{LETTERS[SLICE_AXES[self.slice_axis]]}{self.index:0{digits}}"

    @property
    def path(self) -> Path:
        """Returns the file, or the folder of DICOM files."""
        return self.volume.path

    def __str__(self) -> str:
        return f"{self.path}{self.label}"


def slices_of(volume: Volume, slice_axis: str, neighbours: int = 0, holds_numbers: bool = False) -> list[Slice]:
    """Returns the slices of a volume, in the order of the array."""
    cut = Cut.of(volume.affine, slice_axis)
    count = volume.shape[cut.axis]
    return [Slice(volume, cut, slice_axis, index, neighbours, holds_numbers) for index in range(count)]


class SliceReader:
    """Reads slices, from any number of threads.

    A volume that must be decoded whole, such as .nii.gz, is decoded once and kept while there is room.

    Args:
        room_mb: memory for such volumes, MB.
        recent: number of them that are kept in any case: the last ones.
    """

    def __init__(self, room_mb: int, recent: int = 1) -> None:
        self._cache = Cache(room_mb)
        self._recent: deque[tuple[Path, np.ndarray]] = deque(maxlen=recent)
        self._lock = threading.Lock()

    def __call__(self, slice_: Slice) -> np.ndarray:
        """Returns a slice and its neighbours as channels: float32 (H, W, 2 neighbours + 1).

        At the ends of the volume, the last slice is repeated. If the slice holds numbers, whole ones are uint8, uint16
        or uint32.

        Raises:
            Unreadable: a file is damaged or ends too soon.
            OSError: it cannot be opened.
        """
        indices = np.arange(-slice_.neighbours, slice_.neighbours + 1) + slice_.index
        planes = [self._plane(slice_, int(index)) for index in indices.clip(0, slice_.count - 1)]
        image = np.stack([slice_.cut.image(plane) for plane in planes], axis=-1)
        return _whole_numbers(image, slice_.volume.dtype) if slice_.holds_numbers else image

    def _plane(self, slice_: Slice, index: int) -> np.ndarray:
        volume, axis = slice_.volume, slice_.cut.axis
        if volume.has_planes(axis):
            return volume.values(volume.plane(axis, index))
        return volume.values(self._voxels(volume).take(index, axis))

    def _voxels(self, volume: Volume) -> np.ndarray:
        with self._lock:  # neighbours in the order of pairs would decode one volume at the same time
            for path, voxels in self._recent:
                if path == volume.path:
                    return voxels
            try:
                voxels = self._cache.get(volume.path, volume.whole, lambda voxels: voxels.nbytes)
            except MemoryError as error:
                raise Unreadable("cannot be read: it takes more memory than there is") from error
            self._recent.append((volume.path, voxels))
            return voxels


def _whole_numbers(image: np.ndarray, stored: np.dtype) -> np.ndarray:
    """Returns whole numbers from 0 as unsigned integers, of 8 bits if they are stored so, and others as they are."""
    if not np.isfinite(image).all() or image.min() < 0 or (image % 1).any():
        return image
    if stored.itemsize == 1:
        return image.astype(np.uint8)
    return image.astype(np.uint16 if image.max() <= NUMBERS else np.uint32)
