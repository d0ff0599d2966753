"""`tfpix2pix demo` as a process, and its mistakes."""

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import run_cli
from tfpix2pix.errors import UserError
from tfpix2pix.inference.demo.serve import serve
from tfpix2pix.runs.recognize import named_path


def test_it_serves_until_ctrl_c(smoke_run):
    process = subprocess.Popen(
        [sys.executable, "-m", "tfpix2pix", "demo", f"mine={smoke_run.directory.path}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:")
        page = urllib.request.urlopen(line.split()[1], timeout=60).read().decode()
        assert "mine: tfpix2pix" in page
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out == "Closed.\n" and errors == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "A model must be a run directory, .* Received nowhere, which does not exist."),
        (["mine="], "A model must be given as NAME=PATH or PATH. Received 'mine='."),
    ],
)
def test_what_is_no_model_is_one_sentence_at_once(arguments, words):
    import re

    code, out, errors = run_cli("demo", *arguments)
    assert code == 2 and out == "" and len(errors.splitlines()) == 1
    assert re.search(words, errors)


def test_without_gradio_it_says_how_to_get_it(monkeypatch, smoke_run):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"needs Gradio\. .*pip install 'tfpix2pix\[demo\]'"):
        serve([])


def test_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named_path("runs/a", "A model must be") == (None, Path("runs/a"))
    assert named_path("mine=runs/a", "A model must be") == ("mine", Path("runs/a"))
    (tmp_path / "lr=1e-3").mkdir()
    assert named_path("lr=1e-3", "A model must be") == (None, Path("lr=1e-3"))
