"""One YAML file a task; its header says the paper's section, the data, the hardware and what to expect."""

from __future__ import annotations

from tfpix2pix.settings_files import SettingsFiles

PRESETS = SettingsFiles(__name__, "A preset", "A configuration")


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return PRESETS.names()


def preset_text(name: str) -> str:
    """The YAML of a preset, header included."""
    return PRESETS.text(name)
