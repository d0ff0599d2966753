"""The house as docs/architecture.md draws it: imports point down, light rooms are light, files and calls are small."""

import ast
import graphlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tfpix2pix

ROOT = Path(tfpix2pix.__file__).parent
FLOORS = (  # a room may import from the floors below its own; modules beside the rooms are the ground floor
    {"cli"},
    {"evaluation"},
    {"runs"},
    {"export"},
    {"inference"},
    {"config"},
    {"training", "interop"},
    {"models", "metrics"},
    {"data", "losses"},
)
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS, -len(FLOORS)) for room in rooms}
MODULES = {
    ".".join(("tfpix2pix", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
LIGHT = (  # import no TensorFlow, and neither do the rooms themselves, which hold tables
    "cli", "config.resolve", "config.card", "runs.directory", "runs.plan", "runs.seeds", "runs.recognize",
    "training.trackers", "inference.remote.rest", "inference.remote.client", "inference.files", "data.sources",
    "data.doctor.examination", "data.doctor.page", "evaluation.request", "evaluation.folder", "evaluation.compare",
    "evaluation.comparison.figure", "evaluation.report.page", "evaluation.study.page", "evaluation.study.score",
)  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """The modules of this package that a file imports anywhere, except for type checkers."""
    modules = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tfpix2pix":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules.update(name if name in MODULES else node.module for name in names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return modules


IMPORTS = {name: imports_of(path) - {name, "tfpix2pix"} for name, path in MODULES.items()}
del IMPORTS["tfpix2pix"]  # hands out names of every room


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_every_room_has_a_floor_and_says_what_belongs_in_it():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == HEIGHT.keys()
    assert all(ast.get_docstring(ast.parse(path.read_text())) for path in ROOT.rglob("__init__.py"))


def test_imports_point_down():
    height = {name: HEIGHT.get(room_of(name), 0) for name in IMPORTS} | {"tfpix2pix.__main__": len(FLOORS) + 1}
    ways_up = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if room_of(name) != room_of(other) and 0 < height[other] >= height[name]
    ]
    assert ways_up == []


def test_no_imports_go_round():
    list(graphlib.TopologicalSorter(IMPORTS).static_order())  # raises CycleError, which names the modules


def test_the_loop_knows_neither_checkpoints_nor_reports():
    assert IMPORTS["tfpix2pix.training.loop"] == set()


def test_files_are_few_and_none_is_long():
    # The house was built with 198 modules; distilling, TIFF, pages, variety, enhancers, sizes, inputs of several files,
    # perceptual networks, stages, shifted pairs (shifts, align, originals, pyramid), several seeds, trackers, plots of
    # all pixels (agreement, density), LaTeX and tiles without seams (seams, scales) have come since.
    assert {name: lines for name, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 400} == {}


def test_light_rooms_import_no_tensorflow():
    names = [f"tfpix2pix.{name}" for name in (*LIGHT, *HEIGHT)]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    heavy = {{"tensorflow", "keras"}} & sys.modules.keys()
    if heavy:
        sys.exit(f"{{name}} imports {{heavy}}")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_public_names_resolve():
    for name in tfpix2pix.__all__:
        assert getattr(tfpix2pix, name) is not None
    with pytest.raises(AttributeError, match="it has Config"):
        tfpix2pix.no_such_name  # noqa: B018


def test_inner_functions_take_eight_parameters_at_most():
    """Commands, builders of networks and what `import tfpix2pix` gives are called by people, with names."""
    public = {getattr(tfpix2pix, name) for name in tfpix2pix.__all__ if name != "__version__"}
    excepted = {function.__name__ for function in public if inspect.isroutine(function)}
    many = []
    for module, path in MODULES.items():
        if room_of(f"{module}.") == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name not in excepted and not node.name.startswith("build_"):
                arguments = node.args
                names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
                if len([name for name in names if name not in ("self", "cls")]) > 8:
                    many.append(f"{module}.{node.name}")
    assert many == []


def test_tables_hold_callables_under_plain_names():
    from tfpix2pix import data, export, losses, metrics, models

    for table in (data.SOURCES, models.DISCRIMINATORS):
        assert type(table) is dict
        assert all(callable(row) and name == name.lower() for name, row in table.items())
    assert all(callable(row.make) for table in (data.OPERATORS, metrics.METRICS) for row in table.values())
    assert all(callable(row.call) for table in (losses.GAN_LOSSES, losses.TERMS) for row in table.values())
    assert all(callable(row.build) for row in models.GENERATORS.values())
    assert all(callable(row.read) and callable(row.write) for row in export.EXPORTERS.values())
