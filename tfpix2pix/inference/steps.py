"""Joins a reader, a translator and a writer by the options of a translation, which are plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.formats import TIFF
from tfpix2pix.data.labels import read_side
from tfpix2pix.data.parts import check_one_target
from tfpix2pix.data.scale import OWN
from tfpix2pix.errors import UserError
from tfpix2pix.inference.batching import ImageTranslator, check_noise, in_batches, one_by_one
from tfpix2pix.inference.between import Between
from tfpix2pix.inference.items import MOST, TARGET, Input, Variants, Writer
from tfpix2pix.inference.reader import Reader
from tfpix2pix.inference.uncertainty import Spread, UncertaintyWriter, check_uncertainty
from tfpix2pix.inference.volumes import VolumeWriter, check_options
from tfpix2pix.parallel import Outcome


@dataclass(frozen=True)
class Options:
    """Says how images are translated, as the arguments of `translate_files` of the same names."""

    noise: str | None = None
    seed: int = 0
    samples: int | None = None
    uncertainty: bool = False
    between: Sequence[int] | None = None
    frames: int | None = None
    gif: bool = False
    tile_px: int | None = None
    overlap_px: int | None = None
    in_flight: int | None = None
    enlarge: int = 1
    size: str | int | None = None
    resize_back: bool = False
    max_megapixels: float | None = None
    format: str | None = None
    like: str | None = None

    def path(self) -> Between | None:
        """Returns the path of `between`, or None. Raises UserError if options do not go together."""
        if self.format and self.gif:
            raise UserError("`format` must go with single images. Received it with `gif`. Leave one of the two out.")
        if self.resize_back and self.size in (None, OWN):
            raise UserError("`resize_back` must go with `size`. Received it alone. Add `size` training, for example.")
        noises = {
            "noise": self.noise,
            "samples": self.samples,
            "uncertainty": self.uncertainty,
            "between": self.between,
        }
        if self.like and (other := next((name for name, value in noises.items() if value), None)):
            raise UserError(f"`like` must be the only noise. Received `{other}` too. Leave one of the two out.")
        return Between.of(
            self.between, self.frames, self.gif,
            noise=self.noise, seed=self.seed, samples=self.samples, uncertainty=self.uncertainty,
        )  # fmt: skip

    @property
    def resizes(self) -> bool:
        """Returns True if images are to be translated in another size than that of their files."""
        return self.enlarge > 1 or self.size not in (None, OWN)

    @property
    def scale(self) -> str | int | None:
        """Returns the scale to translate at, as `Scaling` takes it. Tiles and `enlarge` are for images at their own."""
        return OWN if self.size is None and (self.tile_px or self.enlarge > 1) else self.size

    @property
    def changes_sizes(self) -> bool:
        """Returns True if translations have another size than the files of their inputs."""
        return self.resizes and not (self.enlarge == 1 and self.resize_back)

    def allowed(self, card: ModelCard) -> ModelCard:
        """Returns the card of a model for images of `max_megapixels`."""
        if self.max_megapixels is None:
            return card
        if not self.max_megapixels > 0:
            raise UserError(f"`{MOST}` must be more than 0. Received {self.max_megapixels:g}. Choose another.")
        data = card.config.data.model_copy(update={"max_megapixels": self.max_megapixels})
        return card.model_copy(update={"config": card.config.model_copy(update={"data": data})})


@dataclass(frozen=True)
class Steps:
    """Reads, translates and writes inputs.

    Attributes:
        batched: images of one size go through the network together.
        at_a_time: number of images that are translated at a time if they do not.
    """

    reader: Reader
    variants: Variants | Spread
    writer: Writer
    batched: bool
    at_a_time: int = 1

    @classmethod
    def of(cls, translator: ImageTranslator, out: Path, options: Options, *, of_volumes: bool = False) -> Steps:
        """Returns the steps from images, slices of volumes among them if `of_volumes`, to files in `out`.

        Raises UserError if options do not fit the model or volumes.
        """
        path, card, samples = options.path(), options.allowed(translator.card), options.samples
        if options.uncertainty or options.gif:
            name = "`uncertainty`" if options.uncertainty else "`gif`"
            check_one_target(card.config.data, f"{name} must go with a model that has", f"Leave {name} out")
        reader, writer = Reader(card, options.enlarge, options.scale), Writer.of(card, out, samples, options.format)
        one_image = not (options.uncertainty or path)
        reader.may_be_by_region = one_image and not (writer.parts or options.resizes)
        if reader.may_be_by_region and writer.suffix in TIFF and not reader.scaling.chooses:
            reader.side_px = max(card.static_size_px or (0,)) or options.tile_px
        writer = replace(writer, holes=reader.holes)
        if options.uncertainty:
            samples = check_uncertainty(card, samples)
            writer = UncertaintyWriter.of(card, out, samples, options.seed, options.format)
        elif path:
            writer = path.writer(card, out, options.format)
        if options.resize_back or reader.scaling.chooses:
            writer = replace(writer, sizes=reader.sizes)
        if of_volumes and options.format is None and not options.gif:
            check_options(uncertainty=options.uncertainty, resizes=options.changes_sizes)
            writer = VolumeWriter.like(writer)
        if path:
            vectors = np.split(path.vectors(translator), path.frames)
        elif options.like:
            vectors = [translator.style_of(read_side(Path(options.like), TARGET, card.config.data, MOST))]
        else:
            vectors = _noise_vectors(translator, options.noise, options.seed, samples)
        kind = Spread.of if options.uncertainty else Variants
        variants = kind(translator, vectors, options.tile_px, options.overlap_px)
        alone = options.in_flight is not None or options.tile_px is not None or reader.side_px
        batched = one_image and not alone
        return cls(reader, variants, writer, batched, options.in_flight or 1)

    def run(self, items: Sequence[Input]) -> Iterator[Outcome]:
        """Yields the paths of the translations of every input, in order. `error` is one of `EXPECTED`, or None."""
        if self.batched:
            return in_batches(items, self.reader, self.variants.of_batch, self.writer)
        return one_by_one(items, self.reader, self.variants.of_one, self.writer, self.at_a_time)

    def complete(self, items: Sequence[Input], is_finished: Callable[[Input], bool]) -> Iterator[Outcome]:
        """Yields the same for the inputs that are not finished, in the bytes of a run over all of them.

        A batch is translated again if one of its images is not finished, because sums of a batch differ from those of
        an image alone in the last digit. Files that are there stay.
        """
        finished = {item.name for item in items if is_finished(item)}
        left = [item for item in items if item.name not in finished]
        if not left:
            return iter(())
        if not self.batched:
            return self.run(left)

        def translate(batch: list[Input], images: list[np.ndarray]) -> list[Any]:
            if finished.issuperset(item.name for item in batch):
                return [None] * len(batch)
            return self.variants.of_batch(batch, images)

        def write(item: Input, variants: Any) -> list[Path]:
            if item.name not in finished:
                return self.writer(item, variants)
            if self.reader.holes:
                self.reader.holes.forget(item.name)
            return []

        results = in_batches(items, self.reader, translate, write)
        return (outcome for outcome in results if outcome.item.name not in finished)


def _noise_vectors(
    translator: ImageTranslator, noise: str | None, seed: int, samples: int | None
) -> Sequence[np.ndarray | None]:
    """Returns the noise of every variant, the same for all images: (1, noise_size) each, or None if it is off."""
    if samples:
        check_noise(translator.card, "samples")
    if samples or (noise or translator.card.noise) == "on":
        return np.split(translator.noise(samples or 1, seed), samples or 1)
    return [None]
