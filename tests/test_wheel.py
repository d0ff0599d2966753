"""The wheel, installed into an empty environment and used far from the checkout.

By this Python; `make test-wheel` names others, and one for the oldest TensorFlow and Keras that requirements.txt
allows.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
OLDEST = os.environ.get("WHEEL_OLDEST", "")
PYTHONS = os.environ.get("WHEEL_PYTHONS", "").split() or ([] if OLDEST else [sys.executable])
ENVIRONMENTS = [(python, False) for python in PYTHONS] + ([(OLDEST, True)] if OLDEST else [])
INHERITED = ("PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")  # of the tests' own environment, and of `make test-slow`
ALONE = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}


def oldest() -> list[str]:
    """TensorFlow and Keras at the lower bounds of requirements.txt."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return [
        f"{name}=={version}.*" for name, version in re.findall(r"^(tensorflow|keras)>=([\d.]+)$", text, re.MULTILINE)
    ]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=ALONE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The file that `make wheel` leaves in dist/ of a copy of the checkout, in which nothing was installed or built."""
    checkout = tmp_path_factory.mktemp("wheel") / "checkout"
    kept = ("Makefile", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "tfpix2pix")
    for name in kept:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        checkout.mkdir(exist_ok=True)
        copy(ROOT / name, checkout / name)
    said = run("make", "wheel", f"PYTHON={sys.executable}", cwd=checkout)
    (wheel,) = (checkout / "dist").glob("*.whl")
    assert said.split()[-1] == f"dist/{wheel.name}"
    assert not (checkout / "build").exists()
    return wheel


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("python", "old"), ENVIRONMENTS, ids=lambda value: Path(str(value)).name)
def test_the_wheel_trains_exports_and_translates(python, old, wheel, tmp_path):
    environment, folder = tmp_path / "environment", tmp_path / "elsewhere"
    folder.mkdir()
    run(python, "-m", "venv", environment, cwd=folder)
    installed = environment / "bin" / "python"
    run(installed, "-m", "pip", "install", "--quiet", "--no-compile", wheel, *(oldest() if old else ()), cwd=folder)
    program = environment / "bin" / "tfpix2pix"

    said = run(
        installed, "-c", "import tfpix2pix; print(tfpix2pix.__file__, tfpix2pix.__version__)", cwd=folder
    ).split()
    assert Path(said[0]).is_relative_to(environment)
    assert run(program, "--version", cwd=folder) == run(installed, "-m", "tfpix2pix", "--version", cwd=folder)
    assert run(program, "--version", cwd=folder).strip() == said[1]

    run(program, "train", "smoke", "--run", "runs/smoke", cwd=folder)
    run(program, "export", "runs/smoke", "--format", "tflite", "--out", "exports", cwd=folder)
    run(program, "translate", "exports/smoke-32px.tflite", "runs/smoke/samples", "--out", "out", cwd=folder)
    samples = {path.name for path in (folder / "runs" / "smoke" / "samples").iterdir()}
    assert {path.name for path in (folder / "out").iterdir()} == samples
    run(program, "evaluate", "runs/smoke", "--split", "val", "--replicates", "10", cwd=folder)  # the page's files too
    assert (folder / "runs" / "smoke" / "evaluation" / "val" / "report.html").is_file()
