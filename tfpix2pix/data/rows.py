"""Holds the types of the rows in the data tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceRow:
    """Describes a source of pairs: a row of `SOURCES`."""

    open: Callable[[Any, str, int], Any]  # (DataConfig, split, seed) -> Source
    read_as: str  # how the pairs are stored, in words for people; {0} is the DataConfig, {inputs} and {targets} folders
    makes_inputs: bool = False  # an operator, which works on 8 bits, makes the inputs from photographs
    brings_data: bool = False  # the data come with a package, so `data.dir` is not needed
    of_folder: bool = False  # the files of a folder are read, so others in it are left unread
    cut: bool = False  # each image is cut into input and target
    drawn: bool = False  # pairs are drawn at the requested size and have no size of their own
    invented: bool = False  # pairs are drawn at random: none is a copy of another, though some are alike by chance
    several: bool = False  # an input may lie in several files (`data.inputs`)
    of_volumes: bool = False  # its files may be volumes, which are read slice by slice
    line_fraction: float = 0.0  # line width of black line drawings, as a fraction of the image; 0: not line drawings
    attribution: str = ""  # author and licence of the data; shown wherever the data are
    sides: str = "The inputs look like {first}s and the targets like {second}s"  # as `read_as`, and {opposite}
    # (DataConfig) -> what is known of the pairs beside their images, for metrics that need it; None: nothing
    truth: Callable[[Any], Any] | None = None
    other_way: str = ""  # how to exchange input and target; {0} and {opposite}, the side opposite to `input_side`

    def __call__(self, config: Any, split: str, seed: int) -> Any:
        return self.open(config, split, seed)


@dataclass(frozen=True)
class Operator:
    """Describes an operator, which makes inputs from photographs: a row of `OPERATORS`."""

    make: Callable[[Any, Any, Any], Any]  # (photograph (H, W, 3) uint8, DataConfig, numpy Generator) -> (H, W, C) uint8
    channels: int  # of the input
    random: bool = False  # it draws from the generator, so inputs differ from epoch to epoch
    # Its result: a `picture`, black `lines` on white, a picture with transparent `holes`, or one of `fewer` pixels,
    # enlarged again. `tfpix2pix demo` offers tools to draw such inputs.
    leaves: str = "picture"


@dataclass(frozen=True)
class InputKind:
    """Describes a kind of the parts of an input: a row of `INPUT_KINDS`.

    Attributes:
        read: (image as its file holds it, or a number, part, DataConfig, path) -> (H, W, C), or (1, 1, 1) of a number,
            uint8 or float32 from 0 to 1.
        encode: (channels of the stack (…, C) in [-1, 1], part) -> what the networks see, (…, C') in [-1, 1].
        decode: (what the generator makes of a part of a target, (…, C')) -> channels of the stack (…, C) in [-1, 1].
        channels: number of channels in the stack, unless the part has its own.
        settings: keys that a part of this kind may have.
        needs: a key that it must have, and an example of its value.
        numbers: True if resizing must take the nearest pixel: values are numbers of classes or instances, or one value.
        in_files: True if a part is a file, False if it is a number.
        read_target: (image as its file holds it, part, DataConfig, path) -> (H, W, C) of the values that a part of a
            target has, such as class indices; None: a part of a target (`data.targets`) may not be of this kind.
        clipped: True if values outside the range of a part are an error, or clipped by `data.out_of_range`.
        margin_px: (part, DataConfig) -> width of the rim around a rectangle, on which its values depend, px; None: they
            depend on the whole image.
        tensor: type of the tensor that a served model takes (`export/signatures.py`).
        palette: (part, DataConfig) -> what a palette file becomes.
    """

    read: Callable[[Any, Any, Any, Any], Any]
    encode: Callable[[Any, Any], Any]
    decode: Callable[[Any], Any] = lambda output: output
    channels: int = 1
    settings: tuple[str, ...] = ()
    needs: tuple[str, str] | None = None
    numbers: bool = True
    in_files: bool = True
    read_target: Callable[[Any, Any, Any, Any], Any] | None = None
    clipped: bool = False
    margin_px: Callable[[Any, Any], int | None] = lambda part, data: None
    tensor: str = "int32"
    palette: Callable[[Any, Any], str] = lambda part, data: "indices"


@dataclass(frozen=True)
class OpenmojiSet:
    """Describes a selection of OpenMoji's drawings: a row of `OPENMOJI_SETS`."""

    flags: bool  # True: only flags; False: all other drawings
    grouped_by_lines: bool  # drawings with the same lines in other colours are near-twins
    code_points: tuple[range, ...] = ()  # ranges for the first character of a drawing's name; empty: any

    def holds(self, name: str) -> bool:
        """Returns True if a drawing's first character is in the ranges, or if there are no ranges."""
        return not self.code_points or any(int(name.split("-")[0], 16) in points for points in self.code_points)


def same(image: Any) -> Any:
    return image


@dataclass(frozen=True)
class Encoding:
    """Describes how images in [-1, 1] are encoded for the networks, and how output is decoded: a row of
    `COLOR_SPACES`."""

    image_channels: tuple[int, int] | None = None  # of input and target; None: any
    network_channels: tuple[int, int] | None = None  # of the generator's input and output; None: the images'
    encode_input: Callable[[Any], Any] = same  # input image -> network input
    encode_target: Callable[[Any], Any] = same  # target image -> the output that the generator is trained for
    decode: Callable[[Any, Any], Any] = lambda network_input, output: output  # -> translated image
