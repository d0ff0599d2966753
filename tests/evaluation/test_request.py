"""Requests check themselves when they are made, in one sentence, and recognize a model once."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_cli, write_image
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.request import IMAGES, NoiseOptions, Request, resolve, resolve_for
from tfpix2pix.runs.recognize import RUN


def test_arguments_are_positional_or_named():
    assert Request("run", "pairs", "test") == Request(model=Path("run"), data="pairs", split="test")
    assert Request("~/run").model == Path.home() / "run"
    assert Request("run", data=Path("pairs"), overrides=["data.fit=crop"]).overrides == ("data.fit=crop",)
    assert Request("run", data=Path("pairs")).data == "pairs"


def test_a_size_is_a_number_its_text_or_that_of_the_files():
    assert [Request("run", size=size).size_px for size in (48, "48", "own", None)] == [48, 48, None, None]
    assert Request("run", size="own") != Request("run")


def test_noise_may_be_a_mapping():
    assert Request("run", noise={"mode": "on", "variants": 4}).noise == NoiseOptions("on", 4)


def test_it_does_not_change_and_a_copy_is_checked_too():
    request = Request("run")
    with pytest.raises(FrozenInstanceError):
        request.split = "test"
    assert replace(request, size="64").size_px == 64
    with pytest.raises(UserError, match=r"^`size` must be a number of pixels up to 8192, own or training\. Received"):
        replace(request, size="big")


SENTENCES = {
    "size": (
        "big",
        "`size` must be a number of pixels up to 8192, own or training. Received 'big'. Give 256, for example.",
    ),
    "split": ("vall", "`split` must be one of: train, val, test. Received 'vall'. Did you mean 'val'?"),
    "data": (3, "`data` must be the path of a folder of pairs. Received 3. Give the folder that holds the splits."),
    "overrides": (
        "data.fit=crop",
        "`overrides` must be a list of KEY=VALUE. Received 'data.fit=crop'. Give ['data.fit=crop'], for example.",
    ),
    "features_range": (
        (1,),
        "`features_range` must be two numbers, the values of black and white. Received (1,). Give (-1, 1), for "
        "example.",
    ),
    "noise": ("on", "`noise` must be NoiseOptions or a mapping. Received 'on'. Give {'mode': 'on'}, for example."),
    "trust": ("maybe", "`trust` must be True or False. Received 'maybe'. Choose one of the two."),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_an_argument_that_does_not_fit_is_one_sentence(name):
    value, sentence = SENTENCES[name]
    with pytest.raises(UserError) as caught:
        Request("run", **{name: value})
    assert str(caught.value) == sentence


def test_a_missing_model_an_unknown_argument_and_one_too_many():
    with pytest.raises(
        UserError, match=r"^`model` must be the path of a model or of a folder of images\. Received none"
    ):
        Request()
    with pytest.raises(UserError, match=r"^`model` must be the path .* Received None\."):
        Request(None)
    with pytest.raises(UserError, match=r"^An argument of Request must be one of: .*'sice'\. Did you mean 'size'\?$"):
        Request("run", sice=64)
    with pytest.raises(UserError, match=r"^NoiseOptions must have 3 arguments at most\. Received more"):
        NoiseOptions("on", 4, 0, 0)


def test_noise_that_does_not_fit():
    with pytest.raises(UserError, match=r"^`mode` must be one of: on, off\. Received 'an'"):
        NoiseOptions("an")
    with pytest.raises(UserError, match=r"^`variants` must be a number of translations, 0 or more\. Received -1\."):
        NoiseOptions(variants=-1)


@pytest.fixture
def images(tmp_path):
    write_image(tmp_path / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    return tmp_path / "images"


def test_a_model_and_a_folder_of_images_are_recognized(smoke_run, images):
    resolved = resolve(Request(smoke_run.path))
    assert (resolved.model.kind, resolved.model.path) == (RUN, smoke_run.path)
    assert resolve(Request(images)).model.kind == IMAGES
    assert resolve(resolved) is resolved
    with pytest.raises(UserError, match=r"or a folder of images\. Received .*nowhere, which does not exist"):
        resolve(Request("nowhere"))


@pytest.mark.parametrize("name", ["config", "outputs", "targets", "inputs"])
def test_arguments_of_folders_do_not_go_with_models(smoke_run, name):
    request = Request(smoke_run.path, **{name: "x"})
    with pytest.raises(
        UserError, match=f"^`{name}` must go with a folder of images\\. Received it for .*, which is a "
    ):
        resolve(request)
    assert getattr(resolve_for(request, smoke_run.path).request, name) is None


@pytest.mark.parametrize(("name", "value"), [("best", True), ("weights", "average"), ("noise", {"mode": "off"})])
def test_arguments_of_models_do_not_go_with_folders(images, name, value):
    with pytest.raises(UserError, match=f"^`{name}` must go with a model\\. Received it for .*, a folder of images"):
        resolve(Request(images, **{name: value}))


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("evaluate", ("--split", "vall"), "Error: --split must be one of: train, val, test. Received 'vall'."),
        ("evaluate", ("--noise", "maybe"), "Error: --noise must be one of: on, off. Received 'maybe'."),
        ("evaluate", ("--size", "0"), "--size must be a number of pixels up to 8192, own or training. Received '0'."),
        ("evaluate", ("--size", "9" * 20), "up to 8192, own or training. Received '99999999999999999999'. Give 256"),
        ("evaluate", ("--weights", "trained"), "Error: --weights must go with a model. Received it for"),
        (
            "compare",
            ("--size", "big"),
            "--size must be a number of pixels up to 8192, own or training. Received 'big'.",
        ),
        ("compare", ("--baseline", "b"), "Error: --baseline must be one of: images. Received 'b'."),
        ("compare", (), "images and no --out. Add --out, a new folder."),
    ],
)
def test_commands_name_the_option(images, command, options, sentence):
    code, out, err = run_cli(command, images, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
