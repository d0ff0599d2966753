"""Reads from a file how large its pixels are, in mm, for scale bars."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfpix2pix.data.tiff_metadata import TiffMetadata
from tfpix2pix.data.volumes import Slice

PixelMm = tuple[float, float]  # width and height of a pixel, mm

INCH_MM = 25.4
UNITS_MM = {
    "å": 1e-7, "nm": 1e-6, "nanometer": 1e-6, "nanometre": 1e-6, "µm": 1e-3, "um": 1e-3, "micron": 1e-3,
    "microns": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3, "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0,
    "cm": 10.0, "centimeter": 10.0, "centimetre": 10.0, "m": 1e3, "meter": 1e3, "metre": 1e3, "inch": INCH_MM,
    "in": INCH_MM,
}  # fmt: skip
TIFF_UNITS_MM = {2: INCH_MM, 3: 10.0}  # of tag 296
# Dots per inch that programs write because a picture may be printed. They measure nothing.
PRINTED_DPI = (72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 220, 240, 250, 266, 300, 350, 360, 400, 600, 720, 1200)
ROUNDED = 0.005  # relative difference to one of these that is a rounded one


def pixel_mm(place: Path | Slice) -> PixelMm | None:
    """Returns width and height in mm of a pixel of a TIFF file or of a slice of a volume, or None if it does not say.

    A TIFF file says it by OME-XML, by ImageJ's unit, or by its resolution. A resolution of a usual number of dots per
    inch, such as 72 or 300, is one for printing: it says nothing, and neither does one pixel an inch or cm. An affine
    is in mm, unless a NIfTI header says otherwise.
    """
    size = _of_slice(place) if isinstance(place, Slice) else _of_tiff(TiffMetadata.of(place))
    return size if size and all(math.isfinite(side) and side > 0 for side in size) else None


def _of_slice(place: Slice) -> PixelMm:
    volume = place.volume
    sides = np.sqrt((volume.affine[:3, :3] ** 2).sum(axis=0)) * _unit_of(volume.header)
    others = [float(side) for axis, side in enumerate(sides) if axis != place.cut.axis]
    rows, columns = others[::-1] if place.cut.is_transposed else others
    return columns, rows


def _unit_of(header: Any) -> float:
    """Returns the mm of the unit of a volume's affine."""
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "mm"
    return UNITS_MM.get(unit, 1.0)


def _of_tiff(metadata: TiffMetadata) -> PixelMm | None:
    if metadata.ome:
        return _of_ome(metadata.ome)
    if metadata.resolution is None or (metadata.resolution == ((1, 1), (1, 1)) and not metadata.imagej_unit):
        return None
    unit = (metadata.imagej_unit or "").strip().lower().replace("\\u00b5", "µ").replace("μ", "µ")
    unit_mm = UNITS_MM.get(unit) if unit else TIFF_UNITS_MM.get(metadata.unit)
    if unit_mm is None:
        return None
    size = tuple(unit_mm * denominator / numerator for numerator, denominator in metadata.resolution)
    return None if all(map(_is_for_printing, size)) else size


def _is_for_printing(side_mm: float) -> bool:
    return any(abs(INCH_MM / side_mm / dpi - 1) < ROUNDED for dpi in PRINTED_DPI)


def _of_ome(xml: str) -> PixelMm | None:
    if "<!" in xml.replace("<!--", ""):  # it defines entities, which could fill the memory
        return None
    try:
        pixels = next((tag for tag in ElementTree.fromstring(xml).iter() if tag.tag.endswith("Pixels")), None)
    except ElementTree.ParseError:
        return None
    sides = []
    for axis in "XY" if pixels is not None else "":
        unit_mm = UNITS_MM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").lower().replace("μ", "µ"))
        try:
            sides.append(float(pixels.get(f"PhysicalSize{axis}", "")) * unit_mm)
        except (ValueError, TypeError):  # it has no size, or one in pixels
            return None
    return tuple(sides) or None
