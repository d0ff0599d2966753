"""Finds the trained models that come with the package, by their names. Each is a run directory in `models/`.

`benchmarks/pretrained.py` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "models"
DRAWINGS = "drawings"  # folder in a model's directory: held-out inputs to try it on


@dataclass(frozen=True)
class Pretrained:
    """Describes a trained model that comes with the package."""

    help: str
    license: str  # SPDX identifier of the data's licence, which holds for the weights too


PRETRAINED = {  # name -> the model in the folder of that name
    "openmoji": Pretrained("line drawings of faces, animals, plants and food, coloured, 256 px", "CC-BY-SA-4.0"),
}


def trained_path(path: str | Path) -> Path:
    """Returns the directory of the model of this name that comes with the package, or `path` if that exists or no model
    has the name."""
    path = Path(path).expanduser()
    return FOLDER / path if str(path) in PRETRAINED and not path.exists() else path


def is_pretrained(path: Path) -> bool:
    """Returns True if a run directory belongs to the package, where nothing else may be written."""
    return FOLDER in path.parents


def drawings_of(path: Path) -> Path | None:
    """Returns the folder of inputs that come with a model of the package; None for other models."""
    return path / DRAWINGS if is_pretrained(path) else None
