"""Whether two forward passes compute one function: images that tell, a reference in float64, and the distance to it.

float32 is no measure of itself. Where a map is nearly constant, as on a white background, a norm divides by next to
nothing, and two sound programs part in the fourth digit because they add in different orders. The same network in
float64 says which of them is how far from what the weights mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

from tfpix2pix.inference import KerasEngine
from tfpix2pix.models.precision import in_precision

PHOTOGRAPHS = ("astronaut.png", "coffee.png")  # they come with scikit-image
DRAWINGS = ("blank", "lines", "areas")
LEVELS = 127.5  # of 255, in 1 on [-1, 1]


def in_float64(view: KerasEngine) -> KerasEngine:
    """The same generator in float64, which takes float32 images and gives float64 ones."""
    return KerasEngine(in_precision(view.generator, "float64"), view.card)


def translations_in_float64(
    view: KerasEngine, inputs: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> list[np.ndarray]:
    """Translates images, each with its noise or None, in float64; the weights of twice the size go with the call."""
    exact = in_float64(view)
    return [exact(image, noise) for image, noise in inputs]


@dataclass(frozen=True)
class Distance:
    """How far translations lie from the reference.

    Attributes:
        largest: the largest difference of every image, on [-1, 1]; of label maps, the share of pixels of another class.
        mean_square: of every image.
    """

    largest: tuple[float, ...]
    mean_square: tuple[float, ...]

    @property
    def max_abs_error(self) -> float:
        """Of all images; NaN where one is."""
        return float(np.max(self.largest))

    @property
    def psnr_db(self) -> float:
        """Over all images; infinite where they are equal."""
        mean_square = float(np.mean(self.mean_square))
        return float("inf") if mean_square == 0 else 10 * float(np.log10(4.0 / mean_square))


def distance(translations: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> Distance:
    """Of images in [-1, 1] from the reference's, one by one."""
    differences = [
        np.asarray(one, np.float64) - np.asarray(other, np.float64)
        for one, other in zip(translations, reference, strict=True)
    ]
    return Distance(
        tuple(float(np.abs(each).max()) for each in differences),
        tuple(float(np.mean(np.square(each))) for each in differences),
    )


def in_words(max_abs_error: float, psnr_db: float) -> str:
    """A difference on [-1, 1] as people and programs measure it."""
    return f"{max_abs_error:.3g} ({max_abs_error * LEVELS:.2g} levels of 255, {psnr_db:.1f} dB)"


def photographs(size_px: int, channels: int) -> list[np.ndarray]:
    """Two real photographs: each float32 (1, size, size, channels) in [-1, 1]."""
    folder = Path(skimage.data.__file__).parent
    images = [Image.open(folder / name).convert("RGB").resize((size_px, size_px)) for name in PHOTOGRAPHS]
    return [_signed(np.asarray(image), channels) for image in images]


def drawings(size_px: int, channels: int, classes: int | None = None) -> list[np.ndarray]:
    """Images with flat backgrounds, which photographs and noise have not: blank paper, lines on it, and flat areas.

    Args:
        size_px: height and width.
        channels: of an image; beyond the third the colours come again.
        classes: of a label map: the drawings are of its first classes then, of class 0 where they are blank.

    Returns:
        As many as `DRAWINGS`, each float32 (1, size, size, channels) in [-1, 1].
    """
    colors = [(255, 255, 255), (0, 0, 0), (230, 60, 40), (60, 110, 200)]  # paper, line, two areas
    if classes:
        colors = [(index % classes,) * 3 for index in range(4)]
    paper, line, *areas = colors
    images = []
    for name in DRAWINGS:
        image = Image.new("RGB", (size_px, size_px), paper)
        draw, at = ImageDraw.Draw(image), lambda *shares: [share * (size_px - 1) for share in shares]
        if name == "lines":
            draw.ellipse(at(0.2, 0.25, 0.8, 0.75), outline=line)
            draw.line(at(0.1, 0.9, 0.9, 0.85), fill=line)
        if name == "areas":
            draw.rectangle(at(0.1, 0.5, 0.45, 0.9), fill=areas[0], outline=line)
            draw.ellipse(at(0.5, 0.15, 0.9, 0.6), fill=areas[1])
        images.append(_signed(np.asarray(image), channels))
    return images


def _signed(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 3) pixels -> (1, H, W, channels)."""
    return (pixels[np.newaxis, ..., np.arange(channels) % 3].astype(np.float32) / 127.5) - np.float32(1.0)
