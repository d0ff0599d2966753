"""Files in, files out: `tfpix2pix translate` and the same from Python."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfpix2pix.card import ModelCard
from tfpix2pix.data import SPLITS
from tfpix2pix.data.images import (
    check_range,
    enlarged,
    from_signed,
    full_range,
    list_images,
    match_channels,
    suffix_for,
    to_signed,
    write_image,
)
from tfpix2pix.data.labels import palette_of, read_side
from tfpix2pix.data.opening import open_source
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.files import check_writable
from tfpix2pix.inference import Translator

Item = tuple[str, Callable[[], np.ndarray]]  # name of the output, reader of the input


def translate_files(
    translator: Translator,
    inputs: Sequence[str | Path] = (),
    *,
    out: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    noise: str | None = None,
    seed: int = 0,
    samples: int | None = None,
    tile_px: int | None = None,
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
        enlarge: enlarge every input this many times first (bicubic), as super-resolution was trained.
        overwrite: replace files of the same names in `out`.
        track: wraps the items to show progress.

    Raises:
        UserError: nothing to translate, an unreadable image (the readable ones are translated), or a name taken.
    """
    out, card = Path(out), translator.card
    dtype, (input_range, target_range) = np.dtype(card.target_dtype), card.config.data.ranges
    suffix, palette = suffix_for(card.config.data.target_channels, dtype), palette_of(card.config.data)
    items = list(_pairs_of(translator, data, split) if split else _files_of(inputs, card))
    if not items:
        raise UserError("There must be something to translate. Received no image. Name files, folders, or --split val.")
    endings = [f"-{number}" for number in range(1, samples + 1)] if samples else [""]
    paths = [out / f"{name}{ending}{suffix}" for name, _ in items for ending in endings]
    duplicates = [path for path, count in Counter(paths).items() if count > 1]
    if duplicates:
        raise UserError(
            f"Each input must have a name of its own. Received several for {duplicates[0]}. Translate them apart."
        )
    own = {file.resolve() for file in _all_files(inputs)}
    if replaced := [path for path in paths if path.resolve() in own]:
        raise UserError(f"A translation must not replace an input. Received {replaced[0]} for both. Change --out.")
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise UserError(
            f"A translation must not overwrite a file. Received {taken[0]}, which exists. "
            f"Add --overwrite or change --out."
        )
    check_writable(out)
    errors = []
    written: list[Path] = []
    notes: Counter[str] = Counter()
    for name, read in track(items, len(items)):
        try:
            image = read()
            if enlarge > 1:
                image = enlarged(image, enlarge)
            if not card.config.data.input_classes:
                check_range(image, input_range, "data.input_range", name)
            notes.update(notes_on(image, card))
            image = match_channels(image, card.config.data.input_channels, name)
        except UserError as error:
            errors.append(error)
            continue
        signed = to_signed(image, input_range)
        if samples:
            translations = translator.samples(signed, samples, seed=seed)
        else:
            translations = [translator(signed, noise=noise, seed=seed, tile_px=tile_px)]
        for ending, translation in zip(endings, translations, strict=True):
            path = out / f"{name}{ending}{suffix}"
            write_image(path, from_signed(translation, dtype, target_range), palette)
            written.append(path)
    for note, count in notes.items():
        warnings.warn(f"{count} of {len(items)} images {note}", stacklevel=2)
    if errors:
        more = f" {len(errors) - 1} more could not be read." if len(errors) > 1 else ""
        done = f" The other {len(items) - len(errors)} of {len(items)} were translated into {out}." if written else ""
        raise UserError(f"{errors[0]}{more}{done}")
    return written


def notes_on(image: np.ndarray, card: ModelCard) -> list[str]:
    """What a user should know of how an image is translated, where it is not as one might think."""
    notes, size, channels = [], card.fixed_size_px, card.config.data.input_channels
    if size and image.shape[:2] != (size, size):
        notes.append(
            f"differ from the model's fixed {size}x{size} px and are reflected or cut into tiles, each with statistics "
            f"of its own: colours may differ from the run's and the SavedModel's."
        )
    if image.shape[-1] in (2, 4) and channels in (1, 3) and image[..., -1].min() < full_range(image.dtype)[1]:
        notes.append("have transparent parts, which the model does not know of: their colours were translated.")
    return notes


def _all_files(inputs: Sequence[str | Path]) -> Iterator[Path]:
    for given in map(Path, inputs):
        yield from list_images(given) if given.is_dir() else [given]


def _files_of(inputs: Sequence[str | Path], card: ModelCard) -> Iterator[Item]:
    data = card.config.data
    for given in map(Path, inputs):
        if not given.exists():
            raise UserError(f"An input must be an image file or a folder. Received {given}, which does not exist.")
        files = list_images(given) if given.is_dir() else [given]
        if not files:
            raise UserError(f"A folder to translate must hold images. Received {given} without any. Check the path.")
        for file in files:
            yield file.stem, lambda file=file: read_side(file, data.input_classes, data)


def _pairs_of(translator: Translator, data: str | Path | None, split: str) -> Iterator[Item]:
    if split not in SPLITS:
        raise UserError(unknown_name("--split", split, SPLITS))
    config = translator.card.config
    where = config.data if data is None else config.data.model_copy(update={"dir": str(data)})
    source = open_source(config.model_copy(update={"data": where}), split)
    if not len(source):
        raise UserError(
            f"The split must hold pairs. Received {split!r}, which is empty in {where.dir}. Use another split."
        )
    for index, name in enumerate(source.names):
        yield name, lambda index=index: source.read(index)[0]
