"""Every notebook runs from top to bottom, with smoke settings in its parameter cell, and is kept without outputs."""

import importlib
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import tfpix2pix as p2p
from tests.conftest import make_combined

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RENDERED = {path.stem: ROOT / "docs" / "notebooks" / f"{path.stem}.md" for path in NOTEBOOKS}
DRAWS = re.compile(r"\.(?:plot|bar|hist)\(")  # what has axes; pictures have none
FEWER = tuple(f"training.{key}=4" for key in ("log_every_steps", "validate_every_steps", "validation_images"))
BEYOND = "Before it is open to anyone"  # the end of what is about the server
SMALL = 'PRESET = "smoke"; SETTINGS = ("data.held_out_fraction=0.1",)'

# notebook -> lines for its parameter cell, pictures at least, files that it promises
SMOKE = {
    "train_in_colab": (
        f"{SMALL}; FIRST_STEPS = 2; COMPARE_L1 = True",
        6,
        (
            "runs/colab-l1/model_card.json",
            "runs/colab/exports/colab/1/saved_model.pb", "runs/colab/exports/colab-32px.tflite",
            "runs/colab/exports/colab-32px-dynamic.tflite", "runs/colab/evaluation/val/report.html", "colab-step-4.zip",
        ),
    ),
    "serve_and_deploy": (
        f"{SMALL}; RUNNER = {str(ROOT / 'export' / 'on_device')!r}",
        6,
        ("exports/served/1/saved_model.pb", "exports/served-32px.tflite", "exports/served-32px-dynamic.tflite"),
    ),
    "inside_pix2pix": (
        f"{SMALL} + {FEWER}; SIZE_PX = 32; FILTERS = 8; PATCH_PX = 16; STEPS = 4",
        16,
        tuple(
            f"runs/inside/{run}/model_card.json"
            for run in ("l1", "cgan", "l1+cgan", "encoder_decoder", "patch-1", "diverse")
        ),
    ),
}  # fmt: skip


def run(name: str, parameters: str, folder: Path, until: str | None = None) -> nbformat.NotebookNode:
    """The notebook after a run in `folder`, with `parameters` at the end of its parameter cell; `until`: to this
    heading alone."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    if until:
        (end,) = [index for index, cell in enumerate(notebook.cells) if cell.source.startswith(until)]
        notebook.cells = notebook.cells[:end]
    (cell,) = parameters_of(notebook)
    cell.source += f"\n{parameters}"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    return notebook


def parameters_of(notebook) -> list:
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def pictures(notebook) -> list:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output for output in outputs if "image/png" in output.get("data", {})]


def printed(notebook) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


@pytest.mark.parametrize("name", SMOKE)
@pytest.mark.slow
def test_runs_from_top_to_bottom(name, tmp_path):
    parameters, least, files = SMOKE[name]
    assert len(pictures(run(name, parameters, tmp_path))) >= least
    assert [file for file in files if not (tmp_path / file).is_file()] == []
    for archive in tmp_path.glob("*.zip"):
        with zipfile.ZipFile(archive) as held:
            assert {"config.yaml", "model_card.json", "exports/colab-32px.tflite"} <= set(held.namelist())


@pytest.mark.slow
def test_serves_by_a_live_server(smoke_run, tmp_path):
    """The same request over HTTP, to the model that the notebook finds already exported."""
    pytest.importorskip("tensorflow_serving", reason="the tests' server needs tfpix2pix[serving]")
    from tests.inference.remote.server import ModelServer

    p2p.export_run(smoke_run.path, "saved_model", tmp_path / "exports")
    with ModelServer(tmp_path / "exports") as server:
        address = server.address("rest")
        notebook = run("serve_and_deploy", f"MODEL = {str(smoke_run.path)!r}; SERVER = {address!r}", tmp_path, BEYOND)
        assert {"translate_bytes", "model_card"} <= set(server.core.requests)
    assert f"answered by the server at {address}" in printed(notebook)
    assert "is of this run already" in printed(notebook)
    assert [path.name for path in (tmp_path / "exports" / "smoke").iterdir()] == ["1"]


@pytest.mark.slow
def test_trains_on_a_zip_of_pairs_and_again(tmp_path):
    """Pairs of one's own, and a second run in the same folder, which trains nothing; as far as this makes a
    difference."""
    make_combined(tmp_path / "mine" / "train", count=4, size_px=32)
    make_combined(tmp_path / "mine" / "val", count=2, size_px=32)
    shutil.make_archive(tmp_path / "mine", "zip", tmp_path, "mine")
    shutil.rmtree(tmp_path / "mine")
    parameters = (
        'PRESET = "smoke"; SETTINGS = ("data.input_channels=3", "data.fit=resize"); DATA = "mine.zip"; FIRST_STEPS = 2'
    )
    first = run("train_in_colab", parameters, tmp_path, until="## How good is it?")
    assert "4 training pairs (0, 1, 2, 3 …), 2 held out" in printed(first)
    config = (tmp_path / "runs" / "colab" / "config.yaml").stat().st_mtime_ns
    run("train_in_colab", parameters, tmp_path, until="## How good is it?")
    assert (tmp_path / "runs" / "colab" / "config.yaml").stat().st_mtime_ns == config


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert cell.cell_type != "code" or (cell.outputs == [] and cell.execution_count is None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_settings_are_one_cell(path):
    assert path.stem in SMOKE
    assert len(parameters_of(nbformat.read(path, as_version=4))) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_imports_of_the_package_is_there(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    imports = re.findall(r"^ *from (tfpix2pix[\w.]*) import ([\w, ]+)$", "\n".join(cells), re.MULTILINE)
    assert imports
    for module, names in imports:
        assert [name for name in names.split(", ") if not hasattr(importlib.import_module(module), name)] == [], module


@pytest.mark.parametrize("path", [*NOTEBOOKS, *RENDERED.values()], ids=lambda path: path.name)
def test_no_place_of_one_machine(path):
    assert not re.search(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|opt|mnt|usr)/", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_figures_name_their_axes(path):
    """A cell that draws curves or bars says what the axes are, with a title."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and DRAWS.search(cell.source) and "subplots(" in cell.source:
            assert all(word in cell.source for word in ("xlabel=", "ylabel=", "title=")), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_rendered_copy_is_of_this_text(path):
    """Each paragraph and each code cell of the notebook stands in its copy under docs/notebooks/."""
    copy = RENDERED[path.stem].read_text(encoding="utf-8")
    assert f"../../notebooks/{path.name}" in copy.splitlines()[0]
    for cell in nbformat.read(path, as_version=4).cells:
        for line in cell.source.splitlines():
            words = re.sub(r"\]\([^)]*\)", "]", line).strip()  # links lead elsewhere from there
            assert not words or words in re.sub(r"\]\([^)]*\)", "]", copy), line
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", copy):
        assert (RENDERED[path.stem].parent / picture).is_file(), picture
