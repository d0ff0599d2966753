"""Measures how far a forward pass is from the same network in float64, on images that show differences.

Two float32 programs cannot judge each other. If a map is nearly constant, as on a white background, a norm divides by
almost 0, and two correct programs differ in the fourth digit because they add in different orders. The network in
float64 shows how far each is from the function that the weights define.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.precision import in_precision
from tfpix2pix.size import Size, SizePx

PHOTOGRAPHS = ("astronaut.png", "coffee.png")  # scikit-image ships them
DRAWINGS = ("blank", "lines", "areas")
LEVELS = 127.5  # of 255, in 1 on [-1, 1]


def in_float64(view: KerasEngine) -> KerasEngine:
    """Returns the same generator in float64, which takes float32 images and returns float64 ones."""
    return KerasEngine(in_precision(view.generator, "float64"), view.card)


def translations_in_float64(
    view: KerasEngine, inputs: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> list[np.ndarray]:
    """Translates images in float64, each with its noise or None. Frees the float64 weights."""
    exact = in_float64(view)
    return [exact(image, noise) for image, noise in inputs]


@dataclass(frozen=True)
class Distance:
    """Holds how far translations are from the reference.

    Attributes:
        largest: largest difference of each image, on [-1, 1]; of label maps, share of pixels of another class.
        mean_square: mean square difference of each image.
    """

    largest: tuple[float, ...]
    mean_square: tuple[float, ...]

    @property
    def max_abs_error(self) -> float:
        """Returns the largest difference over all images, NaN if one is NaN."""
        return float(np.max(self.largest))

    @property
    def psnr_db(self) -> float:
        """Returns the PSNR over all images, infinite if they are equal."""
        mean_square = float(np.mean(self.mean_square))
        return float("inf") if mean_square == 0 else 10 * float(np.log10(4.0 / mean_square))


def distance(translations: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> Distance:
    """Returns the distance of images in [-1, 1] from those of the reference."""
    differences = [
        np.asarray(translation, np.float64) - np.asarray(expected, np.float64)
        for translation, expected in zip(translations, reference, strict=True)
    ]
    return Distance(
        tuple(float(np.abs(difference).max()) for difference in differences),
        tuple(float(np.mean(np.square(difference))) for difference in differences),
    )


def in_words(max_abs_error: float, psnr_db: float) -> str:
    """Returns a difference on [-1, 1] as text, in levels of 255 and in dB too."""
    return f"{max_abs_error:.3g} ({max_abs_error * LEVELS:.2g} levels of 255, {psnr_db:.1f} dB)"


def photographs(size_px: SizePx, channels: int) -> list[np.ndarray]:
    """Returns two real photographs of a side or height and width, each float32 (1, H, W, channels) in [-1, 1]."""
    height, width = Size.of(size_px)
    folder = Path(skimage.data.__file__).parent
    images = [Image.open(folder / name).convert("RGB").resize((width, height)) for name in PHOTOGRAPHS]
    return [_signed(np.asarray(image), channels) for image in images]


def drawings(size_px: SizePx, channels: int, classes: int | None = None) -> list[np.ndarray]:
    """Returns images with flat backgrounds, which photographs and noise lack: blank paper, lines, and flat areas.

    Args:
        size_px: side, or height and width.
        channels: channels of an image; from the fourth on, the colours repeat.
        classes: classes of a label map. Its first ones are drawn, with class 0 as the paper.

    Returns:
        An image for each of `DRAWINGS`, float32 (1, H, W, channels) in [-1, 1].
    """
    height, width = Size.of(size_px)
    colors = [(255, 255, 255), (0, 0, 0), (230, 60, 40), (60, 110, 200)]  # paper, line, two areas
    if classes:
        colors = [(index % classes,) * 3 for index in range(4)]
    paper, line, *areas = colors
    images = []
    for name in DRAWINGS:
        image = Image.new("RGB", (width, height), paper)
        draw, at = ImageDraw.Draw(image), lambda *shares: (np.resize((width - 1, height - 1), 4) * shares).tolist()
        if name == "lines":
            draw.ellipse(at(0.2, 0.25, 0.8, 0.75), outline=line)
            draw.line(at(0.1, 0.9, 0.9, 0.85), fill=line)
        if name == "areas":
            draw.rectangle(at(0.1, 0.5, 0.45, 0.9), fill=areas[0], outline=line)
            draw.ellipse(at(0.5, 0.15, 0.9, 0.6), fill=areas[1])
        images.append(_signed(np.asarray(image), channels))
    return images


def _signed(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Returns pixels (H, W, 3) as float32 (1, H, W, channels) in [-1, 1]."""
    return (pixels[np.newaxis, ..., np.arange(channels) % 3].astype(np.float32) / 127.5) - np.float32(1.0)
