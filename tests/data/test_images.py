"""Files to arrays to [-1, 1] and back, without loss and without surprises."""

import io
import os
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, PngImagePlugin

from tests.conftest import write_image as write_picture
from tfpix2pix.data import SOURCES
from tfpix2pix.data.formats import decode, encode
from tfpix2pix.data.images import SUFFIXES, list_images, match_channels, read_image, read_size, suffix_for, write_image
from tfpix2pix.data.ranges import from_signed, full_range, in_range, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_rgb_of_every_format(format):
    smooth = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[:, None, None], (32, 24, 3)).copy()
    options = {"lossless": True} if format == "WEBP" else {}
    array = decode(encoded(Image.fromarray(smooth), format, **options))
    assert (array.shape, array.dtype) == ((32, 24, 3), np.uint8)
    assert np.abs(array.astype(int) - smooth).max() <= (8 if format in ("JPEG", "GIF") else 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_survive_the_signed_range_exactly(dtype):
    every = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)[:, None, None]
    signed = to_signed(every)
    assert signed.dtype == np.float32
    assert (signed.min(), signed.max()) == (-1.0, 1.0)
    np.testing.assert_array_equal(from_signed(signed, dtype), every)


@given(hnp.arrays(np.float32, (5, 4, 3), elements=st.floats(-5, 5, width=32)))
def test_from_signed_clips_and_rounds(image):
    twin = np.round(np.clip((image.astype(np.float64) + 1) / 2, 0, 1) * 255)
    assert np.abs(from_signed(image).astype(float) - twin).max() <= 1  # ties may fall either way in float32


def test_sixteen_bits_and_orientation_are_kept(tmp_path, rng):
    deep = rng.integers(0, 65536, (6, 5), np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (read_image(tmp_path / "deep.png") == deep[..., None]).all()
    assert read_image(tmp_path / "deep.png").dtype == np.uint16

    picture = Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    picture.save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").shape == (5, 6, 3)
    assert read_size(tmp_path / "turned.png") == (5, 6)


def test_palettes_become_colours():
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode="L").convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    assert decode(encoded(picture, "PNG")).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def with_transparent_color(data: bytes, *samples: int) -> bytes:
    """The PNG with a chunk tRNS."""
    chunk = io.BytesIO()
    PngImagePlugin.putchunk(chunk, b"tRNS", b"".join(sample.to_bytes(2, "big") for sample in samples))
    return data[:33] + chunk.getvalue() + data[33:]


@pytest.mark.parametrize(
    ("pixels", "samples"),
    [
        (np.array([[[10], [20]]], np.uint8), (20,)),
        (np.array([[[0], [255]]], bool), (1,)),
        (np.array([[[300], [20]]], np.uint16), (20,)),
        (np.array([[[1, 2, 3], [1, 2, 4]]], np.uint8), (1, 2, 4)),
        (np.array([[[300, 2, 3], [300, 2, 4]]], np.uint16), (300, 2, 4)),
    ],
)
def test_a_transparent_colour_is_an_alpha_channel(pixels, samples):
    """Gray and colour files have it as palettes do, so that `data.alpha` decides about it."""
    plain = encoded(Image.fromarray(pixels[..., 0]), "PNG") if pixels.dtype == bool else encode(pixels, ".png")
    image, full = decode(plain), 255 if pixels.dtype != np.uint16 else 65535
    alpha = np.array([[[full], [0]]], image.dtype)
    np.testing.assert_array_equal(decode(with_transparent_color(plain, *samples)), np.dstack([image, alpha]))
    of_labels = decode(with_transparent_color(plain, *samples), palette="indices")
    np.testing.assert_array_equal(of_labels[..., : pixels.shape[-1]], pixels)  # the alpha of colours is left out later
    assert of_labels.shape[-1] != 2


def test_a_transparent_colour_of_4_bits_is_scaled_as_the_pixels_are():
    header = (1).to_bytes(4, "big") * 2 + bytes([4, 0, 0, 0, 0])
    data = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    data.seek(8)
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0\x70")), (b"IEND", b"")):
        PngImagePlugin.putchunk(data, name, content)
    assert decode(with_transparent_color(data.getvalue(), 7)).tolist() == [[[7 * 17, 0]]]


@pytest.mark.parametrize(
    ("have", "want", "expected"),
    [(1, 3, [7, 7, 7]), (3, 1, [18]), (4, 3, [10, 20, 30]), (3, 4, [10, 20, 30, 255]), (2, 1, [7]),
     (1, 4, [7, 7, 7, 255])],
)  # fmt: skip
def test_channels(have, want, expected):
    pixel = {1: [7], 2: [7, 99], 3: [10, 20, 30], 4: [10, 20, 30, 99]}[have]
    result = match_channels(np.array([[pixel]], np.uint8), want)
    assert result.tolist() == [[expected]]
    assert result.dtype == np.uint8


def test_channels_of_float_images_are_not_rounded():
    pixel = np.array([[[0.5, -0.25, 0.125]]], np.float32)
    assert match_channels(pixel, 1)[0, 0, 0] == pytest.approx(0.299 * 0.5 - 0.587 * 0.25 + 0.114 * 0.125)
    assert match_channels(pixel, 4)[0, 0, 3] == 1.0


def test_channels_without_a_plain_way_are_refused():
    with pytest.raises(UserError, match="must have the 5 channels .* Received 3"):
        match_channels(np.zeros((2, 2, 3), np.uint8), 5)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_is_no_whole_image_is_named(tmp_path, content, rng):
    path = write_picture(tmp_path / "picture.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(UserError, match=r"Every image must be readable and whole. Received .*picture.png") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@given(
    hnp.arrays(np.float32, (3, 4, 2), elements=st.floats(-50, 200, width=32)),
    st.sampled_from([(-50.0, 200.0), (-100.0, 300.0)]),
)
def test_floats_of_a_range_come_back(image, value_range):
    signed = to_signed(image, value_range)
    assert np.abs(signed).max() <= 1 + 1e-6
    np.testing.assert_allclose(from_signed(signed, np.float32, value_range), image, atol=1e-3)


@pytest.mark.parametrize(
    ("value_range", "message"),
    [
        ([0, 0], r"two different numbers, the smaller first\. Received \[0.0, 0.0\]\. Set the values that become"),
        ([3, 0], r"two different numbers, the smaller first\. Received \[3.0, 0.0\]\. Exchange them"),
        ([-1e40, 1e40], r"two numbers of at most 1e\+38\. Received \[-1e\+40, 1e\+40\]"),
    ],
)
def test_what_is_no_range(value_range, message):
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate({"input_range": value_range})


def test_what_a_range_makes_of_values():
    assert to_signed(np.array([[[0], [4095]]], np.uint16), (0, 4095)).ravel().tolist() == [-1, 1]
    assert from_signed(np.array([-1.0, 0.0, 1.0, 7.0]), np.uint16, (0, 4095)).tolist() == [0, 2048, 4095, 4095]
    assert full_range(np.float32) == (0, 1)
    assert full_range(np.uint8) == (0, 255)


@pytest.mark.parametrize(
    ("image", "value_range", "refused"),
    [
        (np.full((2, 2, 1), 255, np.uint8), None, None),
        (np.full((2, 2, 1), 5000, np.uint16), (0, 4095), "0 to 4095 here. Received 5000 to 5000 in a.tif"),
        (
            np.full((2, 2, 1), 1.5, np.float32),
            None,
            "0 to 1 here. Received 1.5 to 1.5 in a.tif. Set `data.input",
        ),
        (np.full((2, 2, 1), np.nan, np.float32), (0, 9), "must be finite. Received NaN"),
        (np.full((2, 2, 1), 1.5, np.float32), (0, 2), None),
    ],
)
def test_values_outside_the_range_are_refused(image, value_range, refused):
    if refused:
        with pytest.raises(UserError, match=refused):
            in_range(image, value_range, "data.input_range", "a.tif")
    else:
        in_range(image, value_range, "data.input_range", "a.tif")


@pytest.mark.parametrize(
    ("channels", "dtype", "suffix"),
    [(1, np.uint8, ".png"), (4, np.uint16, ".png"), (5, np.uint8, ".tif"), (1, np.float32, ".tif")],
)
def test_the_format_that_holds_an_image(channels, dtype, suffix):
    assert suffix_for(channels, dtype) == suffix


def as_file(format, image):
    """The bytes of an image in a format, in `NPY`, or in TIFF as only tifffile reads it (`DEEP`)."""
    if format == "NPY":
        buffer = io.BytesIO()
        np.save(buffer, image)
        return buffer.getvalue()
    if format == "DEEP":
        return encode(np.uint16(image), ".tif")
    return encoded(Image.fromarray(image), format)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "NPY", "DEEP"])
def test_the_user_alone_limits_the_pixels_of_an_image(tmp_path, monkeypatch, format):
    path, shape = tmp_path / "a.png", (40, 50, 3)
    path.write_bytes(as_file(format, np.zeros(shape, np.uint8)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own limit
    assert read_image(path, max_megapixels=0.002).shape == shape
    assert read_size(path) == shape[:2]
    with pytest.raises(UserError) as error:
        read_image(path, max_megapixels=0.001999)
    assert str(error.value) == (
        f"An image must have at most `data.max_megapixels` megapixels, 0.001999 here. Received {path}, which has 50x40 "
        f"px, more than the 0.001999 megapixels that are allowed. Set `data.max_megapixels` to 1 if you know the file, "
        f"or make the image smaller."
    )
    config = DataConfig(dir=str(tmp_path), max_megapixels=0.001999, held_out_fraction=0)
    for source in ("combined", "photographs"):
        with pytest.raises(UserError, match=r"at most `data\.max_megapixels` megapixels"):
            SOURCES[source](config.model_copy(update={"source": source}), "train", 0).read(0)


def test_the_values_of_many_channels_count_too(tmp_path):
    write_image(tmp_path / "a.tif", np.zeros((40, 50, 9), np.uint8))
    assert read_image(tmp_path / "a.tif", max_megapixels=0.0045).shape == (40, 50, 9)
    with pytest.raises(UserError, match=r"has 0\.018 million values, more than 4 for each pixel of the 0\.004 mega"):
        read_image(tmp_path / "a.tif", max_megapixels=0.004)


def test_a_large_file_is_refused_by_its_header_alone(tmp_path):
    for name, data in {"a.npy": as_file("NPY", np.zeros((300, 90, 3), np.uint8)), "a.bmp": b""}.items():
        header = data[:128] or as_file("BMP", np.zeros((300, 90, 3), np.uint8))[:54]
        (tmp_path / name).write_bytes(header)
        os.truncate(tmp_path / name, 2**30)  # a hole, without bytes on the disk
        tracemalloc.start()
        with pytest.raises(UserError, match="has 90x300 px"):
            read_image(tmp_path / name, max_megapixels=0.01)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 2**20


def test_png_round_trip_and_listing(tmp_path, rng):
    for channels in (1, 3, 4):
        image = rng.integers(0, 256, (9, 7, channels), np.uint8)
        write_image(tmp_path / f"{channels}.png", image)
        np.testing.assert_array_equal(read_image(tmp_path / f"{channels}.png"), image)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["1.png", "3.png", "4.png"]


def test_bombs_of_the_other_formats_are_refused(tmp_path):
    """Headers that claim far more than the file holds: nothing of that size is ever allocated."""
    deep = bytearray(encode(np.zeros((8, 8, 3), np.uint16), ".png"))
    deep[16:24] = (60_000).to_bytes(4, "big") * 2
    header = deep[12:29]
    deep[29:33] = zlib.crc32(header).to_bytes(4, "big")
    tiff = encode(np.zeros((8, 8, 5), np.float32), ".tif")
    huge = io.BytesIO()
    tifffile.imwrite(huge, np.zeros((40_000, 40_000), np.uint8), compression="deflate", photometric="minisblack")
    npy = io.BytesIO()
    np.lib.format.write_array_header_1_0(npy, {"descr": "<f4", "fortran_order": False, "shape": (10**7, 10**7)})
    for name, data in {"a.png": bytes(deep), "b.tif": huge.getvalue(), "c.npy": npy.getvalue()}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}, which has .* px, more than the 256 megapixels"):
            read_image(tmp_path / name)
    (tmp_path / "whole.tif").write_bytes(tiff)
    assert read_image(tmp_path / "whole.tif").shape == (8, 8, 5)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_empty_file_of_any_format_is_named(tmp_path, suffix):
    path = tmp_path / f"empty{suffix}"
    path.touch()
    with pytest.raises(UserError, match=f"Received .*empty{suffix}, which") as error:
        read_image(path)
    assert error.value.kind == "unreadable"


def test_a_folder_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match="A folder must be readable. Received .*: Permission denied"):
        list_images(tmp_path)


def test_links_that_lead_nowhere_are_listed_so_that_reading_names_them(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path)
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "gone.png", "loop.png"]
    for name, target in (("gone", "nowhere"), ("loop", "loop")):
        with pytest.raises(UserError, match=f"{name}.png, which is a link to something .* missing, .*{target}.png"):
            read_image(tmp_path / f"{name}.png")


@pytest.mark.slow
def test_a_folder_of_100_000_names_is_listed_in_seconds_and_little_memory(tmp_path):
    """Five seconds of the processor, a kilobyte a name at most."""
    (tmp_path / "train").mkdir()
    for index in range(100_000):
        os.close(os.open(tmp_path / "train" / f"{index:06d}.png", os.O_CREAT))
    config = DataConfig(dir=str(tmp_path))
    start = time.process_time()
    assert len(SOURCES["combined"](config, "train", 0)) == 100_000
    assert time.process_time() - start < 5
    tracemalloc.start()
    source = SOURCES["combined"](config, "train", 0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.names[-1] == "099999"
    assert peak_bytes < 1000 * 100_000
