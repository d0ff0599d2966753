"""What surrounds the code: issue templates, packages, versions."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
import yaml

import tfpix2pix as p2p

tomllib = pytest.importorskip("tomllib", reason="of Python 3.11 and newer")
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
KINDS = {"textarea", "input", "markdown", "dropdown", "checkboxes"}  # of GitHub's issue forms
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_templates_are_forms(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 0
    for field in form["body"]:
        assert field["type"] in KINDS
        assert field["attributes"]["value" if field["type"] == "markdown" else "label"]


def test_every_package_is_in_the_wheel():
    packages = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tfpix2pix").rglob("__init__.py")}
    options = PROJECT["tool"]["setuptools"]["packages"]["find"]
    discovered = setuptools.find_packages(str(ROOT), include=options["include"])
    assert {name.replace(".", "/") for name in discovered} == packages


def test_every_file_beside_the_code_is_in_the_wheel():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "tfpix2pix").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
            patterns = data.get(".".join(package.relative_to(ROOT).parts), ())
            assert any(path in package.glob(pattern) for pattern in patterns), path


def test_one_version_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    assert p2p.__version__ == cited
    assert re.search(rf"^## .*{re.escape(cited)}|^## Unreleased", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_commands_of_contributing_are_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target


def test_no_test_module_holds_a_random_generator():
    """A test would draw other numbers from it if other tests ran before."""
    makers = {"default_rng", "Generator", "RandomState", "Random"}
    held = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in makers:
                held.append(f"{path.name}:{node.lineno}")
    assert held == []


def test_a_folder_that_holds_a_clone_does_not_hide_the_package(tmp_path):
    (tmp_path / "tfpix2pix").mkdir()  # a clone has the name of the package, and holds no __init__.py
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import tfpix2pix; print(tfpix2pix.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip().endswith("__init__.py"), done.stdout + done.stderr
