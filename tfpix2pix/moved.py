"""Keeps old module names importable: they forward to the new modules, with a warning that names these."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# All modules that earlier docs/extending.md or docs/reference.md named and that have moved since.
MODULES = {
    "tfpix2pix.artefacts": "tfpix2pix.runs.load",
    "tfpix2pix.card": "tfpix2pix.config.card",
    "tfpix2pix.doctor": "tfpix2pix.data.doctor",
    "tfpix2pix.doctor.findings": "tfpix2pix.data.doctor.findings",
    "tfpix2pix.evaluation.example": "tfpix2pix.metrics.example",
    "tfpix2pix.evaluation.images": "tfpix2pix.metrics.images",
    "tfpix2pix.export.format": "tfpix2pix.export",
    "tfpix2pix.interop.found": "tfpix2pix.interop.weights",
    "tfpix2pix.lazy": "tfpix2pix.tables",
    "tfpix2pix.models.build": "tfpix2pix.runs.networks",
    "tfpix2pix.presets": "tfpix2pix.config",
    "tfpix2pix.recipes": "tfpix2pix.config",
    "tfpix2pix.recognize": "tfpix2pix.runs.recognize",
    "tfpix2pix.resolve": "tfpix2pix.config.resolve",
    "tfpix2pix.serving": "tfpix2pix.inference.remote",
}


def moved_attributes(package: str, names: dict[str, str]) -> Callable[[str], Any]:
    """Makes a module-level `__getattr__` (PEP 562) of a package from which names have moved: name -> new module."""

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        message = f"{package}.{name} has moved. Import it from {names[name]}."
        warnings.warn(message, FutureWarning, stacklevel=2)
        return getattr(importlib.import_module(names[name]), name)

    return getattr_


class _Finder:
    """Finds modules under their old names. It comes last, so it is asked only for modules that no other finder has.

    It has the methods of importlib's abstract classes, whose import would slow down `import tfpix2pix`.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name in MODULES else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leaves the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        new = MODULES[module.__name__]
        warnings.warn(f"{module.__name__} has moved. Import it as {new}.", FutureWarning, stacklevel=2)
        module.__getattr__ = lambda name: getattr(importlib.import_module(new), name)


finder = _Finder()
