"""Rectangles of files are those of the whole image, whatever the layout of the file."""

import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfpix2pix.data import planes, regions
from tfpix2pix.data.formats import decode
from tfpix2pix.data.planes import NotByRegion
from tfpix2pix.data.regions import open_regions
from tfpix2pix.errors import UserError

HEIGHT, WIDTH = 75, 90
RECTANGLES = [(0, HEIGHT, 0, WIDTH), (0, 1, 0, 1), (31, 34, 29, 67), (16, 32, 32, 64), (70, 75, 80, 90), (5, 5, 0, 9)]


def picture(channels=3, dtype=np.uint8, height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(height, width, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def written(path, image, **options):
    """By tifffile: channels last, or first if `planarconfig` is separate or `pages` is set."""
    if options.pop("pages", False) or options.get("planarconfig") == "separate":
        image = np.moveaxis(image, -1, 0)
    tifffile.imwrite(path, image[..., 0] if image.shape[-1] == 1 else image, **{"photometric": "minisblack", **options})
    return path


def assert_alike(path, rectangles=RECTANGLES, palette="colors"):
    whole = decode(path.read_bytes(), palette=palette)
    with open_regions(path, palette) as image:
        assert (image.shape, image.dtype) == (whole.shape, whole.dtype)
        for top, bottom, left, right in rectangles:
            part = image[top:bottom, left:right]
            np.testing.assert_array_equal(part, whole[top:bottom, left:right])
            assert part.dtype == whole.dtype
    return whole


LAYOUTS = {"strips": {"rowsperstrip": 16}, "one strip": {"rowsperstrip": HEIGHT}, "tiles": {"tile": (16, 32)}}
PIXELS = {
    "gray": (1, {}),
    "rgb": (3, {"photometric": "rgb"}),
    "rgba": (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "5 channels": (5, {"planarconfig": "contig"}),
    "planes": (3, {"photometric": "rgb", "planarconfig": "separate"}),
    "5 planes": (5, {"planarconfig": "separate"}),
    "pages": (4, {"pages": True}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize(("compression", "predictor"), [(None, False), ("zlib", False), ("zlib", True)])
def test_every_layout_of_tiff(layout, pixels, compression, predictor, tmp_path):
    channels, options = PIXELS[pixels]
    for dtype, byteorder in itertools.product((np.uint8, np.uint16, np.float32), "<>"):
        if predictor and dtype == np.float32:
            continue
        more = {"compression": compression, "predictor": predictor, "byteorder": byteorder}
        path = written(tmp_path / "a.tif", picture(channels, dtype), **LAYOUTS[layout], **options, **more)
        whole = assert_alike(path)
        np.testing.assert_array_equal(whole, picture(channels, dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_arrays(dtype, channels, tmp_path):
    image = np.abs(picture(channels or 1, dtype))
    np.save(tmp_path / "a.npy", image if channels else image[..., 0])
    assert_alike(tmp_path / "a.npy")
    big = image.astype(image.dtype.newbyteorder(">"))
    np.save(tmp_path / "b.npy", big)
    np.testing.assert_array_equal(
        assert_alike(tmp_path / "b.npy"), image.astype(np.float32 if dtype().dtype.kind == "f" else image.dtype)
    )


def lzw(image, predictor=1):
    """The bytes of an image, packed by Pillow."""
    if predictor == 2:
        image = np.concatenate([image[:, :1], np.diff(image, axis=1)], axis=1)
    rows = np.ascontiguousarray(image).view(np.uint8).reshape(len(image), -1)
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, "TIFF", compression="tiff_lzw", tiffinfo={278: len(image)})
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as tiff:
        page = tiff.pages[0]
        buffer.seek(page.dataoffsets[0])
        assert len(page.dataoffsets) == 1
        return buffer.read(page.databytecounts[0])


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_lzw_in_tiles_needs_no_imagecodecs(channels, dtype, predictor, tmp_path):
    """Twin: what was packed. Tiles beyond the image's rim are padded."""
    if dtype == np.uint16 and channels == 3:
        pytest.importorskip("imagecodecs", reason="without it the twin cannot be decoded whole")
    image, tall, wide = picture(channels, dtype), 32, 48
    padded = np.pad(image, ((0, -HEIGHT % tall), (0, -WIDTH % wide), (0, 0)))
    tiles = [
        lzw(padded[top : top + tall, left : left + wide], predictor)
        for top in range(0, HEIGHT, tall)
        for left in range(0, WIDTH, wide)
    ]
    shape = image.shape if channels > 1 else image.shape[:2]
    tifffile.imwrite(
        tmp_path / "a.tif", iter(tiles), shape=shape, dtype=dtype, tile=(tall, wide), compression="zlib",
        photometric="rgb" if channels == 3 else "minisblack", predictor=predictor == 2,
    )  # fmt: skip
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages[0].tags[259].overwrite(5)
    np.testing.assert_array_equal(assert_alike(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lzw_in_strips_of_pillow(mode, tmp_path):
    image = Image.fromarray(picture()).convert(mode)
    image.save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={278: 7})
    np.testing.assert_array_equal(assert_alike(tmp_path / "a.tif"), np.asarray(image).reshape(HEIGHT, WIDTH, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{"tile": (16, 32), "compression": "zlib"}, {}])
def test_every_orientation(orientation, options, tmp_path):
    for dtype in (np.uint8, np.uint16):
        tags = [(274, "H", 1, orientation, True)]
        path = written(tmp_path / "a.tif", picture(3, dtype), photometric="rgb", extratags=tags, **options)
        assert_alike(path, [(0, HEIGHT, 0, HEIGHT), (3, 40, 10, 61), (74, 75, 0, 5)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(dtype, tmp_path):
    path = written(tmp_path / "a.tif", picture(1, dtype), photometric="miniswhite", tile=(16, 16))
    whole = assert_alike(path)
    np.testing.assert_array_equal(whole, np.iinfo(dtype).max - picture(1, dtype))


@pytest.mark.parametrize("palette", ["colors", "indices", "ids"])
def test_palettes(palette, tmp_path):
    colormap = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    path = written(tmp_path / "a.tif", picture(1), photometric="palette", colormap=colormap, tile=(32, 32))
    assert_alike(path, palette=palette)
    with pytest.raises(NotByRegion, match="mode P"):
        open_regions(path, "levels")


def test_the_largest_level_of_a_pyramid(tmp_path):
    image = picture()
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", bigtiff=True, ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}
        tiff.write(image, subifds=1, metadata={"axes": "YXS"}, **options)
        tiff.write(image[::2, ::2], subfiletype=1, **options)
    np.testing.assert_array_equal(assert_alike(tmp_path / "a.ome.tif"), image)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tiff:  # as a cloud-optimised GeoTIFF
        tiff.write(image, metadata=None, **options)
        tiff.write(image[::2, ::2], subfiletype=1, metadata=None, **options)
    np.testing.assert_array_equal(assert_alike(tmp_path / "pages.tif"), image)


def test_channels_of_an_ome_tiff(tmp_path):
    image = picture(5, np.uint16)
    for options in ({"tile": (16, 16)}, {"compression": "zlib"}, {}):
        tifffile.imwrite(tmp_path / "a.ome.tif", np.moveaxis(image, -1, 0), metadata={"axes": "CYX"}, **options)
        np.testing.assert_array_equal(assert_alike(tmp_path / "a.ome.tif"), image)


def test_tiles_that_a_sparse_file_leaves_out_have_no_data(tmp_path):
    path = written(
        tmp_path / "a.tif", np.zeros((64, 64, 5), np.float32), tile=(32, 32), planarconfig="contig",
        extratags=[(42113, "s", 0, "-9999", True)],
    )  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tags = tiff.pages[0].tags
        offsets, counts = list(tags[324].value), list(tags[325].value)
        tags[324].overwrite([offsets[0], 0, *offsets[2:]])
        tags[325].overwrite([counts[0], 0, *counts[2:]])
    whole = assert_alike(path, [(0, 64, 0, 64), (20, 40, 20, 40)])
    assert (whole[:32, 32:] == -9999).all() and (whole[32:] == 0).all()


@pytest.mark.parametrize(
    ("name", "save", "reason"),
    [
        ("a.png", lambda path: Image.fromarray(picture()).save(path), "is a PNG file"),
        ("a.tif", lambda path: Image.fromarray(picture()).save(path, compression="jpeg"), "TIFF compression 7"),
        ("a.tif", lambda path: Image.fromarray(picture()).convert("CMYK").save(path), "mode CMYK"),
        ("a.tif", lambda path: Image.fromarray(picture(1)[..., 0] > 9).save(path), "mode 1"),
        ("a.tif", lambda path: written(path, picture(4), photometric="rgb", extrasamples=[1]), "mode RGBA"),
        ("a.tif", lambda path: path.write_bytes(b"II*\0broken"), "cannot be read by region"),
        ("a.npy", lambda path: np.save(path, np.asfortranarray(picture())), "no array of rows"),
        ("a.npy", lambda path: np.save(path, np.zeros((2, 3, 4, 5))), "no array of rows"),
        ("a.jpg", lambda path: path.write_bytes(b"no image"), "not in a supported format"),
    ],
)
def test_other_files_are_read_whole(name, save, reason, tmp_path):
    save(tmp_path / name)
    with pytest.raises(NotByRegion, match=reason):
        open_regions(tmp_path / name)


def test_a_strip_that_is_too_large_is_read_whole(tmp_path, monkeypatch):
    path = written(tmp_path / "a.tif", picture(), photometric="rgb", rowsperstrip=HEIGHT, compression="zlib")
    monkeypatch.setattr(planes, "MOST_SEGMENT_BYTES", HEIGHT * WIDTH * 3 - 1)
    with pytest.raises(NotByRegion, match=f"strips or tiles of {WIDTH}x{HEIGHT} px"):
        open_regions(path)


def test_a_compression_that_is_not_decoded_is_named(tmp_path, monkeypatch):
    path = written(tmp_path / "a.tif", picture(5, np.uint16), planarconfig="contig", tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags[259].overwrite(34712)  # JPEG 2000
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {})
    with pytest.raises(NotByRegion) as raised:
        open_regions(path)[0:4, 0:4]
    assert "JPEG2000" in str(raised.value) or "34712" in str(raised.value)


@pytest.mark.parametrize("options", [{"tile": (16, 16), "compression": "zlib"}, {"tile": (16, 16)}, {}])
def test_a_file_that_is_cut_off(options, tmp_path):
    path = written(tmp_path / "a.tif", picture(), photometric="rgb", **options)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(UserError, match="cannot be read: it ends too soon"):
        open_regions(path)


def test_a_tile_that_is_damaged(tmp_path):
    path = written(tmp_path / "a.tif", picture(), photometric="rgb", tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[3]
    data = bytearray(path.read_bytes())
    data[offset : offset + 20] = bytes(20)
    path.write_bytes(data)
    with open_regions(path) as image:
        np.testing.assert_array_equal(image[0:16, 0:48], picture()[0:16, 0:48])
        with pytest.raises(UserError, match="cannot be read"):
            image[0:16, 40:60]


@pytest.mark.parametrize("options", [{"tile": (16, 16), "compression": "zlib"}, {}])
def test_a_file_that_changes_while_it_is_read(options, tmp_path):
    path = written(tmp_path / "a.tif", picture(), photometric="rgb", **options)
    with open_regions(path) as image:
        image[0:4, 0:4]
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(UserError, match="has changed while it was read"):
            image[40:60, 40:60]


def test_only_the_tiles_of_the_rectangle_are_decoded_and_few_are_kept(tmp_path, monkeypatch):
    path = written(
        tmp_path / "a.tif", picture(height=256, width=256), photometric="rgb", tile=(16, 16), compression="zlib"
    )
    monkeypatch.setattr(regions, "CACHE_BYTES", 16 * 16 * 3 * 4)
    with open_regions(path) as image:
        image[16:33, 0:16]
        assert [key[1] for key in image._cache] == [16, 32]
        image[0:256, 0:256]
        assert len(image._cache) == 4


def test_values_that_are_no_image_are_refused_where_they_are(tmp_path):
    image = picture(1, np.uint16).astype(np.int32)
    image[50, 50] = -1
    np.save(tmp_path / "a.npy", image)
    with open_regions(tmp_path / "a.npy") as opened:
        assert opened[0:50, :].dtype == np.uint16
        with pytest.raises(UserError, match="not integers of 8 or 16 bits from 0"):
            opened[40:60, 40:60]
