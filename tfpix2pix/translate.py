"""Files in, files out: `tfpix2pix translate` and the same from Python."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from tfpix2pix.batching import batched
from tfpix2pix.card import ModelCard
from tfpix2pix.data import SPLITS
from tfpix2pix.data.images import (
    check_range,
    enlarged,
    full_range,
    list_images,
    suffix_for,
    write_image,
)
from tfpix2pix.data.labels import palette_of, read_side
from tfpix2pix.data.opening import open_source
from tfpix2pix.destinations import check_replaces_no_input, check_writable
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.files import safe_file_name
from tfpix2pix.serving.client import in_flight as run_in_flight


class FileTranslator(Protocol):
    """What translates what files hold: a `Translator`, or a `RemoteModel` of a server."""

    card: ModelCard

    def noise(self, count: int, seed: int) -> np.ndarray:
        """float32 (count, noise_size)."""

    def translate(self, image: np.ndarray, noise: np.ndarray | None = None, where: object = "an image") -> np.ndarray:
        """(H, W, C) as read from a file -> (H, W, C') as a file shall hold it; `where` is its name, for messages."""


MOST_NAMED = 20  # images that could not be translated, in one message
Item = tuple[str, Callable[[], np.ndarray], tuple[Path, ...]]  # name of the output, reader of the input, its files


def translate_files(
    translator: FileTranslator,
    inputs: Sequence[str | Path] = (),
    *,
    out: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    noise: str | None = None,
    seed: int = 0,
    samples: int | None = None,
    tile_px: int | None = None,
    overlap_px: int | None = None,
    in_flight: int | None = None,
    enlarge: int = 1,
    overwrite: bool = False,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> list[Path]:
    """Translates image files, the images of folders, or the inputs of a split of paired data, into files in `out`:
    PNG, or TIFF where the targets were floats or had more than four channels; label maps as palette PNG.

    Args:
        inputs: image files and folders of them.
        data: folder of paired data as the model was trained on, in place of the one in its card; with `split`.
        split: `train`, `val` or `test`: translate the inputs of that split's pairs.
        samples: write this many variants of each image by different noise, `<name>-1.png` and so on; turns noise on.
        tile_px: go over images in tiles of this side that overlap by `overlap_px`, as `Translator` does.
        in_flight: ask a server for so many images at a time; None: in batches of one size, or one at a time where the
            translator takes no batch or goes over images in tiles.
        enlarge: enlarge every input this many times first (bicubic), as super-resolution was trained.
        overwrite: replace files of the same names in `out`.
        track: wraps the items to show progress.

    Raises:
        UserError: nothing to translate, an unreadable image (the readable ones are translated), or a name taken.
    """
    out, card = Path(out), translator.card
    input_range = card.config.data.ranges[0]
    suffix = suffix_for(card.config.data.target_channels, np.dtype(card.target_dtype))
    palette = palette_of(card.config.data)
    folder = data or card.config.data.dir if split else None
    items = list(_pairs_of(card, folder, split) if split else _files_of(inputs, card))
    if not items:
        raise UserError("There must be something to translate. Received no image. Name files, folders, or --split val.")
    endings = [f"-{number}" for number in range(1, samples + 1)] if samples else [""]
    paths = [out / f"{name}{ending}{suffix}" for name, *_ in items for ending in endings]
    duplicates = [path for path, count in Counter(paths).items() if count > 1]
    if duplicates:
        raise UserError(
            f"Each input must have a name of its own. Received several for {duplicates[0]}. Translate them apart."
        )
    read_files = [file for _, _, files in items for file in files]
    check_replaces_no_input(paths, read_files, within=None if folder is None else Path(folder))
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise UserError(
            f"A translation must not overwrite a file. Received {taken[0]}, which exists. "
            f"Add --overwrite or change --out."
        )
    check_writable(out)
    vectors = _noise_vectors(translator, noise, seed, samples)
    options = {"tile_px": tile_px, "overlap_px": overlap_px}
    notes: Counter[str] = Counter()
    noting = Lock()

    def read(item: Item) -> np.ndarray:
        name = item[0]
        with _fitting_in_memory([name]):
            image = item[1]()
            if enlarge > 1:
                image = enlarged(image, enlarge)
        if not card.config.data.input_classes:
            check_range(image, input_range, "data.input_range", name)
        with noting:
            notes.update(notes_on(image, card))
        return image

    def together(items: list[Item], images: list[np.ndarray]) -> list[list[np.ndarray]]:
        names = [name for name, *_ in items]
        with _fitting_in_memory(names):
            variants = [translator.together(images, vector, names) for vector in vectors]
        return [list(of_one) for of_one in zip(*variants, strict=True)]

    def write(item: Item, variants: Iterable[np.ndarray]) -> list[Path]:
        made = [out / f"{item[0]}{ending}{suffix}" for ending in endings]
        for path, variant in zip(made, variants, strict=True):
            write_image(path, variant, palette)
        return made

    def one_by_one(item: Item) -> list[Path]:
        image = read(item)
        with _fitting_in_memory([item[0]]):
            return write(item, (translator.translate(image, vector, where=item[0], **options) for vector in vectors))

    errors: dict[str, UserError] = {}
    written: list[Path] = []
    in_batches = in_flight is None and tile_px is None and hasattr(translator, "together")
    results = batched(items, read, together, write) if in_batches else _results(one_by_one, items, in_flight or 1)
    for (name, *_), done in zip(items, track(results, len(items)), strict=True):
        if isinstance(done, UserError):
            errors[name] = done
        else:
            written.extend(done)
    for note, count in notes.items():
        warnings.warn(f"{count} of {len(items)} images {note}", stacklevel=2)
    if errors:
        first, *others = errors
        named = ", ".join(others[:MOST_NAMED]) + (", …" if len(others) > MOST_NAMED else "")
        more = f" {len(others)} more could not be translated: {named}." if others else ""
        done = f" The other {len(items) - len(errors)} of {len(items)} were translated into {out}." if written else ""
        raise UserError(f"{errors[first]}{more}{done}")
    return written


@contextmanager
def _fitting_in_memory(names: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise UserError(
            f"An image and its translation must fit in memory. Received {names[0]}, which did not. Translate it in "
            f"tiles: --tile 512."
        ) from error


def _noise_vectors(
    translator: FileTranslator, noise: str | None, seed: int, samples: int | None
) -> Sequence[np.ndarray | None]:
    """The noise of every variant of an image, the same for all images: (1, noise_size), or None for off."""
    if samples or (noise or translator.card.noise) == "on":
        vectors = translator.noise(samples or 1, seed)
        return [vectors[index : index + 1] for index in range(len(vectors))]
    return [None]


def _results(work: Callable[[Item], list[Path]], items: Sequence[Item], count: int) -> Iterator[list[Path] | UserError]:
    """What `work` gives for every item in turn, or the mistake that it found; `count` at a time."""
    if count > 1:
        for done in run_in_flight(work, items, count):
            if done.error is not None and not isinstance(done.error, UserError):
                raise done.error
            yield done.result if done.error is None else done.error
        return
    for item in items:
        try:
            yield work(item)
        except UserError as error:
            yield error


def looks_like_a_pair(image: np.ndarray, card: ModelCard) -> bool:
    """Whether an image has the shape of a whole pair of the model's data: square halves side by side."""
    data, (height, width) = card.config.data, image.shape[:2]
    if data.source != "combined":
        return False
    return width == 2 * height if data.input_side in ("left", "right") else height == 2 * width


def notes_on(image: np.ndarray, card: ModelCard) -> list[str]:
    """What a user should know of how an image is translated, where it is not as one might think."""
    notes, size, channels = [], card.fixed_size_px, card.config.data.input_channels
    if looks_like_a_pair(image, card):
        notes.append(
            "have the shape of a whole pair, input and target in one, and were translated whole: --split val (and "
            "--data) translates the inputs of pairs."
        )
    if size and image.shape[:2] != (size, size):
        notes.append(
            f"differ from the model's fixed {size}x{size} px and are reflected or cut into tiles, each with statistics "
            f"of its own: colours may differ from the run's and the SavedModel's."
        )
    if image.shape[-1] in (2, 4) and channels in (1, 3) and image[..., -1].min() < full_range(image.dtype)[1]:
        notes.append("have transparent parts, which the model does not know of: their colours were translated.")
    return notes


def _files_of(inputs: Sequence[str | Path], card: ModelCard) -> Iterator[Item]:
    data = card.config.data
    for given in map(Path, inputs):
        if not given.exists():
            raise UserError(f"An input must be an image file or a folder. Received {given}, which does not exist.")
        files = list_images(given) if given.is_dir() else [given]
        if not files:
            raise UserError(f"A folder to translate must hold images. Received {given} without any. Check the path.")
        for file in files:
            yield safe_file_name(file.stem), lambda file=file: read_side(file, data.input_classes, data), (file,)


def _pairs_of(card: ModelCard, folder: str | Path | None, split: str) -> Iterator[Item]:
    if split not in SPLITS:
        raise UserError(unknown_name("--split", split, SPLITS))
    config = card.config
    where = config.data.model_copy(update={"dir": None if folder is None else str(folder)})
    source = open_source(config.model_copy(update={"data": where}), split)
    if not len(source):
        raise UserError(
            f"The split must hold pairs. Received {split!r}, which is empty in {where.dir}. Use another split."
        )
    for index, name in enumerate(source.names):
        yield safe_file_name(name), lambda index=index: source.read(index)[0], source.files(index)
