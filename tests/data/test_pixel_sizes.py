"""How large a pixel is, as files say it."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfpix2pix.data.pixel_sizes import pixel_mm

IMAGE = np.zeros((6, 8), np.uint16)


def tiff(path, **options):
    tifffile.imwrite(path / "a.tif", IMAGE, **options)
    return path / "a.tif"


def test_a_resolution_in_cm_or_inches_is_a_measure(tmp_path):
    assert pixel_mm(tiff(tmp_path, resolution=(5, 4), resolutionunit="CENTIMETER")) == pytest.approx((2, 2.5))
    assert pixel_mm(tiff(tmp_path, resolution=(2540, 1270), resolutionunit="INCH")) == pytest.approx((0.01, 0.02))


@pytest.mark.parametrize("dpi", [72, 96, 300, 600])
def test_a_resolution_for_printing_is_not(tmp_path, dpi):
    assert pixel_mm(tiff(tmp_path, resolution=(dpi, dpi), resolutionunit="INCH")) is None
    in_cm = round(dpi / 2.54, 2)
    assert pixel_mm(tiff(tmp_path, resolution=(in_cm, in_cm), resolutionunit="CENTIMETER")) is None


def test_imagej_says_its_unit(tmp_path):
    micron = tiff(tmp_path, imagej=True, resolution=(1 / 0.65, 1 / 0.65), metadata={"unit": "micron"})
    assert pixel_mm(micron) == pytest.approx((0.65e-3, 0.65e-3), rel=1e-6)
    escaped = tiff(tmp_path, imagej=True, resolution=(4, 2), metadata={"unit": "\\u00B5m"})
    assert pixel_mm(escaped) == pytest.approx((0.25e-3, 0.5e-3))
    assert pixel_mm(tiff(tmp_path, imagej=True, resolution=(4, 4), metadata={"unit": "pixel"})) is None
    in_inches = tiff(tmp_path, imagej=True, resolution=(72, 72), metadata={"unit": "inch"})
    assert pixel_mm(in_inches) is None


def test_ome_says_its_size(tmp_path):
    sizes = {"PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 650, "PhysicalSizeYUnit": "nm"}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX", **sizes})
    assert pixel_mm(path) == pytest.approx((0.325e-3, 0.65e-3))
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX"}, resolution=(5, 5), resolutionunit="CENTIMETER")
    assert pixel_mm(path) is None  # OME's own statement is missing, and what wrote the tags is not known
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX", **sizes, "PhysicalSizeYUnit": "pixel"})
    assert pixel_mm(path) is None


def test_what_does_not_say_it_has_none(tmp_path):
    assert pixel_mm(tiff(tmp_path)) is None
    assert pixel_mm(tiff(tmp_path, resolution=(5, 5), resolutionunit="NONE")) is None
    assert pixel_mm(tiff(tmp_path, resolution=(1, 1), resolutionunit="INCH")) is None  # what some programs always write
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png", dpi=(300, 300))
    (tmp_path / "broken.tif").write_bytes(b"II*\0broken")
    for name in ("a.png", "broken.tif", "missing.tif"):
        assert pixel_mm(tmp_path / name) is None


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1.0), (None, 1.0), ("micron", 1e-3)])
@pytest.mark.parametrize(("axis", "sides"), [("axial", (2, 3)), ("coronal", (2, 5)), ("sagittal", (3, 5))])
def test_a_slice_has_the_sides_of_its_voxels(tmp_path, unit, mm, axis, sides):
    nibabel = pytest.importorskip("nibabel")
    from tfpix2pix.data.volumes import open_volume, slices_of

    image = nibabel.Nifti1Image(np.zeros((4, 6, 8), np.float32), np.diag([-2, -3, 5, 1]))
    if unit:
        image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii.gz")
    (first, *_) = slices_of(open_volume(tmp_path / "a.nii.gz", 256), axis)
    assert pixel_mm(first) == pytest.approx(tuple(mm * side for side in sides))
