"""What every section of the configuration is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from tfpix2pix.errors import unknown_name


@dataclass(frozen=True, eq=False)
class RowOf:
    """Says of a field which table it names a row of."""

    table: dict[str, Any]


def row_of(table: dict[str, Any]) -> Any:
    """The type of a field that names a row of `table`."""

    def check(name: str) -> str:
        if name not in table:
            raise ValueError(unknown_name("", name, table).strip())
        return name

    return Annotated[str, AfterValidator(check), RowOf(table)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
