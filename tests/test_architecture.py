"""The map of the house, held: who may import whom, which modules wait for TensorFlow, how long a module may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tfpix2pix

ROOT = Path(tfpix2pix.__file__).parent
MODULES = {
    ".".join(("tfpix2pix", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# A room may import the rooms in its list, and anything in LEAVES (docs/architecture.md draws the same map).
LEAVES = {
    "errors",
    "lazy",
    "_version",
    "files",
    "foreign",
    "destinations",
    "pages",
    "quiet",
    "settings_files",
    "saved_models",
    "keras_files",
}
TABLES = {
    "data",
    "models",
    "losses",
    "evaluation",
    "export",
    "presets",
    "recipes",
    "serving",
    "training",
    "interop",
}  # package roots: tables, no TensorFlow
ARROWS = {
    "config": {"data", "models", "losses", "evaluation", "recipes", "training"},
    "resolve": {"config", "presets", "losses"},
    "card": {"config"},
    "run_directory": {"card", "config", "resolve"},
    "resuming": {"card", "config", "data.fingerprints", "resolve", "run_directory", "training.cluster"},
    "rng": set(),
    "tiling": set(),
    "data": {"config", "rng", "tiling"},
    "doctor": {"config", "data"},
    "models": {"config", "tiling"},
    "losses": set(),
    "training": {"rng", "losses", "models", "evaluation", "data.images"},
    "evaluation": {"data.images"},
    "report": {"training.curves", "training.samples"},
    "comparison": {"evaluation", "evaluation_directory", "training.curves"},
    "study": {"data.formats", "evaluation.bootstrap"},
    "inference": {"card", "config", "rng", "models", "tiling", "data"},
    "parity": {"inference", "models.precision"},
    "summary": {"models"},
    "export": {"card", "inference", "models", "parity", "data.images", "data.labels"},
    "serving": {"card", "data", "rng", "tiling"},
    "batching": {"serving"},
    "demo": {"artefacts", "card", "config", "data", "examples.pairs", "translate"},
    "translate": {"batching", "card", "data", "serving"},
    "session": {
        "batching", "card", "config", "data", "evaluation", "inference", "models", "resolve", "run_directory",
        "steps", "training",
    },
    "steps": {"config", "data", "training"},
    "experiment": {
        "config", "data", "doctor", "losses", "models", "resolve", "resuming", "run_directory", "session", "steps",
        "training",
    },
    "dry_run": {"config", "data", "experiment", "losses", "models", "resolve", "summary"},
    "recognize": {"config", "run_directory", "export"},
    "examples": {
        "artefacts", "card", "config", "data", "evaluation", "inference", "recognize", "resolve", "run_directory",
    },
    "evaluation_directory": {"evaluation"},
    "perceptual": {"data.labels", "examples", "study"},
    "comparing": {"comparison", "examples.request", "recognize", "run_directory", "evaluation_directory"},
    "evaluating": {"data.labels", "evaluation", "examples", "report", "evaluation_directory"},
    "artefacts": {
        "recognize", "config", "run_directory", "models", "training.checkpoints", "inference", "export",
    },
    "interop": {"models.patches", "models.precision", "models.unet"},
    "importing": {
        "artefacts", "card", "config", "interop", "models", "parity", "resolve", "run_directory",
        "training.checkpoints",
    },
    "budget": {"config", "export", "exporting", "models", "run_directory"},
    "exporting": {"artefacts", "card", "config", "data", "export", "models", "parity", "recognize", "run_directory"},
    "cli": {
        "presets", "recipes", "config", "resolve", "resuming", "data", "doctor", "recognize", "run_directory",
        "experiment", "dry_run", "artefacts", "budget", "exporting", "serving", "translate", "export", "training",
        "comparing", "demo", "evaluating", "examples", "perceptual", "evaluation_directory", "study", "importing",
        "interop",
    },
    "__main__": {"cli"},
    "presets": set(),
    "recipes": set(),
    "__init__": TABLES | {
        "artefacts", "card", "config", "evaluating", "examples", "experiment", "exporting", "importing", "inference",
        "resolve",
        "training", "translate",
    },
}  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Modules of this package that a file imports, at the top or inside functions, without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tfpix2pix":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.split(".")[0] == "tfpix2pix")
    return {name.removeprefix("tfpix2pix").removeprefix(".") or "__init__" for name in found}


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_arrows(module):
    name = module.removeprefix("tfpix2pix").removeprefix(".") or "__init__"
    room = name.split(".")[0]
    allowed = LEAVES | {room} | (set() if room in LEAVES else ARROWS[room])
    for imported in imports_of(MODULES[module]):
        covered = imported in allowed or imported.split(".")[0] in allowed
        assert covered, f"{name} imports {imported}; allowed are {sorted(allowed)}"


def test_the_loop_knows_neither_checkpoints_nor_reports():
    assert imports_of(MODULES["tfpix2pix.training.loop"]) == set()


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_short(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 250


LIGHT = [
    "",
    ".cli",
    ".config",
    ".resolve",
    ".card",
    ".run_directory",
    ".recognize",
    ".serving.client",
    ".serving.rest",
    ".translate",
    ".data.sources",
    ".doctor.examination",
    ".doctor.page",
    ".comparing",
    ".comparison.comparing",
    ".comparison.figure",
    ".examples.request",
    ".report.evaluation",
    ".evaluation_directory",
    ".study.page",
    ".study.score",
]


@pytest.mark.parametrize("module", [*LIGHT, *(f".{name}" for name in sorted(TABLES))])
def test_light_modules_import_no_tensorflow(module):
    code = f"import sys, tfpix2pix{module}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_public_names_resolve():
    for name in tfpix2pix.__all__:
        assert getattr(tfpix2pix, name) is not None
    with pytest.raises(AttributeError, match="it has Config"):
        tfpix2pix.no_such_name  # noqa: B018


def test_tables_hold_callables_under_plain_names():
    from tfpix2pix import data, evaluation, export, losses, models

    for table in (data.SOURCES, models.DISCRIMINATORS):
        assert type(table) is dict
        assert all(callable(row) and name == name.lower() for name, row in table.items())
    assert all(callable(row.make) for table in (data.OPERATORS, evaluation.METRICS) for row in table.values())
    assert all(callable(row.call) for table in (losses.GAN_LOSSES, losses.TERMS) for row in table.values())
    assert all(callable(row.build) for row in models.GENERATORS.values())
    assert all(callable(row.read) and callable(row.write) for row in export.EXPORTERS.values())
