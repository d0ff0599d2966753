"""Runs the notebooks and writes what they show into docs/notebooks/: one page each, pictures beside it.

python benchmarks/render_notebooks.py                      # all of them, each about ten minutes on 2 CPU cores
python benchmarks/render_notebooks.py inside_pix2pix       # one
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import shutil
import tempfile
from pathlib import Path

import address as addresses
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from PIL import Image
from traitlets.config import Config

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "notebooks"
COMMAND = "python benchmarks/render_notebooks.py"
PICTURE, LARGE_BYTES = "image/png", 100_000
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of terminals
MOVED = {"docs/": "../", "export/": "../../export/", "notebooks/": ""}  # folders, as seen from docs/notebooks/


def executed(path: Path, keep: Path | None) -> nbformat.NotebookNode:
    """The notebook after a run in a folder of its own, beside a copy of export/, as in a clone."""
    text = addresses.notebook(path.read_text(encoding="utf-8"), "", path.stem)
    notebook = nbformat.reads(text, as_version=4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (keep or Path(temporary)) / "notebooks"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "export" / "on_device", folder.parent / "export" / "on_device", dirs_exist_ok=True)
        NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}}).execute()
    return notebook


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """With what is to be read: pictures, tables, printed lines, links to pages of the repository; without progress, and
    what went to standard error."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            cell.source = addresses.linked(cell.source, as_seen)
            continue
        quiet = "progress" in cell.metadata.get("tags", [])
        cell.outputs = [kept for kept in (tidy(each, quiet=quiet) for each in cell.outputs) if kept]
    return notebook


def as_seen(page: str) -> str:
    """The link from docs/notebooks/ to a page of the repository."""
    folder, _, rest = page.partition("/")
    return MOVED[f"{folder}/"] + (rest.replace(".ipynb", ".md") if folder == "notebooks" else rest)


def tidy(output: nbformat.NotebookNode, *, quiet: bool) -> nbformat.NotebookNode | None:
    if output.output_type == "stream":
        lines = [line.rstrip() for line in output.text.splitlines()]
        output.text = "\n".join(lines) + "\n"
        return output if output.name == "stdout" else None
    data = output.get("data", {})
    if PICTURE in data:
        kind, content = smaller(base64.b64decode(data[PICTURE]))
        output.data = {kind: base64.b64encode(content).decode()}
        output.metadata = {}
        return output
    if "text/markdown" in data:
        return output
    if quiet or "text/plain" not in data:
        return None
    lines = [line.rstrip() for line in COLOURS.sub("", data["text/plain"]).splitlines()]
    return nbformat.v4.new_output("stream", name="stdout", text="\n".join(lines) + "\n")


def smaller(png: bytes) -> tuple[str, bytes]:
    """A picture as JPEG where that is half of it or less, which it is where photographs are; diagrams stay PNG."""
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(jpeg, "JPEG", quality=88, subsampling=0, optimize=True)
    photographs = len(png) > LARGE_BYTES and 2 * len(jpeg.getvalue()) < len(png)
    return ("image/jpeg", jpeg.getvalue()) if photographs else (PICTURE, png)


def write(name: str, notebook: nbformat.NotebookNode) -> None:
    """docs/notebooks/NAME.md and its pictures in NAME_files/."""
    kinds = ["text/markdown", "image/jpeg", PICTURE, "text/plain"]
    options = Config({"NbConvertBase": {"display_data_priority": kinds}})
    resources = {"unique_key": name, "output_files_dir": f"{name}_files"}
    page, resources = MarkdownExporter(config=options).from_notebook_node(notebook, resources)
    page = re.sub(r"!\[(?:png|jpeg)\]", "![What the cell above draws]", re.sub(r"\n{3,}", "\n\n", page))
    first = f"*A rendered copy of [{name}.ipynb](../../notebooks/{name}.ipynb), by `{COMMAND} {name}`.*"
    shutil.rmtree(OUT / f"{name}_files", ignore_errors=True)
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.md").write_text(f"{first}\n\n{page.strip()}\n", encoding="utf-8")
    for path, content in resources["outputs"].items():
        (OUT / path).parent.mkdir(exist_ok=True)
        (OUT / path).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="notebooks; all unless given")
    parser.add_argument("--keep", type=Path, help="folder to run in; runs that are there are taken, not trained again")
    given = parser.parse_args()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if not given.names or path.stem in given.names:
            write(path.stem, tidied(executed(path, given.keep)))
            print(OUT / f"{path.stem}.md")


if __name__ == "__main__":
    main()
