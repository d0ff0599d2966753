"""Shell completion, as the shell asks for it."""

import os
import subprocess
import sys

import pytest

from tfpix2pix.cli import completion
from tfpix2pix.config import RECIPES, preset_names
from tfpix2pix.config.resolve import choices_of


def completed(line: str, cwd=None) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "tfpix2pix"],
        env={
            **os.environ, "_TFPIX2PIX_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True, text=True, cwd=cwd,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tfpix2pix tra", ["train", "translate"]),
        ("tfpix2pix train faca", ["facades", "facades_photo2labels", "facades_segmenter"]),
        ("tfpix2pix train facades --set objective.gan", ["objective.gan_loss="]),
        ("tfpix2pix train facades --recipe p", ["paper", "pix2pixhd"]),
        ("tfpix2pix export run --format t", ["tflite"]),
        ("tfpix2pix export run --quantize d", ["dynamic"]),
        ("tfpix2pix translate run --noise o", ["on", "off"]),
        ("tfpix2pix data pairs photos --operator m", ["mask"]),
        ("tfpix2pix data download edges", ["edges2shoes", "edges2handbags"]),
    ],
)
def test_the_shell_is_offered(line, offered):
    assert completed(line) == offered


def test_settings_are_completed_to_their_values():
    assert completion.settings("objective.gan_loss=l") == ["objective.gan_loss=lsgan"]
    assert completion.settings("objective=l1+") == ["objective=l1+gan", "objective=l1+cgan"]
    assert completion.settings("data.mirror=") == ["data.mirror=true", "data.mirror=false"]
    assert completion.settings("training.steps=") == []
    for key in ("nothing.of", "data", "data.dir.x"):
        assert choices_of(key) == ()


def test_configurations_of_ones_own_are_offered_beside_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "other.yaml").touch()
    assert completion.presets_and_files("") == [*preset_names(), "mine.yaml"]
    assert completion.presets_and_files("inner/") == ["inner/other.yaml"]
    assert completion.presets_and_files("nowhere/") == []
    assert completion.recipes_and_files("") == [*RECIPES, "mine.yaml"]
    assert completion.presets_and_recipes("t") == ["torch", "tutorial"]
