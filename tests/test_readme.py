"""The README's Python and its four uses work as shown, on label maps of drawings and with smaller networks."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import write_image
from tests.data.test_recipes import SMALLER, facades
from tests.inference.remote.server import ModelServer
from tfpix2pix.cli import app
from tfpix2pix.data.images import read_image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {
    title: block.strip().splitlines()
    for title, block in re.findall(
        r"\*\*(In Colab|On the command line|In TF Serving|On a device with TFLite)\.\*\*.*?```\w+\n(.*?)```",
        README, re.DOTALL,
    )
}  # fmt: skip


def test_each_of_the_four_uses_is_under_ten_lines():
    assert list(BLOCKS) == ["In Colab", "On the command line", "In TF Serving", "On a device with TFLite"]
    assert all(0 < len(lines) < 10 for lines in BLOCKS.values())


def test_python_runs_as_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 256, (45, 60, 3), np.uint8)
    pairs = [tf.constant(rng.uniform(-1, 1, (2, 64, 64, 3)), tf.float32) for _ in range(2)]
    names = {"labels": labels, "dataset": tf.data.Dataset.from_tensor_slices(tuple(pairs)).batch(1)}
    overview = (ROOT / "docs" / "overview.md").read_text(encoding="utf-8")
    blocks = [block for page in (README, overview) for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    assert len(blocks) == 2
    for block in blocks:
        smaller = re.sub(r"(build_unet|build_patchgan)\((\d+)", r"\1(\2, base_filters=8", block)
        exec(smaller, names)
    assert names["photo"].shape == (45, 60, 3)
    assert int(names["model"].step) == 2


def run(line: str, *more: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "tfpix2pix"
    assert not app([*words[1:], *more], standalone_mode=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder in which the lines of the command line were run, and a label map to translate."""
    folder = tmp_path_factory.mktemp("readme")
    facades(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in BLOCKS["On the command line"]:
            run(line, *(SMALLER if " train " in line else ()))
    pair = read_image(sorted((folder / "data" / "facades" / "val").iterdir())[0])
    write_image(folder / "labels.png", pair[:, pair.shape[1] // 2 :])
    return folder


def test_on_the_command_line(trained):
    assert len(list((trained / "translated").glob("*.png"))) == 2
    assert (trained / "runs" / "facades" / "evaluation" / "val" / "report.html").is_file()


def test_in_tf_serving(trained, monkeypatch):
    """TF Serving's container is another server of the same protocol here."""
    monkeypatch.chdir(trained)
    export, compose, translate = BLOCKS["In TF Serving"]
    run(export)
    file = shlex.split(compose)[shlex.split(compose).index("--file") + 1]
    assert (ROOT / file).is_file()
    with ModelServer(trained / "export" / "models") as server:
        assert "localhost:8501" in translate
        run(translate.replace("localhost:8501", server.address("rest")))
    served = read_image(trained / "served" / "labels.png").astype(int)
    local = p2p.load("runs/facades")(read_image(trained / "labels.png"))
    assert np.abs(served - local).max() <= 1


def test_on_a_device(trained, monkeypatch):
    monkeypatch.chdir(trained)
    export, translate = BLOCKS["On a device with TFLite"]
    run(export)
    words = shlex.split(translate.replace("256px", "32px"))  # the network is smaller
    assert words[0] == "python"
    subprocess.run([sys.executable, str(ROOT / words[1]), *words[2:]], check=True, capture_output=True)
    assert read_image(trained / "out" / "labels.png").shape == read_image(trained / "labels.png").shape


def test_links_and_pictures_are_there():
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = re.sub(r"```.*?```|`[^`\n]+`", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert re.match("https?://", target) or (document.parent / target).exists(), f"{document.name}: {target}"
