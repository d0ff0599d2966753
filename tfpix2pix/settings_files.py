"""Settings in YAML: files that come with the package, by name, and a user's own, by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.foreign import parse_yaml, read_regular_file


class SettingsFiles(Mapping[str, str]):
    """The YAML files of a package's folder: name -> text, the header included.

    Args:
        package: the folder, as a package.
        named: what a name stands for, for errors: `A preset`.
        file: what a user's own file holds, for errors: `A configuration`.
    """

    def __init__(self, package: str, named: str, file: str) -> None:
        self.package, self.named, self.file = package, named, file

    def names(self) -> list[str]:
        """The names, in order."""
        names = (file.name for file in files(self.package).iterdir())
        return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __getitem__(self, name: str) -> str:
        if name not in self.names():
            raise KeyError(name)
        return (files(self.package) / f"{name}.yaml").read_text(encoding="utf-8")

    def text(self, name: str) -> str:
        """The text of a file by its name; raises UserError that lists the names."""
        if name not in self:
            raise UserError(unknown_name(self.named, name, self) + f" {self.file} of your own is a .yaml file.")
        return self[name]

    def titles(self) -> dict[str, str]:
        """Name -> the first line of the file's header."""
        return {name: text.splitlines()[0].lstrip("# ") for name, text in self.items()}

    def read(self, name_or_file: str) -> dict[str, Any]:
        """The plain mapping in a file of the package or of the user's (`.yaml`, `.yml`).

        Raises:
            UserError: no such name or file, no YAML, or YAML that is no mapping.
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
            raise UserError(f"{self.file} must be YAML. Received {path}: {error}. Mend it there.") from error
        if not isinstance(settings, dict):
            raise UserError(
                f"{self.file} must be a mapping of keys to values. Received {path}, a {type(settings).__name__}."
            )
        return settings
