"""Defines the types of colours, ranges and percentiles in the configuration."""

from __future__ import annotations

from typing import Annotated, Any

from PIL import ImageColor
from pydantic import BeforeValidator, Field

Level = Annotated[int, Field(ge=0, le=255)]
UnitName = Annotated[str, Field(min_length=1, max_length=20)]  # such as HU


def _rgb(value: Any) -> Any:
    """Converts `#ff8000`, or a colour's name in CSS, to (255, 128, 0). Returns values that are no texts as they are.

    Raises:
        ValueError: the text is no colour.
    """
    if not isinstance(value, str):
        return value
    try:
        red, green, blue = ImageColor.getrgb(value)
    except ValueError as error:
        raise ValueError("must be `[r, g, b]`, `'#rrggbb'` or a name such as red") from error
    return red, green, blue


def _two_numbers(value: Any) -> Any:
    """Returns `value`. Raises ValueError if it is not a sequence of two values that may be numbers."""
    fits = isinstance(value, (list, tuple)) and len(value) == 2 and not any(isinstance(part, list) for part in value)
    if value is not None and not fits:
        raise ValueError("must be two numbers")
    return value


def _ranges(value: Any) -> Any:
    """Returns `value`. Raises ValueError if it is neither two numbers nor two numbers for each channel."""
    is_nested = isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, (list, tuple)) for v in value)
    for part in value if is_nested else (value,):
        try:
            _two_numbers(part)
        except ValueError:
            raise ValueError("must be two numbers, or two for each channel, as in [[0, 4095], [0, 255]]") from None
    return value


Percent = Annotated[float, Field(ge=0, le=100)]
Percentiles = Annotated[tuple[Percent, Percent], BeforeValidator(_two_numbers)]
TwoNumbers = tuple[float, float]
Range = Annotated[TwoNumbers | tuple[TwoNumbers, ...], BeforeValidator(_ranges)]  # of black and white
Color = Annotated[tuple[Level, Level, Level], BeforeValidator(_rgb)]
