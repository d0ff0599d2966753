"""Small volumes for tests, written by nibabel and by pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel", reason="it needs tfpix2pix[medical]")
pydicom = pytest.importorskip("pydicom", reason="it needs tfpix2pix[medical]")

RAS = np.array([[2.0, 0, 0, -10], [0, 2, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])  # array axes right, front, head


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = RAS, slope: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm", "sec")
    if slope is not None:
        image.header.set_slope_inter(slope, -7)
    if slope is not None:  # nibabel would scale back
        path.write_bytes(scaled_bytes(image, voxels, slope))
    else:
        nibabel.save(image, path)
    return path


def scaled_bytes(image, voxels: np.ndarray, slope: float) -> bytes:
    """A file whose stored values are `voxels`, and whose values are slope * voxels - 7."""
    header = image.header.copy()
    header.set_data_dtype(voxels.dtype)
    header.set_slope_inter(slope, -7)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return header.binaryblock + bytes(4) + voxels.tobytes(order="F")


def write_series(
    folder: Path,
    pixels: np.ndarray,
    *,
    first_mm: tuple[float, float, float] = (-30.0, -40.0, 12.0),
    directions: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    spacing_mm: tuple[float, float] = (1.5, 0.75),
    step_mm: float = 2.5,
    series: str = "1.2.3.4",
    description: str = "T1",
    names: list[str] | None = None,
    **tags: object,
) -> list[Path]:
    """A CT series of pixels (slices, rows, columns), whose files are not in the order of their places by name."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(directions[:3], directions[3:])
    order = np.random.default_rng(0).permutation(len(pixels))
    paths = []
    for index, plane in enumerate(pixels):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        data = pydicom.Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.SeriesDescription, data.Modality = series, description, "CT"
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelRepresentation = 0
        data.PixelSpacing = list(spacing_mm)
        data.ImageOrientationPatient = list(directions)
        data.ImagePositionPatient = [float(value) for value in np.array(first_mm) + index * step_mm * normal]
        data.RescaleSlope, data.RescaleIntercept = 2, -1024
        data.PixelData = plane.astype(np.uint16).tobytes()
        for tag, value in tags.items():
            setattr(data, tag, value)
        paths.append(folder / (names[index] if names else f"IM{order[index]:04}.dcm"))
        data.save_as(paths[-1], enforce_file_format=True)
    return paths
