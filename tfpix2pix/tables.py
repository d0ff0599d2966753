"""Makes table rows and names that import their module when first used: configuration and help need no TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from tfpix2pix.errors import unknown_name


def lazy(module: str, name: str) -> Callable[..., Any]:
    """Returns a function for a table row, which imports `module` and calls its `name` with the same arguments.

    Tables (`GENERATORS`, `SOURCES`, …) hold such functions, so that a configuration can be checked against a table's
    keys in milliseconds. A row may also be an ordinary function: `GENERATORS["mine"] = build_mine`.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    call.__name__ = name
    call.__qualname__ = f"{module}.{name}"
    call.__doc__ = f"Imports and calls `{module}.{name}`."
    return call


def import_and_call(module: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """Imports `module` and calls its `name`. A `partial` of it can be pickled, and imports nothing until called."""
    return getattr(importlib.import_module(module), name)(*args, **kwargs)


def lazy_attributes(package: str, names: dict[str, str]) -> Callable[[str], Any]:
    """Returns a module-level `__getattr__` (PEP 562) for `package`. `names`: attribute -> module that defines it."""

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}: it has {', '.join(sorted(names))}.")
        return getattr(importlib.import_module(names[name]), name)

    return getattr_


def row(table: Mapping[Any, Any], noun: str, name: object) -> Any:
    """Returns `table[name]`. Raises ValueError with the known names if there is no such row."""
    if name not in table:
        raise ValueError(unknown_name(noun, name, table))
    return table[name]
