"""Images that are read, translated and written by region: the pixels of whole images, and the metadata of the input."""

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import tiff_writing
from tfpix2pix.data.formats import decode
from tfpix2pix.data.tiff_metadata import TiffMetadata
from tfpix2pix.data.tiff_writing import write_tiled
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import LEFTOVER
from tfpix2pix.inference import large
from tfpix2pix.inference.batching import ImageTranslator
from tfpix2pix.inference.files import translate_files

ROOT = Path(__file__).parents[2]
SIZE = (150, 130)
GEO = [
    (33550, 12, 3, (0.5, 0.5, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 440720.0, 3751320.0, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
    (34736, 12, 1, (6378137.0,), True),
    (34737, 2, 0, "WGS 84 / UTM zone 11N|", True),
]


def picture(channels=3, dtype=np.uint8, size=SIZE):
    image = np.random.default_rng(0).integers(0, 256, (*size, channels)).astype(dtype)
    return image[..., 0] if channels == 1 else image


def written(path, image=None, **options):
    image = picture() if image is None else image
    rgb = image.ndim == 3 and image.shape[-1] == 3
    options = {"tile": (32, 48), "compression": "zlib", "photometric": "rgb" if rgb else "minisblack", **options}
    tifffile.imwrite(path, image, **options)
    return path


class Inverting(ImageTranslator):
    """Inverts images band by band; notes the rectangles that it reads."""

    def __init__(self, target_dtype="uint8", **data):
        self.card = ModelCard.of(tiny_config(data={"source": "folders", "fit": "crop", "jitter_ratio": 1, **data}), 0)
        self.card = self.card.model_copy(update={"target_dtype": target_dtype})

    def translate_many(self, images, noise=None, where=(), *, tile_px=None, overlap_px=None):
        return [(255 - image).astype(self.card.target_dtype) for image in images]

    def translate_bands(self, image, noise=None, where="", *, tile_px=None, overlap_px=None):
        for top in range(0, image.shape[0], 37):
            yield (255 - image[top : top + 37, :]).astype(self.card.target_dtype)


@pytest.fixture
def all_large(monkeypatch):
    """Images of any size are read by region, and tiles of the result are small."""
    monkeypatch.setattr(large, "LARGE_MEGAPIXELS", 0)
    monkeypatch.setattr(tiff_writing, "TILE_PX", 64)


def translated(path, out, translator=None, **options):
    options = {"tile_px": 64, "format": "tiff", "overwrite": True, **options}
    (result,) = translate_files(translator or Inverting(), [path], out=out, **options)
    return result


@pytest.mark.parametrize("tile_as", ["whole", "alone"])
def test_the_translation_is_that_of_the_whole_array(tile_as, tmp_path, all_large, tiny_run):
    translator = p2p.load(tiny_run.path, tile_as=tile_as)
    path = written(tmp_path / "a.tif")
    result = translated(path, tmp_path / "out", translator)
    with tifffile.TiffFile(result) as tiff:
        assert tiff.is_bigtiff and tiff.pages[0].is_tiled and tiff.pages[0].compression == 8
        found = tiff.asarray()
    np.testing.assert_array_equal(found, translator.translate(picture(), tile_px=64))


@pytest.mark.parametrize("samples", [None, 2])
def test_every_variant_is_written(samples, tmp_path, all_large, tiny_run):
    translator, path = p2p.load(tiny_run.path, tile_as="alone"), written(tmp_path / "a.tif")
    options = {"tile_px": 64, "format": "tiff", "samples": samples, "noise": "on"}
    results = translate_files(translator, [path], out=tmp_path / "out", **options)
    vectors = translator.noise(samples or 1, 0)
    for result, vector in zip(results, vectors, strict=True):
        expected = translator.translate(picture(), vector[np.newaxis], tile_px=64)
        np.testing.assert_array_equal(decode(result.read_bytes()), expected)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 129), (1, 200), (130, 63)])
@pytest.mark.parametrize("rows", [1, 50, 64, 1000])
@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint16), (5, np.float32)])
def test_rows_of_any_height_become_tiles(height, width, rows, channels, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_writing, "TILE_PX", 64)
    image = picture(channels, dtype, (height, width)).reshape(height, width, channels)
    bands = (image[top : top + rows] for top in range(0, height, rows))
    write_tiled(tmp_path / "a.tif", bands, image.shape, image.dtype)
    np.testing.assert_array_equal(decode((tmp_path / "a.tif").read_bytes()), image)


@pytest.mark.parametrize("by_region", [True, False])
def test_resolution_and_geotiff_are_kept(by_region, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "LARGE_MEGAPIXELS", 0 if by_region else 8)
    tags = [*GEO, (42113, 2, 0, "0", True)]
    path = written(tmp_path / "a.tif", resolution=(300.0, 150.0), resolutionunit=3, extratags=tags)
    result = translated(path, tmp_path / "out")
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(result) as after:
        assert after.pages[0].is_tiled == by_region
        for code in (282, 283, 296, 33550, 33922, 34735, 34736, 34737, 42113):
            assert after.pages[0].tags[code].value == before.pages[0].tags[code].value, code
        assert after.geotiff_metadata == before.geotiff_metadata != {}
    np.testing.assert_array_equal(decode(result.read_bytes()), 255 - picture())


@pytest.mark.parametrize("by_region", [True, False])
@pytest.mark.parametrize("unit", ["micron", r"\u00B5m"])
def test_the_pixel_size_of_imagej_is_kept(by_region, unit, tmp_path, monkeypatch):
    """ImageJ writes pixels per unit as the resolution, and the unit in the description, beside a `none` of TIFF."""
    monkeypatch.setattr(large, "LARGE_MEGAPIXELS", 0 if by_region else 8)
    info = {"unit": unit, "Info": "40x objective", "min": 100.0, "max": 900.0}
    options = {"imagej": True, "resolution": (1 / 0.325, 1 / 0.325), "metadata": info}
    tifffile.imwrite(tmp_path / "a.tif", picture(1, np.uint16), **options)
    card = {"input_channels": 1, "target_channels": 1}
    ranges = {f"{side}_range": [0, 65535] for side in ("input", "target")}
    result = translated(tmp_path / "a.tif", tmp_path / "out", Inverting("uint16", **card, **ranges))
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(result) as after:
        assert after.is_imagej and after.imagej_metadata["unit"] == before.imagej_metadata["unit"]
        assert {"Info", "min", "max"}.isdisjoint(after.imagej_metadata)  # about the values of the input
        for code in (282, 283, 296):
            assert after.pages[0].tags[code].value == before.pages[0].tags[code].value


@pytest.mark.parametrize("channels", [1, 3])
def test_ome_has_the_sizes_channels_and_type_of_the_translation(channels, tmp_path, all_large):
    options = {"metadata": {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "Name": "slide 7"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", picture(), photometric="rgb", tile=(32, 32), ome=True, **options)

    class OfChannels(Inverting):
        def translate_bands(self, image, *arguments, **options):
            for band in super().translate_bands(image, *arguments, **options):
                yield band[..., :channels]

    translator = OfChannels("float32", target_channels=channels, target_range=[0, 255])
    result = translated(tmp_path / "a.ome.tif", tmp_path / "out", translator)
    assert result.name == "a.ome.tif"
    with tifffile.TiffFile(result) as tiff:
        assert tiff.is_ome
        series = tiff.series[0]
        assert (series.axes, series.shape) == (("YXS", (*SIZE, 3)) if channels == 3 else ("YX", SIZE))
        assert series.dtype == np.float32
        (pixels,) = [tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]]
        assert tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Name"] == "slide 7"
    assert {key: pixels[key] for key in ("SizeX", "SizeY", "SizeC", "SizeZ", "SizeT", "Type", "PhysicalSizeX")} == {
        "SizeX": SIZE[1], "SizeY": SIZE[0], "SizeC": channels, "SizeZ": 1, "SizeT": 1, "Type": "float",
        "PhysicalSizeX": 0.25,
    }  # fmt: skip
    assert pixels["PhysicalSizeXUnit"] == "µm"
    assert pixels["Channel"]["SamplesPerPixel"] == channels


def test_entities_of_xml_are_not_read():
    bomb = '<!DOCTYPE OME [<!ENTITY a "aaaa">]><OME><Image><Pixels/></Image></OME>'
    metadata = TiffMetadata(SIZE, ome=bomb)
    assert metadata.options((*SIZE, 3), np.uint8) == {}
    assert TiffMetadata(SIZE, ome="<OME>").options((*SIZE, 3), np.uint8) == {}


@pytest.mark.parametrize("by_region", [True, False])
@pytest.mark.parametrize(("value", "target"), [(-9999.0, "float32"), (0, "uint8"), ("nan", "float32")])
def test_pixels_without_data_stay_without(by_region, value, target, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "LARGE_MEGAPIXELS", 0 if by_region else 8)
    image = picture(1, np.float32) + 1
    image[20:60, 100:] = np.nan if value == "nan" else value
    ranges = {"input_range": [1, 256], "target_range": [0, 255]}
    translator = Inverting(target, weight={"nodata": value}, input_channels=1, target_channels=1, **ranges)
    result = translated(written(tmp_path / "a.tif", image), tmp_path / "out", translator)
    expected = (255 - np.where(np.isnan(image) | (image == float(value)), 1, image)).astype(target)
    expected[20:60, 100:] = value
    with tifffile.TiffFile(result) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), expected)
        assert float(tiff.pages[0].tags[42113].value) == pytest.approx(float(value), nan_ok=True)


@pytest.mark.parametrize("value", [-9999.0, "nan"])
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_pixels_without_data_stay_without_in_a_split(value, on_error, tmp_path):
    image, target = picture(1, np.float32) + 1, picture(1, np.float32)
    image[20:60, 100:] = value
    image[0, 0] = 300  # is clipped
    for side, values in (("input", image), ("target", target)):
        for name in ("a", "b"):
            (tmp_path / "train" / side).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / "train" / side / f"{name}.tif", values)
    ranges = {"input_range": [1, 256], "target_range": [0, 255], "out_of_range": "clip", "on_error": on_error}
    translator = Inverting("float32", weight={"nodata": value}, input_channels=1, target_channels=1, **ranges)
    options = {"split": "train", "data": tmp_path, "format": "tiff"}
    with pytest.warns(UserWarning, match="which were clipped: 2 values in a and b"):
        of_split = translate_files(translator, out=tmp_path / "split", **options)
    with pytest.warns(UserWarning, match="which were clipped: 2 values in a and b"):
        of_files = translate_files(translator, [tmp_path / "train" / "input"], out=tmp_path / "files", format="tiff")
    for path, other in zip(of_split, of_files, strict=True):
        result = tifffile.imread(path)
        assert (np.isnan(result) if value == "nan" else result == value)[20:60, 100:].all()
        assert result[0, 0] == -1
        assert path.read_bytes() == other.read_bytes()


def test_pairs_of_shards_without_data_are_written_as_tiff(tmp_path):
    image = picture(1, np.float32) + 1
    image[20:60, 100:] = np.nan
    for side in ("input", "target"):
        (tmp_path / "data" / "train" / side).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "data" / "train" / side / "a.tif", image)
    keys = {"input_channels": 1, "target_channels": 1, "input_range": [1, 256], "target_range": [1, 256]}
    translator = Inverting("float32", weight={"nodata": "nan"}, **keys)
    of_folder = translator.card.config.data.model_copy(update={"dir": str(tmp_path / "data")})
    write_shards(of_folder, str(tmp_path / "shards"))
    translator = Inverting("float32", weight={"nodata": "nan"}, **keys | {"source": "shards"})
    (path,) = translate_files(translator, out=tmp_path / "out", split="train", data=tmp_path / "shards", format="tiff")
    np.testing.assert_array_equal(tifffile.imread(path), 255 - image)


def test_a_split_is_translated_without_the_alpha_channel_of_its_targets(tmp_path):
    for side, channels in (("input", 3), ("target", 4)):
        (tmp_path / "train" / side).mkdir(parents=True)
        Image.fromarray(picture(channels)).save(tmp_path / "train" / side / "a.png")
    for on_error in ("stop", "skip"):
        translator = Inverting(weight="alpha", on_error=on_error)
        options = {"out": tmp_path / on_error, "split": "train", "data": tmp_path, "format": "npy"}
        (path,) = translate_files(translator, **options)
        np.testing.assert_array_equal(np.load(path), 255 - picture(3))


def test_a_value_that_the_type_does_not_hold_is_left_out():
    assert TiffMetadata(SIZE, nodata="-9999").options((*SIZE, 3), np.uint8) == {}
    assert TiffMetadata(SIZE, nodata="-9999").options((*SIZE, 3), np.float32)["extratags"] == [
        (42113, 2, 0, "-9999", True)
    ]
    assert TiffMetadata((9, 9), nodata="0").options((*SIZE, 3), np.uint8) == {}  # a translation of another size


def test_label_maps_get_the_colors_of_their_classes(tmp_path, all_large):
    class Labels(Inverting):
        def translate_bands(self, image, *arguments, **options):
            for band in super().translate_bands(image, *arguments, **options):
                yield band[..., :1] % 3

    colors = [[255, 0, 0], [0, 128, 0], [9, 9, 9]]
    translator = Labels(target_classes=3, class_colors=colors)
    result = translated(written(tmp_path / "a.tif"), tmp_path / "out", translator)
    np.testing.assert_array_equal(decode(result.read_bytes()), np.array(colors)[(255 - picture()[..., 0]) % 3])


@pytest.mark.parametrize("options", [{"format": "png"}, {"tile_px": None}, {"size": "64"}, {"enlarge": 2}])
def test_other_translations_read_the_image_whole(options, tmp_path, all_large, monkeypatch):
    translator = Inverting()
    monkeypatch.setattr(Inverting, "translate_bands", None)
    translated(written(tmp_path / "a.tif"), tmp_path / "out", translator, **options)


def test_the_limit_of_pixels_is_of_a_row_of_tiles(tmp_path, all_large):
    path = written(tmp_path / "a.tif")
    assert translated(path, tmp_path / "out", max_megapixels=0.01).exists()
    with pytest.raises(UserError, match="A row of tiles must have at most `max_megapixels` megapixels, 0.008 here"):
        translated(path, tmp_path / "out", max_megapixels=0.008)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="must have at most `max_megapixels` megapixels"):
        translated(tmp_path / "a.png", tmp_path / "out", max_megapixels=0.01)


@pytest.mark.parametrize(
    "options", [{"tile_px": 32, "format": "png"}, {"tile_px": None, "format": "tiff"}, {"tile_px": 32}]
)
def test_a_huge_image_that_is_read_whole_is_refused_with_the_way_in_parts(options, tmp_path):
    options = {"format": None, "max_megapixels": 0.01, **options}
    for image in (written(tmp_path / "a.tif"), tmp_path / "b.npy", tmp_path / "c.png"):
        if image.suffix == ".npy":
            np.save(image, picture())
        elif image.suffix == ".png":
            Image.fromarray(picture()).save(image)
        with pytest.raises(UserError, match="at most `max_megapixels` megapixels, 0.01 here") as caught:
            translate_files(Inverting(), [image], out=tmp_path / "out", **options)
        names_it = str(caught.value).endswith("set `tile_px` to 512 and `format` to tiff.")
        assert names_it == (image.suffix != ".png")
        assert not list((tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize("options", [{"size": "64"}, {"enlarge": 2}])
def test_no_way_in_parts_is_named_where_the_whole_image_is_needed(options, tmp_path):
    with pytest.raises(UserError, match="make the image smaller.$"):
        translated(written(tmp_path / "a.tif"), tmp_path / "out", tile_px=None, max_megapixels=0.01, **options)


def test_the_command_line_names_its_options_for_a_huge_image(tmp_path, tiny_run):
    path = written(tmp_path / "a.tif")
    command = ("translate", tiny_run.path, path, "--tile", "32", "--format", "png", "--max-megapixels", "0.01")
    code, _, error = run_cli(*command, "--out", tmp_path / "out")
    assert code == 2 and "set --tile to 512 and --format to tiff" in " ".join(error.split())


def test_values_out_of_range_stop_or_are_clipped_with_one_note(tmp_path, all_large):
    path = written(tmp_path / "a.tif", picture(3, np.float32))
    with pytest.raises(UserError, match=r"within `data.input_range`, 0 to 100 here. Received 0 to 25\d in a"):
        translated(path, tmp_path / "out", Inverting(input_range=[0, 100]))
    with pytest.warns(UserWarning, match="1 of 1 images have values outside `data.input_range`"):
        translated(path, tmp_path / "out", Inverting(input_range=[0, 100], out_of_range="clip"))


def test_a_damaged_file_stops_no_other_and_leaves_nothing(tmp_path, all_large):
    (tmp_path / "in").mkdir()
    for name in "abc":
        written(tmp_path / "in" / f"{name}.tif")
    damaged = tmp_path / "in" / "b.tif"
    with tifffile.TiffFile(damaged) as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    data = bytearray(damaged.read_bytes())
    data[offset : offset + 30] = bytes(30)
    damaged.write_bytes(data)
    with pytest.raises(UserError, match=r"b.tif, which cannot be read.*The other 2 of 3 were translated"):
        translate_files(Inverting(), [tmp_path / "in"], out=tmp_path / "out", tile_px=64, format="tiff")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "c.tif"]


def test_a_disk_that_is_full_leaves_nothing(tmp_path, all_large, monkeypatch):
    written(tmp_path / "a.tif")

    def full(*arguments, **options):
        next(iter(arguments[1]))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tfpix2pix.inference.items.write_tiled", full)
    with pytest.raises(RunError, match="No space left on device.*Free space"):
        translated(tmp_path / "a.tif", tmp_path / "out")
    assert [path for path in (tmp_path / "out").iterdir() if path.match(LEFTOVER)] == []
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_line_translates_by_region(tmp_path, all_large, tiny_run):
    written(tmp_path / "a.tif", extratags=GEO)
    options = ("--tile", 64, "--tile-as", "alone", "--format", "tiff", "--out", tmp_path / "out")
    code, out, _ = run_cli("translate", tiny_run.path, tmp_path / "a.tif", *options)
    assert code == 0 and "1 translated" in out
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as tiff:
        assert tiff.is_bigtiff and 33550 in tiff.pages[0].tags


COPYING = """
import resource, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import large_images
from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.translator import Translator


class Copying:  # in place of a network, whose memory does not depend on the image
    card = ModelCard.from_json((Path(sys.argv[2]) / FILE_NAME).read_text(), "the run")

    def __call__(self, images, noise):
        return images


image, out = Path(sys.argv[3]) / "large.ome.tif", Path(sys.argv[3]) / "out"
large_images.write(image, int(sys.argv[4]))
translate_files(Translator(Copying()), [image], out=out, tile_px=512, format="tiff")
assert not large_images.what_differs(image, out / image.name)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


@pytest.mark.slow
def test_memory_grows_far_less_than_the_image(tiny_run, tmp_path):
    """Peaks of two processes: images of 49 and of 144 megapixels differ by 285 MB decoded, in and out by 570.

    What grows is a row of tiles. Both fill the cache of decoded tiles.
    """
    peaks = []
    for side in (7_000, 12_000):
        folder = tmp_path / str(side)
        folder.mkdir()
        command = [sys.executable, "-c", COPYING, ROOT / "benchmarks", tiny_run.path, folder, str(side)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.split()[-1]))
    decoded = (12_000**2 - 7_000**2) * 3 * 2 / 1e6  # in and out
    assert peaks[1] - peaks[0] < 0.25 * decoded
