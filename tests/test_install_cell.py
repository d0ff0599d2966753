"""The first code cell of the notebooks, which finds or installs the package: in processes where it is not installed.

IPython runs the cell as a notebook does. Files are installed by pip itself, into a folder of the test and without an
index. Where pip would need a network, a stub in its place writes down what it was asked for.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WHEEL = "tfpix2pix-9.9.9-py3-none-any.whl"
SHELL = """
import sys
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if not Path(entry or ".", "tfpix2pix", "cli").is_dir()]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.colors = "NoColor"
done = shell.run_cell(Path(sys.argv[1]).read_text(encoding="utf-8"))
sys.exit(0 if done.success else 1)
"""
PIP = """
import json, sys
from pathlib import Path

wanted = sys.argv[-1]
place, _, extra = wanted.partition("[")
Path("asked.json").write_text(json.dumps([wanted, Path(place).is_file()]))
package = Path(__file__).parents[1] / "tfpix2pix"
package.mkdir()
(package / "__init__.py").write_text("__version__ = '9.9.9'")
"""
UPLOAD = """
def upload():
    return dict.fromkeys({names!r}, b"what was chosen")
"""


def cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


SOURCE = cells(NOTEBOOKS[0])[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_begins_with_the_same_cell_and_says_how_to_get_a_wheel(path):
    notebook = nbformat.read(path, as_version=4)
    (index,) = [index for index, cell in enumerate(notebook.cells) if cell.id == "install"]
    assert cells(path)[0].source == notebook.cells[index].source == SOURCE
    assert notebook.cells[index].metadata == {"cellView": "form"}
    above = notebook.cells[index - 1].source
    assert above == nbformat.read(NOTEBOOKS[0], as_version=4).cells[index - 1].source
    assert "`make wheel`" in above and "`dist/`" in above


class Machine:
    """A folder with the cell, and what is installed beside it; Python finds no tfpix2pix of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.installed = folder / "content", folder / "installed"
        self.folder.mkdir()
        self.installed.mkdir()

    def stub(self, name: str, text: str) -> None:
        file = self.installed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def stub_pip(self) -> None:
        self.stub("pip/__init__.py", "")
        self.stub("pip/__main__.py", PIP)

    def run(self, address: str = "") -> tuple[int, str]:
        """The exit code and the output of the cell, with `address` in its field."""
        source, fields = re.subn(r'^ADDRESS = ".*"(?=  # @param)', f'ADDRESS = "{address}"', SOURCE, flags=re.MULTILINE)
        assert fields == 1
        cell = self.folder.parent / "cell.py"
        cell.write_text(source, encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        environment |= {
            "PYTHONPATH": str(self.installed), "PIP_TARGET": str(self.installed), "PIP_NO_INDEX": "1",
            "PIP_RETRIES": "0", "IPYTHONDIR": str(self.folder.parent / "ipython"), "PYTHONIOENCODING": "utf-8",
        }  # fmt: skip
        command = [sys.executable, "-c", SHELL, str(cell)]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def asked(self) -> list:
        return json.loads((self.folder / "asked.json").read_text())


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def write_wheel(path: Path, code: str = "__version__ = '9.9.9'", package: str = "tfpix2pix") -> None:
    """A wheel without requirements, which has the extra of the real one."""
    about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.9.9\nProvides-Extra: openmoji\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        f"{package}/__init__.py": code, f"{package}-9.9.9.dist-info/METADATA": about,
        f"{package}-9.9.9.dist-info/WHEEL": kind, f"{package}-9.9.9.dist-info/RECORD": "",
    }  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def sentence_of(result: tuple[int, str], *, after: str = "") -> str:
    """The one sentence in which a cell ended, below what it said before; no traceback, whoever made it."""
    code, said = result
    assert code == 1, said
    assert not re.search(r"Traceback|CalledProcessError|SystemExit|File \"|-->", said), said
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("[notice]")]
    assert [line for line in lines[:-1] if not (after and line.startswith(after))] == [], said
    return lines[-1]


def test_what_is_installed_is_taken(machine):
    machine.stub("tfpix2pix/__init__.py", "__version__ = '1.2.3'")
    machine.stub_pip()
    (machine.folder / WHEEL).write_text("not looked at")
    assert machine.run("https://example.org/not/asked") == (0, "tfpix2pix 1.2.3\n")
    assert not (machine.folder / "asked.json").exists()


@pytest.mark.parametrize("name", [WHEEL, WHEEL.replace(".whl", " (1).whl")])
def test_a_wheel_beside_the_notebook_is_installed(name, machine):
    write_wheel(machine.folder / name)
    (machine.folder / "tfpix2pix-main.zip").write_text("an older way")
    assert machine.run("https://example.org/not/asked") == (0, f"Installing from {name}.\ntfpix2pix 9.9.9\n")


def test_the_newest_of_two_wheels_is_taken(machine):
    for name, when in (("tfpix2pix-0.1.0-py3-none-any.whl", 1), (WHEEL, 2), ("tfpix2pix-9.9.8-py3-none-any.whl", 0)):
        write_wheel(machine.folder / name)
        os.utime(machine.folder / name, (when, when))
    assert machine.run()[1].startswith(f"Installing from {WHEEL}.")


def test_a_zip_of_the_repository_is_installed_and_a_zip_of_pairs_is_not(machine):
    machine.stub_pip()
    (machine.folder / "pairs.zip").write_text("pairs")
    assert "no wheel or zip" in sentence_of(machine.run())
    (machine.folder / "tfpix2pix-main.zip").write_text("a repository")
    assert machine.run() == (0, "Installing from tfpix2pix-main.zip.\ntfpix2pix 9.9.9\n")
    wanted, was_there = machine.asked()
    assert was_there and Path(wanted).name == "tfpix2pix-main.zip[openmoji]"


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("https://example.org/a/tfpix2pix", "git+https://example.org/a/tfpix2pix"),
        ("git+https://example.org/a/tfpix2pix@v1", "git+https://example.org/a/tfpix2pix@v1"),
        (f"https://example.org/{WHEEL}", f"https://example.org/{WHEEL}"),
        ("https://example.org/archive/main.zip", "https://example.org/archive/main.zip"),
    ],
)
def test_an_address_is_given_to_pip_with_the_extra_of_the_drawings(address, wanted, machine):
    machine.stub_pip()
    assert machine.run(address) == (0, f"Installing from {address}.\ntfpix2pix 9.9.9\n")
    assert machine.asked()[0] == f"tfpix2pix[openmoji] @ {wanted}"


def test_in_colab_an_upload_box_opens_if_there_is_no_file_and_no_address(machine):
    machine.stub_pip()
    machine.stub("google/colab/__init__.py", "")
    machine.stub("google/colab/files.py", UPLOAD.format(names=[f"{WHEEL[:-4]} (2).whl"]))
    code, said = machine.run()
    assert (code, said.splitlines()[0]) == (0, "Choose the wheel (tfpix2pix-….whl) or a zip of the repository.")
    assert Path(machine.asked()[0]).name == f"{WHEEL}[openmoji]" and machine.asked()[1]


def test_in_colab_an_address_opens_no_box(machine):
    machine.stub_pip()
    machine.stub("google/colab/__init__.py", "")
    machine.stub("google/colab/files.py", "def upload(): raise RuntimeError('a box')")
    assert machine.run("https://example.org/a/tfpix2pix")[0] == 0


def test_nothing_to_install_is_a_sentence_that_says_what_to_do(machine):
    said = sentence_of(machine.run())
    assert said == (
        f"tfpix2pix must be installed. Received no wheel or zip of it, and no address. `make wheel` leaves a wheel in "
        f"dist/. Put it into {machine.folder}, or set ADDRESS, and run this cell again."
    )
    machine.stub("google/colab/__init__.py", "")
    machine.stub("google/colab/files.py", UPLOAD.format(names=[]))  # the box was cancelled
    assert sentence_of(machine.run(), after="Choose the wheel") == said


@pytest.mark.skipif(not shutil.which("git"), reason="pip fetches an address by git")
def test_a_wrong_address_is_a_sentence_with_pips_own_reason(machine):
    address = "https://localhost:1/someone/tfpix2pix"
    said = sentence_of(machine.run(address), after="Installing from")
    assert said.startswith(f"tfpix2pix must be installed from a whole file or a right address. Received {address}; ")
    assert "; pip said: fatal: unable to access" in said and "ADDRESS" in said


def test_a_broken_wheel_is_a_sentence_with_pips_own_last_line(machine):
    (machine.folder / WHEEL).write_text("cut off")
    said = sentence_of(machine.run(), after="Installing from")
    assert re.search(rf"Received {WHEEL}; pip said: ERROR: Wheel 'tfpix2pix' located at .* is invalid\. `make", said)


def test_a_zip_that_is_none_is_a_sentence(machine):
    (machine.folder / "tfpix2pix-main.zip").write_text("cut off")
    said = sentence_of(machine.run(), after="Installing from")
    assert "Received tfpix2pix-main.zip; pip said: zipfile.BadZipFile: File is not a zip file. `make" in said


def test_a_wheel_of_something_else_is_a_sentence(machine):
    write_wheel(machine.folder / "other-9.9.9-py3-none-any.whl", package="other")
    said = sentence_of(machine.run("other-9.9.9-py3-none-any.whl"), after="Installing from")
    assert "Received other-9.9.9-py3-none-any.whl; it does not hold tfpix2pix. `make" in said


def test_a_package_that_cannot_be_imported_is_a_sentence(machine):
    write_wheel(machine.folder / WHEEL, code="raise ImportError('half of it is missing')")
    said = sentence_of(machine.run(), after="Installing from")
    assert "Received one that cannot be imported (half of it is missing). Remove it by `%pip uninstall" in said
