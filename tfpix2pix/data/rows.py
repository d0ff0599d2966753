"""What rows of the tables are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceRow:
    """A row of `SOURCES`: where pairs come from, and what else there is to know of them."""

    open: Callable[[Any, str, int], Any]  # (DataConfig, split, seed) -> Source
    read_as: str  # how pairs lie, for people; {0} is the DataConfig
    makes_inputs: bool = False  # whether inputs are made from photographs, by an operator that works on 8 bits
    brings_data: bool = False  # whether the data come with a package, so that there is no `data.dir`
    drawn: bool = False  # whether pairs are drawn at the size that is asked for, and so have none of their own
    line_fraction: float = 0.0  # of line drawings, black on white: a line's width, as a share of the image's; 0: others
    attribution: str = ""  # who made the data and by which licence they may be used; shown wherever they are

    def __call__(self, config: Any, split: str, seed: int) -> Any:
        return self.open(config, split, seed)


@dataclass(frozen=True)
class Operator:
    """A row of `OPERATORS`: what makes the input of a photograph."""

    make: Callable[[Any, Any, Any], Any]  # (photograph (H, W, 3) uint8, DataConfig, numpy Generator) -> (H, W, C) uint8
    channels: int  # of the input that it makes
    random: bool = False  # whether it draws from the generator, and so differs from epoch to epoch
    leaves: str = (
        "picture"  # what of a photograph: a `picture`, black `lines` on white, transparent `holes`, or `fewer`
    )
    # pixels, enlarged again; `tfpix2pix demo` has inputs painted so


@dataclass(frozen=True)
class OpenmojiSet:
    """A row of `OPENMOJI_SETS`: which of OpenMoji's drawings."""

    flags: bool  # the flags, or all others
    grouped_by_lines: bool  # whether drawings with the same lines in other colours are near-twins
    code_points: tuple[range, ...] = ()  # of the character that a drawing's name begins with; empty: any

    def holds(self, name: str) -> bool:
        """Says whether a drawing's first character is in the ranges; without ranges, every drawing passes."""
        return not self.code_points or any(int(name.split("-")[0], 16) in some for some in self.code_points)


def same(image: Any) -> Any:
    return image


@dataclass(frozen=True)
class Encoding:
    """A row of `COLOR_SPACES`: how images, in [-1, 1], become what the networks see, and translations images again."""

    image_channels: tuple[int, int] | None = None  # of input and target; None: any
    network_channels: tuple[int, int] | None = None  # of the generator's input and output; None: the images'
    encode_input: Callable[[Any], Any] = same  # input image -> network input
    encode_target: Callable[[Any], Any] = same  # target image -> what the generator shall give
    decode: Callable[[Any, Any], Any] = lambda network_input, output: output  # -> translated image
