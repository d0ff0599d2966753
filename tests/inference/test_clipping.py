"""Values of inputs outside the range, which `translate` clips: counted value by value, and said in one sentence."""

import warnings

import numpy as np
import pytest
import tifffile

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import read_image
from tfpix2pix.engines import ENGINES, EngineRow
from tfpix2pix.inference import large
from tfpix2pix.inference.batching import ImageTranslator
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.job import Origin
from tfpix2pix.inference.tiling import tile_bands

CLIP = {"source": "folders", "fit": "crop", "jitter_ratio": 1, "out_of_range": "clip"}  # at the files' own scale
LOW, HIGH = 0.0, 100.0
PARTS = [
    {"name": "t1", "channels": 1, "range": [0, 100]},
    {"name": "shape", "kind": "labels", "classes": 3},
    {"name": "kv", "kind": "scalar", "range": [80, 140]},
]


class Summing(ImageTranslator):
    """Gives the first channel of its inputs, float, and keeps the least and the largest value."""

    def __init__(self, **data):
        data = {"input_channels": 1, "target_channels": 1, "target_range": (-1e4, 1e4), **CLIP, **data}
        if data.get("inputs"):
            del data["input_channels"]
        self.card = ModelCard.of(tiny_config(data=data), 0).model_copy(update={"target_dtype": "float32"})
        self.origin, self.bounds = Origin(load=lambda: self, files=lambda: []), set()

    def translate_many(self, images, noise=None, where=(), *, tile_px=None, overlap_px=None):
        self.bounds |= {bound(image) for image in images for bound in (np.min, np.max)}
        return [image[..., :1].astype(np.float32) for image in images]

    def translate_bands(self, image, noise=None, where="", *, tile_px=None, overlap_px=None):
        yield from tile_bands(lambda tile: tile[..., :1].astype(np.float32), image, tile_px, overlap_px)


def ramps(**peaks):
    """Float images (40, 40) by name, from 0 to a peak in even steps."""
    return {name: np.linspace(0, peak, 1600, dtype=np.float32).reshape(40, 40) for name, peak in peaks.items()}


def outside_by_loops(image, low=LOW, high=HIGH):
    return sum(not low <= value <= high for value in np.asarray(image).ravel().tolist())


def saved(folder, images):
    folder.mkdir(parents=True)
    for name, image in images.items():
        tifffile.imwrite(folder / f"{name}.tif", image)
    return folder


def said(translator, inputs, out, **options):
    """Translates, and returns what is said of clipped values."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        translate_files(translator, inputs, out=out, **options)
    return [str(warning.message) for warning in caught if "clipped" in str(warning.message)]


def test_the_share_and_the_files_are_said(tmp_path):
    images = ramps(a=100, b=150, c=400, d=50)
    translator = Summing(input_range=(LOW, HIGH))
    shares = [outside_by_loops(image) / 1600 for image in images.values()]
    assert shares[0] == shares[3] == 0 < shares[1] < shares[2]
    expected = (
        f"2 of 4 images have values outside `data.input_range`, which were clipped: {25 * sum(shares):.2g} % of all "
        f"values, {100 * shares[2]:.2g} % of an image at most, in b and c."
    )
    assert said(translator, [saved(tmp_path / "in", images)], tmp_path / "out") == [expected]
    assert translator.bounds == {0, 100, 50}
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "c.tif")[..., 0], images["c"].clip(LOW, HIGH))


def test_one_image_and_few_values_have_shorter_sentences(tmp_path):
    images = {name: np.zeros((200, 300), np.float32) for name in "abcdefg"}
    for image in list(images.values())[1:]:
        image[0, 0] = -3
    folder = saved(tmp_path / "in", images)
    translator = Summing(input_range=(LOW, HIGH))
    assert said(translator, [folder], tmp_path / "all") == [
        "6 of 7 images have values outside `data.input_range`, which were clipped: 6 values in b, c, d and 3 more."
    ]
    assert said(translator, [folder / "b.tif"], tmp_path / "one") == [
        "1 of 1 images have values outside `data.input_range`, which were clipped: 1 value in b."
    ]
    tifffile.imwrite(folder / "h.tif", np.float32([[1, 2, 3, 400]]))
    assert said(translator, [folder / "h.tif"], tmp_path / "quarter") == [
        "1 of 1 images have values outside `data.input_range`, which were clipped: 25 % of all values in h."
    ]


@pytest.mark.parametrize("options", [{}, {"out_of_range": "stop"}])
def test_nothing_is_said_if_nothing_was_clipped(options, tmp_path):
    folder = saved(tmp_path / "in", ramps(a=100, b=50))
    assert said(Summing(input_range=(LOW, HIGH), **options), [folder], tmp_path / "out") == []


def test_values_of_files_are_counted_before_they_are_resized(tmp_path):
    """Bicubic steps overshoot, which is not in the files; and a mean of neighbours hides what is."""
    steps = np.zeros((16, 16), np.float32)
    steps[:, 8:] = HIGH
    peaks = steps.copy()
    peaks[::2, ::2] = 101
    folder = saved(tmp_path / "in", {"steps": steps, "peaks": peaks})
    translator = Summing(input_range=(LOW, HIGH))
    (sentence,) = said(translator, [folder], tmp_path / "out", enlarge=2)
    assert sentence.endswith("which were clipped: 12 % of all values, 25 % of an image at most, in peaks.")


@pytest.fixture
def parts(tmp_path):
    """The folders of the parts of three inputs, with `scalars.csv`: kv is outside in c, t1 in b and c."""
    folder = tmp_path / "parts"
    images = ramps(a=100, b=150, c=400)
    saved(folder / "t1", images)
    saved(folder / "shape", {name: np.full((40, 40), 2, np.uint8) for name in images})
    saved(folder / "target", images)
    (folder / "scalars.csv").write_text("name,kv\na,80\nb,140\nc,150\n")
    return folder


def sentence_of_parts():
    shares = [outside_by_loops(image) / 1600 for image in ramps(b=150, c=400).values()]
    return (
        f"2 of 3 images have values outside the ranges of `data.inputs`, which were clipped: t1 "
        f"{100 * sum(shares) / 3:.2g} % of all values, {100 * max(shares):.2g} % of an image at most, in b and c; kv "
        f"33 % of all values, 100 % of an image at most, in c."
    )


def inputs_of(parts):
    return {"t1": parts / "t1", "shape": parts / "shape", "kv": parts / "scalars.csv"}


def test_each_part_of_an_input_is_named(parts, tmp_path):
    assert said(Summing(inputs=PARTS), inputs_of(parts), tmp_path / "out") == [sentence_of_parts()]
    narrow = {**inputs_of(parts), "t1": parts / "t1" / "a.tif", "shape": parts / "shape" / "a.tif", "kv": "150"}
    assert said(Summing(inputs=PARTS), narrow, tmp_path / "one") == [
        "1 of 1 images have values outside the ranges of `data.inputs`, which were clipped: kv 100 % of all values "
        "in a."
    ]


def test_the_inputs_of_pairs_are_counted_alike(parts, tmp_path):
    """As `sentence_of_parts`, though reading a pair clips its values; those of targets are not counted."""
    every = {"split": "train", "data": parts, "out": tmp_path / "out"}
    translator = Summing(inputs=PARTS, held_out_fraction=0, target_range=(0, 1))
    (sentence,) = said(translator, (), **every)
    assert sentence == sentence_of_parts()
    single = Summing(input_range=(LOW, HIGH), input_folder="t1", held_out_fraction=0, target_range=(0, 1))
    (sentence,) = said(single, (), **{**every, "out": tmp_path / "single"})
    assert sentence.startswith("2 of 3 images have values outside `data.input_range`") and "in b and c." in sentence


def test_workers_count_as_one_process(parts, tmp_path, monkeypatch):
    def run(open_job, groups, options, folder):
        return [open_job()(group) for group in groups]

    monkeypatch.setitem(ENGINES, "workers", EngineRow(check=lambda options: None, run=run))
    for module in ("tfpix2pix.inference.job", "tfpix2pix.inference.batching"):
        monkeypatch.setattr(f"{module}.GROUP", 2)
    sentences = said(Summing(inputs=PARTS), inputs_of(parts), tmp_path / "out", engine="workers")
    assert sentences == [sentence_of_parts()]


@pytest.mark.parametrize("by_pairs", [True, False])
def test_pixels_without_data_are_not_counted(by_pairs, tmp_path):
    image = np.full((40, 40), 50, np.float32)
    image[:5] = -9999
    image[10] = 200
    folder = saved(tmp_path / "in" / "input", {"a": image})
    saved(tmp_path / "in" / "target", {"a": image})
    translator = Summing(input_range=(LOW, HIGH), weight={"nodata": -9999}, held_out_fraction=0)
    options = {"split": "train", "data": folder.parent} if by_pairs else {}
    assert said(translator, () if by_pairs else [folder], tmp_path / "out", **options) == [
        "1 of 1 images have values outside `data.input_range`, which were clipped: 2.5 % of all values in a."
    ]
    if not by_pairs:
        assert (read_image(tmp_path / "out" / "a.tif")[:5] == -9999).all()


class TestByRegion:
    """Tiles overlap, and `tile_as` whole reads an image many times: each value counts once."""

    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        monkeypatch.setattr(large, "LARGE_MEGAPIXELS", 0)
        image = np.random.default_rng(0).normal(50, 40, (150, 130, 3)).astype(np.float32)
        tifffile.imwrite(tmp_path / "a.tif", image, tile=(32, 48), photometric="minisblack", planarconfig="contig")
        return tmp_path / "a.tif"

    def sentence(self, path):
        share = outside_by_loops(tifffile.imread(path)) / (150 * 130 * 3)
        return (
            f"1 of 1 images have values outside `data.input_range`, which were clipped: {100 * share:.2g} % of all "
            f"values in a."
        )

    @pytest.mark.parametrize("overlap_px", [0, 7, 32])
    def test_by_overlapping_tiles(self, overlap_px, path, tmp_path):
        translator = Summing(input_range=(LOW, HIGH), input_channels=3)
        options = {"tile_px": 64, "overlap_px": overlap_px, "format": "tiff"}
        assert said(translator, [path], tmp_path / "out", **options) == [self.sentence(path)]
        assert outside_by_loops(tifffile.imread(path)) > 1000

    @pytest.mark.parametrize("tile_as", ["whole", "alone"])
    def test_by_a_network(self, tile_as, path, tmp_path, tiny_run):
        translator = p2p.load(tiny_run.path, tile_as=tile_as)
        data = translator.card.config.data.model_copy(update={"input_range": (LOW, HIGH), "out_of_range": "clip"})
        config = translator.card.config.model_copy(update={"data": data})
        translator.card = translator.card.model_copy(update={"config": config})
        options = {"tile_px": 64, "format": "tiff", "samples": 2, "noise": "on"}
        assert said(translator, [path], tmp_path / "out", **options) == [self.sentence(path)]


def test_the_command_says_it_at_the_end(tmp_path, tiny_run, monkeypatch):
    card = tiny_run.card
    data = card.config.data.model_copy(update={"input_range": (10, 200), "out_of_range": "clip"})
    changed = card.model_copy(update={"config": card.config.model_copy(update={"data": data})})
    monkeypatch.setattr("tfpix2pix.runs.directory.RunDirectory.card", lambda *arguments, **options: changed)
    image = np.full((32, 32, 3), 100, np.uint8)
    image[:16, :, 0] = 9
    tifffile.imwrite(tmp_path / "a.tif", image)
    code, out, errors = run_cli("translate", tiny_run.path, tmp_path / "a.tif", "--out", tmp_path / "out")
    assert (code, "1 translated into" in out) == (0, True), errors
    assert errors.count("clipped") == 1 and "17 % of all values in a." in " ".join(errors.split())
