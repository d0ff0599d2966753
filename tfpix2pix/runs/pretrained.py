"""Finds the trained models that come with the package, by their names. Each is a run directory in `models/`.

`benchmarks/pretrained.py` makes them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.errors import UserError

FOLDER = Path(__file__).parent / "models"
DRAWINGS = "drawings"  # folder in a model's directory: held-out inputs to try it on


@dataclass(frozen=True)
class Pretrained:
    """Describes a trained model that comes with the package."""

    help: str
    license: str  # SPDX identifier of the data's licence, which holds for the weights too
    drawings: tuple[str, ...]  # names of the held-out inputs, the one that it translates best (by L1) first


PRETRAINED = {  # name -> the model in the folder of that name
    "openmoji": Pretrained(
        "line drawings of faces, animals, plants and food, coloured, 256 px",
        "CC-BY-SA-4.0",
        ("1F34B", "1F970", "1F405", "1F417", "1F63D", "1F427", "1F419", "1F9C1"),
    ),
}


def trained_path(path: str | Path) -> Path:
    """Returns the directory of the model of this name that comes with the package, or `path` if that exists or no model
    has the name.

    Raises:
        UserError: `path` does not exist, and resembles a name.
    """
    path = Path(path).expanduser()
    if path.exists():
        return path
    if str(path) in PRETRAINED:
        return FOLDER / path
    near = difflib.get_close_matches(str(path).lower(), PRETRAINED, n=1)
    if near:
        raise UserError(
            f"A model must be a path, or the name of one that comes with the package. Received {path}, which does not "
            f"exist. Did you mean {near[0]}?"
        )
    return path


def is_pretrained(path: Path) -> bool:
    """Returns True if a run directory belongs to the package, where nothing else may be written."""
    return FOLDER in path.parents


def drawings_of(path: Path) -> Path | None:
    """Returns the folder of inputs that come with a model of the package; None for other models."""
    return path / DRAWINGS if is_pretrained(path) else None


def examples_of(path: Path) -> list[Path]:
    """Returns the files of `drawings_of`, the input that the model translates best first. [] for other models."""
    folder = drawings_of(path)
    return [folder / f"{name}.png" for name in PRETRAINED[path.name].drawings] if folder else []
