"""A part of a file, as a file of the same kind: what is read from it is that part of what was read before."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfpix2pix.data.formats import decode, encode, format_of
from tfpix2pix.data.originals import open_original


def values(shape, most=256, seed=0):
    return np.random.default_rng(seed).integers(0, most, shape, np.uint16 if most > 256 else np.uint8)


GRAY, RGB, RGBA = values((20, 30)), values((20, 30, 3), seed=1), values((20, 30, 4), seed=2)
DEEP = values((20, 30, 3), 65536, seed=3)


def by_pillow(image, format_, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, format=format_, **options)
    return buffer.getvalue()


def by_tifffile(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def by_numpy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def palette_image():
    image = Image.fromarray(GRAY % 5)
    image.putpalette([channel for color in range(5) for channel in (50 * color, 9, 200 - color)])
    return image


def turned(image, format_):
    exif = Image.Exif()
    exif[274] = 6
    return by_pillow(Image.fromarray(image), format_, exif=exif)


FILES = {
    "png gray": by_pillow(GRAY, "PNG"),
    "png rgb": by_pillow(RGB, "PNG"),
    "png rgba": by_pillow(RGBA, "PNG"),
    "png gray alpha": by_pillow(Image.merge("LA", [Image.fromarray(GRAY)] * 2), "PNG"),
    "png one bit": by_pillow(GRAY > 99, "PNG"),
    "png palette": by_pillow(palette_image(), "PNG"),
    "png palette of one transparent": by_pillow(palette_image(), "PNG", transparency=2),
    "png of a transparent color": by_pillow(RGB, "PNG", transparency=tuple(map(int, RGB[3, 4]))),
    "png gray 16": by_pillow(DEEP[..., 0], "PNG"),
    "png rgb 16": encode(DEEP, ".png"),
    "png turned": turned(RGB, "PNG"),
    "gif": by_pillow(palette_image(), "GIF"),
    "bmp": by_pillow(RGB, "BMP"),
    "webp": by_pillow(RGB, "WEBP", lossless=True),
    "tiff gray": by_pillow(GRAY, "TIFF"),
    "tiff one bit": by_pillow(GRAY > 99, "TIFF"),
    "tiff palette": by_pillow(palette_image(), "TIFF"),
    "tiff ink": by_pillow(Image.fromarray(RGB).convert("CMYK"), "TIFF"),
    "tiff gray 16": by_pillow(DEEP[..., 0], "TIFF"),
    "tiff gray 16 big-endian": by_tifffile(DEEP[..., 0], byteorder=">"),
    "tiff white is zero": by_tifffile(DEEP[..., 0], photometric="miniswhite"),
    "tiff rgb 16": by_tifffile(DEEP, photometric="rgb"),
    "tiff float": by_tifffile(DEEP[..., 0] / np.float32(7)),
    "tiff float of five channels": by_tifffile(
        values((20, 30, 5)) / np.float32(9), photometric="minisblack", planarconfig="contig"
    ),
    "tiff float64": by_tifffile(DEEP[..., 0] / 7),
    "tiff gray 16 with a sign": by_tifffile(GRAY.astype(np.int16) - 99),
    "tiff gray 8 with a sign": by_tifffile(GRAY.view(np.int8)),
    "tiff pages": by_tifffile(values((4, 20, 30)), photometric="minisblack"),
    "npy float64": by_numpy(DEEP[..., 0] / 7),
    "npy of seven channels": by_numpy(values((20, 30, 7))),
    "npy bool": by_numpy(GRAY > 99),
    "npy int64": by_numpy(DEEP[..., 0].astype(np.int64)),
}
ROWS, COLUMNS = slice(3, 17), slice(2, 19)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_lost(name):
    data = FILES[name]
    original = open_original(data, 1e6)
    part = original.encode(original.pixels[ROWS, COLUMNS])
    assert format_of(part) == format_of(data)
    for palette in ("colors",) if "with a sign" in name else ("colors", "indices", "levels", "ids"):
        before, after = (decode(file, palette=palette) for file in (data, part))
        assert after.dtype == before.dtype
        np.testing.assert_array_equal(after, before[ROWS, COLUMNS])


def test_arrays_keep_their_type():
    for name in ("npy float64", "npy bool", "npy int64"):
        original = open_original(FILES[name], 1e6)
        before, after = (np.load(io.BytesIO(file)) for file in (FILES[name], original.encode(original.pixels[:5])))
        assert after.dtype == before.dtype and after.shape == (5, 30)
    original = open_original(FILES["tiff float64"], 1e6)
    assert tifffile.imread(io.BytesIO(original.encode(original.pixels))).dtype == np.float64


def test_jpeg_loses_little():
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    for mode in ("L", "RGB", "CMYK"):
        data = by_pillow(Image.fromarray(smooth).convert(mode), "JPEG", quality=80)
        original = open_original(data, 1e6)
        part = original.encode(original.pixels[ROWS, COLUMNS])
        assert format_of(part) == "JPEG" and Image.open(io.BytesIO(part)).mode == mode
        assert np.abs(decode(part).astype(int) - decode(data)[ROWS, COLUMNS]).max() < 8


def test_a_profile_and_a_resolution_are_kept():
    data = by_pillow(RGB, "PNG", icc_profile=b"profile", dpi=(300, 300))
    original = open_original(data, 1e6)
    info = Image.open(io.BytesIO(original.encode(original.pixels[:9]))).info
    assert info["icc_profile"] == b"profile" and info["dpi"] == pytest.approx((300, 300), abs=0.1)
