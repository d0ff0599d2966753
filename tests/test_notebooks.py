"""Every notebook runs from top to bottom, with smoke settings in its parameter cell, and is kept without outputs."""

import importlib
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import tfpix2pix as p2p
from tests.conftest import make_combined, write_image
from tfpix2pix.data.download.archives import ARCHIVES
from tfpix2pix.data.images import read_image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import address as addresses  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RENDERED = {path.stem: ROOT / "docs" / "notebooks" / f"{path.stem}.md" for path in NOTEBOOKS}
LINK = r"\[([^]]*)\]\([^)]*\)"
DRAWS = re.compile(r"\.(?:plot|bar|hist)\(")  # what has axes; pictures have none
FEWER = tuple(f"training.{key}=4" for key in ("log_every_steps", "validate_every_steps", "validation_images"))
BEYOND = "Before it is open to anyone"  # the end of what is about the server
THREE = 'SETTINGS = "data.input_channels=3 data.fit=resize"; MINUTES = 0.1'  # for pairs of colours
SMALLER = 'SETTINGS = "data.image_size_px=32 discriminator.receptive_field_px=16 generator.base_filters=8"'
SMALL = 'PRESET = "smoke"; SETTINGS = ("data.held_out_fraction=0.1",)'

# notebook -> lines for its parameter cell, pictures at least, files that it promises
SMOKE = {
    "train_in_colab": (
        'PRESET = "smoke"; SETTINGS = "data.held_out_fraction=0.1"; RUN = "runs/colab"; COMPARE_L1 = True',
        8,
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


@pytest.fixture(scope="module")
def kernel():
    """A kernel for one notebook after the other, so that TensorFlow is loaded once. Each begins without variables."""
    manager = KernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)


def run(
    name: str,
    parameters: str,
    folder: Path,
    until: str | None = None,
    kernel: KernelManager | None = None,
    **fields: object,
) -> nbformat.NotebookNode:
    """The notebook after a run in `folder`, with `parameters` at the end of its parameter cell and values in form
    fields of other cells; `until`: to this heading alone; `kernel`: in this one, not in one of its own."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    if until:
        (end,) = [index for index, cell in enumerate(notebook.cells) if cell.source.startswith(until)]
        notebook.cells = notebook.cells[:end]
    (cell,) = parameters_of(notebook)
    cell.source += f"\n{parameters}"
    for field, value in fields.items():
        ((cell, before),) = [
            (cell, found)
            for cell in notebook.cells
            for found in re.findall(rf"^{field} = .*(?=  # @param)", cell.source, re.MULTILINE)
        ]
        cell.source = cell.source.replace(before, f"{field} = {value!r}")
    if kernel:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(f"%reset -f\nimport os\nos.chdir({str(folder)!r})"))
    client = NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": folder}})
    try:
        client.execute()
    finally:
        if kernel and client.kc:
            client.kc.stop_channels()
    return notebook


def parameters_of(notebook) -> list:
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def pictures(notebook) -> list:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output for output in outputs if "image/png" in output.get("data", {})]


def said(notebook) -> str:
    """The Markdown that cells display."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(output.get("data", {}).get("text/markdown", "") for output in outputs)


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
def test_serves_by_a_live_server(smoke_run, kernel, tmp_path):
    """The same request over HTTP, to the model that the notebook finds already exported."""
    pytest.importorskip("tensorflow_serving", reason="the tests' server needs tfpix2pix[serving]")
    from tests.inference.remote.server import ModelServer

    p2p.export_run(smoke_run.path, "saved_model", tmp_path / "exports")
    with ModelServer(tmp_path / "exports") as server:
        address = server.address("rest")
        parameters = f"MODEL = {str(smoke_run.path)!r}; SERVER = {address!r}"
        notebook = run("serve_and_deploy", parameters, tmp_path, BEYOND, kernel)
        assert {"translate_bytes", "model_card"} <= set(server.core.requests)
    assert f"answered by the server at {address}" in printed(notebook)
    assert "is of this run already" in printed(notebook)
    assert [path.name for path in (tmp_path / "exports" / "smoke").iterdir()] == ["1"]


@pytest.mark.slow
def test_trains_on_a_zip_of_pairs_and_again(kernel, tmp_path):
    """Pairs of one's own, and a second run in the same folder, which trains nothing and translates a picture of one's
    own; as far as this makes a difference."""
    make_combined(tmp_path / "mine" / "train", count=4, size_px=32)
    make_combined(tmp_path / "mine" / "val", count=2, size_px=32)
    shutil.make_archive(tmp_path / "mine", "zip", tmp_path, "mine")
    shutil.rmtree(tmp_path / "mine")
    mine = {"DATA": "mine.zip", "MY_PRESET": "smoke"}
    first = run("train_in_colab", THREE, tmp_path, until="## How good is it?", kernel=kernel, **mine)
    assert "4 training pairs (0, 1, 2, 3 …), 2 held out" in printed(first)
    assert "**mine**: 4 steps, batch size 1, objective l1+cgan" in said(first)
    config = (tmp_path / "runs" / "mine" / "config.yaml").stat().st_mtime_ns
    write_image(tmp_path / "own.png", np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
    again = run("train_in_colab", THREE, tmp_path, until="## Compare", kernel=kernel, PICTURE="own.png", **mine)
    assert "file: translated/own.png" in printed(again) and "PICTURE is empty" not in printed(again)
    assert read_image(tmp_path / "translated" / "own.png").shape == (40, 64, 3)
    assert (tmp_path / "runs" / "mine" / "config.yaml").stat().st_mtime_ns == config
    whole_mb, best_mb = map(int, re.findall(r"takes (\d+) MB", printed(first))[:2])
    (checkpoint,), (best,) = (
        (tmp_path / "runs" / "mine" / "checkpoints").glob(f"{kind}*4") for kind in ("step", "best")
    )
    for stated, folder in ((whole_mb, checkpoint), (best_mb, best)):
        assert abs(stated - sum(path.stat().st_size for path in folder.iterdir()) / 1e6) < 0.6


@pytest.mark.slow
def test_pairs_two_folders_whose_names_differ(kernel, tmp_path):
    """By the table of `data match`, again when the cell runs again; folders that are named are taken as they are."""
    rng = np.random.default_rng(0)
    for number in range(6):
        for folder, name in (("photos", f"photo_{number}_final"), ("sketches", f"s{number}")):
            image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            write_image(tmp_path / "mine" / folder / f"{name}.png", image)
    fields = {"DATA": "mine", "MY_PRESET": "smoke"}
    for _ in range(2):
        notebook = run("train_in_colab", THREE, tmp_path, until="## Look at the pairs", kernel=kernel, **fields)
        assert "The file names of mine/sketches and mine/photos differ" in printed(notebook)
        assert "2 training pairs (s1, s4 …), 4 held out" in printed(notebook)
    table = (tmp_path / "data" / "mine-pairs.csv").read_text().splitlines()
    assert table[1] == "../mine/sketches/s0.png,../mine/photos/photo_0_final.png" and len(table) == 7

    for folder in ("a_side", "b_side"):
        for number in range(6):
            write_image(tmp_path / "equal" / folder / f"{number}.png", np.zeros((32, 32, 3), np.uint8))
    fields |= {"DATA": "equal", "INPUT_FOLDER": "b_side", "TARGET_FOLDER": "a_side"}
    notebook = run("train_in_colab", THREE, tmp_path, until="## Look at the pairs", kernel=kernel, **fields)
    assert "training pairs" in printed(notebook) and "differ" not in printed(notebook)


@pytest.mark.slow
def test_facades_are_downloaded_if_they_are_switched_on(kernel, tmp_path):
    """Here they were downloaded before."""
    off = run("train_in_colab", 'PRESET = "smoke"', tmp_path, until="## Third exercise", kernel=kernel)
    assert len(pictures(off)) == 1 and "OpenMoji" in printed(off)  # of the model in the package, before any training
    assert "Not switched on" in printed(off) and not (tmp_path / "data").exists()
    make_combined(tmp_path / "data" / "facades" / "train", count=3, size_px=32)
    make_combined(tmp_path / "data" / "facades" / "val", count=2, size_px=32)
    record = {"url": "https://example.org/facades.tar.gz", "size_bytes": 1, "sha256": "0" * 64}
    (tmp_path / "data" / "facades.download.json").write_text(json.dumps(record))
    fields = {"FACADES": True, "FACADES_MINUTES": 5}
    on = run("train_in_colab", SMALLER, tmp_path, until="## Where it is kept", kernel=kernel, **fields)
    assert "3 training pairs" in printed(on) and "5 minutes, and at most 80000 steps, batch size 1" in printed(on)
    notebook = nbformat.read(ROOT / "notebooks" / "train_in_colab.ipynb", as_version=4)
    (above,) = [cell.source for cell in notebook.cells if cell.source.startswith("## Second exercise")]
    assert f"has {ARCHIVES['facades'].size_mb} MB" in above


@pytest.mark.slow
def test_says_how_large_the_run_becomes_before_drive_is_opened(tmp_path, monkeypatch):
    stub = tmp_path / "stub" / "google" / "colab"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("")
    (stub / "files.py").write_text("")
    (stub / "drive.py").write_text("def mount(place): print('mounted at', place)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "stub"), str(ROOT)]))
    notebook = run("train_in_colab", 'PRESET = "smoke"; DRIVE = True', tmp_path, until="## Train")
    text = printed(notebook)
    assert "in Colab: True" in text
    places = [text.index(part) for part in ("Disk: up to", "At most 2 checkpoints", "mounted at /content/drive")]
    assert places == sorted(places)
    assert "run: /content/drive/MyDrive/tfpix2pix/runs/smoke" in text


@pytest.mark.slow
def test_a_mistake_is_a_sentence(kernel, tmp_path):
    with pytest.raises(CellExecutionError) as caught:
        run("train_in_colab", 'PRESET = "facadez"', tmp_path, until="## Look at the pairs", kernel=kernel)
    assert "Did you mean 'facades'?" in str(caught.value) and "tfpix2pix/config" not in str(caught.value)
    with pytest.raises(CellExecutionError, match=r"DATA must be .* Received nowhere\.zip"):
        run("train_in_colab", "", tmp_path, until="## Look at the pairs", kernel=kernel, DATA="nowhere.zip")


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
    text = re.sub(LINK, r"\1", copy)  # names of pages are links there
    for cell in json.loads(addresses.notebook(path.read_text(encoding="utf-8"), "", path.stem))["cells"]:
        for line in cell["source"]:
            assert re.sub(LINK, r"\1", line).strip() in text, line
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", copy):
        assert (RENDERED[path.stem].parent / picture).is_file(), picture
