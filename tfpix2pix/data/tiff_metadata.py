"""Carries metadata from a TIFF file to the TIFF file of its translation: where its pixels lie, and how large they are.

That are the resolution, the tags of GeoTIFF, GDAL's value for no data, the description of OME, and ImageJ's unit. All
that is about the values of the input, such as its colour profile or the names of its channels, is left out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tfpix2pix.data import tiff
from tfpix2pix.data.formats import HEADER_BYTES, SIDEWAYS, format_of
from tfpix2pix.safe_files import open_regular_file

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, NODATA = 282, 283, 296, 42113  # tags
# GeoTIFF's tags: scale, tie points and transformation of the model, directory of keys, and their numbers and texts.
GEO = (33550, 33922, 34264, 34735, 34736, 34737)
TEXT = 2  # type of a tag
IMAGEJ = "ImageJ=1.11a"  # the beginning of the descriptions by which ImageJ knows its files
LONGEST_UNIT = 64  # characters
OME_TYPES = {"uint8": "uint8", "uint16": "uint16", "float32": "float"}

Tag = tuple[int, int, int, Any, bool]  # code, type, count, value and whether it is written once, as tifffile takes it


@dataclass(frozen=True)
class TiffMetadata:
    """Holds the metadata of a TIFF file that its translation keeps."""

    size: tuple[int, int] = (0, 0)  # height and width, px: a translation of another size keeps nothing
    resolution: tuple[tuple[int, int], tuple[int, int]] | None = None  # pixels per unit along x and y, as fractions
    unit: int = 1  # of the resolution, a number of TIFF: 1 none, 2 inch, 3 cm
    geo: tuple[Tag, ...] = ()
    nodata: str | None = None  # value that stands for no data
    ome: str | None = None  # OME-XML
    imagej_unit: str | None = None  # of the resolution, such as micron: ImageJ writes it beside a `unit` of none

    @classmethod
    def of(cls, path: Path) -> TiffMetadata:
        """Reads the metadata of a file. Other formats, and damaged headers, have none."""
        with suppress(Exception), open_regular_file(path) as file:  # parsers raise errors of many types
            if format_of(file.read(HEADER_BYTES)) != "TIFF":
                return cls()
            with tiff.opened(file) as parsed:
                return _read(parsed)
        return cls()

    def with_nodata(self, value: float | str | None) -> TiffMetadata:
        """Returns the metadata with another value for no data, a number or `nan`."""
        return replace(self, nodata=value if value is None else f"{value:.17g}" if value != "nan" else "nan")

    def options(self, shape: tuple[int, ...], dtype: np.dtype | type) -> dict[str, Any]:
        """Returns the arguments with which tifffile writes the metadata beside a translation (H, W, C)."""
        if tuple(shape[:2]) != tuple(self.size):
            return {}
        options: dict[str, Any] = {}
        if self.resolution:
            options |= {"resolution": self.resolution, "resolutionunit": self.unit}
        tags = list(self.geo)
        if self.nodata is not None and fits(self.nodata, dtype):
            tags.append((NODATA, TEXT, 0, self.nodata, True))
        if tags:
            options["extratags"] = tags
        if self.ome and (xml := _ome_of(self.ome, shape, dtype)):
            options |= {"description": xml, "metadata": None}
        elif self.imagej_unit:
            description = f"{IMAGEJ}\nunit={self.imagej_unit}\n".encode("ascii", "backslashreplace")
            options |= {"description": description, "metadata": None}
        return options


def fits(value: str | float, dtype: np.dtype | type) -> bool:
    """Returns True if a number, or the text of one, is a value of a type."""
    try:
        number = float(value)
    except ValueError:
        return False
    return np.dtype(dtype).kind == "f" or (number.is_integer() and 0 <= number <= np.iinfo(dtype).max)


def _read(parsed: Any) -> TiffMetadata:
    series = tiff.image_of(parsed)
    tags, sides = series.keyframe.tags, dict(zip(series.axes, series.shape, strict=True))
    turned = tiff.orientation_of(series.keyframe) >= SIDEWAYS
    size, resolution = (sides["Y"], sides["X"]), (tags.valueof(X_RESOLUTION), tags.valueof(Y_RESOLUTION))
    if turned:
        size, resolution = size[::-1], resolution[::-1]
    unit = tags.valueof(RESOLUTION_UNIT, 1)
    is_upright = tiff.orientation_of(series.keyframe) == 1  # GeoTIFF places the pixels as they are stored
    geo = tuple(_tag(tags[code]) for code in GEO if code in tags) if is_upright else ()
    nodata = str(tags.valueof(NODATA)).strip("\0 ") if NODATA in tags else None
    ome = parsed.ome_metadata if parsed.is_ome else None
    known = None not in resolution and all(0 not in side for side in resolution)
    return TiffMetadata(size, resolution if known else None, int(unit), geo, nodata, ome, _imagej_unit(parsed))


def _imagej_unit(parsed: Any) -> str | None:
    """Returns the unit of a file's resolution that ImageJ wrote."""
    unit = str((parsed.imagej_metadata or {}).get("unit", "")) if parsed.is_imagej else ""
    return unit if unit.isprintable() and len(unit) <= LONGEST_UNIT else None


def _tag(tag: Any) -> Tag:
    value = tag.value if isinstance(tag.value, (str, bytes, tuple, list)) else (tag.value,)
    count = 0 if isinstance(value, (str, bytes)) else len(value)
    return tag.code, int(tag.dtype), count, value, True


def _ome_of(xml: str, shape: tuple[int, ...], dtype: np.dtype | type) -> bytes | None:
    """Returns OME-XML of a translation (H, W, C) for that of its input: of the first image, with its channels and type.

    None: it is no OME-XML, or defines entities, which could fill the memory.
    """
    if "<!" in xml.replace("<!--", ""):
        return None
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    images = root.findall(f"{space}Image")
    pixels = images[0].find(f"{space}Pixels") if images else None
    if pixels is None:
        return None
    for other in images[1:]:
        root.remove(other)
    root.attrib.pop("UUID", None)  # of another file
    height, width, channels = (*shape, 1)[:3]
    sizes = {"SizeX": width, "SizeY": height, "SizeZ": 1, "SizeC": channels, "SizeT": 1}
    pixels.attrib.update({key: str(value) for key, value in sizes.items()})
    pixels.attrib.update({"Type": OME_TYPES[np.dtype(dtype).name], "DimensionOrder": "XYCZT"})
    for key in ("SignificantBits", "BigEndian", "Interleaved"):
        pixels.attrib.pop(key, None)
    for child in list(pixels):
        if child.tag.removeprefix(space) in ("Channel", "BinData", "TiffData", "MetadataOnly", "Plane"):
            pixels.remove(child)
    channel = ElementTree.Element(f"{space}Channel", {"ID": "Channel:0:0", "SamplesPerPixel": str(channels)})
    data = ElementTree.Element(f"{space}TiffData", {"IFD": "0", "PlaneCount": "1"})
    pixels[:0] = [channel, data]
    if space:
        ElementTree.register_namespace("", space[1:-1])
    return ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
