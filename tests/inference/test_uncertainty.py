"""Tests the mean and the deviation over noise, as arrays and as files."""

import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tests.conftest import write_image as write_picture
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import read_image
from tfpix2pix.data.ranges import full_range
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.batching import ImageTranslator, NotWritten, names_of
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.items import Input
from tfpix2pix.inference.translator import Translator
from tfpix2pix.inference.uncertainty import FILES, Running, UncertaintyWriter, check_uncertainty, heat_map


class AddingNoise:
    """An engine that adds the first value of the noise to every pixel, in part: v becomes v/2 + noise/4."""

    def __init__(self, noise_size=3, **data):
        card = ModelCard.of(tiny_config(data={"input_channels": 3, "target_channels": 3, **data}), 0)
        self.card = card.model_copy(update={"noise_size": noise_size})
        self.calls = []

    def __call__(self, images, noise):
        self.calls.append(len(images))
        return images[..., : self.card.config.data.target_channels] / 2 + noise[:, :1, None, None] / 4


@pytest.fixture
def translator():
    return Translator(AddingNoise())


@pytest.fixture(scope="module")
def of_run(smoke_run):
    return p2p.load(smoke_run.path)


@pytest.fixture
def one(tmp_path, rng):
    return write_picture(tmp_path / "one.png", rng.integers(0, 256, (20, 30, 3), np.uint8))


def test_the_running_moments_are_numpys(rng):
    images, running = rng.uniform(0, 65535, (20, 5, 6, 3)).astype(np.float32), Running()
    for image in images:
        running.add(image)
    np.testing.assert_allclose(running.mean, images.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(running.deviation, images.std(axis=0, ddof=1), rtol=1e-4)


def test_equal_images_have_no_deviation():
    running = Running()
    for _ in range(7):
        running.add(np.full((2, 2, 1), 0.1, np.float32))
    assert not running.deviation.any()


class TestArrays:
    def test_mean_and_deviation_are_those_of_the_samples(self, of_run, rng):
        image = rng.uniform(-1, 1, (32, 40, 1)).astype(np.float32)
        mean, deviation = of_run.uncertainty(image, 5, seed=3)
        samples = of_run.samples(image, 5, seed=3)
        np.testing.assert_allclose(mean, samples.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(deviation, samples.std(axis=0, ddof=1), atol=1e-5)
        assert deviation.max() > 1e-3

    def test_units_are_those_of_the_image(self, translator):
        noise = translator.noise(4, 0)[:, 0] / 4
        for image, unit in ((np.full((8, 8, 3), 255, np.uint8), 127.5), (np.ones((8, 8, 3), np.float32), 1)):
            mean, deviation = translator.uncertainty(image, 4)
            assert (mean.dtype, deviation.dtype) == (image.dtype, np.float32)
            np.testing.assert_allclose(deviation, noise.std(ddof=1) * unit, rtol=1e-4)
            expected = (0.5 + noise.mean() + (1 if unit > 1 else 0)) * unit
            np.testing.assert_allclose(mean, np.rint(expected) if unit > 1 else expected, rtol=1e-5)

    def test_in_tiles_as_whole_where_tiles_do_not_matter(self, translator, rng):
        image = rng.integers(0, 256, (40, 33, 3), np.uint8)
        whole, tiles = (translator.uncertainty(image, 3, tile_px=tile) for tile in (None, 16))
        np.testing.assert_array_equal(whole.mean, tiles.mean)
        np.testing.assert_allclose(whole.deviation, tiles.deviation, atol=1e-4)

    def test_batches_are_refused(self, translator):
        with pytest.raises(UserError, match=r"of one image \(H, W, C\). Received an array of shape \(2, 8, 8, 3\)"):
            translator.uncertainty(np.zeros((2, 8, 8, 3)))


@pytest.mark.parametrize(
    ("noise_size", "data", "samples", "message"),
    [
        (0, {}, 16, "must go with a model that has noise. Received it for .*, without"),
        (3, {"target_classes": 4, "target_channels": 1}, 16, "must go with a model that gives images. .* label maps"),
        (3, {}, 1, "`samples` must be 2 or more with `uncertainty`. Received 1. Give 16"),
    ],
)
def test_what_has_no_uncertainty_is_refused(noise_size, data, samples, message):
    with pytest.raises(UserError, match=message):
        check_uncertainty(AddingNoise(noise_size, **data).card, samples)


class TestFiles:
    def test_mean_deviation_heat_map_and_their_meaning(self, of_run, one, tmp_path):
        written = translate_files(of_run, [one], out=tmp_path / "out", uncertainty=True, samples=4, seed=5)
        names = ["one.png", "one-deviation.tif", "one-deviation.png", "one-deviation.json"]
        assert [path.name for path in written] == names
        assert len(written) == FILES
        mean, deviation = of_run.uncertainty(read_image(one), 4, seed=5)
        np.testing.assert_allclose(read_image(written[0]).astype(int), mean, atol=1)  # one rounds the other way
        from_file = read_image(written[1])
        assert from_file.dtype == np.float32
        np.testing.assert_allclose(from_file, deviation, atol=2e-3)
        meaning = json.loads(written[3].read_text())
        assert meaning["value_range"] == [0, 255]
        assert (meaning["samples"], meaning["seed"]) == (4, 5)
        assert meaning["mean_deviation"] == pytest.approx(deviation.mean(), rel=1e-3)
        assert meaning["heat_map"]["high"] == 255 / 4
        picture = np.asarray(Image.open(written[2]))
        np.testing.assert_array_equal(picture, heat_map(from_file, 255 / 4))

    @pytest.mark.parametrize(
        ("dtype", "data", "low", "high"),
        [
            ("uint8", {}, 0, 255),
            ("uint16", {"target_range": [0, 4095]}, 0, 4095),
            ("float32", {"target_range": [-10, 30]}, -10, 30),
            ("float32", {}, 0, 1),
        ],
    )
    def test_units_are_those_of_the_targets_files(self, dtype, data, low, high, one, tmp_path):
        engine = AddingNoise(**data)
        engine.card = engine.card.model_copy(update={"target_dtype": dtype})
        translator = Translator(engine)
        mean, deviation, *_ = translate_files(translator, [one], out=tmp_path / "out", uncertainty=True, samples=6)
        noise, half = translator.noise(6, 0)[:, 0] / 4, (high - low) / 2
        np.testing.assert_allclose(read_image(deviation), noise.std(ddof=1) * half, rtol=1e-3)
        signed = read_image(one).astype(np.float32) / 127.5 - 1
        expected = low + (signed / 2 + noise.mean() + 1) * half
        assert read_image(mean).dtype == dtype
        np.testing.assert_allclose(read_image(mean), expected, atol=0.51 if "u" in dtype else 1e-4 * half)

    def test_all_translations_of_an_image_share_batches(self, one, tmp_path):
        engine = AddingNoise()
        translate_files(Translator(engine), [one], out=tmp_path / "out", uncertainty=True, samples=5)
        assert engine.calls == [5]
        translate_files(Translator(engine), [one], out=tmp_path / "tiles", uncertainty=True, samples=2, tile_px=20)
        assert set(engine.calls[1:]) == {1}

    def test_files_come_back_at_the_size_of_their_inputs(self, translator, one, tmp_path):
        options = {"size": 16, "resize_back": True, "samples": 2}
        written = translate_files(translator, [one], out=tmp_path / "out", uncertainty=True, **options)
        assert [read_image(path).shape for path in written[:3]] == [(20, 30, 3)] * 3
        assert read_image(written[1]).min() >= 0

    def test_existing_files_stay_unless_told(self, translator, one, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "one-deviation.json").write_text("mine")
        with pytest.raises(UserError, match="must not overwrite a file. Received .*one-deviation.json"):
            translate_files(translator, [one], out=tmp_path / "out", uncertainty=True)
        translate_files(translator, [one], out=tmp_path / "out", uncertainty=True, overwrite=True)

    def test_sub_folders_keep_their_places(self, translator, tmp_path, rng):
        for name in ("in/x/a.png", "in/y/a.png"):
            write_picture(tmp_path / name, rng.integers(0, 256, (8, 8, 3), np.uint8))
        written = translate_files(translator, [tmp_path / "in"], out=tmp_path / "out", uncertainty=True, samples=2)
        assert (tmp_path / "out" / "y" / "a-deviation.json") in written
        assert len(written) == 2 * FILES

    def test_a_file_that_cannot_be_written_stops_no_other(self, translator, tmp_path, monkeypatch):
        def full(path, image):
            raise RunError("The disk is full.")

        monkeypatch.setattr("tfpix2pix.inference.uncertainty.write_image", full)
        writer = UncertaintyWriter.of(translator.card, tmp_path)
        with pytest.raises(NotWritten, match="The disk is full"):
            writer(Input("a", None, ()), translator.uncertainty(np.zeros((4, 4, 3), np.uint8), 2))
        assert (tmp_path / "a-deviation.json").is_file()

    def test_a_server_is_asked_for_floats(self, one, tmp_path):
        """Twin of RemoteModel: what it gives depends on the type in its card."""

        class Served(ImageTranslator):
            def __init__(self):
                self.inner = Translator(AddingNoise())
                self.card = self.inner.card

            def noise(self, count, seed):
                return self.inner.noise(count, seed)

            def translate_many(self, images, noise=None, where=(), **tiles):
                assert self.card.target_dtype == "float32"
                assert len(names_of(where, len(images))) == len(images)
                return [image.astype(np.float32) / 255 + vector[0] for image, vector in zip(images, noise, strict=True)]

        written = translate_files(Served(), [one], out=tmp_path / "out", uncertainty=True, samples=3, in_flight=2)
        assert len(written) == FILES


def test_the_heat_map_has_a_fixed_scale_and_is_of_all_channels():
    deviation = np.array([[[0, 0], [3, 4], [90, 90]]], np.float32)  # root mean squares 0, 3.54 and 90
    colors = matplotlib.colormaps["magma"](np.array([0, round(np.sqrt(12.5) / 10 * 255), 255]))[:, :3]
    np.testing.assert_array_equal(heat_map(deviation, 10.0)[0], np.rint(colors * 255))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--noise", "off"], "--uncertainty must go with noise. Received --noise off"),
        (["--samples", "1"], "--samples must be 2 or more with --uncertainty. Received 1"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(options, message, tmp_path):
    code, _, err = run_cli("translate", "model", "x.png", "--out", str(tmp_path), "--uncertainty", *options)
    assert code == 2
    assert message in " ".join(err.split())


def test_the_command_counts_images(smoke_run, one, tmp_path):
    options = ("--uncertainty", "--samples", "2", "--out", str(tmp_path / "out"))
    code, out, err = run_cli("translate", str(smoke_run.path), str(one), *options)
    assert code == 0, err
    assert "1 translated into" in out
    assert full_range(np.uint8) == tuple(
        json.loads((tmp_path / "out" / "one-deviation.json").read_text())["value_range"]
    )
