"""What a row of `COLOR_SPACES` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def same(image: Any) -> Any:
    return image


@dataclass(frozen=True)
class ColorSpace:
    """How images, float in [-1, 1], become what the networks see, and translations images again."""

    image_channels: tuple[int, int] | None = None  # of input and target; None: any
    network_channels: tuple[int, int] | None = None  # of the generator's input and output; None: the images'
    encode_input: Callable[[Any], Any] = same  # input image -> network input
    encode_target: Callable[[Any], Any] = same  # target image -> what the generator shall give
    decode: Callable[[Any, Any], Any] = lambda network_input, output: output  # -> translated image
