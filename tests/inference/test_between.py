"""Translations on a path from one seed's noise to another's: as arrays, as numbered files, as an animation."""

import json

import numpy as np
import pytest
from PIL import Image, ImageSequence

import tfpix2pix as p2p
from tests.conftest import run_cli, tiny_config
from tests.conftest import write_image as write_picture
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import read_image
from tfpix2pix.data.labels import class_colors
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.batching import NotWritten
from tfpix2pix.inference.between import FRAMES, Between, GifWriter
from tfpix2pix.inference.files import translate_files
from tfpix2pix.inference.items import Input
from tfpix2pix.inference.translator import Translator


class ShowingNoise:
    """An engine that gives the first value of the noise, in [-1, 1], at every pixel and channel."""

    def __init__(self, noise="modulation", noise_size=4, **data):
        config = tiny_config(data={"input_channels": 1, "target_channels": 3, **data}, generator={"noise": noise})
        self.card = ModelCard.of(config, 0).model_copy(update={"noise_size": noise_size})
        self.calls = []

    def __call__(self, images, noise):
        self.calls.append(len(images))
        shape = (*images.shape[:3], self.card.config.data.target_channels)
        return np.broadcast_to(2 * noise[:, :1, None, None] - 1, shape)


@pytest.fixture
def translator():
    return Translator(ShowingNoise())


@pytest.fixture(scope="module")
def of_run(smoke_run):
    return p2p.load(smoke_run.path)


@pytest.fixture
def one(tmp_path, rng):
    return write_picture(tmp_path / "one.png", rng.integers(0, 256, (20, 30, 1), np.uint8))


class TestArrays:
    def test_the_ends_are_the_translations_of_the_seeds(self, of_run, rng):
        image = rng.uniform(-1, 1, (32, 40, 1)).astype(np.float32)
        frames = of_run.between(image, 3, 8, frames=5)
        assert (frames.shape, frames.dtype) == ((5, 32, 40, 3), np.float32)
        for frame, seed in ((frames[0], 3), (frames[-1], 8)):
            np.testing.assert_array_equal(frame, of_run(image, noise="on", seed=seed))

    def test_dropout_comes_nearer_to_the_end_with_every_frame(self, of_run, rng):
        frames = of_run.between(rng.uniform(-1, 1, (32, 32, 1)).astype(np.float32), 0, 1, frames=5)
        distances = np.abs(frames - frames[-1]).mean(axis=(1, 2, 3))
        assert (np.diff(distances) < 0).all()

    @pytest.mark.parametrize("noise", ["dropout", "gaussian", "modulation"])
    def test_the_path_is_that_of_the_kind_of_noise(self, noise):
        translator = Translator(ShowingNoise(noise))
        frames = translator.between(np.zeros((8, 8), np.float32), 0, 1, frames=9)
        vectors = Between((0, 1), 9).vectors(translator)
        np.testing.assert_allclose(frames[:, 0, 0, 0], 2 * vectors[:, 0] - 1, atol=1e-6)
        assert (len(np.unique(frames)) == 2) == (noise == "dropout")  # a unit has its first value, then its second

    def test_batches_are_refused(self, translator):
        with pytest.raises(UserError, match=r"must be of one image \(H, W, C\). Received an array of shape \(2, 8, 8"):
            translator.between(np.zeros((2, 8, 8, 1)), 0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4),), "`between` must be two different seeds. Received 4 twice. For one translation set `seed` to 4"),
        (((4,),), "`between` must be two seeds. Received 4. Give two"),
        (((),), "`between` must be two seeds. Received none"),
        (((1, 2, 3),), "`between` must be two seeds. Received 1,2,3"),
        (((-1, 2),), "`between` must be whole numbers from 0 to 2147483647. Received -1,2"),
        (((1, 2.5),), "must be whole numbers .* Received 1,2.5"),
        (((1, 2), 1), "`frames` must be 2 or more, the first and the last included. Received 1"),
        ((None, 8), "`frames` must go with `between`. Received it alone. Add `between` and two seeds"),
        ((None, None, True), "`gif` must go with `between`. Received it alone"),
    ],
)
def test_what_is_no_path_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        Between.of(*arguments)


def test_a_model_without_noise_is_refused():
    with pytest.raises(UserError, match="must go with a model that has noise. Received it for .*, without"):
        Translator(ShowingNoise(noise_size=0)).between(np.zeros((8, 8)), 0, 1)


class TestFiles:
    def test_frames_are_numbered_in_order(self, of_run, one, tmp_path):
        written = translate_files(of_run, [one], out=tmp_path / "out", between=(3, 8))
        assert [path.name for path in written] == [f"one-{number:02}.png" for number in range(1, FRAMES + 1)]
        frames = of_run.between(read_image(one), 3, 8)
        for path, frame in zip(written, frames, strict=True):
            np.testing.assert_allclose(read_image(path).astype(int), frame, atol=1)  # one rounds the other way

    def test_the_animation_goes_there_and_back(self, translator, one, tmp_path):
        options = {"between": (0, 1), "frames": 5}
        (path,) = translate_files(translator, [one], out=tmp_path / "out", gif=True, **options)
        assert path == tmp_path / "out" / "one.gif"
        frames = [read_image(file) for file in translate_files(translator, [one], out=tmp_path, **options)]
        with Image.open(path) as gif:
            assert (gif.info["loop"], gif.info["duration"]) == (0, 80)
            shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
        np.testing.assert_array_equal(shown, [frames[index] for index in (0, 1, 2, 3, 4, 3, 2, 1)])

    @pytest.mark.parametrize(("dtype", "data"), [("uint16", {"target_range": [0, 4095]}), ("float32", {})])
    def test_an_animation_of_deep_images_has_eight_bits(self, dtype, data, one, tmp_path):
        engine = ShowingNoise(**data)
        engine.card = engine.card.model_copy(update={"target_dtype": dtype})
        translator = Translator(engine)
        (path,) = translate_files(translator, [one], out=tmp_path, between=(0, 1), gif=True)
        expected = translator.between(read_image(one), 0, 1)[0]  # uint8, as the input is
        np.testing.assert_allclose(np.asarray(Image.open(path).convert("RGB")).astype(int), expected, atol=1)

    def test_label_maps_have_the_colours_of_their_classes(self, tmp_path):
        engine = ShowingNoise(target_classes=4, target_channels=1)
        writer = GifWriter.of(engine.card, tmp_path)
        classes = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
        (path,) = writer(Input("a", None, ()), iter([classes, classes[::-1]]))
        colors = class_colors(engine.card.config.data, 4)
        np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), colors[classes[..., 0]])

    def test_frames_come_back_at_the_size_of_their_inputs(self, translator, one, tmp_path):
        for gif in (False, True):
            options = {"size": 16, "resize_back": True, "frames": 2, "between": (0, 1), "gif": gif}
            assert Image.open(translate_files(translator, [one], out=tmp_path / "out", **options)[0]).size == (30, 20)

    def test_frames_of_an_image_share_batches(self, one, tmp_path):
        engine = ShowingNoise()
        translate_files(Translator(engine), [one], out=tmp_path / "out", between=(0, 1), frames=6)
        assert engine.calls == [6]
        translate_files(Translator(engine), [one], out=tmp_path / "tiles", between=(0, 1), frames=2, tile_px=20)
        assert set(engine.calls[1:]) == {1}

    def test_existing_files_stay_unless_told(self, translator, one, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "one.gif").write_text("mine")
        (tmp_path / "out" / "one-16.png").write_text("mine")
        for gif, name in ((True, "one.gif"), (False, "one-16.png")):
            with pytest.raises(UserError, match=f"must not overwrite a file. Received .*{name}"):
                translate_files(translator, [one], out=tmp_path / "out", between=(0, 1), gif=gif)
        translate_files(translator, [one], out=tmp_path / "out", between=(0, 1), gif=True, overwrite=True)

    @pytest.mark.parametrize(
        ("fault", "expected"), [(RunError("The disk is full."), NotWritten), (UserError("Too large."), UserError)]
    )
    def test_an_animation_is_whole_or_not_there(self, fault, expected, translator, tmp_path, monkeypatch):
        def frames():
            yield np.zeros((4, 4, 3), np.uint8)
            if expected is UserError:
                raise fault
            monkeypatch.setattr("tfpix2pix.inference.between.whole_file", full)
            yield np.ones((4, 4, 3), np.uint8)

        def full(path):
            raise fault

        with pytest.raises(expected, match=str(fault)):
            GifWriter.of(translator.card, tmp_path)(Input("a", None, ()), frames())
        assert list(tmp_path.iterdir()) == []

    def test_a_side_that_gif_cannot_have_is_refused(self, translator, tmp_path):
        wide = np.zeros((1, 2**16, 3), np.uint8)
        with pytest.raises(UserError, match="sides of at most 65535 px. Received 65536x1 px for a. Leave `gif` out"):
            GifWriter.of(translator.card, tmp_path)(Input("a", None, ()), [wide, wide])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"samples": 3}, "`between` must go without `samples`"),
            ({"uncertainty": True}, "`between` must go without `uncertainty`"),
            ({"seed": 5}, "`between` must go without `seed`"),
            ({"noise": "off"}, "`between` must go with noise. Received `noise` off"),
        ],
    )
    def test_other_noise_does_not_go_with_it(self, options, message, translator, one, tmp_path):
        with pytest.raises(UserError, match=message):
            translate_files(translator, [one], out=tmp_path / "out", between=(0, 1), **options)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--between", "1"], "--between must be two seeds. Received 1. Give two, such as 0,1"),
        (["--between", "1,b"], "--between must be two seeds, such as 0,1. Received '1,b'. Give two numbers"),
        (["--between", "1,1"], "Received 1 twice. For one translation set --seed to 1"),
        (["--between", "0,1", "--samples", "4"], "--between must go without --samples. Received both"),
        (["--between", "0,1", "--noise", "off"], "--between must go with noise. Received --noise off"),
        (["--frames", "4"], "--frames must go with --between. Received it alone. Add --between and two seeds"),
        (["--gif"], "--gif must go with --between"),
        (["--between", "0,1", "--frames", "1"], "Invalid value for '--frames'"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(options, message, tmp_path):
    code, _, err = run_cli("translate", "model", "x.png", "--out", str(tmp_path / "out"), *options)
    assert code == 2
    assert message in " ".join(err.split())
    assert len(err.splitlines()) == 1


def test_the_command_writes_frames_or_an_animation(smoke_run, one, tmp_path):
    options = ("translate", str(smoke_run.path), str(one), "--between", "0,7", "--frames", "3", "--json")
    for more, names in (((), ["one-1.png", "one-2.png", "one-3.png"]), (("--gif",), ["one.gif"])):
        code, out, err = run_cli(*options, *more, "--out", str(tmp_path / "out"))
        assert code == 0, err
        assert [path.rsplit("/", 1)[-1] for path in json.loads(out)["written"]] == names
