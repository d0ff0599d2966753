"""Ranges of values: percentiles that a run measures once, and values outside that are clipped and counted."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli, write_image
from tests.data.test_parts import scene
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor import examine
from tfpix2pix.data.opening import decided, open_source, read_otherwise
from tfpix2pix.data.ranges import MOST_PIXELS, Share, clipped_shares, from_signed, in_range, on_clipped, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.writing import write_pairs, write_shards
from tfpix2pix.errors import UserError

SIDE = 24


def heights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2, 100, (SIDE, SIDE)).astype(np.float32)


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Four pairs of float maps; the first target has one hot pixel. The last pair is held out."""
    for split, seeds in (("train", (0, 1, 2)), ("val", (3,))):
        for name in ("input", "target"):
            (tmp_path / split / name).mkdir(parents=True)
        for seed in seeds:
            target = -2 * heights(seed)
            target[5, 5] = 1e6 if seed == 0 else target[5, 5]
            tifffile.imwrite(tmp_path / split / "input" / f"{seed}.tif", heights(seed))
            tifffile.imwrite(tmp_path / split / "target" / f"{seed}.tif", target)
    return tmp_path


def settings(folder: Path, **changes) -> dict:
    channels = {"input_channels": 1, "target_channels": 1}
    return {"source": "folders", "dir": str(folder), "image_size_px": 16, **channels, **changes}


BY_PERCENTILES = {"input_percentiles": (1, 99), "target_percentiles": (0.5, 99.5)}


class TestPercentiles:
    def test_are_those_of_all_values_of_the_training_pairs(self, maps):
        data = decided(DataConfig(**settings(maps, **BY_PERCENTILES)), 0)
        inputs = np.stack([heights(seed) for seed in range(3)])
        targets = -2 * inputs
        targets[0, 5, 5] = 1e6
        for measured, values, percentiles in (
            (data.input_range, inputs, (1, 99)),
            (data.target_range, targets, (0.5, 99.5)),
        ):
            assert measured == pytest.approx(np.percentile(values, percentiles), abs=1e-6 * (measured[1] - measured[0]))
        assert data.clips == (True, True)

    def test_a_given_range_stays(self, maps):
        data = DataConfig(**settings(maps, **BY_PERCENTILES, input_range=(0, 9)))
        assert decided(data, 0).input_range == (0, 9)
        assert decided(DataConfig(**settings(maps)), 0).input_range is None

    def test_are_of_the_pixels_that_count(self, maps):
        for file in (maps / "train" / "target").iterdir():
            target = tifffile.imread(file)
            target[:10] = -9999
            tifffile.imwrite(file, target)
        data = decided(DataConfig(**settings(maps, **BY_PERCENTILES, weight={"nodata": -9999})), 0)
        assert data.target_range[0] > -3000
        inside = np.stack([heights(seed)[10:] for seed in range(3)])
        assert data.input_range == pytest.approx(np.percentile(inside, (1, 99)), rel=1e-5)

    def test_have_digits_for_the_width_of_the_range(self, maps):
        for file in (maps / "train" / "input").iterdir():
            pressure = 101_325 + np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
            tifffile.imwrite(file, pressure)
        low, high = decided(DataConfig(**settings(maps, input_percentiles=(10, 90))), 0).input_range
        assert (low, high) == pytest.approx((101_325.1, 101_325.9), abs=0.02)

    def test_of_one_channel_are_two_numbers(self, maps):
        data = DataConfig(**settings(maps, **BY_PERCENTILES, percentiles_of="channel", target_unit="m"))
        measured = decided(data, 0)
        assert all(isinstance(bound, float) for bound in measured.target_range)
        assert DataConfig.model_validate(measured.model_dump(mode="json")).target_range == measured.target_range

    def test_of_eight_bits_beside_a_value_for_no_data(self, tmp_path):
        for name in ("input", "target"):
            (tmp_path / name).mkdir()
            values = np.random.default_rng(0).integers(10, 200, (SIDE, SIDE), np.uint8)
            values[:4] = 0
            tifffile.imwrite(tmp_path / name / "0.tif", values)
        data = DataConfig(**settings(tmp_path, **BY_PERCENTILES, weight={"nodata": 0}, held_out_fraction=0))
        assert decided(data, 0).input_range[0] >= 10

    def test_pairs_are_written_by_them(self, maps, tmp_path):
        write_pairs(DataConfig(**settings(maps, **BY_PERCENTILES)), tmp_path / "written")
        written = tifffile.imread(tmp_path / "written" / "train" / "input" / "1.tif")
        low, high = decided(DataConfig(**settings(maps, **BY_PERCENTILES)), 0).input_range
        np.testing.assert_allclose(written, np.clip(heights(1), low, high), rtol=1e-6)

    def test_images_without_pairs_are_not_evaluated_by_them(self, maps, tmp_path):
        options = ["--set", "data.target_percentiles=[1,99]", "--set", "data.target_channels=1"]
        folder = maps / "val" / "target"
        code, _, errors = run_cli("evaluate", folder, "--targets", folder, "--out", tmp_path / "out", *options)
        assert code == 2
        assert "`data.target_range` must be known to evaluate images without their pairs" in errors.replace(
            "--set ", ""
        )

    def test_of_large_images_take_values_evenly_spread(self, tmp_path):
        for name in ("input", "target"):
            (tmp_path / name).mkdir()
            tifffile.imwrite(tmp_path / name / "0.tif", np.arange(300 * 300, dtype=np.float32).reshape(300, 300))
        data = decided(DataConfig(**settings(tmp_path, input_percentiles=(10, 90), held_out_fraction=0)), 0)
        assert MOST_PIXELS < 300 * 300
        assert data.input_range == pytest.approx((9_000, 81_000), rel=1e-3)

    def test_are_said(self, maps):
        data = DataConfig(**settings(maps, **BY_PERCENTILES))
        now = decided(data, 0)
        low, high = now.input_range
        assert read_otherwise(data, now)[0] == f"Input values: {low:g} to {high:g} (`data.input_percentiles`)."

    def test_are_recorded_and_kept_at_a_resume(self, maps, tmp_path):
        config = least_config(data=settings(maps, **BY_PERCENTILES), training={"steps": 2, "checkpoint_every_steps": 1})
        run = p2p.train(config, run_dir=tmp_path / "run")
        recorded = run.card.config.data
        assert recorded.input_range == decided(config.data, 0).input_range
        tifffile.imwrite(maps / "train" / "input" / "1.tif", 3 * heights(1))  # other percentiles now
        longer = config.model_copy(update={"training": config.training.model_copy(update={"steps": 3})})
        resumed = p2p.train(longer, run_dir=tmp_path / "run", resume=True, accept_changes=True)
        assert resumed.card.config.data.input_range == recorded.input_range

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"input_percentiles": (99, 1)}, r"must be two percentiles, the smaller first. Received \[99.0, 1.0\]"),
            ({"input_percentiles": (1, 101)}, "input_percentiles"),
            ({"target_percentiles": (1, 99), "target_classes": 3}, "`data.target_percentiles` must be null for label"),
            ({"input_percentiles": (1, 99), "source": "photographs"}, "photographs with an operator"),
        ],
    )
    def test_that_do_not_go_are_refused(self, maps, changes, message):
        base = settings(maps)
        if "target_classes" in changes:
            base["target_channels"] = 1
        with pytest.raises((ValueError, UserError), match=message):
            make_config({"data": {**base, **changes}})

    def test_of_one_value_are_refused(self, maps):
        for file in (maps / "train" / "input").iterdir():
            tifffile.imwrite(file, np.full((SIDE, SIDE), 7, np.float32))
        with pytest.raises(UserError, match=r"must be of values that differ. Received \[1.0, 99.0\], which are both 7"):
            decided(DataConfig(**settings(maps, input_percentiles=(1, 99))), 0)


class TestClipping:
    def test_takes_the_nearest_value_of_the_range(self, maps):
        ranges = {"input_range": (0, 300), "target_range": (-600, 0)}
        data = DataConfig(**settings(maps, **ranges, out_of_range="clip"))
        _, target = SOURCES["folders"](data, "train", 0).read(0)
        assert target[5, 5] == 0
        assert target.min() == -600
        with pytest.raises(UserError, match="or `data.out_of_range` to clip"):
            SOURCES["folders"](DataConfig(**settings(maps, **ranges)), "train", 0).read(0)

    def test_keeps_the_image_if_nothing_lies_outside(self):
        image = np.float32([[[0.5]]])
        assert in_range(image, None, "k", "f", clip=True) is image

    def test_does_not_take_nan_for_a_number(self):
        with pytest.raises(UserError, match="must be finite"):
            in_range(np.float32([[[np.nan]]]), (0, 1), "k", "f", clip=True)

    def test_the_doctor_counts_what_is_clipped(self, maps):
        ranges = {"input_range": (0, 2000), "target_range": (-4000, 0)}
        notes = examine(DataConfig(**settings(maps, **ranges, out_of_range="clip"))).notes
        share = 100 / SIDE**2
        assert (
            f"1 of 4 images have values outside `data.target_range`, which are clipped: {share / 4:.2g} % of all "
            f"values, {share:.2g} % of an image at most." in notes
        )

    def test_an_evaluation_says_how_many_values_are_clipped(self, maps, tmp_path):
        ranges = {"input_range": (0, 2000), "target_range": (-4000, 0), "target_unit": "m"}
        data = settings(maps, **ranges, out_of_range="clip")
        run = p2p.train(least_config(data=data, training={"steps": 1}), run_dir=tmp_path / "run")
        command = ("evaluate", run.path, "--split", "train", "--metrics", "l1,unit_errors", "--variants", "0")
        out = tmp_path / "evaluation"
        code, _, error = run_cli(*command, "--out", out)
        assert code == 0, error
        share = 100 / SIDE**2
        note = (
            f"1 of 3 images have values outside `data.target_range`, which are clipped: {share / 3:.2g} % of all "
            f"values, {share:.2g} % of an image at most."
        )
        assert note in json.loads((out / "metrics.json").read_text())["notes"]
        assert note in (out / "report.html").read_text(encoding="utf-8")

    def test_translating_clips_too_and_says_so(self, maps, tmp_path):
        run = p2p.train(
            least_config(data=settings(maps, **BY_PERCENTILES), training={"steps": 1}), run_dir=tmp_path / "run"
        )
        hot = heights(0)
        hot[3, 3] = 1e7
        (tmp_path / "new").mkdir()
        tifffile.imwrite(tmp_path / "new" / "hot.tif", hot)
        translator = p2p.load(run.directory.path)
        high = run.card.config.data.input_range[1]
        with pytest.warns(UserWarning, match="1 of 1 images have values outside `data.input_range`, which were clipp"):
            p2p.translate_files(translator, [tmp_path / "new"], out=tmp_path / "out")
        (written,) = (tmp_path / "out").glob("*.tif")
        low = run.card.config.data.input_range[0]
        (expected,) = translator.translate_many([np.clip(hot, low, high)[..., np.newaxis]])
        np.testing.assert_allclose(tifffile.imread(written), expected[..., 0], rtol=1e-5)


class TestEachChannel:
    RANGES = ((0.0, 100.0), (-1.0, 1.0))

    def image(self):
        rng = np.random.default_rng(0)
        return np.stack([rng.uniform(0, 100, (6, 5)), rng.uniform(-1, 1, (6, 5))], axis=-1).astype(np.float32)

    def test_has_its_own_range(self):
        image = self.image()
        signed = to_signed(image, self.RANGES)
        np.testing.assert_allclose(signed[..., 0], image[..., 0] / 50 - 1, atol=1e-6)
        np.testing.assert_allclose(signed[..., 1], image[..., 1], atol=1e-6)
        assert signed.dtype == np.float32
        np.testing.assert_allclose(from_signed(signed, np.float32, self.RANGES), image, rtol=1e-5, atol=1e-5)
        alike = to_signed(image[..., :1].repeat(2, -1), ((0, 100), (0, 100)))
        np.testing.assert_array_equal(alike, to_signed(image[..., :1].repeat(2, -1), (0, 100)))

    def test_is_checked_and_clipped_alone(self):
        image = self.image()
        image[2, 3] = (50, 50)
        with pytest.raises(UserError, match=r"-1 to 1 in channel 2. Received -0.89\d+ to 50 in a.tif"):
            in_range(image, self.RANGES, "data.input_range", "a.tif")
        clipped = in_range(image, self.RANGES, "data.input_range", "a.tif", clip=True)
        np.testing.assert_array_equal(clipped[2, 3], (50, 1))
        with pytest.raises(UserError, match="a channel for each range. Received 1 in a.tif for 2 ranges"):
            in_range(image[..., :1], self.RANGES, "data.input_range", "a.tif")

    def test_alpha_is_dropped_before(self, tmp_path):
        for name in ("input", "target"):
            write_image(tmp_path / name / "0.png", np.full((SIDE, SIDE, 4), 100, np.uint8))
        data = {"source": "folders", "dir": str(tmp_path), "image_size_px": 16, "held_out_fraction": 0, "alpha": "drop"}
        data |= {"target_range": ((0, 100), (0, 200), (0, 255)), "weight": {"nodata": 7}}
        _, target, _ = SOURCES["folders"](DataConfig(**data), "train", 0).whole(0)
        assert target.shape == (SIDE, SIDE, 3)

    def test_has_its_own_percentiles(self, tmp_path):
        for name in ("input", "target"):
            (tmp_path / name).mkdir()
            np.save(tmp_path / name / "0.npy", self.image().repeat(4, 0).repeat(4, 1))
        base = {**settings(tmp_path, held_out_fraction=0), "input_channels": 2, "target_channels": 2}
        base |= {"input_percentiles": (5, 95), "target_range": self.RANGES}
        by_channel = decided(DataConfig(**base, percentiles_of="channel"), 0)
        expected = [np.percentile(self.image()[..., channel].repeat(16), (5, 95)) for channel in (0, 1)]
        assert np.ravel(by_channel.input_range) == pytest.approx(np.ravel(expected), rel=1e-4)
        together = decided(DataConfig(**base), 0)
        assert together.input_range == pytest.approx(np.percentile(self.image().repeat(16), (5, 95)), rel=1e-4)
        low, high = by_channel.input_range[1]
        assert f"{low:g} to {high:g} (`data.input_percentiles`)" in read_otherwise(DataConfig(**base), by_channel)[0]

    def test_a_run_trains_translates_and_says_where_it_is_unsure(self, tmp_path):
        for name in ("input", "target"):
            (tmp_path / name).mkdir()
            for index in range(3):
                np.save(tmp_path / name / f"{index}.npy", np.roll(self.image(), index).repeat(4, 0).repeat(4, 1))
        data = settings(tmp_path, input_range=self.RANGES, target_range=self.RANGES, out_of_range="clip")
        data |= {"input_channels": 2, "target_channels": 2}
        config = least_config(data=data, generator={"noise": "gaussian"}, training={"steps": 1})
        run = p2p.train(config, run_dir=tmp_path / "run")
        translator = p2p.load(run.directory.path)
        assert translator.card.config.data.target_range == self.RANGES
        image = self.image().repeat(4, 0).repeat(4, 1)
        (plain,) = translator.translate_many([image])
        signed = translator(to_signed(image, self.RANGES))
        np.testing.assert_allclose(plain, from_signed(signed, np.float32, self.RANGES), rtol=1e-5, atol=1e-5)
        p2p.translate_files(
            translator, [tmp_path / "input" / "0.npy"], out=tmp_path / "out", uncertainty=True, samples=3
        )
        described = json.loads((tmp_path / "out" / "0-deviation.json").read_text())
        assert described["value_range"] == [[0.0, 100.0], [-1.0, 1.0]]
        assert described["heat_map"]["high"] == [25.0, 0.5]
        for page in ("web", "html"):
            with pytest.raises(UserError, match="A web page must have a model with one range for all channels"):
                p2p.export_run(tmp_path / "run", page, tmp_path / page)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"input_range": [[0, 1]]}, "a range for each of the 3 channels, of pairs in files. Received 1"),
            ({"input_range": [[0, 1], [1, 0], [0, 1]]}, r"the smaller first. Received \[1.0, 0.0\]. Exchange them"),
            ({"input_range": [0, 1, 2]}, "must be two numbers, or two for each channel"),
            ({"target_range": [[0, 1]] * 3, "target_unit": "m"}, "must go with one range for all channels"),
            (
                {"target_percentiles": [1, 99], "percentiles_of": "channel", "target_unit": "m"},
                "with `data.percentiles_of: channel` for 3 channels",
            ),
        ],
    )
    def test_others_are_refused(self, changes, message):
        with pytest.raises(UserError, match=message):
            make_config({"data": changes})


class TestPartsOfInputs:
    INPUTS = (
        {"name": "height", "channels": 1, "range": (500, 3000)},
        {"name": "labels", "classes": 4},
        {"name": "coast", "kind": "distance", "range": (-2, 2), "folder": "labels2"},
        {"name": "kv", "kind": "scalar", "range": (90, 140)},
    )
    VOLTAGES = (80, 100, 140)

    @pytest.fixture
    def folder(self, tmp_path):
        for seed, _ in enumerate(self.VOLTAGES):
            images = scene(seed)
            for part, image in (*images.items(), ("labels2", images["labels"])):
                write_image(tmp_path / "train" / part / f"{seed}.png", image)
            write_image(tmp_path / f"train/mask/{seed}.png", np.uint8(255 * (images["labels"] > 0)))
        lines = [f"{seed},{voltage}" for seed, voltage in enumerate(self.VOLTAGES)]
        (tmp_path / "scalars.csv").write_text("\n".join(["name,kv", *lines]))
        return tmp_path

    def data(self, folder, **changes):
        inputs = {"source": "folders", "dir": str(folder), "inputs": self.INPUTS, "out_of_range": "clip"}
        return DataConfig(**{**inputs, "image_size_px": 32, **changes})

    def shares(self, weighted=False):
        """The share of the values of each input that lie outside, by counting pixels: a number is a channel too."""
        shares = []
        for seed, voltage in enumerate(self.VOLTAGES):
            images, outside, counting = scene(seed), 0, 0
            for place in np.ndindex(images["height"].shape):
                if images["labels"][place] or not weighted:
                    counting += 1
                    outside += not 500 <= images["height"][place] <= 3000
            shares.append((outside / counting + (not 90 <= voltage <= 140)) / len(self.INPUTS))
        return shares

    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_doctor_counts_what_is_clipped_in_each(self, folder, weighted):
        notes = examine(self.data(folder, weight="mask" if weighted else None)).notes
        shares = [100 * share for share in self.shares(weighted)]
        those = "the values that count" if weighted else "all values"
        assert (
            f"3 of 3 images have values outside the ranges of `data.inputs`, which are clipped: "
            f"{np.mean(shares):.2g} % of {those}, {max(shares):.2g} % of an image at most." in notes
        )

    def test_shards_and_readable_pairs_are_counted_alike(self, folder, tmp_path):
        data = self.data(folder, on_error="skip")
        write_shards(data, str(tmp_path / "shards"))
        shards = self.data(tmp_path / "shards", source="shards")
        for opened, config in ((open_source(data, "train", 0), data), (open_source(shards, "train", 0), shards)):
            shares = [clipped_shares(opened, index, config, None) for index in range(3)]
            np.testing.assert_allclose(shares, [(share, 0) for share in self.shares()], rtol=1e-9)

    def test_nothing_is_counted_inside_the_ranges(self, folder):
        wide = [{**part, "range": (0, 5000)} if part["name"] in ("height", "kv") else part for part in self.INPUTS]
        source = SOURCES["folders"](data := self.data(folder, inputs=wide), "train", 0)
        assert clipped_shares(source, 0, data, None) == (0, 0)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([1, 0], "1 value in 1 of 2 images lies outside `data.input_range` and is clipped."),
        ([3, 17], "20 values in 2 of 2 images lie outside `data.input_range` and are clipped."),
        (
            [4, 17],
            "2 of 2 images have values outside `data.input_range`, which are clipped: 0.00011 % of all values, "
            "0.00017 % of an image at most.",
        ),
    ],
)
def test_few_clipped_values_are_counted(counts, text):
    shares = [(Share(count / 1e7, count), Share(0.0, 0)) for count in counts]
    assert on_clipped(shares, DataConfig()) == [text]
    assert pickle.loads(pickle.dumps(shares[0][0])).count == counts[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_of_a_range_beyond_the_type_become_its_ends(dtype):
    most = np.iinfo(dtype).max
    values = from_signed(np.float32([-1, -0.999, 0, 1]), dtype, (-most, 3 * most))
    np.testing.assert_array_equal(values, [0, 0, most, most])
