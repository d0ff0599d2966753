"""The environment of the real tensorflow-addons, made once, and what its models make of photographs."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.conftest import one_at_a_time
from tfpix2pix.inference.parity import photographs

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-addons"
LONGEST_S = 1200


def python_for_addons() -> str | None:
    """A Python that tensorflow-addons has wheels for."""
    candidates = [sys.executable, *(f"python3.{minor}" for minor in (11, 10, 9))]
    candidates += [str(path) for path in Path.home().glob(".pyenv/versions/3.*/bin/python")]
    for candidate in filter(None, map(shutil.which, candidates)):
        version = subprocess.run(
            [candidate, "-c", "import sys, venv, ensurepip; print(sys.version_info[1])"], capture_output=True, text=True
        )
        if version.returncode == 0 and 9 <= int(version.stdout) <= 11:
            return candidate
    return None


def environment() -> tuple[Path | None, str]:
    """(its python, ""), made where it is not there; (None, why not)."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready"
    with one_at_a_time(ENVIRONMENT):
        if ready.is_file():
            return python, ""
        base = python_for_addons()
        if base is None:
            return None, "no Python 3.9 to 3.11 with venv is at hand, which tensorflow-addons needs"
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        subprocess.run([base, "-m", "venv", ENVIRONMENT], check=True, capture_output=True)
        requirements = ["-r", str(ROOT / "requirements-addons.txt")]
        installed = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *requirements], capture_output=True, text=True,
            timeout=LONGEST_S,
        )  # fmt: skip
        if installed.returncode:
            return None, f"tensorflow-addons could not be installed: {installed.stderr.strip().splitlines()[-1][:200]}"
        ready.write_text(time.ctime())
        return python, ""


def make(folder: Path) -> None:
    """Models of the real package in `folder`.

    Raises:
        LookupError: the environment cannot be had here, and why.
    """
    python, why_not = environment()
    if python is None:
        raise LookupError(why_not)
    folder.mkdir(exist_ok=True)
    for size_px in (32, 256):
        np.save(folder / f"photographs-{size_px}.npy", np.concatenate(photographs(size_px, 3)))
    done = subprocess.run(
        [python, Path(__file__).with_name("addons_originals.py"), folder], capture_output=True, text=True,
        timeout=LONGEST_S, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    versions = json.loads(done.stdout.strip().splitlines()[-1])
    assert versions == {"tensorflow": "2.15.1", "addons": "0.23.0"}
