"""Translates files into files, for `tfpix2pix translate` and from Python, by a reader, a translator and a writer."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.formats import TIFF
from tfpix2pix.data.images import enlarged
from tfpix2pix.data.parts import check_one_target
from tfpix2pix.data.ranges import full_range, in_range
from tfpix2pix.data.regions import Mapped, Regions
from tfpix2pix.data.scale import OWN, Scale, times_as_large
from tfpix2pix.data.splits import would_be_pairs
from tfpix2pix.errors import RunError, UserError, first_of
from tfpix2pix.inference.batching import ImageTranslator, NotWritten, in_batches, one_by_one
from tfpix2pix.inference.between import Between
from tfpix2pix.inference.inputs import inputs_of_files, inputs_of_parts, inputs_of_split
from tfpix2pix.inference.items import INPUT, MOST, Input, Variants, Writer, fitting_in_memory
from tfpix2pix.inference.large import Holes, opened_if_large
from tfpix2pix.inference.tiling import Readable
from tfpix2pix.inference.uncertainty import Spread, UncertaintyWriter, check_uncertainty
from tfpix2pix.inference.volumes import VolumeWriter, check_options
from tfpix2pix.parallel import Outcome

MOST_OFF = 1.5  # factor between the scale of an image and of the training images that needs no note
CLIPPED = "have values outside `data.input_range`, which were clipped."


def translate_files(
    translator: ImageTranslator,
    inputs: Sequence[str | Path] | Mapping[str, str | Path | float] = (),
    *,
    out: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    noise: str | None = None,
    seed: int = 0,
    samples: int | None = None,
    uncertainty: bool = False,
    between: Sequence[int] | None = None,
    frames: int | None = None,
    gif: bool = False,
    tile_px: int | None = None,
    overlap_px: int | None = None,
    in_flight: int | None = None,
    enlarge: int = 1,
    size: str | int = OWN,
    resize_back: bool = False,
    max_megapixels: float | None = None,
    format: str | None = None,
    overwrite: bool = False,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> list[Path]:
    """Translates image files, the images of folders, or the inputs of a split of paired data into files in `out`.

    The files are PNG, or TIFF if the targets were floats or had more than four channels. Label maps are palette PNG.
    Volumes (NIfTI files, and folders of DICOM files of one series) are translated slice by slice into NIfTI files. If a
    target lies in several files (`data.targets`), each part has a folder of its name in `out`.

    Args:
        translator: a `Translator`, or a `RemoteModel` of a server.
        inputs: image files, volumes and folders of them. For a model with `data.inputs`: the name of each part -> a
            file or a folder; files in the folders match by their names. A scalar is a number, or a CSV file as
            `scalars.csv`.
        data: folder of paired data as the model was trained on, in place of the one in its card; with `split`.
        split: `train`, `val` or `test`: translate the inputs of that split's pairs.
        noise: `on` or `off`; None: as in the model card.
        seed: seed of the noise, which is the same for all images.
        samples: number of variants of each image by different noise, `<name>-1.png` and so on. They have noise.
        uncertainty: write, in place of variants, the mean of `samples` translations (None: 16) of each image, and how
            far they differ: `<name>-deviation.tif`, their standard deviation in the values of the target's files, and
            `<name>-deviation.png`, a heat map of it, whose scale is in `<name>-deviation.json`.
        between: two seeds: write, in place of one translation, `frames` of them on a path from the noise of the first
            seed to that of the second, `<name>-01.png` and so on. Each frame's noise is as likely as any draw.
        frames: number of translations with `between`, the first and the last included; None: 16.
        gif: write the frames as one animation, `<name>.gif`, there and back, with `between`. It has 8 bits and up to
            256 colours a frame.
        tile_px: translate in tiles of this side that overlap by `overlap_px`, as `Translator` does. If the files become
            TIFF, TIFF files and arrays of more than 8 megapixels are read, translated and written in parts, unless they
            are resized (docs/inference.md).
        overlap_px: least overlap of tiles; None: a quarter of the side, or an eighth if tiles are translated alone.
        in_flight: number of images that a server translates at a time; None: one batch of one size at a time. Tiles
            go one image at a time.
        enlarge: enlarge every input by this factor first (bicubic), as super-resolution was trained.
        size: the scale to translate at. `own`: that of the files; `training`: that of the network's training images,
            as evaluations do; or px, in place of the training images' side.
        resize_back: resize translations to the size of their files; with `size`.
        max_megapixels: most pixels of an image file, millions, or of a row of tiles if it is read in parts; None: as
            the model's training (`data.max_megapixels`).
        format: `png`, `tiff` or `npy`, also of the slices of volumes; None: NIfTI for volumes, and for images PNG, or
            TIFF for floats and more than four channels.
        overwrite: replace files of the same names in `out`.
        track: wraps the results to show progress.

    Returns:
        The paths of the files, in the order of the inputs.

    Raises:
        UserError: no image is given, an image is unreadable (the readable ones are translated), a name is taken, or
            options do not go together.
        RunError: a translation cannot be written to the disk (the others are).
    """
    if format and gif:
        raise UserError("`format` must go with single images. Received it with `gif`. Leave one of the two out.")
    if resize_back and size == OWN:
        raise UserError("`resize_back` must go with `size`. Received it alone. Add `size` training, for example.")
    path = Between.of(between, frames, gif, noise=noise, seed=seed, samples=samples, uncertainty=uncertainty)
    card = translator.card if max_megapixels is None else _allowing(translator.card, max_megapixels)
    folder = data or card.config.data.dir if split else None
    if split:
        items = list(inputs_of_split(card, folder, split))
    elif isinstance(inputs, Mapping):
        items = list(inputs_of_parts(inputs, card, Path(out)))
    else:
        items = list(inputs_of_files(inputs, card, Path(out)))
    if not items:
        raise UserError("An image must be given. Received none. Name files or folders, or a `split`.")
    if uncertainty or gif:
        name = "`uncertainty`" if uncertainty else "`gif`"
        check_one_target(card.config.data, f"{name} must go with a model that has", f"Leave {name} out")
    reader, writer = Reader(card, enlarge, size), Writer.of(card, Path(out), samples, format)
    one_file = writer.suffix in TIFF and not writer.parts
    if one_file and enlarge == 1 and size == OWN and not (uncertainty or path):
        reader.side_px = max(card.static_size_px or (0,)) or tile_px
    writer = replace(writer, holes=reader.holes)
    if uncertainty:
        samples = check_uncertainty(card, samples)
        writer = UncertaintyWriter.of(card, Path(out), samples, seed, format)
    elif path:
        writer = path.writer(card, Path(out), format)
    if resize_back:
        writer = replace(writer, sizes=reader.sizes)
    if format is None and not gif and any(item.slice for item in items):
        check_options(uncertainty=uncertainty, resizes=enlarge > 1 or (size != OWN and not resize_back))
        writer = VolumeWriter.like(writer)
    if path:
        vectors = np.split(path.vectors(translator), path.frames)
    else:
        vectors = _noise_vectors(translator, noise, seed, samples)
    writer.check(items, within=None if folder is None else Path(folder), overwrite=overwrite)
    if would_be_pairs(card.config.data, Path(out)):
        warnings.warn(
            f"{out} is in the model's data folder, where later runs read the translations as pairs. Move it away, and "
            f"choose an `out` elsewhere.",
            stacklevel=2,
        )
    variants = (Spread.of if uncertainty else Variants)(translator, vectors, tile_px, overlap_px)
    if in_flight is None and tile_px is None and not (uncertainty or path or reader.side_px):
        results = in_batches(items, reader, variants.of_batch, writer)
    else:
        results = one_by_one(items, reader, variants.of_one, writer, in_flight or 1)
    results = list(track(results, len(items)))
    for note, count in reader.notes.items():
        warnings.warn(f"{count} of {len(items)} images {note}", stacklevel=2)
    _check_all_translated(results, writer)
    return [path for done in results for path in done.result]


class Reader:
    """Reads inputs as a model takes them, from any number of threads.

    Attributes:
        notes: number of images by note of `notes_on`.
        sizes: height and width of the images before they were brought to the scale, by name.
        holes: where images have no data; None: it is not known which value says so.
        side_px: side of tiles, if large images are read by region; None: all are read whole.
    """

    def __init__(self, card: ModelCard, enlarge: int = 1, size: str | int = OWN) -> None:
        self.card, self.enlarge = card, enlarge
        self.scale = Scale.of(card.config.data, size)
        self.notes: Counter[str] = Counter()
        self.sizes: dict[str, tuple[int, int]] = {}
        self.holes = Holes.of(card.config.data)
        self.side_px: int | None = None
        self._noting = Lock()

    def __call__(self, item: Input) -> np.ndarray | Mapped:
        """Returns the image of an input, (H, W, C), or a large one to be read by region.

        Raises:
            UserError: it is unreadable, has values out of range, or does not fit in memory.
        """
        data = self.card.config.data
        if self.side_px and item.open:
            image = opened_if_large(item.open, self.side_px, data.max_megapixels, MOST)
            if image is not None:
                return self._by_region(image, item.name)
        with fitting_in_memory(item):
            image = item.read()
            if self.holes:
                image = self.holes.filled(image, item.name)
            if self.enlarge > 1:
                image = enlarged(image, self.enlarge, data.numbers[INPUT])
            self.sizes[item.name] = image.shape[:2]
            image = self.scale.resized(image)
        notes = notes_on(image, self.card)
        fitting = self._in_range(image, item.name)
        self._note(notes if fitting is image else [*notes, CLIPPED])
        return fitting

    def _by_region(self, image: Regions | Mapped, name: str) -> Mapped:
        """Returns a large image whose values are in the model's range."""
        self._note(notes_on_size(image, self.card))
        filled = self.holes.filled_by_region(image, name) if self.holes else image
        was_clipped = False

        def in_range_noted(part: np.ndarray) -> np.ndarray:
            nonlocal was_clipped
            fitting = self._in_range(part, name)
            if fitting is not part and not was_clipped:
                was_clipped = True
                self._note([CLIPPED])
            return fitting

        return Mapped(filled, in_range_noted, image.shape[-1])

    def _in_range(self, image: np.ndarray, name: str) -> np.ndarray:
        data = self.card.config.data
        if data.input_classes:
            return image
        return in_range(image, data.ranges[INPUT], "data.input_range", name, clip=data.clips[INPUT])

    def _note(self, notes: Sequence[str]) -> None:
        with self._noting:
            self.notes.update(notes)


def looks_like_a_pair(image: Readable, card: ModelCard) -> bool:
    """Returns True if an image has the shape of a whole pair of the model's data: two halves of the training shape."""
    data, (height, width) = card.config.data, image.shape[:2]
    if data.source != "combined":
        return False
    (tall, wide), beside = data.size_px, data.input_side in ("left", "right")
    return width * tall == 2 * height * wide if beside else 2 * width * tall == height * wide


def notes_on(image: np.ndarray, card: ModelCard) -> list[str]:
    """Returns notes for a user about an image that may be translated in an unexpected way."""
    notes, channels = notes_on_size(image, card), card.config.data.input_channels
    if image.shape[-1] in (2, 4) and channels in (1, 3) and image[..., -1].min() < full_range(image.dtype)[1]:
        notes.append("have transparent parts, which the model does not see. Their colours were translated.")
    return notes


def notes_on_size(image: Readable, card: ModelCard) -> list[str]:
    """Returns the notes about an image (H, W, C) that follow from its shape."""
    notes, size, (height, width) = [], card.static_size_px, image.shape[:2]
    if looks_like_a_pair(image, card):
        notes.append(
            "have the shape of a whole pair, input and target in one, and were translated whole. `split` (and "
            "`data`) translates the inputs of pairs."
        )
    notes += _notes_on_scale(height, width, card)
    if size and (height, width) != size:
        notes.append(
            f"differ from the model's fixed {size.height}x{size.width} px and are reflected or cut into tiles, each "
            f"with statistics of its own. Colours may differ from the run's and the SavedModel's."
        )
    return notes


def _notes_on_scale(height: int, width: int, card: ModelCard) -> Iterator[str]:
    """Yields a note if the network was trained on images of quite another scale."""
    data = card.config.data
    if data.fit == "crop" or card.static_size_px:
        return
    times = times_as_large(height, width, data.fit, data.size_px)
    if not 1 / MOST_OFF <= times <= data.jitter_ratio * MOST_OFF:
        yield (
            f"are of another scale than the training images, {data.size_px} px, so the network does less well "
            f"than its metrics say: `size` training translates at that scale."
        )


def _allowing(card: ModelCard, megapixels: float) -> ModelCard:
    """Returns the card of a model for images of so many megapixels."""
    if not megapixels > 0:
        raise UserError(f"`{MOST}` must be more than 0. Received {megapixels:g}. Choose another.")
    data = card.config.data.model_copy(update={"max_megapixels": megapixels})
    return card.model_copy(update={"config": card.config.model_copy(update={"data": data})})


def _noise_vectors(
    translator: ImageTranslator, noise: str | None, seed: int, samples: int | None
) -> Sequence[np.ndarray | None]:
    """Returns the noise of every variant, the same for all images: (1, noise_size) each, or None if it is off."""
    if samples or (noise or translator.card.noise) == "on":
        return np.split(translator.noise(samples or 1, seed), samples or 1)
    return [None]


def _check_all_translated(results: Sequence[Outcome], writer: Writer) -> None:
    """Raises an error that names the images that could not be translated or written, with the first reason, and the
    volumes that are not written because of them.

    It is a RunError if that is of the disk, else a UserError.
    """
    failed = [(done.item.name, done.error) for done in results if done.error]
    lost = sorted(writer.lost(done.item for done in results if done.error))
    if not failed and not lost:
        return
    translated = sum(not done.error and done.item.volume not in lost for done in results)
    done = f" The other {translated} of {len(results)} were translated into {writer.folder}." if translated else ""
    unwritten = f"A volume is written with all of its slices: {', '.join(lost)} could not be." if lost else ""
    if not failed:
        raise UserError(f"{unwritten} Correct the slices that `data.on_error: skip` leaves out.{done}")
    kind = RunError if isinstance(failed[0][1], NotWritten) else UserError
    raise kind(f"{first_of(failed, 'could not be translated')}{' ' * bool(lost)}{unwritten}{done}")
