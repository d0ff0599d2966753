"""Names that import their module when first used, so that configuration and help never wait for TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def lazy(module: str, name: str) -> Callable[..., Any]:
    """A table row: a function that imports `module` and calls its `name` with what it was called with.

    Tables (`GENERATORS`, `SOURCES`, …) hold these, so that a configuration can be checked against a table's
    keys in milliseconds. A row may as well be an ordinary function: `GENERATORS["mine"] = build_mine`.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    call.__name__ = name
    call.__qualname__ = f"{module}.{name}"
    call.__doc__ = f"Imports and calls `{module}.{name}`."
    return call


def lazy_attributes(package: str, names: dict[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` (PEP 562) for `package`: attribute name -> module that defines it."""

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted(names))}.")
        return getattr(importlib.import_module(names[name]), name)

    return getattr_
