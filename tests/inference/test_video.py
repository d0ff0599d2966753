"""Videos frame by frame by one noise, and flicker against loops over pixels."""

import json

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import run_cli, write_image
from tfpix2pix.errors import UserError
from tfpix2pix.inference.video import RECORD, STILL_LEVELS, Flicker, load_pyav, opened, sentence

av = pytest.importorskip("av")
FRAMES = 5


def film(height=32, width=48):
    """A still background of many colours, over which a white square moves."""
    background = np.random.default_rng(0).integers(0, 200, (height, width, 3), np.uint8)
    for number in range(FRAMES):
        frame = background.copy()
        frame[4:12, 4 + 6 * number : 12 + 6 * number] = 255
        yield frame


def write_video(path, frames, codec="ffv1", rate=10):
    """Lossless, so that frames are read as they were written."""
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=rate)
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "bgr0" if codec == "ffv1" else "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def frames_in(path):
    with opened(av, path) as (container, stream):
        return stream.average_rate, [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("film") / "clip.mkv", film())


def test_flicker_is_the_mean_change_of_still_pixels():
    """Twin: loops over frames and pixels."""
    rng = np.random.default_rng(1)
    inputs = [rng.integers(0, 5, (6, 7, 3), np.uint8) for _ in range(4)]
    outputs = [rng.integers(0, 256, (6, 7, 3), np.uint8) for _ in range(4)]
    flicker, changes, moves, count = Flicker(), [], [], 0
    for input_, output in zip(inputs, outputs, strict=True):
        flicker.add(input_, output)
    for t in range(1, 4):
        for y in range(6):
            for x in range(7):
                moved = [abs(int(inputs[t][y, x, c]) - int(inputs[t - 1][y, x, c])) for c in range(3)]
                count += 1
                if max(moved) <= STILL_LEVELS:
                    moves.append(sum(moved) / 3)
                    changes.append(
                        sum(abs(int(outputs[t][y, x, c]) - int(outputs[t - 1][y, x, c])) for c in range(3)) / 3
                    )
    figures = flicker.figures()
    assert figures["frames"] == 4
    assert figures["still_share"] == pytest.approx(len(moves) / count)
    assert figures["flicker_levels"] == pytest.approx(np.mean(changes))
    assert figures["input_levels"] == pytest.approx(np.mean(moves))


def test_a_film_without_a_still_pixel_has_no_flicker():
    flicker = Flicker()
    for level in (0, 100, 200):
        flicker.add(np.full((4, 4, 3), level, np.uint8), np.zeros((4, 4, 3), np.uint8))
    assert flicker.figures()["flicker_levels"] is None
    assert "cannot be measured" in sentence("clip.mp4", flicker.figures())


def test_a_video_is_the_translation_of_its_frames(clip, smoke_run, tmp_path):
    """Twin: the frames as images, by the same noise. H.264 loses a few levels on average."""
    code, out, error = run_cli("translate", smoke_run.path, clip, "--out", tmp_path / "out", "--noise", "on")
    assert (code, error) == (0, "")
    assert "1 translated into" in out and "clip.mkv: where the input stays still" in out
    rate, frames = frames_in(tmp_path / "out" / "clip.mp4")
    assert (rate, len(frames)) == (10, FRAMES)
    translator = p2p.load(smoke_run.path)
    noise = translator.noise(1, 0)
    for frame, source in zip(frames, film(), strict=True):
        expected = translator.translate_many([source], noise)[0]
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 12
    figures = json.loads((tmp_path / "out" / RECORD).read_text())["clip.mkv"]
    assert figures["frames"] == FRAMES and figures["input_levels"] == 0.0
    assert 0.7 < figures["still_share"] < 1


def test_a_folder_of_frames_has_the_flicker_of_its_film(clip, smoke_run, tmp_path):
    for number, frame in enumerate(film()):
        write_image(tmp_path / "frames" / f"{number}.png", frame)
    translator = p2p.load(smoke_run.path)
    p2p.translate_files(translator, [tmp_path / "frames"], out=tmp_path / "images", flicker=True)
    p2p.translate_files(translator, [clip], out=tmp_path / "film")
    of_images = json.loads((tmp_path / "images" / RECORD).read_text())["images"]
    of_film = json.loads((tmp_path / "film" / RECORD).read_text())["clip.mkv"]
    assert of_images == pytest.approx(of_film)
    assert len(list((tmp_path / "images").glob("*.png"))) == FRAMES


def test_odd_sides_become_even(smoke_run, tmp_path):
    clip = write_video(tmp_path / "odd.mkv", film(31, 45))
    (path,) = p2p.translate_files(p2p.load(smoke_run.path), [clip], out=tmp_path / "out")
    _, frames = frames_in(path)
    assert frames[0].shape == (32, 46, 3)
    np.testing.assert_allclose(frames[0][31].astype(int), frames[0][30], atol=40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--samples", 2), "Videos must be translated without `samples`|--samples. Received both"),
        (("--uncertainty",), "Videos must be translated without"),
        (("--format", "png"), "Videos must be translated without"),
    ],
)
def test_options_of_images_are_refused(clip, smoke_run, tmp_path, options, message):
    code, _, error = run_cli("translate", smoke_run.path, clip, "--out", tmp_path / "out", *options)
    assert code == 2 and error.count("\n") == 1
    assert message.split("|")[0].split("`")[0] in error
    assert not (tmp_path / "out").exists()


def test_foreign_files_are_one_sentence_and_leave_nothing(smoke_run, tmp_path, clip):
    (tmp_path / "text.mp4").write_text("not a video")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clip.read_bytes()[:200])
    translator = p2p.load(smoke_run.path)
    for path in (tmp_path / "text.mp4", cut):
        with pytest.raises(UserError, match=r"^A video must .*Received .*(Convert it|Check the file|another file)"):
            p2p.translate_files(translator, [path], out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))
    write_image(tmp_path / "a.png", next(film()))
    with pytest.raises(UserError, match="without other inputs"):
        p2p.translate_files(translator, [clip, tmp_path / "a.png"], out=tmp_path / "out")
    with pytest.raises(UserError, match="`flicker` must go with image files and one translation of each"):
        p2p.translate_files(translator, [tmp_path / "a.png"], out=tmp_path / "out", flicker=True, samples=2)


def test_a_video_is_not_overwritten(clip, smoke_run, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    with pytest.raises(UserError, match="must not overwrite a file"):
        p2p.translate_files(p2p.load(smoke_run.path), [clip], out=tmp_path)
    assert (tmp_path / "clip.mp4").read_bytes() == b"mine"


def test_without_pyav_the_sentence_names_the_extra(monkeypatch):
    import builtins

    real = builtins.__import__
    missing = lambda name, *rest: (_ for _ in ()).throw(ImportError(name)) if name == "av" else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 'tfpix2pix\[video\]'"):
        load_pyav()
