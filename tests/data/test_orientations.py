"""Every decoder turns an image upright and shows 0 as black, whatever format and depth chose it."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from tfpix2pix.data.doctor.headers import header
from tfpix2pix.data.formats import ORIENTATION, decode, encode
from tfpix2pix.data.images import read_image, read_size

HEIGHT, WIDTH = 5, 7
STORED_FROM_UPRIGHT = {  # orientation -> what the file stores of an upright image
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: np.swapaxes(image, 0, 1),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: np.rot90(np.swapaxes(image, 0, 1), 2),
    8: lambda image: np.rot90(image, -1),
}


def upright_image(channels, dtype):
    rng = np.random.default_rng(channels)
    if dtype is bool:
        return rng.random((HEIGHT, WIDTH, channels)) < 0.5
    if dtype is np.float32:
        return rng.random((HEIGHT, WIDTH, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (HEIGHT, WIDTH, channels), dtype, endpoint=True)


def with_png_chunk(data, orientation, *, last=False):
    """The PNG with its orientation in an eXIf chunk, before or after the pixels."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    chunk = io.BytesIO()
    PngImagePlugin.putchunk(chunk, b"eXIf", exif.tobytes()[6:])
    place = len(data) - 12 if last else 33  # before IEND, or after IHDR
    return data[:place] + chunk.getvalue() + data[place:]


def by_pillow(format_, **options):
    def write(image, orientation):
        exif, buffer = Image.Exif(), io.BytesIO()
        exif[ORIENTATION] = orientation
        plain = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
        Image.fromarray(plain).save(buffer, format_, exif=exif, **options)
        return buffer.getvalue()

    return write


def tiff(photometric="minisblack", *, first=False, **options):
    """A TIFF of tifffile; `first`: a page or plane for each channel."""

    def write(image, orientation):
        image = np.ascontiguousarray(
            np.moveaxis(image, -1, 0) if first else image.squeeze(-1) if image.shape[-1] == 1 else image
        )
        tags = [(ORIENTATION, "H", 1, orientation, True)]
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, image, photometric=photometric, extratags=tags, metadata=None, **options)
        return buffer.getvalue()

    return write


def png(*, last=False):
    return lambda image, orientation: with_png_chunk(
        encode(np.ascontiguousarray(image), ".png"), orientation, last=last
    )


FILES = {  # format and depth -> (channels, dtype, how it is written)
    "png-1-bit": (1, bool, by_pillow("PNG")),
    "png-8-bit-gray": (1, np.uint8, png()),
    "png-8-bit-rgb": (3, np.uint8, png()),
    "png-8-bit-rgb-exif-last": (3, np.uint8, png(last=True)),
    "png-16-bit-gray": (1, np.uint16, png()),
    "png-16-bit-gray-alpha": (2, np.uint16, png()),
    "png-16-bit-rgb": (3, np.uint16, png()),
    "png-16-bit-rgb-exif-last": (3, np.uint16, png(last=True)),
    "png-16-bit-rgba": (4, np.uint16, png()),
    "webp-8-bit-rgb": (3, np.uint8, by_pillow("WEBP", lossless=True, exact=True)),
    "tiff-1-bit": (1, bool, tiff()),
    "tiff-8-bit-gray": (1, np.uint8, tiff()),
    "tiff-8-bit-rgb": (3, np.uint8, tiff("rgb")),
    "tiff-16-bit-gray": (1, np.uint16, tiff()),
    "tiff-16-bit-rgb": (3, np.uint16, tiff("rgb")),
    "tiff-16-bit-rgba": (4, np.uint16, tiff("rgb")),
    "tiff-16-bit-5-channels": (5, np.uint16, tiff(planarconfig="contig")),
    "tiff-16-bit-planes": (5, np.uint16, tiff(planarconfig="separate", first=True)),
    "tiff-8-bit-pages": (5, np.uint8, tiff(first=True)),
    "tiff-float-gray": (1, np.float32, tiff()),
    "tiff-float-3-channels": (3, np.float32, tiff(planarconfig="contig")),
}  # fmt: skip


@pytest.mark.parametrize("orientation", STORED_FROM_UPRIGHT)
@pytest.mark.parametrize("kind", FILES)
def test_every_format_and_depth_is_upright(tmp_path, kind, orientation):
    """Pixels, the size that is read beforehand, and the size that the doctor counts."""
    channels, dtype, write = FILES[kind]
    upright = upright_image(channels, dtype)
    path = tmp_path / "a.img"
    path.write_bytes(write(STORED_FROM_UPRIGHT[orientation](upright), orientation))
    image = read_image(path)
    np.testing.assert_array_equal(image, upright * np.uint8(255) if dtype is bool else upright)
    assert read_size(path) == (HEIGHT, WIDTH)
    assert header(path).size == f"{WIDTH}x{HEIGHT} px"


@pytest.mark.parametrize("orientation", STORED_FROM_UPRIGHT)
def test_a_jpeg_is_upright(tmp_path, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255
    path = tmp_path / "a.jpg"
    path.write_bytes(by_pillow("JPEG", quality=95)(STORED_FROM_UPRIGHT[orientation](upright), orientation))
    np.testing.assert_allclose(read_image(path), upright, atol=9)
    assert read_size(path) == (16, 32) and header(path).size == "32x16 px"


WHITE_IS_ZERO = {  # depth -> (channels, dtype, how it is written, which channels are gray)
    "1-bit": (1, bool, tiff("miniswhite"), 1),
    "8-bit": (1, np.uint8, tiff("miniswhite"), 1),
    "16-bit": (1, np.uint16, tiff("miniswhite"), 1),
    "16-bit-big-endian": (1, np.uint16, tiff("miniswhite", byteorder=">"), 1),
    "8-bit-pages": (3, np.uint8, tiff("miniswhite", first=True), 3),
    "16-bit-pages": (3, np.uint16, tiff("miniswhite", first=True), 3),
    "16-bit-alpha": (2, np.uint16, tiff("miniswhite", planarconfig="contig", extrasamples=["unassalpha"]), 1),
}


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("depth", WHITE_IS_ZERO)
def test_where_white_is_zero_the_image_is_not_negative(depth, orientation):
    channels, dtype, write, gray = WHITE_IS_ZERO[depth]
    upright = upright_image(channels, dtype)
    stored = upright.copy()
    stored[..., :gray] = ~stored[..., :gray]
    image = decode(write(STORED_FROM_UPRIGHT[orientation](stored), orientation))
    np.testing.assert_array_equal(image, upright * np.uint8(255) if dtype is bool else upright)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ink_becomes_rgb(dtype):
    """Cyan, magenta, yellow, black, and no ink at all."""
    full = np.iinfo(dtype).max
    ink = np.concatenate([np.eye(4), np.zeros((1, 4))])[np.newaxis].astype(dtype) * full
    colors = np.array([[[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]]], dtype) * full
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, ink, photometric="separated", metadata=None)
    np.testing.assert_array_equal(decode(buffer.getvalue()), colors)
