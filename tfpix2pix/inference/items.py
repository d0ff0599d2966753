"""Holds images to translate, translates each once for every noise vector, and writes the translations as files of a
folder, named after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.formats import TIFF
from tfpix2pix.data.images import suffix_for, write_image
from tfpix2pix.data.labels import palette_of
from tfpix2pix.data.regions import Mapped, Regions
from tfpix2pix.data.scalars import Scalar
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import as_files
from tfpix2pix.data.tiff_metadata import TiffMetadata
from tfpix2pix.data.tiff_writing import write_tiled
from tfpix2pix.data.volumes import Slice
from tfpix2pix.destinations import check_replaces_no_input, check_writable
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import whole_file
from tfpix2pix.inference.batching import ImageTranslator, NotWritten, batch_of
from tfpix2pix.inference.large import Bands, Holes, bands_of
from tfpix2pix.inference.scaling import brought_back
from tfpix2pix.memory import fitting_in_memory

INPUT, TARGET = 0, 1  # sides of a pair
IN_TILES = "Translate it in tiles: set `tile_px` to 512, and `format` to tiff."
MOST = "max_megapixels"  # the argument that messages name


@dataclass(frozen=True)
class Input:
    """Holds an image to translate."""

    name: str  # of its translation, without suffix; for messages too
    read: Callable[[], np.ndarray]  # (H, W, C) as its file holds it
    files: tuple[Path, ...]  # that it is read from
    slice: Slice | None = None  # of a volume, if the image is one
    volume: str = ""  # name of the translated volume, without suffix, if the image is a slice or cannot be cut
    open: Callable[[], Regions | Mapped] | None = None  # opens it to read rectangles of what `read` returns
    scalars: tuple[Scalar, ...] = ()  # that `read` stacks with the images in `files`
    # Reads what `read` clips: the image, or the parts as files hold them. None: `read` clips nothing.
    stored: Callable[[], np.ndarray | Sequence[np.ndarray | float]] | None = None


class Ways(NamedTuple):
    """Holds how an input is read: `read`, `open` and `stored` of an `Input`."""

    whole: Callable[[], np.ndarray]
    open: Callable[[], Regions | Mapped] | None = None
    stored: Callable[[], np.ndarray | Sequence[np.ndarray | float]] | None = None


@dataclass(frozen=True)
class Variants:
    """Translates every image once for each noise vector."""

    translator: ImageTranslator
    vectors: Sequence[np.ndarray | None]  # (1, noise_size) each; None: noise off
    tile_px: int | None = None
    overlap_px: int | None = None

    def of_one(self, item: Input, image: np.ndarray | Regions | Mapped) -> Iterator[np.ndarray | Bands]:
        """Yields the variants of an image, of one that is read by region as bands. As many as a batch holds are in
        memory at a time."""
        if not isinstance(image, np.ndarray):
            tiles = {"tile_px": self.tile_px, "overlap_px": self.overlap_px}
            yield from bands_of(self.translator, image, self.vectors, item.name, **tiles)
            return
        batch = 1 if self.tile_px else batch_of(*image.shape[:2])
        for start in range(0, len(self.vectors), batch):
            vectors = self.vectors[start : start + batch]
            noise = None if vectors[0] is None else np.concatenate(vectors)
            yield from self._translations([item] * len(vectors), [image] * len(vectors), noise)

    def of_batch(self, items: list[Input], images: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Returns the variants of every image."""
        by_vector = [self._translations(items, images, vector) for vector in self.vectors]
        return [list(variants) for variants in zip(*by_vector, strict=True)]

    def _translations(self, items: list[Input], images: list[np.ndarray], noise: np.ndarray | None) -> list[np.ndarray]:
        names = [item.name for item in items]
        with fitting_in_memory(items[0].name, IN_TILES):
            return self.translator.translate_many(
                images, noise, names, tile_px=self.tile_px, overlap_px=self.overlap_px
            )


@dataclass(frozen=True)
class Writer:
    """Writes the variants of every input as files of a folder, or each part of them (`data.targets`) in a folder
    inside it."""

    folder: Path
    suffix: str
    palette: Sequence[int] | None  # of label maps
    endings: Sequence[str] = ("",)  # of the names, one a variant
    sizes: Mapping[str, tuple[int, int]] | None = None  # height and width to bring translations back to, by input
    parts: Mapping[str, str] | None = None  # suffix of the files of each part
    palettes: Sequence[Sequence[int] | None] = ()  # of the parts, of which some may be label maps
    data: DataConfig | None = None  # with parts
    holes: Holes | None = None  # where inputs have no data

    @classmethod
    def of(cls, card: ModelCard, folder: Path, samples: int | None = None, format: str | None = None) -> Writer:
        """Returns the writer of a model's translations, in the depth of its targets.

        `format` is a key of `OUTPUT_FORMATS`; None: PNG if it holds them, else TIFF.
        """
        data = card.config.data
        endings = [f"-{number}" for number in range(1, samples + 1)] if samples else [""]
        suffix = suffix_for(data.target_channels, np.dtype(card.target_dtype), format)
        parts = {part.name: suffix_for(part.stacked_channels, part.dtype, format) for part in data.targets or ()}
        palettes = [palette_of(data, part) for part in data.targets or ()]
        return cls(folder, suffix, palette_of(data), endings, parts=parts or None, palettes=palettes, data=data)

    def paths(self, item: Input) -> list[Path]:
        """Returns the paths of the variants of an input: one, or one for each part, of each variant."""
        places = [(self.folder / name, suffix) for name, suffix in (self.parts or {}).items()]
        places = places or [(self.folder, self.suffix)]
        return [folder / f"{item.name}{ending}{suffix}" for ending in self.endings for folder, suffix in places]

    def images(self, variants: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, Sequence[int] | None]]:
        """Yields the images of variants in the order of `paths`, each with the palette of a label map or None."""
        for variant in variants:
            if self.parts:
                yield from zip(as_files(variant, self.data).values(), self.palettes, strict=True)
            else:
                yield variant, self.palette

    def check(self, items: Sequence[Input], *, within: Path | None, overwrite: bool) -> None:
        """Checks that every variant can be written, before the first is computed.

        Args:
            within: folder of paired data that the inputs are from.

        Raises:
            UserError: two inputs have one name, a file is an input or exists, or the folder is not writable.
        """
        paths = [path for item in items for path in self.paths(item)]
        duplicates = [path for path, count in Counter(paths).items() if count > 1]
        if duplicates:
            raise UserError(
                f"Inputs must have different names. Received several for {duplicates[0]}. Translate them separately."
            )
        check_replaces_no_input(paths, [file for item in items for file in item.files], within=within)
        taken = [path for path in paths if path.exists()]
        if taken and not overwrite:
            raise UserError(
                f"A translation must not overwrite a file. Received {taken[0]}, which exists. "
                f"Add `overwrite` or change `out`."
            )
        check_writable(self.folder)

    def lost(self, failed: Iterable[Input]) -> set[str]:
        """Returns the names of the volumes that are not written because inputs failed: none, images are files."""
        return set()

    def __call__(self, item: Input, variants: Iterable[np.ndarray]) -> list[Path]:
        """Writes the variants of an input, and returns their paths. Raises NotWritten if one of them cannot be written,
        after the others."""
        paths, failed = self.paths(item), None
        metadata = TiffMetadata.of(item.files[0]) if item.files and self.suffix in TIFF else TiffMetadata()
        if self.holes:
            metadata = metadata.with_nodata(self.holes.value)
        for path, (variant, palette) in zip(paths, self.images(variants), strict=True):
            variant = self.brought_back(item, variant, palette)
            if self.holes:
                variant = self.holes.marked(variant, item.name)
            options = metadata.options(variant.shape, variant.dtype)
            try:
                with fitting_in_memory(item.name, IN_TILES):
                    self._write(path, variant, palette, options)
            except RunError as error:
                failed = failed or error
        if self.holes:
            self.holes.forget(item.name)
        if failed is not None:
            raise NotWritten(str(failed)) from failed
        return paths

    def brought_back(self, item: Input, image: np.ndarray | Bands, palette: Sequence[int] | None) -> np.ndarray | Bands:
        """Returns an image of an input's translation (H, W, C) at the size of its file, if `sizes` says so. An image
        with a palette is a label map, whose classes are not mixed."""
        size = (self.sizes or {}).get(item.name)
        return image if size is None else brought_back(image, size, nearest=bool(palette))

    @staticmethod
    def _write(
        path: Path, variant: np.ndarray | Bands, palette: Sequence[int] | None, options: Mapping[str, Any]
    ) -> None:
        """Writes a translation. `options` are of TIFF files."""
        if isinstance(variant, Bands):
            with whole_file(path) as temporary:
                write_tiled(temporary, variant.rows, variant.shape, variant.dtype, palette, **options)
        else:
            write_image(path, variant, palette, **(options if path.suffix in TIFF else {}))
