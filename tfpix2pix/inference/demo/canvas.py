"""Turns inputs of a model into pictures to paint on, and paintings into inputs.

A canvas shows an input as an RGB picture and offers colours to paint in. A painting becomes the picture itself for
colours or lines, the nearest classes for label maps by class, and a photograph with holes if holes are painted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from tfpix2pix.data import OPERATORS, source_row
from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import class_colors, nearest_color, pictures_of
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.data.settings import DataConfig

Color = tuple[int, int, int]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
HOLE = (255, 0, 255)  # a colour that few photographs have
MOST_COLORS = 8  # of a palette that is computed from inputs
LEAST_DIFFERENCE = 48  # of 255, in any channel, of two of its colours
LINES = {"paper": WHITE, "line": BLACK}
PALE, DARK, LEAST_PAPER = 208, 128, 0.6  # of 255; fraction of pixels that are pale in line drawings
MOST_CHROMA = 16  # mean difference of the channels of line drawings, of 255
LINE_FRACTION = 1 / 24  # of a picture's side; what is dark and wider is no line
MOST_FILLED = 0.2  # fraction of the dark pixels that lie in what is wider


@dataclass(frozen=True)
class Canvas:
    """Holds the settings for painting inputs of a model.

    Args:
        data: settings of the model's data.
        palette: names and colours to paint in; the first is the ground.
        brush_px: width of a stroke at the start.
        holes: whether strokes cut holes into the photograph beneath.
    """

    data: DataConfig
    palette: Mapping[str, Color]
    brush_px: int
    holes: bool = False

    @property
    def ground(self) -> Color:
        """Returns the colour of a blank sheet."""
        return WHITE if self.holes else next(iter(self.palette.values()))

    @property
    def pen(self) -> Color:
        """Returns the colour of the first stroke: the first of the palette that differs from the ground."""
        return next((color for color in self.palette.values() if color != self.ground), self.ground)

    def blank(self, height: int, width: int) -> np.ndarray:
        """Returns a blank sheet, uint8 (height, width, 3)."""
        return np.full((height, width, 3), self.ground, np.uint8)

    def picture_of(self, image: np.ndarray) -> np.ndarray:
        """Converts an input as its file holds it, (H, W, C), to a picture to paint on, uint8 (H, W, 3)."""
        picture = pictures_of(self.data)[0](to_signed(image, self.data.ranges[0]))
        if self.holes and image.shape[-1] == 4:  # transparent pixels have no colour
            return np.where(image[..., 3:] > 0, picture, np.uint8(HOLE))
        return picture

    def input_of(self, picture: np.ndarray) -> np.ndarray:
        """Converts a painting, uint8 (H, W, 3), to an input (H, W, C) as a file would hold it."""
        if self.data.input_classes:
            return nearest_color(picture, class_colors(self.data, self.data.input_classes))[0]
        if self.holes:  # transparent and black under strokes, as the operator makes holes
            kept = (picture != np.uint8(HOLE)).any(axis=-1, keepdims=True)
            return np.concatenate([picture * kept, np.where(kept, np.uint8(255), np.uint8(0))], axis=-1)
        return match_channels(picture, self.data.input_channels, "a drawing")


def canvas_for(data: DataConfig, pictures: Sequence[np.ndarray] = ()) -> Canvas:
    """Returns the canvas of a model.

    Its palette is the first of these: the classes of label maps, `data.input_palette`, lines or holes if the source or
    the operator makes them, lines if pictures of its inputs, uint8 (H, W, 3), are line drawings, and their main
    colours.
    """
    side_px = min(data.size_px)
    thick = max(2, side_px // 16)
    thin = max(1, side_px // 128)
    if data.input_classes:
        names = data.class_names or [f"class {index}" for index in range(data.input_classes)]
        colors = class_colors(data, data.input_classes).tolist()
        return Canvas(data, dict(zip(names, map(tuple, colors), strict=True)), thick)
    if data.input_palette:
        lines = len(data.input_palette) == 2
        return Canvas(data, data.input_palette, thin if lines else thick)
    if line_fraction := source_row(data.source).line_fraction:
        return Canvas(data, LINES, max(1, round(line_fraction * side_px)))
    leaves = OPERATORS[data.operator].leaves if data.makes_inputs else "picture"
    if leaves == "lines":
        return Canvas(data, LINES, thin)
    if leaves == "holes":
        return Canvas(data, {"hole": HOLE}, thick, holes=True)
    fractions = [line_fraction_of(picture) for picture in pictures]
    if fractions and all(fractions):
        return Canvas(data, LINES, max(1, round(float(np.median(fractions)) * side_px)))
    return Canvas(data, main_colors(pictures), thick)


def line_fraction_of(picture: np.ndarray) -> float:
    """Returns how wide the lines of a dark line drawing on pale paper are, as a fraction of its shorter side.

    Returns 0 if the picture, uint8 (H, W, 3), has colours, little paper, nothing dark, or dark areas. JPEG's noise and
    gray edges of lines do not matter. The width of a line is its area divided by half its outline.
    """
    gray = picture.mean(axis=-1)
    dark, side_px = gray < DARK, min(gray.shape)
    if np.ptp(picture, axis=-1).mean() > MOST_CHROMA or np.mean(gray >= PALE) < LEAST_PAPER or not dark.any():
        return 0.0
    reach = 2 * max(1, round(LINE_FRACTION * side_px / 2)) + 1
    kept = np.asarray(Image.fromarray(gray.astype(np.uint8)).filter(ImageFilter.MaxFilter(reach))) < DARK
    if kept.sum() * reach**2 > MOST_FILLED * dark.sum():
        return 0.0
    outline_px = np.count_nonzero(np.diff(dark, axis=0)) + np.count_nonzero(np.diff(dark, axis=1))
    return 2 * dark.sum() / max(outline_px, 1) / side_px


def main_colors(pictures: Sequence[np.ndarray]) -> dict[str, Color]:
    """Returns the main colours of pictures, the most frequent first, without those that hardly differ from a more
    frequent one. Returns black and white if there are no pictures.

    Source: median cut (Heckbert, "Color image quantization for frame buffer display", 1982), by Pillow.
    """
    if not pictures:
        return {"white": WHITE, "black": BLACK}
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures])[np.newaxis]
    indexed = Image.fromarray(pixels).quantize(MOST_COLORS, Image.Quantize.MEDIANCUT)
    colors = np.asarray(indexed.getpalette()[: 3 * MOST_COLORS], np.uint8).reshape(-1, 3)
    counts = sorted(indexed.getcolors(), reverse=True)
    main: list[list[int]] = []
    for color in (colors[index].tolist() for _, index in counts):
        if all(np.abs(np.subtract(color, other)).max() >= LEAST_DIFFERENCE for other in main):
            main.append(color)
    return {hex_of(tuple(color)): tuple(color) for color in main}


def hex_of(color: Color) -> str:
    """Returns a colour as #rrggbb."""
    return f"#{bytes(color).hex()}"
