"""Every format keeps depth and channels; what no image is made of is refused."""

import io
import os
import sys
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfpix2pix.data.doctor.headers import header
from tfpix2pix.data.formats import HEADER_BYTES, SIGNATURES, decode, encode, format_of
from tfpix2pix.data.images import read_image, read_size, write_image
from tfpix2pix.errors import UserError
from tfpix2pix.quiet import quiet_pillow


def picture(channels, dtype):
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return rng.normal(0, 100, (9, 7, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (9, 7, channels), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_round_trip(channels, dtype):
    """16-bit colour, too, which Pillow would cut to 8 bits without a word."""
    image = picture(channels, dtype)
    back = decode(encode(image, ".png"))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_tiff_round_trip(tmp_path, channels, dtype):
    image = picture(channels, dtype)
    write_image(tmp_path / "a.tif", image)
    back = read_image(tmp_path / "a.tif")
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)
    assert read_size(tmp_path / "a.tif") == (9, 7)


def test_tiff_planes_one_after_the_other():
    image, buffer = picture(5, np.uint16), io.BytesIO()
    tifffile.imwrite(buffer, np.moveaxis(image, -1, 0), photometric="minisblack", planarconfig="separate")
    np.testing.assert_array_equal(decode(buffer.getvalue()), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int32])
def test_npy(tmp_path, dtype, rng):
    image = (rng.random((6, 5, 7)) * 100).astype(dtype)
    np.save(tmp_path / "a.npy", image)
    back = read_image(tmp_path / "a.npy")
    assert back.dtype == {"f": np.float32, "i": np.uint16, "u": dtype}[np.dtype(dtype).kind]
    np.testing.assert_array_equal(back, image.astype(back.dtype))
    np.save(tmp_path / "gray.npy", image[..., 0])
    assert read_image(tmp_path / "gray.npy").shape == (6, 5, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5)), r"an array of shape \(2, 3, 4, 5\), not \(H, W\)"),
        (np.zeros((0, 4)), r"shape \(0, 4, 1\)"),
        (np.full((2, 2), -1), "int64 values, not integers of 8 or 16 bits from 0"),
        (np.full((2, 2), 70_000), "int64 values, not"),
        (np.array([["a"]]), "<U1 values, not"),
        (np.array([[{}]], object), "Object arrays|pickle"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=f"a.npy, which cannot be read: .*({message})"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_deep_files_cut_short_are_refused(tmp_path, suffix, rng):
    path = tmp_path / f"a{suffix}"
    image = rng.integers(0, 65536, (64, 64, 3), np.uint16)
    np.save(path, image) if suffix == ".npy" else write_image(path, image)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="must be readable and whole"):
        read_image(path)


def test_float_tiff_of_pillow():
    image, buffer = picture(1, np.float32), io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, "TIFF")
    np.testing.assert_array_equal(decode(buffer.getvalue()), image)


def test_gray_pages_of_a_tiff_are_channels_and_colour_pages_are_refused(tmp_path):
    pages = np.random.default_rng(0).integers(0, 256, (7, 40, 30), np.uint8)
    tifffile.imwrite(tmp_path / "gray.tif", pages)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.tif"), np.moveaxis(pages, 0, -1))
    tifffile.imwrite(tmp_path / "colour.tif", np.stack([np.zeros((40, 30, 3), np.uint8)] * 2), photometric="rgb")
    with pytest.raises(UserError, match=r"shape \(2, 40, 30, 3\), not"):
        read_image(tmp_path / "colour.tif")


@pytest.mark.parametrize(
    ("channels", "extra", "kind"),
    [
        (4, ["unspecified"], "4 channels, 8 bits"),
        (5, ["unspecified"] * 2, "5 channels, 8 bits"),
        (6, ["unspecified"] * 3, "6 channels, 8 bits"),
        (4, ["unassalpha"], "RGBA, 8 bits"),
        (5, ["unassalpha", "unspecified"], "5 channels, 8 bits"),
    ],
)
def test_every_band_of_an_8_bit_tiff_is_read(tmp_path, channels, extra, kind):
    """Near infrared beside RGB, say: Pillow would leave it out without a word."""
    image, path = picture(channels, np.uint8), tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", extrasamples=extra)
    np.testing.assert_array_equal(read_image(path), image)
    assert (read_size(path), header(path)[:2]) == ((9, 7), ("7x9 px", kind))


def test_a_compression_that_only_another_package_reads_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    Image.fromarray(picture(4, np.uint8), "RGBX").save(tmp_path / "a.tif", compression="tiff_lzw")
    with pytest.raises(UserError, match="compression LZW is read by the package imagecodecs .* install it, or save"):
        read_image(tmp_path / "a.tif")
    assert read_size(tmp_path / "a.tif") == (9, 7)


def test_a_second_gray_band_is_read_and_ink_keeps_what_lies_beside_it():
    second, ink = picture(2, np.uint8), np.zeros((9, 7, 5), np.uint8)
    ink[..., 4] = picture(1, np.uint8)[..., 0]
    rgb = np.dstack([255 - ink[..., :3], ink[..., 4]])
    for image, options, expected in (
        (second, {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unspecified"]}, second),
        (ink, {"photometric": "separated", "extrasamples": ["unassalpha"]}, rgb),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, image, **options)
        np.testing.assert_array_equal(decode(buffer.getvalue()), expected)


@pytest.mark.parametrize("axes", [None, "CYX", "ZYX", "TYX", "QYX"])
@pytest.mark.parametrize("program", [{}, {"imagej": True}, {"ome": True}], ids=["tifffile", "imagej", "ome"])
def test_gray_pages_are_channels_whatever_their_axis_is_called(tmp_path, program, axes):
    if axes == "QYX" and program:
        pytest.skip("no axis of this program")
    pages, path = np.random.default_rng(0).integers(0, 256, (3, 9, 7), np.uint8), tmp_path / "a.tif"
    tifffile.imwrite(path, pages, photometric="minisblack", metadata=axes and {"axes": axes}, **program)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(pages, 0, -1))
    assert (read_size(path), header(path)[:2]) == ((9, 7), ("7x9 px", "RGB, 8 bits"))


def test_pages_of_two_kinds_are_refused_with_their_axes(tmp_path):
    pages = np.zeros((2, 3, 9, 7), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(UserError, match=r"shape \(2, 3, 9, 7\), not \(H, W\) or \(H, W, C\): its axes are ZCYX\."):
        read_image(tmp_path / "a.tif")


def test_a_broken_tiff_is_one_sentence_and_nothing_of_the_library(tmp_path, caplog):
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    with pytest.raises(UserError, match="a.tif, which cannot be read"):
        read_image(tmp_path / "a.tif")
    assert header(tmp_path / "a.tif") is None
    assert caplog.records == []


def test_damaged_metadata_are_read_without_a_word_of_the_library(tmp_path):
    image = Image.fromarray(picture(3, np.uint8))
    exif = image.getexif()
    exif[0x010E] = "a long description, which the file does not hold"
    image.save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif.tobytes()[6:-20])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_image(tmp_path / "a.jpg").shape == (9, 7, 3)
        assert "Truncated" in str(caught[0].message)  # what it would say
        caught.clear()
        quiet_pillow()
        assert read_image(tmp_path / "a.jpg").shape == (9, 7, 3) and header(tmp_path / "a.jpg")
        assert caught == []


def as_file(format_):
    buffer = io.BytesIO()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.save(buffer, pixels) if format_ == "NPY" else Image.fromarray(pixels).save(buffer, format_)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", SIGNATURES)
def test_the_first_bytes_say_which_format_it_is_whatever_the_name(tmp_path, format_):
    data = as_file(format_)
    assert format_of(data[:HEADER_BYTES]) == format_
    for name in ("a.png", "a.npy", "a.jpg", "a.tif"):
        (tmp_path / name).write_bytes(data)
        assert read_image(tmp_path / name).shape == (4, 4, 3)
        assert read_size(tmp_path / name) == (4, 4)


@pytest.mark.parametrize(
    "start",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xc5\xd0\xd3\xc6", b"P6\n1 1\n255\nabc", b"8BPS\0\1",
        b"\0\0\1\0\1\0", b"<svg/>", b"RIFF\0\0\0\0AVI ", b"B", b"\x0a\x05\x01\x08",
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_other_formats_are_not_opened_whatever_pillow_knows(tmp_path, start, suffix):
    """PostScript under an image's name would be run by Ghostscript."""
    (tmp_path / f"a.{suffix}").write_bytes(start)
    with pytest.raises(UserError, match=r"a\.\w+, which is not in a supported format \(PNG.*NPY\).*\. Replace"):
        read_image(tmp_path / f"a.{suffix}")
    with pytest.raises(UserError, match="not in a supported format"):
        read_size(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photograph"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "an AVIF image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n<svg/>", "an SVG drawing"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"%PDF-1.7", "a PDF file"),
        (b"PK\3\4\x14\0", "a ZIP archive"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS, which `git lfs pull` rep"),
    ],
)
def test_a_format_that_is_not_read_is_named(tmp_path, start, said):
    (tmp_path / "a.jpg").write_bytes(start)
    with pytest.raises(UserError) as error:
        read_image(tmp_path / "a.jpg")
    assert f"is not in a supported format (PNG, JPEG, WEBP, BMP, GIF, TIFF, NPY): it is {said}" in str(error.value)


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png, which cannot be read: it is not a regular file"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("format_", SIGNATURES)
def test_a_damaged_image_is_one_sentence(tmp_path, format_):
    """Whatever the parsers raise: struct.error, zlib.error, IndexError, OverflowError …"""
    whole, rng, messages = as_file(format_), np.random.default_rng(0), []
    for number in range(120):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(data), 1 + number % 5)
        data[places] = rng.integers(0, 256, len(places))
        (tmp_path / "a.png").write_bytes(data[: rng.integers(1, len(data))] if number % 3 == 0 else data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for reader in (read_image, read_size, header):
                try:
                    reader(tmp_path / "a.png")
                except UserError as error:
                    messages.append(str(error))
    assert messages
    assert {len(message.splitlines()) for message in messages} == {1}
