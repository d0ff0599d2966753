"""Translates along a path from the noise of one seed to that of another: numbered frames, or a GIF that repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import whole_file
from tfpix2pix.inference.batching import ImageTranslator, NotWritten, check_noise
from tfpix2pix.inference.items import Input, Writer
from tfpix2pix.models import NOISES

FRAMES = 16
FRAME_MS = 80  # GIF counts in steps of 10 ms
COLORS = 256  # of a frame of a GIF, at most
LARGEST_GIF_PX = 2**16 - 1  # of a side
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Between:
    """Holds what is asked for between two seeds.

    Attributes:
        seeds: of the first and of the last frame.
        frames: number of translations, the first and the last included.
        gif: write them as one animation, there and back, in place of numbered files.
    """

    seeds: tuple[int, int]
    frames: int = FRAMES
    gif: bool = False

    @classmethod
    def of(
        cls, seeds: Sequence[int] | None, frames: int | None = None, gif: bool = False, **noise: Any
    ) -> Between | None:
        """Returns the checked request, or None without seeds.

        Args:
            noise: `noise`, `seed`, `samples` and `uncertainty` of the same request.

        Raises:
            UserError: there are not two seeds or they are equal, there are fewer than two frames, `frames` or `gif`
                are given without seeds, or the noise is to be another than that of the path.
        """
        if seeds is None:
            alone = "frames" if frames is not None else "gif" if gif else None
            if alone:
                raise UserError(
                    f"`{alone}` must go with `between`. Received it alone. Add `between` and two seeds, such as 0,1."
                )
            return None
        seeds = tuple(seeds)
        if len(seeds) != 2:
            raise UserError(f"`between` must be two seeds. Received {_list(seeds)}. Give two, such as 0,1.")
        if not all(isinstance(seed, (int, np.integer)) and 0 <= seed <= LARGEST_SEED for seed in seeds):
            raise UserError(
                f"`between` must be whole numbers from 0 to {LARGEST_SEED}. Received {_list(seeds)}. Give two, such as "
                f"0,1."
            )
        if seeds[0] == seeds[1]:
            raise UserError(
                f"`between` must be two different seeds. Received {seeds[0]} twice. For one translation set `seed` to "
                f"{seeds[0]}."
            )
        frames = FRAMES if frames is None else frames
        if frames < 2:
            raise UserError(
                f"`frames` must be 2 or more, the first and the last included. Received {frames}. Give {FRAMES}, for "
                f"example."
            )
        if noise.pop("noise", None) == "off":
            raise UserError("`between` must go with noise. Received `noise` off. Leave one of the two out.")
        for name, is_given in noise.items():
            if is_given:
                raise UserError(f"`between` must go without `{name}`. Received both. Leave one of the two out.")
        return cls(seeds, frames, gif)

    def vectors(self, translator: ImageTranslator) -> np.ndarray:
        """Returns the noise of the frames, float32 (frames, noise_size). The first and the last are those of the seeds.

        Raises:
            UserError: the model has no noise.
        """
        card = translator.card
        check_noise(card, "between")
        start, end = (translator.noise(1, seed)[0] for seed in self.seeds)
        return NOISES[card.config.generator.noise].path(start, end, np.linspace(0.0, 1.0, self.frames))

    def writer(self, card: ModelCard, folder: Path, format: str | None = None) -> Writer:
        """Returns the writer of a model's frames: numbers of one length, so that names are in the order of frames."""
        if self.gif:
            return GifWriter.of(card, folder)
        digits = len(str(self.frames))
        endings = [f"-{number:0{digits}}" for number in range(1, self.frames + 1)]
        return replace(Writer.of(card, folder, format=format), endings=endings)


@dataclass(frozen=True)
class GifWriter(Writer):
    """Writes the frames of every input as one animation, there and back, so that it repeats without a jump."""

    card: ModelCard | None = None

    @classmethod
    def of(cls, card: ModelCard, folder: Path) -> GifWriter:
        """Returns the writer of a model's animations."""
        writer = Writer.of(card, folder)
        return cls(folder, ".gif", writer.palette, card=card)

    def __call__(self, item: Input, variants: Iterable[np.ndarray]) -> list[Path]:
        """Writes the animation of an input, and returns its path. Raises NotWritten if it cannot be written.

        The frames are held in memory with one byte a pixel.
        """
        (path,) = self.paths(item)
        frames = [self.frame(item, variant) for variant in variants]
        try:
            with whole_file(path) as temporary:
                frames[0].save(
                    temporary, format="GIF", save_all=True, append_images=frames[1:] + frames[-2:0:-1],
                    duration=FRAME_MS, loop=0,
                )  # fmt: skip
        except RunError as error:
            raise NotWritten(str(error)) from error
        return [path]

    def frame(self, item: Input, variant: np.ndarray) -> Image.Image:
        """Returns a translation (H, W, C), in the values of the target's files, as a picture of few colours."""
        variant = self.brought_back(item, variant, self.palette)
        if max(variant.shape[:2]) > LARGEST_GIF_PX:
            raise UserError(
                f"A GIF must have sides of at most {LARGEST_GIF_PX} px. Received {variant.shape[1]}x{variant.shape[0]} "
                f"px for {item.name}. Leave `gif` out."
            )
        data = self.card.config.data
        picture = pictures_of(data)[1](to_signed(variant, data.ranges[1]))
        return Image.fromarray(picture).quantize(COLORS)


def _list(seeds: Sequence[object]) -> str:
    return ",".join(map(str, seeds)) or "none"
