"""The models that come with the package: small, whole, found by name, and of use for translating and training on."""

import shutil

import numpy as np
import pytest
from PIL import Image

import tfpix2pix as p2p
from tests.conftest import run_cli
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.data.images import list_images, read_image
from tfpix2pix.data.openmoji import Library
from tfpix2pix.inference.demo.models import example_pictures
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.pretrained import (
    DRAWINGS,
    FOLDER,
    PRETRAINED,
    drawings_of,
    examples_of,
    is_pretrained,
    trained_path,
)
from tfpix2pix.runs.recognize import recognize
from tfpix2pix.training.checkpoints import Checkpoints

MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def openmoji():
    return p2p.load("openmoji")


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_model_is_small_whole_and_says_whose_it_is(name):
    folder = FOLDER / name
    assert sum(path.stat().st_size for path in folder.rglob("*")) < MOST_BYTES
    step, state = Checkpoints(folder / "checkpoints").load()
    assert RunDirectory(folder).card().step == step
    (arrays,) = state.values()
    assert {value.dtype for value in arrays.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(value).all() for value in arrays.values())
    assert len(list_images(folder / DRAWINGS)) == 8
    assert "CC BY-SA 4.0" in (folder / "NOTICE.md").read_text(encoding="utf-8")
    assert PRETRAINED[name].license == "CC-BY-SA-4.0"


def test_a_path_of_that_name_is_taken_first(tmp_path, smoke_run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recognize("openmoji").path == FOLDER / "openmoji"
    assert is_pretrained(trained_path("openmoji")) and drawings_of(trained_path("openmoji"))
    shutil.copytree(smoke_run.path, tmp_path / "openmoji")
    assert recognize("openmoji").path.resolve() == tmp_path / "openmoji"
    assert drawings_of(trained_path("openmoji")) is None


@pytest.mark.parametrize("name", ["openmojis", "opnmoji", "OpenMoji"])
@pytest.mark.parametrize(
    "command",
    [
        ("translate", "{}", "--out", "out"), ("translate", "{}", "in.png", "--out", "out"),
        ("export", "{}", "--out", "out"), ("export", "{}", "--target-mb", 1, "--out", "out"),
        ("evaluate", "{}", "--out", "out"), ("compare", "{}", "other", "--out", "out"), ("demo", "{}"),
        ("distill", "{}", "--run", "out"), ("study", "make", "{}", "--out", "out"),
        ("train", "own", "--data", ".", "--run", "out", "--set", "training.start_from={}"),
    ],
    ids=lambda command: " ".join(map(str, command)),
)  # fmt: skip
def test_a_misspelled_name_is_suggested_by_every_command(command, name, tmp_path):
    code, out, err = run_cli(*(str(word).format(name) for word in command), cwd=tmp_path)
    assert (code, out) == (2, "") and err.endswith(f"Received {name}, which does not exist. Did you mean openmoji?\n")
    assert list(tmp_path.iterdir()) == []


def test_drawings_get_their_colours(openmoji):
    """The lemon's yellow fills its outline, and the paper stays white."""
    drawing = read_image(FOLDER / "openmoji" / DRAWINGS / "1F34B.png")
    colours = openmoji(drawing).astype(int)
    assert colours.shape == (256, 256, 3)
    red, green, blue = colours[112:144, 112:144].mean(axis=(0, 1))
    assert min(red, green) > 150 and blue < 120
    assert colours[:16].mean() > 245


def test_the_command_translates_the_drawings_that_come_along(tmp_path):
    code, out, error = run_cli("translate", "openmoji", "--out", "coloured", cwd=tmp_path)
    assert (code, error) == (0, "")
    assert "8 translated" in out
    names = {path.name for path in (FOLDER / "openmoji" / DRAWINGS).iterdir()}
    assert {path.name for path in (tmp_path / "coloured").iterdir()} == names


def test_an_export_is_compared_on_the_drawings_that_come_along(tmp_path, monkeypatch):
    """So no drawing of the data is drawn, and the package of the drawings is not needed."""
    monkeypatch.setattr("tfpix2pix.data.openmoji.Library.installed", lambda: pytest.fail("it looks for the package"))
    report = p2p.export_run("openmoji", "tflite", tmp_path, size_px=64)
    assert report.images == 5 + 4 and report.max_error_levels < 1
    pictures = example_pictures(p2p.load(report.path).card.config, shipped=examples_of(trained_path("openmoji")))
    assert len(pictures) == 8 and {picture.shape for picture in pictures} == {(256, 256, 3)}


def test_the_drawings_are_in_the_order_of_their_distance_from_the_target(openmoji):
    """Twin: the targets as they are drawn."""
    library, far = Library.installed(), []
    for path in examples_of(trained_path("openmoji")):
        lines, target = library.draw(path.stem, 256)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.fromarray(lines).convert("L")))
        far.append(np.abs(openmoji(np.asarray(Image.open(path))).astype(float) - target).mean())
    assert len(far) == 8 and far == sorted(far)


def test_nothing_is_written_into_the_package(tmp_path):
    before = sorted(FOLDER.rglob("*"))
    code, _, error = run_cli("evaluate", "openmoji", cwd=tmp_path)
    assert code == 2 and "--out must be given for all but your run directories" in error
    code, _, error = run_cli("train", "--run", "openmoji", "--resume", cwd=tmp_path)
    assert code == 2 and "openmoji" in error
    assert sorted(FOLDER.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "A page must show either MODEL or a model by --pretrained. Received neither."),
        (("openmoji", "--pretrained", "openmoji"), "Received both."),
        (("--pretrained", "openmoij"), "--pretrained must be one of: openmoji. Received 'openmoij'."),
    ],
)
def test_bad_input_of_the_demo(tmp_path, arguments, message):
    code, _, error = run_cli("demo", *arguments, cwd=tmp_path)
    assert code == 2 and message in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_training_goes_on_from_it_on_own_pairs(tmp_path):
    """The first held-out translation after one small step is nearly that of the model itself."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for side, channels in (("drawing", 1), ("coloured", 3)):
            folder = tmp_path / "mine" / split / side
            folder.mkdir(parents=True)
            for number in range(2):
                image = rng.integers(0, 256, (64, 64, channels), np.uint8)
                Image.fromarray(image.squeeze()).save(folder / f"{number}.png")
    settings = ["training.steps=1", "training.learning_rate=1e-9", "training.validation_images=0"]
    run = p2p.train(
        "own_drawings", run_dir=tmp_path / "run", data=tmp_path / "mine",
        overrides=(*settings, "data.input_folder=drawing", "data.target_folder=coloured"),
    )  # fmt: skip
    assert run.card.config.training.started_from.startswith("openmoji, step ")
    drawing = read_image(FOLDER / "openmoji" / DRAWINGS / "1F34B.png")
    ours, theirs = (p2p.load(model)(drawing).astype(int) for model in (run.path, "openmoji"))
    assert np.abs(ours - theirs).max() <= 1


def test_the_preset_that_goes_on_has_the_generator_of_the_model():
    ours, theirs = resolve_config("own_drawings"), RunDirectory(FOLDER / "openmoji").config()
    assert ours.generator == theirs.generator
    assert ours.discriminator == theirs.discriminator
    assert (ours.data.input_channels, ours.data.target_channels) == (1, 3)
    assert ours.data.image_size_px == theirs.data.image_size_px
