"""Computes where a model is unsure: the mean and the standard deviation of translations by different noise."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.images import BILINEAR, resized, suffix_for, write_image
from tfpix2pix.data.ranges import full_range
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import whole_file, write_text
from tfpix2pix.inference.batching import ImageTranslator, NotWritten, check_noise
from tfpix2pix.inference.items import IN_TILES, Input, Variants, Writer
from tfpix2pix.inference.scaling import brought_back
from tfpix2pix.memory import fitting_in_memory

SAMPLES = 16
ENDING, SUFFIXES = "-deviation", (".tif", ".png", ".json")  # of the files beside the mean
FILES = 1 + len(SUFFIXES)  # of an image
COLOR_MAP = "magma"  # perceptually uniform
HEAT_MAP_END = 1 / 4  # of the scale of all heat maps, a part of the target's range; a deviation is at most half of it


class Uncertainty(NamedTuple):
    """Holds the mean of an image's translations by different noise, and their standard deviation.

    Attributes:
        mean: (H, W, C) as the translations are.
        deviation: float32 (H, W, C) in the units of `mean`. It divides by the number of translations less one.
    """

    mean: np.ndarray
    deviation: np.ndarray


def check_uncertainty(card: ModelCard, samples: int | None) -> int:
    """Returns the number of translations of an image, `SAMPLES` if it is None.

    Raises:
        UserError: the model has no noise or gives label maps, or there are fewer than two translations.
    """
    samples = SAMPLES if samples is None else samples
    if card.config.data.target_classes:
        raise UserError(
            f"`uncertainty` must go with a model that gives images. Received it for {card.name!r}, which gives label "
            f"maps, whose classes have no mean. Translate with `samples` and compare the variants."
        )
    check_noise(card, "uncertainty")
    if samples < 2:
        raise UserError(
            f"`samples` must be 2 or more with `uncertainty`. Received {samples}. Give {SAMPLES}, for example."
        )
    return samples


class Running:
    """Accumulates the mean and the standard deviation of images, one at a time, in the memory of two. Source: Welford,
    1962."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._squares = np.zeros((), np.float32)

    def add(self, image: np.ndarray) -> None:
        self.count += 1
        before = image - self.mean
        self.mean = self.mean + before / np.float32(self.count)
        self._squares = self._squares + before * (image - self.mean)

    @property
    def deviation(self) -> np.ndarray:
        """Returns the standard deviation, float32, which divides by the number of images less one."""
        return np.sqrt(self._squares / np.float32(self.count - 1))


Bounds = tuple[Any, Any]  # the values that stand for -1 and 1, of all channels or of each (C,), as of `full_range`


def uncertainty_of(
    translations: Iterable[np.ndarray], value_range: Bounds, dtype: np.dtype, to_range: Bounds
) -> Uncertainty:
    """Returns the uncertainty of translations (H, W, C), float32 with values of `value_range`, as `dtype` with values
    of `to_range`. Takes one at a time."""
    running = Running()
    for translation in translations:
        running.add(translation)
    (least, most), (low, high) = value_range, to_range
    factor = np.float32((high - low) / (most - least))
    mean = np.float32(low) + (running.mean - np.float32(least)) * factor
    if dtype.kind == "u":
        mean = np.rint(np.clip(mean, low, high))
    return Uncertainty(mean.astype(dtype), running.deviation * factor)


def unrounded(translator: ImageTranslator) -> ImageTranslator:
    """Returns the translator with translations as float32, between the numbers of the files too."""
    other = copy.copy(translator)
    other.card = translator.card.model_copy(update={"target_dtype": "float32"})
    return other


@dataclass(frozen=True)
class Spread:
    """Computes the uncertainty of images, one at a time. Memory does not grow with the number of translations."""

    variants: Variants  # of a translator that is `unrounded`
    dtype: np.dtype  # of the target's files

    @classmethod
    def of(
        cls, translator: ImageTranslator, vectors: Sequence[np.ndarray], tile_px: int | None, overlap_px: int | None
    ) -> Spread:
        """Returns the uncertainties of a translator, over noise vectors (1, noise_size)."""
        variants = Variants(unrounded(translator), vectors, tile_px, overlap_px)
        return cls(variants, np.dtype(translator.card.target_dtype))

    def of_one(self, item: Input, image: np.ndarray) -> Uncertainty:
        """Returns the uncertainty of an image (H, W, C), in the values of the target's files."""
        target_range = self.variants.translator.card.config.data.ranges[1]
        with fitting_in_memory(item.name, IN_TILES):
            return uncertainty_of(
                self.variants.of_one(item, image), full_range(np.float32, target_range),
                self.dtype, full_range(self.dtype, target_range),
            )  # fmt: skip


def heat_map(deviation: np.ndarray, high: Any) -> np.ndarray:
    """Returns a picture of deviations (H, W, C), uint8 (H, W, 3): black for 0, the brightest colour for `high`, one or
    one for each channel, and more, by the root mean square over channels."""
    import matplotlib

    colors = np.rint(matplotlib.colormaps[COLOR_MAP](np.arange(256))[:, :3] * 255).astype(np.uint8)
    if np.ndim(high):
        deviation, high = deviation / np.asarray(high, np.float32), 1.0
    over_channels = np.sqrt(np.mean(np.square(deviation, dtype=np.float32), axis=-1))
    return colors[np.rint(np.clip(over_channels / np.float32(high), 0, 1) * 255).astype(np.uint8)]


@dataclass(frozen=True)
class UncertaintyWriter(Writer):
    """Writes the uncertainty of every input: the mean, as a translation is written, and files named after it: the
    deviation as float32, a heat map of it, and what the numbers mean."""

    samples: int = SAMPLES
    seed: int = 0
    value_range: Bounds = (0.0, 255.0)  # of the target's files: those of -1 and 1

    @classmethod
    def of(
        cls, card: ModelCard, folder: Path, samples: int = SAMPLES, seed: int = 0, format: str | None = None
    ) -> UncertaintyWriter:
        """Returns the writer of a model's uncertainties over `samples` translations by noise of a seed."""
        data, dtype = card.config.data, np.dtype(card.target_dtype)
        return cls(
            folder, suffix_for(data.target_channels, dtype, format), None, samples=samples, seed=seed,
            value_range=full_range(dtype, data.ranges[1]),
        )  # fmt: skip

    @property
    def high(self) -> Any:
        """Returns the deviation of the brightest colour of heat maps, (C,) if each channel has its own range."""
        return HEAT_MAP_END * (self.value_range[1] - self.value_range[0])

    def paths(self, item: Input) -> list[Path]:
        """Returns the paths of the mean, the deviation, the heat map and the description of an input."""
        names = (f"{item.name}{self.suffix}", *(f"{item.name}{ENDING}{suffix}" for suffix in SUFFIXES))
        return [self.folder / name for name in names]

    def __call__(self, item: Input, uncertainty: Uncertainty) -> list[Path]:
        """Writes the files of an input, and returns their paths. Raises NotWritten if one of them cannot be written,
        after the others."""
        mean, deviation = uncertainty
        if size := (self.sizes or {}).get(item.name):
            mean, deviation = brought_back(mean, size, nearest=False), resized(deviation, size[::-1], BILINEAR)
        paths = self.paths(item)
        picture = heat_map(deviation, self.high)
        text = json.dumps(self.description(paths, deviation), indent=2) + "\n"
        _write_all(
            (
                lambda: write_image(paths[0], mean),
                lambda: write_image(paths[1], deviation),
                lambda: write_image(paths[2], picture),
                lambda: _write_text(paths[3], text),
            )
        )
        return paths

    def description(self, paths: Sequence[Path], deviation: np.ndarray) -> dict[str, object]:
        """Returns what the numbers in the files of an input mean."""
        return {
            "mean": paths[0].name,
            "deviation": paths[1].name,
            "units": "those of the mean's values",
            "value_range": np.transpose(self.value_range).tolist(),
            "samples": self.samples,
            "seed": self.seed,
            "mean_deviation": float(np.mean(deviation, dtype=np.float64)),
            "heat_map": {
                "file": paths[2].name,
                "color_map": COLOR_MAP,
                "low": 0.0,
                "high": np.asarray(self.high).tolist(),
                "of_channels": "root mean square",
            },
        }


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        write_text(temporary, text)


def _write_all(writes: Iterable[Callable[[], None]]) -> None:
    """Calls every function. Raises NotWritten for the first that could not write, after the others."""
    failed = None
    for write in writes:
        try:
            write()
        except RunError as error:
            failed = failed or error
    if failed is not None:
        raise NotWritten(str(failed)) from failed
