"""Other systems, as far as they can be seen from here: every requirement has a wheel there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
SYSTEMS = {  # title on the page -> tags of wheels that its pip takes
    "Windows, 64-bit": ("win_amd64",),
    "macOS 12 or newer, Apple silicon": ("macosx_12_0_arm64",),
    "Linux, 64-bit ARM": (*(f"manylinux_2_{minor}_aarch64" for minor in range(17, 36)), "manylinux2014_aarch64"),
}
PYTHONS = ("3.10", "3.13")


def test_the_page_names_the_systems_that_are_tested():
    assert all(f"| {system} |" in PAGE for system in SYSTEMS)


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_requirement_has_a_wheel(system, python, tmp_path):
    tags = [part for tag in SYSTEMS[system] for part in ("--platform", tag)]
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--target", tmp_path / "nowhere",
            "--only-binary=:all:", *tags, "--python-version", python, "--implementation", "cp",
            "--requirement", ROOT / "requirements.txt",
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    if re.search("connection|resolve host|Temporary failure|timed out", done.stderr, re.IGNORECASE):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr[-1000:]
