"""Holds the base class of every section of the configuration, and the types and marks of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from tfpix2pix.errors import unknown_name
from tfpix2pix.size import Size, SizePx

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of runs and models, which name files and folders
LONGEST_NAME = 100


def as_name(text: str) -> str:
    """Returns `text` as a name of a run or model: characters that a name may not have become `-`. May return ""."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")[:LONGEST_NAME].rstrip(".-_")


@dataclass(frozen=True, eq=False)
class RowOf:
    """Marks a field that must hold the name of a row in `table` that `fits` accepts."""

    table: dict[str, Any]
    fits: Callable[[Any], bool] = lambda row: True

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the allowed names, rows that were added at run time included."""
        return tuple(name for name, row in self.table.items() if self.fits(row))


def row_of(table: dict[str, Any], fits: Callable[[Any], bool] = lambda row: True) -> Any:
    """Returns the type of a field that holds the name of a row in `table` that `fits` accepts."""
    known = RowOf(table, fits)

    def check(name: str) -> str:
        if name not in known.names:
            raise ValueError(unknown_name("", name, known.names).strip())
        return name

    return Annotated[str, AfterValidator(check), known]


@dataclass(frozen=True, eq=False)
class WeightsOf:
    """Marks a field that is a dictionary of weights. Its keys are names of rows in `table`."""

    table: dict[str, Any]


def weights_of(table: dict[str, Any]) -> Any:
    """Returns the type of a field that maps names of rows in `table` to weights of 0 or more."""

    def check(weights: dict[str, float]) -> dict[str, float]:
        for name in weights:
            if name not in table:
                raise ValueError(unknown_name("A key", name, table))
        return weights

    weight = Annotated[float, Field(ge=0)]
    return Annotated[dict[str, weight], AfterValidator(check), WeightsOf(table)]


def size_between(least_px: int, most_px: int) -> Any:
    """Returns the type of a field that holds a size, which may also be given as a text. Two equal sides become one."""
    side = TypeAdapter(Annotated[int, Field(ge=least_px, le=most_px)])

    def check(value: Any) -> Any:
        if value is None:
            return value
        value = (Size.parse(value) or value) if isinstance(value, str) else value
        sides = value if isinstance(value, (list, tuple)) else (value,)
        try:
            if len(sides) not in (1, 2) or (len(sides) == 1 and sides is value):
                raise ValueError
            return Size(*map(side.validate_python, (*sides, *sides)[:2])).value
        except (ValidationError, ValueError):
            raise ValueError(
                f"must be one number for a square or [height, width] for a rectangle, each a whole number from "
                f"{least_px} to {most_px}"
            ) from None

    return Annotated[SizePx, BeforeValidator(check)]


@dataclass(frozen=True)
class NotOfRecipes:
    """Marks a field, or a whole section, that a recipe must not set because something else decides it."""

    decided_by: str


TASK = NotOfRecipes("the task")
SIZE = NotOfRecipes("the size of images and networks")
LENGTH = NotOfRecipes("the length of the training")
MACHINE = NotOfRecipes("the machine")
RUN = NotOfRecipes("what a run reports and keeps")
START = NotOfRecipes("the weights at hand")
TEACHER = NotOfRecipes("the command `distill`")


@dataclass(frozen=True)
class MayChange:
    """Marks a field that may change when a run is resumed, because no result of a step depends on it."""


MAY_CHANGE = MayChange()


class Section(BaseModel):
    """Forbids unknown keys, NaN and infinity, and takes descriptions of fields from the texts below them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
