"""One YAML file a task; its header says the paper's section, the data, the hardware and what to expect."""

from __future__ import annotations

from importlib.resources import files

from tfpix2pix.errors import UserError, unknown_name


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in files(__name__).iterdir() if file.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """The YAML of a preset, header included."""
    if name not in preset_names():
        raise UserError(
            unknown_name("A preset", name, preset_names()) + " A configuration of your own is a .yaml file."
        )
    return (files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
