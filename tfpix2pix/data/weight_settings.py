"""Defines `data.weight`: where the weights of the pixels come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from tfpix2pix.data import SOURCES, source_row
from tfpix2pix.section import Section

ALPHA = "alpha"
Number = Annotated[float, Field(ge=-3.5e38, le=3.5e38)]  # every float32


class Nodata(Section):
    """Configures the value that stands for no data."""

    nodata: Number | Literal["nan"]
    """Value that stands for no data, or `nan`."""


def _weight(value: Any) -> Any:
    """Returns a name or a value as it is. Raises ValueError if it is neither."""
    if isinstance(value, dict):
        value = {key: _number(of) for key, of in value.items()}
    try:
        return Nodata.model_validate(value) if isinstance(value, dict) else NAME.validate_python(value)
    except ValidationError:
        raise ValueError(
            "must be the name of a folder or column, `alpha`, or `{nodata: VALUE}` with a number or `nan`"
        ) from None


def _number(value: Any) -> Any:
    """Returns the number that a text holds, such as -3.4e38, which YAML takes for a text; other values as they are."""
    try:
        return float(value) if isinstance(value, str) and value != "nan" else value
    except ValueError:
        return value


NAME = TypeAdapter(Annotated[str, Field(min_length=1, max_length=200)])
# Name of a folder or column, `alpha`, or a value.
PixelWeight = Annotated[str | Nodata, BeforeValidator(_weight)]


def weight_folder(data: Any) -> str | None:
    """Returns the folder or column that holds the weights of a `DataConfig`, None if they lie in no files."""
    return data.weight if isinstance(data.weight, str) and data.weight != ALPHA else None


def weight_as_yaml(weight: PixelWeight) -> str:
    """Returns the value of `data.weight` as YAML has it."""
    return f"{{nodata: {weight.nodata}}}" if isinstance(weight, Nodata) else weight


def check_weight(data: Any) -> None:
    """Raises ValueError if other keys of a `DataConfig` do not go with its `weight`."""
    if data.weight is None:
        return
    row, folder, of_table = source_row(data.source), weight_folder(data), data.source == "table"
    places = [part.place for part in (*(data.inputs or ()), *(data.targets or ()))]
    taken = {data.target_folder, data.input_folder, *places}
    if of_table:
        taken = {"input", "target", "split", *(place.strip().lower() for place in places)}
    is_alpha, is_nodata = data.weight == ALPHA, isinstance(data.weight, Nodata)
    several = " or ".join(name for name in SOURCES if source_row(name).several)
    rules = (  # key, its value, whether it is allowed, what is
        ("source", data.source, not (row.makes_inputs or row.drawn), "a source of pairs in files"),
        ("source", data.source, folder is None or row.several, several),
        (
            "target_channels",
            data.target_channels,
            not is_alpha or (data.target_channels in (1, 3) and not data.target_classes),
            "1 or 3, of images,",
        ),
        (
            "target_classes",
            data.target_classes,
            not (is_nodata and data.target_classes),
            "null, because label maps have `data.ignore_class`,",
        ),
    )
    for key, value, allowed, rule in rules:
        if not allowed:
            raise ValueError(
                f"`data.{key}` must be {rule} with `data.weight: {weight_as_yaml(data.weight)}`. Received {value}. "
                f"Change one of the two"
            )
    if folder and (folder.strip().lower() if of_table else folder) in taken:
        raise ValueError(
            f"`data.weight` must name another {'column' if of_table else 'folder'} than those of the inputs and the "
            f"targets. Received {folder!r}. Give the one of the weights, or `alpha`"
        )
