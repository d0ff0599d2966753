"""Crops of pairs in large files are those of whole files, and nothing but the crops is decoded."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli
from tfpix2pix import rng
from tfpix2pix.data import SOURCES, crops, images, stack_regions, transforms
from tfpix2pix.data.crops import at_random, middle
from tfpix2pix.data.opening import check_readable, open_source
from tfpix2pix.data.pairs import signed
from tfpix2pix.data.pipeline import evaluation_batches, training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.size import Size

SIZES = [(90, 70), (64, 120), (50, 50)]
TILES = {"tile": (16, 32), "compression": "zlib"}


def pixels(seed, size, channels=3, dtype=np.uint8, most=None):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, most or np.iinfo(dtype).max + 1, (*size, channels)).astype(dtype)
    return values[..., 0] if channels == 1 else values


def write(root, kinds, *, splits=("train", "val")):
    """Pairs in folders: `kinds` are the arguments of `pixels` by folder."""
    for split in splits:
        for number, size in enumerate(SIZES):
            for place, (folder, arguments) in enumerate(kinds.items()):
                path = root / split / folder / f"{number}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                image = pixels(10 * number + place, size, *arguments)
                rgb = image.ndim == 3 and image.shape[-1] == 3
                planes = {"planarconfig": "contig"} if image.ndim == 3 else {}
                tifffile.imwrite(path, image, photometric="rgb" if rgb else "minisblack", **planes, **TILES)
    (root / "scalars.csv").write_text("name,wind\n0,3.5\n1,25\n2,30\n")  # the last is clipped
    return root


SETTINGS = {"source": "folders", "fit": "crop", "image_size_px": 32, "cache_mb": 0}
CASES = {
    "photographs": ({"input": (3,), "target": (3,)}, {}),
    "rectangles": ({"input": (3,), "target": (3,)}, {"image_size_px": [32, 48], "vertical_flip": True}),
    "16 bits": ({"input": (1, np.uint16), "target": (3,)}, {"input_channels": 1, "rotate": True}),
    "label maps": (
        {"input": (1, np.uint8, 5), "target": (3,)},
        {"input_classes": 5, "input_class_values": "indices"},
    ),
    "weights": ({"input": (3,), "target": (3,), "mask": (1,)}, {"weight": "mask"}),
    "weights of 0 and 1": ({"input": (3,), "target": (3,), "mask": (1, np.uint8, 2)}, {"weight": "mask"}),
    "no data": ({"input": (3,), "target": (1, np.uint8, 4)}, {"weight": {"nodata": 3}, "target_channels": 1}),
    "several inputs of 8 bits": (
        {"photo": (3,), "kinds": (1, np.uint8, 5), "target": (3,)},
        {"inputs": ["photo", {"name": "kinds", "kind": "labels", "classes": 5}]},
    ),
    "several inputs": (
        {"t1": (1, np.uint16, 5000), "kinds": (1, np.uint8, 3), "coast": (1, np.uint8, 150), "target": (3,)},
        {
            "inputs": [
                {"name": "t1", "channels": 1, "range": [100, 4095]},
                {"name": "kinds", "kind": "labels", "classes": 3},
                {"name": "wind", "kind": "scalar", "range": [0, 25]},
                {"name": "coast", "kind": "distance", "range": [-5, 4.3]},
            ],
            "out_of_range": "clip", "rotate": True,
        },
    ),
    "several targets": (
        {"input": (3,), "ct": (2, np.uint16, 4096), "coast": (1, np.uint16, 90), "kinds": (1, np.uint8, 4)},
        {
            "targets": [
                {"name": "ct", "channels": 2, "range": [0, 4095]},
                {"name": "coast", "kind": "distance", "range": [-3, 12]},
                {"name": "kinds", "kind": "labels", "classes": 4},
            ],
        },
    ),
    "several on both sides, with weights": (
        {"t1": (1,), "t2": (1, np.uint16), "ct": (1, np.float32, 100), "photo": (3,), "mask": (1,)},
        {
            "inputs": [{"name": "t1", "channels": 1}, {"name": "t2", "channels": 1}],
            "targets": [{"name": "ct", "channels": 1, "range": [-20, 100]}, "photo"],
            "weight": "mask", "image_size_px": [32, 40],
        },
    ),
    "several targets without data": (
        {"input": (1, np.uint8, 4), "ct": (1, np.uint8, 4), "kinds": (1, np.uint8, 4)},
        {
            "targets": [
                {"name": "ct", "channels": 1, "range": [0, 3]}, {"name": "kinds", "kind": "labels", "classes": 4},
            ],
            "input_channels": 1, "weight": {"nodata": 3},
        },
    ),
}  # fmt: skip


@pytest.fixture
def nothing_whole(monkeypatch):
    """Reading a whole file fails."""

    def fail(*arguments, **options):
        raise AssertionError("a whole file was decoded")

    monkeypatch.setattr(images, "decode", fail)


def twins_of_batches(source, data, steps):
    """The pairs of training batches, and those of evaluation, by the transforms of whole pairs, one by one."""
    order, augmentation, twins = rng.stream(3, "order"), rng.stream(3, "augmentation"), []
    for step in range(steps):
        epoch, index = rng.shuffled_index(order, tf.constant(step, tf.int64), len(source))
        whole = signed(source.whole(int(index)), data)
        twins.append(transforms.for_training(whole, data, rng.at(augmentation, epoch, index)))
    return twins, [transforms.for_evaluation(signed(source.whole(index), data), data) for index in range(len(source))]


def assert_equal_to_the_bit(batches, twins):
    for batch, twin in zip(batches, twins, strict=True):
        for part, expected in zip(batch, twin, strict=True):
            np.testing.assert_array_equal(part[0], expected)


@pytest.mark.parametrize("name", CASES)
def test_batches_are_those_of_whole_files_to_the_bit(name, tmp_path, monkeypatch):
    """Twin: the transforms of whole pairs, pair by pair."""
    kinds, settings = CASES[name]
    data = DataConfig(dir=str(write(tmp_path, kinds)), **{**SETTINGS, **settings})
    source, steps = open_source(data, "train", 0), 7
    twins, centers = twins_of_batches(source, data, steps)
    kept = data.model_copy(update={"cache_mb": 512})
    for cached in (data, kept):
        source = open_source(cached, "train", 0)
        assert source.is_large(0) == (cached is data)
        with monkeypatch.context() as patch:
            if cached is data:
                patch.setattr(images, "decode", lambda *arguments, **options: pytest.fail("decoded whole"))
            batches = training_batches(source, cached, batch_size=1, seed=3, first_step=0, total_steps=steps)
            assert_equal_to_the_bit(batches, twins)
            assert_equal_to_the_bit(evaluation_batches(source, cached), centers)


COMBINED = {
    "left": {},
    "right": {"input_side": "right", "image_size_px": [32, 24]},
    "top": {"input_side": "top", "image_size_px": [24, 48], "rotate": False},
    "bottom": {"input_side": "bottom", "image_size_px": 24, "input_channels": 1, "target_channels": 1},
    "alpha": {"weight": "alpha", "input_channels": 4},
    "no data": {"weight": {"nodata": 3}, "input_channels": 1, "target_channels": 1},
}


@pytest.mark.parametrize("name", COMBINED)
def test_combined_images_are_read_by_region_to_the_bit(name, tmp_path, monkeypatch):
    """Twin: the transforms of halves of whole images."""
    data = DataConfig(dir=str(tmp_path), **{**SETTINGS, "source": "combined", **COMBINED[name]})
    for number, size in enumerate([(90, 140), (64, 120), (60, 100)]):
        kinds = {"alpha": (4,), "no data": (1, np.uint8, 4), "bottom": (1, np.uint16)}
        image = pixels(number, size, *kinds.get(name, (3,)))
        options = {"extrasamples": ["unassalpha"]} if name == "alpha" else {}
        for split in ("train", "val"):
            (tmp_path / split).mkdir(exist_ok=True)
            rgb = "rgb" if image.ndim == 3 else "minisblack"
            tifffile.imwrite(tmp_path / split / f"{number}.tif", image, photometric=rgb, **TILES, **options)
    source, steps = open_source(data, "train", 0), 6
    twins, centers = twins_of_batches(source, data, steps)
    assert source.is_large(0)
    monkeypatch.setattr(images, "decode", lambda *arguments, **options: pytest.fail("decoded whole"))
    batches = training_batches(source, data, batch_size=1, seed=3, first_step=0, total_steps=steps)
    assert_equal_to_the_bit(batches, twins)
    assert_equal_to_the_bit(evaluation_batches(source, data), centers)


def test_combined_images_that_cannot_be_halved_or_are_label_maps_are_read_whole(tmp_path):
    (tmp_path / "train").mkdir()
    tifffile.imwrite(tmp_path / "train" / "0.tif", pixels(0, (80, 141)), photometric="rgb", **TILES)
    odd = open_source(DataConfig(dir=str(tmp_path), **{**SETTINGS, "source": "combined"}), "train", 0)
    assert not odd.is_large(0)
    with pytest.raises(UserError, match="even number of pixels wide"):
        odd.sample(0)
    tifffile.imwrite(tmp_path / "train" / "0.tif", pixels(0, (80, 140), 1, np.uint8, 3), **TILES)
    labels = {**SETTINGS, "source": "combined", "target_classes": 3, "input_channels": 1}
    source = open_source(DataConfig(dir=str(tmp_path), target_class_values="indices", **labels), "train", 0)
    assert not source.is_large(0) and source.whole(0)[1].max() == 2


class TestSeveralFiles:
    """Parts of `data.inputs` and `data.targets`; the batches of most are among `CASES`."""

    def source(self, root, **settings):
        return open_source(DataConfig(dir=str(root), **{**SETTINGS, **settings}), "train", 0)

    @pytest.mark.parametrize("bound", [0.4, 1, 2.5, 7, 40])
    def test_distances_need_a_rim_alone(self, bound, tmp_path, nothing_whole):
        """One pixel is inside: its distance from each, by hand, is the same in every crop."""
        mask = np.zeros((90, 80), np.uint8)
        mask[41, 37] = 1
        for folder in ("input", "coast"):
            (tmp_path / "train" / folder).mkdir(parents=True)
            tifffile.imwrite(tmp_path / "train" / folder / "0.tif", mask, **TILES)
        coast = {"name": "coast", "kind": "distance", "range": [-bound, bound]}
        source = self.source(tmp_path, targets=[coast], input_channels=1)
        rows, columns = np.mgrid[:90, :80]
        expected = np.clip(0.5 - np.hypot(rows - 41, columns - 37), -bound, bound)
        expected[41, 37] = min(0.5, bound)
        with source.opened(0) as pair:
            for top, left in ((0, 0), (58, 48), (20, 10), (40, 36), (3, 40), (58, 0)):
                _, crop = pair.read(crops.Window(top, left, 32, 32))
                np.testing.assert_array_equal(
                    crop[..., 0], expected[top : top + 32, left : left + 32].astype(np.float32)
                )

    def test_masks_of_two_values_are_read_by_region(self, tmp_path, nothing_whole):
        """Also where a crop has one of the two alone."""
        write(tmp_path, {"input": (3,), "mask": (1, np.uint8, 2)})
        mask = np.zeros((90, 70), np.uint8)
        mask[:, 35:] = 255
        tifffile.imwrite(tmp_path / "train" / "mask" / "0.tif", mask, **TILES)
        source = self.source(tmp_path, targets=[{"name": "mask", "kind": "labels", "classes": 2}])
        with source.opened(0) as pair:
            for left, of_class_1 in ((0, 0), (38, 32), (20, 17)):
                _, crop = pair.read(crops.Window(5, left, 32, 32))
                assert crop.shape == (32, 32, 1) and crop.dtype == np.float32
                np.testing.assert_array_equal(crop.sum(axis=1), np.full((32, 1), of_class_1))

    @pytest.mark.parametrize(
        ("kinds", "settings"),
        [
            ({"photo": (3,), "instances": (1,), "target": (3,)}, {"inputs": ["photo", "instances"]}),
            (
                {"photo": (3,), "kinds": (1, np.uint8, 2), "target": (3,)},
                {
                    "inputs": ["photo", {"name": "kinds", "kind": "labels", "classes": 2}],
                    "class_colors": ["#000000", "#ffffff"],
                },
            ),
            (
                {"photo": (3,), "coast": (3,), "target": (3,)},
                {"inputs": ["photo", {"name": "coast", "kind": "distance", "range": [-9, 9]}]},
            ),
        ],
    )
    def test_what_depends_on_the_whole_is_read_whole(self, kinds, settings, tmp_path):
        source = self.source(write(tmp_path, kinds), **settings)
        assert not source.is_large(0)
        if "coast" not in kinds:
            assert source.whole(0)[0].shape[:2] == SIZES[0]

    def test_parts_of_two_sizes_are_named(self, tmp_path):
        source = self.source(write(tmp_path, {"photo": (3,), "depth": (3,), "target": (3,)}), inputs=["photo", "depth"])
        tifffile.imwrite(tmp_path / "train" / "depth" / "0.tif", pixels(0, (91, 70)), photometric="rgb", **TILES)
        assert not source.is_large(0) and source.is_large(1)
        with pytest.raises(UserError, match="must be of one size. Received 70x90 px in .*photo.* and 70x91 px"):
            source.sample(0)

    def test_a_part_of_other_channels_or_out_of_range_is_named(self, tmp_path, nothing_whole):
        write(tmp_path, {"t1": (1, np.uint16), "target": (3,)})
        source = self.source(tmp_path, inputs=[{"name": "t1", "channels": 1, "range": [0, 9]}])
        with pytest.raises(UserError, match=r"within `range`, 0 to 9 here.*t1.0\.tif.*`data.inputs`"):
            source.sample(0)
        wind = {"name": "wind", "kind": "scalar", "range": [0, 9]}
        source = self.source(tmp_path, inputs=[{"name": "t1", "channels": 1}, wind])
        assert source.is_large(0)
        with pytest.raises(UserError, match="A scalar must lie within its `range`, 0 to 9 here. Received 25 as wind"):
            source.sample(1)

    def test_no_file_stays_open(self, tmp_path, monkeypatch):
        """If a part is read whole, or the pair after all."""
        kinds = {"photo": (3,), "depth": (3,), "instances": (1,), "target": (3,)}
        opened = []
        original = stack_regions.open_regions
        monkeypatch.setattr(
            stack_regions, "open_regions", lambda *arguments: opened.append(original(*arguments)) or opened[-1]
        )
        source = self.source(write(tmp_path, kinds), inputs=["photo", "depth", "instances"])
        assert source.opened(0) is None and len(opened) == 2
        kept = self.source(tmp_path, inputs=["photo", "depth"], cache_mb=512)
        assert kept.opened(0) is None and len(opened) == 4
        with self.source(tmp_path, inputs=["photo", "depth"]).opened(0):
            assert len(opened) == 6 and not opened[-1]._file.closed
        assert all(image._file.closed for image in opened)


def test_colors_are_changed_alike(tmp_path):
    """In a graph a colour may differ by a bit from the one of eager transforms: both are of the pipeline here."""
    root = str(write(tmp_path, {"input": (3,), "target": (3,)}))
    parts, whole = (DataConfig(dir=root, color_jitter=0.1, **{**SETTINGS, "cache_mb": mb}) for mb in (0, 512))
    batches = [
        list(training_batches(open_source(data, "train", 0), data, batch_size=2, seed=3, first_step=0, total_steps=4))
        for data in (parts, whole)
    ]
    for of_parts, of_whole in zip(*batches, strict=True):
        np.testing.assert_array_equal(of_parts[0], of_whole[0])
        np.testing.assert_array_equal(of_parts[1], of_whole[1])


def test_the_places_are_those_of_the_transforms():
    """Twin: TensorFlow's crop of an image of coordinates."""
    for number in range(200):
        length, size, key = Size(97, 40 + number), Size(32, 40), rng.at(rng.stream(0, "x"), number)
        coordinates = np.stack(np.mgrid[: length.height, : length.width], axis=-1).astype(np.float32)
        crop = transforms.random_crop((coordinates, coordinates), size, key)[0]
        window = at_random(length, size, transforms.crop_fraction(key).numpy())
        np.testing.assert_array_equal(coordinates[window.slices], crop)
        np.testing.assert_array_equal(
            coordinates[middle(length, size).slices], transforms.center_crop((coordinates, coordinates), size)[0]
        )


def test_pairs_of_a_table_too(tmp_path, nothing_whole):
    write(tmp_path, {"input": (3,), "target": (3,)}, splits=["all"])
    lines = ["input,target", *(f"all/input/{number}.tif,all/target/{number}.tif" for number in range(3))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    data = DataConfig(dir=str(tmp_path / "pairs.csv"), **{**SETTINGS, "source": "table", "held_out_fraction": 0})
    source = open_source(data, "train", 0)
    assert len(list(training_batches(source, data, batch_size=1, seed=0, first_step=0, total_steps=3))) == 3
    assert check_readable(source) == 3


def test_pairs_that_fit_or_do_not_crop_or_are_no_tiles_are_read_whole(tmp_path):
    data = DataConfig(dir=str(write(tmp_path, {"input": (3,), "target": (3,)})), **SETTINGS)
    for changes in ({"cache_mb": 1}, {"fit": "resize"}):
        assert not SOURCES["folders"](data.model_copy(update=changes), "train", 0).is_large(0)
    Image.fromarray(pixels(0, SIZES[0])).save(tmp_path / "train" / "input" / "0.png")
    (tmp_path / "train" / "input" / "0.tif").unlink()
    source = SOURCES["folders"](data, "train", 0)
    assert [source.is_large(index) for index in range(3)] == [False, True, True]


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_faults_are_found_by_headers_and_a_sample(on_error, tmp_path, monkeypatch):
    data = DataConfig(dir=str(write(tmp_path, {"input": (3,), "target": (3,)})), on_error=on_error, **SETTINGS)
    cut = tmp_path / "train" / "target" / "1.tif"
    cut.write_bytes(cut.read_bytes()[:-300])
    tifffile.imwrite(tmp_path / "train" / "target" / "2.tif", pixels(0, (50, 51)), photometric="rgb", **TILES)
    if on_error == "stop":
        with pytest.raises(UserError, match=r"target/1.tif, which cannot be read: it ends too soon"):
            check_readable(open_source(data, "train", 0))
        return
    source = open_source(data, "train", 0)
    assert source.names == ["0"]
    assert ["ends too soon" in fault.message for fault in source.skipped] == [True, False]
    assert "50x50 px in" in source.skipped[1].message and "51x50 px in" in source.skipped[1].message


def test_a_sample_is_the_middle(tmp_path, monkeypatch, nothing_whole):
    data = DataConfig(dir=str(write(tmp_path, {"input": (3,), "target": (3,)})), **SETTINGS)
    monkeypatch.setattr(crops, "SAMPLE_PX", 40)
    sample, _ = SOURCES["folders"](data, "train", 0).sample(0)
    np.testing.assert_array_equal(sample, pixels(0, SIZES[0])[25:65, 15:55])


def test_a_run_trains_on_files_that_are_larger_than_allowed(tmp_path, nothing_whole, quiet):
    """From the checks of the start to the last validation, no file is decoded whole."""
    write(tmp_path / "pairs", {"input": (3,), "target": (3,)})
    data = {**SETTINGS, "dir": str(tmp_path / "pairs"), "max_megapixels": 0.001, "jitter_ratio": 1.0}
    run = p2p.train(least_config(data=data), run_dir=tmp_path / "run", console=quiet)
    assert run.card.step == 4
    code, out, _ = run_cli("data", "check", tmp_path / "pairs", "--config", run.path / "config.yaml", "--json")
    assert code in (0, 3)
    assert not {"unreadable", "large"} & {finding["kind"] for finding in json.loads(out)["findings"]}
    evaluate = ("evaluate", run.path, "--metrics", "l1,nearest", "--variants", "0", "--out", tmp_path / "evaluation")
    code, out, error = run_cli(*evaluate, "--json")
    assert code == 0, error
    translator, differences = p2p.load(run.path), []
    for number, size in enumerate(SIZES):
        window = middle(Size(*size), Size(32, 32)).slices
        image, target = (pixels(10 * number + place, size)[window].astype(np.float32) / 127.5 - 1 for place in (0, 1))
        differences.append(np.abs(translator(image) - target).mean())
    figures = json.loads(out)["figures"]
    assert figures["l1"]["value"] == pytest.approx(np.mean(differences), rel=1e-4)
    assert figures["nearest_training_real"]["value"] == 0  # both splits hold the same files


def test_a_run_trains_on_several_large_files(tmp_path, nothing_whole, quiet):
    """As above: no part of a pair is decoded whole. Errors are those of the middle, by hand in the part's unit."""
    kinds = {"t1": (1, np.uint16), "kinds": (1, np.uint8, 3), "ct": (1, np.uint16), "tissue": (1, np.uint8, 4)}
    write(tmp_path / "pairs", kinds)
    inputs = [{"name": "t1", "channels": 1}, {"name": "kinds", "kind": "labels", "classes": 3}]
    targets = [
        {"name": "ct", "channels": 1, "range": [0, 65535], "unit": "HU"},
        {"name": "tissue", "kind": "labels", "classes": 4},
    ]
    data = {**SETTINGS, "dir": str(tmp_path / "pairs"), "max_megapixels": 0.001, "jitter_ratio": 1.0}
    run = p2p.train(
        least_config(data={**data, "inputs": inputs, "targets": targets}), run_dir=tmp_path / "run", console=quiet
    )
    code, out, error = run_cli("data", "check", tmp_path / "pairs", "--config", run.path / "config.yaml", "--json")
    assert code in (0, 3), error
    assert not {"unreadable", "large"} & {finding["kind"] for finding in json.loads(out)["findings"]}
    metrics = ("--metrics", "unit_errors,segmentation", "--variants", "0")
    code, out, error = run_cli("evaluate", run.path, *metrics, "--out", tmp_path / "evaluation", "--json")
    assert code == 0, error
    translator, errors, right = p2p.load(run.path), [], []
    for number, size in enumerate(SIZES):
        window = middle(Size(*size), Size(32, 32)).slices
        t1, kind, ct, tissue = (
            pixels(10 * number + place, size, *arguments)[window] for place, arguments in enumerate(kinds.values())
        )
        stack = translator({"t1": t1, "kinds": kind})
        errors.append(np.abs((stack[..., 0] + 1) / 2 * 65535 - ct).mean())
        right.append((np.rint((stack[..., 1] + 1) * 127.5) == tissue).mean())
    figures = json.loads(out)["figures"]
    assert figures["unit_mae_ct"]["value"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert figures["pixel_accuracy_tissue"]["value"] == pytest.approx(np.mean(right), abs=1e-6)


def test_a_larger_middle_than_the_files_is_the_whole_pair(tmp_path):
    data = DataConfig(dir=str(write(tmp_path, {"input": (3,), "target": (3,)})), **SETTINGS)
    source = SOURCES["folders"](data, "train", 0)
    assert source.is_large(0)
    for size, shape in ((Size(80, 70), (80, 70, 3)), (Size(91, 70), (90, 70, 3)), (Size(32, 71), (90, 70, 3))):
        image, target = source.middle(0, size)
        assert image.shape == target.shape == shape
