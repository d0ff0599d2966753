"""Holds the configuration of a run: one validated object, read from a preset or YAML file and saved with the run.

This module has the tables of presets and recipes. The classes of the configuration are imported when first used, so
that the command line's help, which lists recipes, does not load pydantic. This room does not import TensorFlow, so a
configuration is checked in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.safe_files import parse_yaml, read_regular_file
from tfpix2pix.tables import lazy_attributes

if TYPE_CHECKING:
    from tfpix2pix.config.schema import Config
    from tfpix2pix.data.settings import DataConfig
    from tfpix2pix.losses.settings import ObjectiveConfig
    from tfpix2pix.models.settings import DiscriminatorConfig, GeneratorConfig, InferenceConfig
    from tfpix2pix.section import Section
    from tfpix2pix.training.settings import TrainingConfig

__all__ = [
    "PRESETS",
    "RECIPES",
    "Config",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "InferenceConfig",
    "ObjectiveConfig",
    "Section",
    "SettingsFiles",
    "TrainingConfig",
    "preset_names",
    "preset_text",
]
_NAMES = {
    "Config": "tfpix2pix.config.schema",
    "DataConfig": "tfpix2pix.data.settings",
    "DiscriminatorConfig": "tfpix2pix.models.settings",
    "GeneratorConfig": "tfpix2pix.models.settings",
    "InferenceConfig": "tfpix2pix.models.settings",
    "ObjectiveConfig": "tfpix2pix.losses.settings",
    "Section": "tfpix2pix.section",
    "TrainingConfig": "tfpix2pix.training.settings",
}
__getattr__ = lazy_attributes(__name__, _NAMES)


class SettingsFiles(Mapping[str, str]):
    """Maps the names of the YAML files in a folder of this package to their text, with the header.

    Args:
        folder: name of the folder.
        named: noun for a file of the package in errors: `A preset`.
        file: noun for a user's own file in errors: `A configuration`.
    """

    def __init__(self, folder: str, named: str, file: str) -> None:
        self.folder, self.named, self.file = files(__package__) / folder, named, file

    def names(self) -> list[str]:
        """Returns the sorted names."""
        names = (file.name for file in self.folder.iterdir())
        return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __getitem__(self, name: str) -> str:
        if name not in self.names():
            raise KeyError(name)
        return (self.folder / f"{name}.yaml").read_text(encoding="utf-8")

    def text(self, name: str) -> str:
        """Returns the text of a file by its name. Raises UserError with the known names if there is no such file."""
        if name not in self:
            raise UserError(unknown_name(self.named, name, self) + f" {self.file} of your own is a .yaml file.")
        return self[name]

    def titles(self) -> dict[str, str]:
        """Maps the names to the first lines of the files' headers."""
        return {name: text.splitlines()[0].lstrip("# ") for name, text in self.items()}

    def read(self, name_or_file: str) -> dict[str, Any]:
        """Reads the mapping in a file of the package, by name, or in a user's file (`.yaml`, `.yml`).

        Raises:
            UserError: the name or file does not exist, or the content is not YAML or not a mapping.
        """
        path = Path(name_or_file)
        if path.suffix in (".yaml", ".yml"):
            try:
                text = read_regular_file(path).decode()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not text"
                raise UserError(
                    f"{self.file} must be a readable YAML file. Received {path}: {reason}. Check the path."
                ) from error
        else:
            text = self.text(name_or_file)
        try:
            settings = parse_yaml(text) or {}
        except ValueError as error:
            raise UserError(f"{self.file} must be YAML. Received {path}: {error}. Correct the file.") from error
        if not isinstance(settings, dict):
            raise UserError(
                f"{self.file} must be a mapping of keys to values. Received {path}, a {type(settings).__name__}. "
                f"Write `key: value` on each line."
            )
        return settings


PRESETS = SettingsFiles("presets", "A preset", "A configuration")
RECIPES = SettingsFiles("recipes", "A recipe", "A recipe")


def preset_names() -> list[str]:
    """Returns the names of the presets that come with the package."""
    return PRESETS.names()


def preset_text(name: str) -> str:
    """Returns the YAML of a preset, with its header."""
    return PRESETS.text(name)
