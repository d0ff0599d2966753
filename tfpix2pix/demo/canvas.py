"""What one paints on the page, and what the model gets of it.

A canvas shows an input as an RGB picture, offers colours to paint in, and turns a painting back into an input: of
colours or lines the picture itself, of label maps by class the nearest class, of holes what is left of a photograph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfpix2pix.config import DataConfig
from tfpix2pix.data import OPERATORS, source_row
from tfpix2pix.data.images import match_channels, to_signed
from tfpix2pix.data.labels import class_colors, nearest_color, pictures_of

Color = tuple[int, int, int]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
HOLE = (255, 0, 255)  # a colour that few photographs have
FOUND_COLORS = 8  # taken from inputs, where nobody says what they are painted in


@dataclass(frozen=True)
class Canvas:
    """How inputs of a model are painted.

    Args:
        data: the model's.
        palette: names and colours to paint in, the first as the ground; without names: colours found in inputs.
        brush_px: how thick a stroke is to begin with.
        holes: what is painted is cut out of the photograph beneath.
    """

    data: DataConfig
    palette: Mapping[str, Color]
    brush_px: int
    holes: bool = False

    @property
    def ground(self) -> Color:
        """Of a blank sheet."""
        return WHITE if self.holes else next(iter(self.palette.values()))

    @property
    def pen(self) -> Color:
        """What one begins to paint in: the first colour that is seen on the ground."""
        return next((color for color in self.palette.values() if color != self.ground), self.ground)

    def blank(self, height: int, width: int) -> np.ndarray:
        """uint8 (height, width, 3)"""
        return np.full((height, width, 3), self.ground, np.uint8)

    def picture_of(self, image: np.ndarray) -> np.ndarray:
        """An input as its file holds it, (H, W, C) -> uint8 (H, W, 3) to look at and to paint over."""
        picture = pictures_of(self.data)[0](to_signed(image, self.data.ranges[0]))
        if self.holes and image.shape[-1] == 4:  # what is transparent has no colour
            return np.where(image[..., 3:] > 0, picture, np.uint8(HOLE))
        return picture

    def input_of(self, picture: np.ndarray) -> np.ndarray:
        """A painting, uint8 (H, W, 3) -> an input (H, W, C) as a file would hold it."""
        if self.data.input_classes:
            return nearest_color(picture, class_colors(self.data, self.data.input_classes))[0]
        if self.holes:  # transparent and black where something was painted, as the operator leaves it
            kept = (picture != np.uint8(HOLE)).any(axis=-1, keepdims=True)
            return np.concatenate([picture * kept, np.where(kept, np.uint8(255), np.uint8(0))], axis=-1)
        return match_channels(picture, self.data.input_channels, "a drawing")


def canvas_for(data: DataConfig, pictures: Sequence[np.ndarray] = ()) -> Canvas:
    """The canvas of a model: by classes, by the palette that its preset names, by its source or operator, or in
    the colours that pictures of its inputs, uint8 (H, W, 3), are made of."""
    thick = max(2, data.image_size_px // 16)
    thin = max(1, data.image_size_px // 128)
    if data.input_classes:
        names = data.class_names or [f"class {index}" for index in range(data.input_classes)]
        colors = class_colors(data, data.input_classes).tolist()
        return Canvas(data, dict(zip(names, map(tuple, colors), strict=True)), thick)
    if data.input_palette:
        lines = len(data.input_palette) == 2
        return Canvas(data, data.input_palette, thin if lines else thick)
    if line_fraction := source_row(data.source).line_fraction:
        return Canvas(data, {"paper": WHITE, "line": BLACK}, max(1, round(line_fraction * data.image_size_px)))
    leaves = OPERATORS[data.operator].leaves if data.makes_inputs else "picture"
    if leaves == "lines":
        return Canvas(data, {"paper": WHITE, "line": BLACK}, thin)
    if leaves == "holes":
        return Canvas(data, {"hole": HOLE}, thick, holes=True)
    return Canvas(data, found_colors(pictures), thick)


def found_colors(pictures: Sequence[np.ndarray]) -> dict[str, Color]:
    """The colours that pictures are mostly made of, by how much they have of them; black and white where there are no
    pictures.

    Source: median cut (Heckbert, "Color image quantization for frame buffer display", 1982), by Pillow.
    """
    if not pictures:
        return {"white": WHITE, "black": BLACK}
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures])[np.newaxis]
    indexed = Image.fromarray(pixels).quantize(FOUND_COLORS, Image.Quantize.MEDIANCUT)
    colors = np.asarray(indexed.getpalette()[: 3 * FOUND_COLORS], np.uint8).reshape(-1, 3)
    counts = sorted(indexed.getcolors(), reverse=True)
    found = dict.fromkeys(tuple(colors[index].tolist()) for _, index in counts)
    return {hex_of(color): color for color in found}


def hex_of(color: Color) -> str:
    return f"#{bytes(color).hex()}"
