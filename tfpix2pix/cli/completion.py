"""Completes values in the shell: names in tables, presets, and keys of the configuration.

Typer calls these functions with the text typed so far (`tfpix2pix --install-completion` installs completion). They load
no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tfpix2pix.config import RECIPES, preset_names
from tfpix2pix.export import EXPORTERS
from tfpix2pix.interop import IMPORTERS
from tfpix2pix.training import STRATEGIES

Complete = Callable[[str], list[str]]


def one_of(names: Iterable[str]) -> Complete:
    """Returns a function that completes to `names`, rows that were added later included."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


formats, kinds, strategies = map(one_of, (EXPORTERS, IMPORTERS, STRATEGIES))


def quantizations(incomplete: str) -> list[str]:
    """Completes to the quantizations of all formats."""
    names = dict.fromkeys(name for exporter in EXPORTERS.values() for name in exporter.quantizations)
    return one_of(names)(incomplete)


def archives(incomplete: str) -> list[str]:
    """Completes to the archives that `data download` knows."""
    from tfpix2pix.data.download.archives import ARCHIVES

    return one_of(ARCHIVES)(incomplete)


def presets(incomplete: str) -> list[str]:
    return one_of(preset_names())(incomplete)


def presets_and_recipes(incomplete: str) -> list[str]:
    return one_of(dict.fromkeys([*preset_names(), *RECIPES]))(incomplete)


def presets_and_files(incomplete: str) -> list[str]:
    """Completes to presets, and to the .yaml files of the folder being typed."""
    return presets(incomplete) + _yaml_files(incomplete)


def recipes_and_files(incomplete: str) -> list[str]:
    """Completes to recipes, and to the .yaml files of the folder being typed."""
    return one_of(RECIPES)(incomplete) + _yaml_files(incomplete)


def _yaml_files(incomplete: str) -> list[str]:
    folder = Path(incomplete.rpartition("/")[0] or ".")
    files = sorted(path.as_posix() for path in folder.glob("[!.]*.yaml")) if folder.is_dir() else []
    return [path for path in files if path.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """Completes to `KEY=` and, once that is typed, to `KEY=VALUE` if the values have names."""
    from tfpix2pix.config.resolve import choices_of, describe_keys

    key, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{name}=" for name, _, _ in describe_keys() if name.startswith(key)]
    return [f"{key}={choice}" for choice in choices_of(key) if choice.startswith(value)]
