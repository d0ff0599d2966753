"""Defines how the channels of an input follow from `data.neighbour_slices`, and what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfpix2pix.data import INPUT_KINDS, SOURCES, source_row
from tfpix2pix.data.parts import USUAL_KIND, InputPart

if TYPE_CHECKING:
    from tfpix2pix.data.settings import DataConfig

MOST_NEIGHBOURS = 16


def channels_of_slices(neighbours: int) -> int:
    """Returns the number of channels of a slice with `neighbours` slices before and as many after it."""
    return 2 * neighbours + 1


def with_channels_of_slices(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns settings of `data`, not yet validated, with the channels that follow from `neighbour_slices`.

    They are those of the input, or of each of its parts that is an image, where none are given.
    """
    neighbours = settings.get("neighbour_slices")
    if not isinstance(neighbours, int) or not 0 < neighbours <= MOST_NEIGHBOURS:
        return settings
    channels = channels_of_slices(neighbours)
    parts = settings.get("inputs")
    if not parts:
        return {"input_channels": channels, **settings}
    parts = parts if isinstance(parts, (list, tuple)) else [parts]
    return {**settings, "inputs": [_with_channels(part, channels) for part in parts]}


def _with_channels(part: Any, channels: int) -> Any:
    part = {"name": part} if isinstance(part, str) else part
    if not isinstance(part, dict):
        return part
    name = part.get("name")
    kind = part.get("kind") or (name if name in INPUT_KINDS else USUAL_KIND)
    return {**part, "channels": part.get("channels") or channels} if kind == USUAL_KIND else part


def check_slices(data: DataConfig) -> None:
    """Raises ValueError if other keys of a `DataConfig` do not go with its `neighbour_slices`."""
    neighbours = data.neighbour_slices
    if not neighbours:
        return
    channels = channels_of_slices(neighbours)
    images: list[InputPart] = [part for part in data.inputs or () if part.kind == USUAL_KIND]
    sources = " or ".join(name for name in SOURCES if source_row(name).of_volumes)
    received = next((part.stacked_channels for part in images if part.stacked_channels != channels), channels)
    rules = (  # key, its value, whether it is allowed, the allowed values
        ("source", data.source, source_row(data.source).of_volumes, sources),
        ("input_classes", data.input_classes, data.input_classes is None, "null"),
        (
            "input_channels",
            data.input_channels,
            bool(data.inputs) or data.input_channels == channels,
            f"left out or {channels}",
        ),
        ("inputs", f"{received} channels", received == channels, f"images of {channels} channels"),
    )
    for key, value, allowed, rule in rules:
        if not allowed:
            raise ValueError(
                f"`data.{key}` must be {rule} with `data.neighbour_slices: {neighbours}`. Received {value}. Change one "
                f"of the two"
            )
