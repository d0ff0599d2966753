"""What every section of the configuration is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tfpix2pix.errors import unknown_name

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a run or model: it names files and folders


@dataclass(frozen=True, eq=False)
class RowOf:
    """Says of a field which table it names a row of, and which rows will do."""

    table: dict[str, Any]
    fits: Callable[[Any], bool] = lambda row: True

    @property
    def names(self) -> tuple[str, ...]:
        """Looked up when asked, so that rows which are added at run time count."""
        return tuple(name for name, row in self.table.items() if self.fits(row))


def row_of(table: dict[str, Any], fits: Callable[[Any], bool] = lambda row: True) -> Any:
    """The type of a field that names a row of `table`, one that `fits`."""
    known = RowOf(table, fits)

    def check(name: str) -> str:
        if name not in known.names:
            raise ValueError(unknown_name("", name, known.names).strip())
        return name

    return Annotated[str, AfterValidator(check), known]


@dataclass(frozen=True, eq=False)
class WeightsOf:
    """Says of a field that it is a dictionary of weights, and which table its keys are rows of."""

    table: dict[str, Any]


def weights_of(table: dict[str, Any]) -> Any:
    """The type of a field that gives rows of `table` a weight of 0 or more."""

    def check(weights: dict[str, float]) -> dict[str, float]:
        for name in weights:
            if name not in table:
                raise ValueError(unknown_name("A key", name, table))
        return weights

    weight = Annotated[float, Field(ge=0)]
    return Annotated[dict[str, weight], AfterValidator(check), WeightsOf(table)]


@dataclass(frozen=True)
class NotOfRecipes:
    """Says of a field, or of a section's field, that a recipe must not set it, and what decides it instead."""

    decided_by: str


TASK = NotOfRecipes("the task")
SIZE = NotOfRecipes("the size of images and networks")
LENGTH = NotOfRecipes("the length of the training")
MACHINE = NotOfRecipes("the machine")
RUN = NotOfRecipes("what a run reports and keeps")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
