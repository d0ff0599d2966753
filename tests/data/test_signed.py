"""Integers below 0, such as CT in TIFF files of 16 bits with a sign: read, trained on, translated and measured."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.doctor.headers import header
from tfpix2pix.data.images import read_image
from tfpix2pix.data.labels import read_labels
from tfpix2pix.data.regions import open_regions
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.stacks import stacked_by_name
from tfpix2pix.data.writing import write_shards
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.evaluate import evaluate
from tfpix2pix.evaluation.request import NoiseOptions, Request
from tfpix2pix.inference.files import translate_files

SIDE = 40
HU = {"input_range": (-1000, 2000), "target_range": (-1000, 2000), "target_unit": "HU"}


def ct(seed=0, low=-1000):
    """Values of CT, HU: int16 (40, 40)."""
    return np.random.default_rng(seed).integers(low, 2000, (SIDE, SIDE), dtype=np.int16)


def by_pillow(path, image, **options):
    Image.fromarray(image.view(np.uint16)).save(path, tiffinfo={339: 2}, **options)  # 2: with a sign


def by_tifffile(path, image, **options):
    tifffile.imwrite(path, image, **{"photometric": "minisblack", **options})


WRITTEN = {  # how files are written -> function, options
    "TIFF": (by_tifffile, {}),
    "big-endian": (by_tifffile, {"byteorder": ">"}),
    "BigTIFF": (by_tifffile, {"bigtiff": True}),
    "big-endian BigTIFF": (by_tifffile, {"bigtiff": True, "byteorder": ">"}),
    "Deflate": (by_tifffile, {"compression": "zlib"}),
    "Deflate of differences": (by_tifffile, {"compression": "zlib", "predictor": 2}),
    "big-endian Deflate": (by_tifffile, {"compression": "zlib", "byteorder": ">"}),
    "tiles": (by_tifffile, {"tile": (16, 16), "compression": "zlib", "bigtiff": True, "byteorder": ">"}),
    "LZW by Pillow": (by_pillow, {"compression": "tiff_lzw"}),
    "from white": (by_tifffile, {"photometric": "miniswhite"}),
    "NPY": (np.save, {}),
    "big-endian NPY": (lambda path, image: np.save(path, image.astype(">i2")), {}),
}


@pytest.fixture(params=WRITTEN)
def write(request):
    """(path without ending, image) -> the path of its file."""
    function, options = WRITTEN[request.param]

    def written(path, image):
        path = path.with_suffix(".npy" if "NPY" in request.param else ".tif")
        path.parent.mkdir(parents=True, exist_ok=True)
        function(path, image, **options)
        return path

    return written


@pytest.mark.parametrize("low", [-1000, 0])
def test_every_value_is_read_as_a_float(write, low, tmp_path):
    """Also of a file that holds none below 0, so that all files of a folder have one type."""
    image = ct(low=low)
    path = write(tmp_path / "a", image)
    read = read_image(path)
    assert (read.dtype, read.shape) == (np.float32, (SIDE, SIDE, 1))
    np.testing.assert_array_equal(read[..., 0], image.astype(np.float64))
    assert header(path)[:2] == ("40x40 px", "gray, 16 bits with a sign")


def test_regions_have_the_values_of_the_whole(write, tmp_path):
    image = ct()
    with open_regions(write(tmp_path / "a", image)) as opened:
        assert opened.dtype == np.float32
        np.testing.assert_array_equal(opened[3:31, 5:40][..., 0], image[3:31, 5:40])
        assert opened[:1, :1].dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 20, 30), (20, 30, 3)])
def test_channels_with_a_sign(shape, tmp_path):
    image = np.random.default_rng(0).integers(-30_000, 30_000, shape, dtype=np.int16)
    is_rgb = shape[-1] == 3
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb" if is_rgb else "minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image if is_rgb else np.moveaxis(image, 0, -1))


@pytest.mark.parametrize("ending", [".tif", ".npy"])
def test_eight_bits_with_a_sign_are_not_taken_for_others(ending, tmp_path):
    """Pillow gives 255 for -1."""
    image = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    np.save(tmp_path / "a.npy", image)
    tifffile.imwrite(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{ending}")[..., 0], np.arange(-128.0, 128).reshape(16, 16))
    assert header(tmp_path / f"a{ending}").channels == "gray, 8 bits with a sign"


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_more_bits_are_refused_below_0(dtype, tmp_path):
    np.save(tmp_path / "a.npy", ct().astype(dtype))
    with pytest.raises(UserError, match=f"{np.dtype(dtype)} values, not integers of 8 or 16 bits from 0, int16 or flo"):
        read_image(tmp_path / "a.npy")


def test_label_maps_stay_whole_numbers(tmp_path):
    labels = np.arange(16, dtype=np.int16).reshape(4, 4) % 3
    tifffile.imwrite(tmp_path / "a.tif", labels)
    data = DataConfig(target_classes=3)
    found = read_labels(tmp_path / "a.tif", 3, data)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[..., 0], labels)
    tifffile.imwrite(tmp_path / "b.tif", labels - np.int16(1))
    with pytest.raises(UserError, match=r"b\.tif, which cannot be read: it holds int16 values, not"):
        read_labels(tmp_path / "b.tif", 3, data)


def test_arrays_of_parts_have_their_sign():
    data = DataConfig(source="folders", inputs=[{"name": "ct", "channels": 1, "range": [-1000, 2000]}])
    stack = stacked_by_name({"ct": ct()}, data)
    np.testing.assert_allclose(stack[..., 0], (ct() + 1000.0) / 1500 - 1, atol=1e-6)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four pairs, each file written in another way. The first has no value below 0."""
    folder = tmp_path_factory.mktemp("ct")
    for index, name in enumerate(("TIFF", "big-endian", "BigTIFF", "LZW by Pillow")):
        function, options = WRITTEN[name]
        for side in ("input", "target"):
            (folder / side).mkdir(exist_ok=True)
            image = ct(index, 0 if index == 0 else -1000)
            function(folder / side / f"{index}.tif", image if side == "target" else 999 - image, **options)
    return folder


def data_of(folder, **more):
    return {
        "source": "folders",
        "dir": str(folder),
        "input_channels": 1,
        "target_channels": 1,
        "image_size_px": 32,
        **HU,
        **more,
    }


def test_the_doctor_names_the_key_and_finds_nothing_else(pairs):
    without = examine(DataConfig(**data_of(pairs, input_range=None, held_out_fraction=0)))
    assert {finding.kind for finding in without.findings} == {"range"}
    examination = examine(DataConfig(**data_of(pairs, held_out_fraction=0)))
    assert not examination.findings
    of_each_side = {"gray, 16 bits with a sign": 4}
    assert examination.channels == {"input": of_each_side, "target": of_each_side}


def test_shards_hold_the_same(pairs, tmp_path):
    data = DataConfig(**data_of(pairs, held_out_fraction=0))
    write_shards(data, str(tmp_path / "shards"))
    shards = DataConfig(**data_of(tmp_path / "shards", source="shards", held_out_fraction=0))
    for index in range(4):
        for side, of_files in enumerate(SOURCES["folders"](data, "train", 0).read(index)):
            np.testing.assert_array_equal(SOURCES["shards"](shards, "train", 0).read(index)[side], of_files)


def test_crops_are_those_of_whole_files(pairs):
    data = DataConfig(**data_of(pairs, held_out_fraction=0, fit="crop", cache_mb=0))
    source = SOURCES["folders"](data, "train", 0)
    assert [source.is_large(index) for index in range(4)] == [True] * 4
    for index in range(4):
        for crop, whole in zip(source.middle(index, data.size_px), source.read(index), strict=True):
            assert crop.dtype == whole.dtype == np.float32
            np.testing.assert_array_equal(crop, whole[4:36, 4:36])


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    quiet = Console(file=io.StringIO())
    config = least_config(data=data_of(pairs, fit="crop", jitter_ratio=1), training={"steps": 1})
    return p2p.train(config, run_dir=tmp_path_factory.mktemp("run") / "run", console=quiet)


@pytest.mark.parametrize(("format", "ending"), [(None, ".tif"), ("tiff", ".tif"), ("npy", ".npy")])
def test_translations_are_floats_in_hu(run, pairs, format, ending, tmp_path):
    """`target_dtype` is that of the first target, which has no value below 0."""
    assert run.card.target_dtype == "float32"
    translator = p2p.load(run.path)
    (path,) = translate_files(translator, [pairs / "input" / "1.tif"], out=tmp_path, format=format)
    assert path.name == f"1{ending}"
    translation = np.load(path)[..., 0] if ending == ".npy" else tifffile.imread(path)
    assert translation.dtype == np.float32
    signed = translator((999 - ct(1) + np.float32(1000))[..., np.newaxis] / 1500 - 1)
    np.testing.assert_allclose(translation, signed[..., 0] * 1500 + 500, atol=2e-3)
    assert -1000 <= translation.min() < 500 < translation.max() <= 2000


def test_png_cannot_hold_them(run, pairs, tmp_path):
    with pytest.raises(UserError, match="Received `format` png for 1 channel of float32. Choose tiff or npy"):
        translate_files(p2p.load(run.path), [pairs / "input" / "1.tif"], out=tmp_path / "out", format="png")


def test_errors_of_images_with_a_sign_are_in_hu(tmp_path):
    """Another program's CT in int16: 7 HU too high in the upper half, 3 too low in the lower one."""
    off = np.where(np.arange(SIDE)[:, np.newaxis] < SIDE // 2, 7, -3).astype(np.int16)
    for index in range(2):
        image = ct(index).clip(-900, 1900)
        for name, content in (("targets", image), ("outputs", image + off)):
            (tmp_path / name).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / name / f"{index}.tif", content)
    overrides = ["data.target_channels=1", "data.target_range=[-1000,2000]", "data.target_unit=HU"]
    request = Request(
        tmp_path / "outputs", targets=tmp_path / "targets", overrides=overrides, noise=NoiseOptions(variants=0)
    )
    metrics = ["unit_errors", "unit_bias"]
    record = evaluate(request, out=tmp_path / "evaluation", metrics=metrics, replicates=50, shown=0)
    assert record.figures["unit_mae"] == pytest.approx(5, abs=1e-3)
    assert record.figures["unit_bias"] == pytest.approx(2, abs=1e-3)
    assert record.figures["unit_rmse"] == pytest.approx(np.sqrt(29), abs=1e-3)
