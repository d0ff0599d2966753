"""Opens sources, reads their files once before a run writes anything, and decides how label maps are read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.groups import check_folds
from tfpix2pix.data.labels import decided_values, is_mask, without_opaque_alpha
from tfpix2pix.data.pairs import Fault, Pair, Source, Weighted, signed
from tfpix2pix.data.ranges import with_measured_ranges
from tfpix2pix.data.rules import RANGES
from tfpix2pix.data.settings import CLASS_VALUES, ClassValues, DataConfig
from tfpix2pix.data.weights import nothing_counts
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.parallel import evenly_spread, in_order

MOST_READ = 1_000


def check_readable(source: Source, at_most: int = MOST_READ, trained_on: DataConfig | None = None) -> int:
    """Reads every pair, or `at_most` of them evenly spread, and returns the number read. Of large ones it reads the
    headers and the middle.

    `trained_on`: the section `data`, if a pixel of the pairs that are read must count, as those to train on.

    Raises:
        UserError: a file is unreadable, cut short, too small or does not fit. The text names it. Or no pixel counts.
    """

    def counts(index: int) -> bool:
        *_, weight = (*source.sample(index), None)[:3]
        return weight is None or bool(weight.any()) or source.is_large(index)  # whose other pixels are not read

    indices = evenly_spread(len(source), at_most)
    counting = list(in_order(counts, indices))
    if trained_on is not None and counting and not any(counting):
        raise nothing_counts(len(counting), trained_on)
    return len(indices)


def decided(data: DataConfig, seed: int) -> DataConfig:
    """Returns `data` with what the training pairs decide: how label maps are read, and the ranges of percentiles."""
    return with_measured_ranges(with_class_values(data, seed), seed)


def with_class_values(data: DataConfig, seed: int, opened: Callable[[DataConfig], Source] | None = None) -> DataConfig:
    """Returns `data` with a decision how label maps are read, from those of the training pairs, if it has none.

    Files that cannot be read are left to those who read them next. Without training pairs nothing is decided.
    `opened` opens other pairs than those of training.
    """
    opened = opened or (lambda changed: SOURCES[changed.source](changed, "train", seed))
    open_sides = [side for side in (0, 1) if data.classes[side] and data.class_values[side] is None]
    if not open_sides:
        return data
    quiet = {"on_error": "skip", "cache_files_mb": 0}
    by_numbers = {CLASS_VALUES[side]: "palette_indices" for side in open_sides}
    try:
        pictures, numbers = (opened(data.model_copy(update={**quiet, **changes})) for changes in ({}, by_numbers))
    except UserError:
        return data
    if pictures.stored is None or not len(pictures):
        return data
    values = {CLASS_VALUES[side]: _class_values(data, side, pictures, numbers) for side in open_sides}
    return data.model_copy(update=values)


def _class_values(data: DataConfig, side: int, pictures: Source, numbers: Source) -> ClassValues:
    """Decides how the label maps of a side are read.

    Args:
        pictures: the training pairs, palettes as they are read if nothing is decided.
        numbers: the same, palettes as indices.
    """
    classes, ignored = data.classes[side], data.ignore_class
    if not data.class_colors and not is_mask(classes, data):
        return "indices"

    def values_of(source: Source, index: int) -> set[int]:
        try:
            image = source.stored(index, side)
        except UserError:
            return set()
        image = without_opaque_alpha(image)
        is_gray = image.shape[-1] == 1 and image.dtype.kind == "u"
        return set(np.unique(image).tolist()) if is_gray else set()

    def occurring(index: int) -> tuple[set[int], set[int]]:
        gray = values_of(pictures, index)
        may_ignore = not gray and data.class_colors and ignored is not None  # a palette has no colour for no class
        return gray, values_of(numbers, index) if may_ignore else set()

    found = list(in_order(occurring, evenly_spread(len(pictures), MOST_READ)))
    in_gray, in_palettes = (set().union(*sets) for sets in zip(*found, strict=True))
    if ignored in in_palettes and all(value < classes or value == ignored for value in in_palettes):
        return "palette_indices"
    return decided_values(classes, data, in_gray)


def splits_of(data: DataConfig, seed: int) -> dict[str, Source]:
    """Opens all splits, empty ones too, without the unreadable pairs if `data.on_error` is `skip`."""
    return {split: open_source(data, split, seed) for split in SPLITS}


def open_source(data: DataConfig, split: str, seed: int) -> Source:
    """Opens a split, without the unreadable pairs if `data.on_error` is `skip`."""
    source = SOURCES[data.source](data, split, seed)
    return without_unreadable(source) if data.on_error == "skip" else source


def read_otherwise(before: DataConfig, now: DataConfig) -> list[str]:
    """Says in a line for each side how its label maps are read, if `now` has decided on anything but class indices, and
    the range that was measured."""
    words = {
        "colors": "gray files are read by `data.class_colors`",
        "palette_indices": "palette files are read by their indices, because `data.ignore_class` is among these",
    }
    lines = []
    for key, old, new in zip(CLASS_VALUES, before.class_values, now.class_values, strict=True):
        if new != old and new != "indices":
            what = words.get(new) or ", ".join(f"{value} is class {index}" for index, value in enumerate(new))
            lines.append(f"Label maps of the {key.partition('_')[0]}: {what} (`data.{key}`, by the training pairs).")
    for key, by in RANGES.items():
        if getattr(now, key) != getattr(before, key):
            measured = getattr(now, key)
            ranges = measured if isinstance(measured[0], tuple) else (measured,)
            listed = ", ".join(f"{low:g} to {high:g}" for low, high in ranges)
            lines.append(f"{key.partition('_')[0].title()} values: {listed} (`data.{by}`).")
    return lines


def open_sources(data: DataConfig, seed: int) -> dict[str, Source]:
    """Opens the pairs to train on and those held out, without the unreadable ones if `data.on_error` is `skip`.

    Raises:
        UserError: the training split holds unreadable pairs only, or folds are asked for of divided data.
    """
    sources = {split: open_source(data, split, seed) for split in ("train", "val")}
    check_folds(data, divided=sources["train"].divided)
    if sources["train"].skipped and not len(sources["train"]):
        raise UserError(
            f"At least one training pair must be readable. Received {len(sources['train'].skipped)} that are not. "
            f"The first: {sources['train'].skipped[0].message}"
        )
    if not len(sources["train"]):
        raise UserError(
            f"There must be pairs to train on. Received {data.dir}, which holds held-out pairs alone. Add train/ with "
            f"pairs, or name another folder."
        )
    return sources


def without_unreadable(source: Source) -> Source:
    """Returns `source` without the pairs that cannot be read, which its `skipped` lists. Reads all pairs, of large ones
    the middle."""

    def fault(index: int) -> Fault | None:
        try:
            source.sample(index)
        except UserError as error:
            return Fault(error.kind or "unfit", source.names[index], str(error))
        return None

    faults = list(in_order(fault, range(len(source))))
    kept = [index for index, fault_ in enumerate(faults) if fault_ is None]
    names = [source.names[index] for index in kept]
    skipped = (*source.skipped, *filter(None, faults))
    at_epoch = source.at_epoch and (lambda index, epoch: source.at_epoch(kept[index], epoch))
    digests, groups = ([of[index] for index in kept] if of else () for of in (source.digests, source.groups))
    return Source(
        names, lambda index: source.read(kept[index]), lambda index: source.files(kept[index]), skipped, at_epoch,
        digests, source.stored and (lambda index, side: source.stored(kept[index], side)),
        source.weighted and (lambda index: source.weighted(kept[index])), groups, source.divided,
        source.slices and (lambda index: source.slices(kept[index])), lambda index: source.scalars(kept[index]),
        source.opened and (lambda index: source.opened(kept[index])),
        source.parts and (lambda index: source.parts(kept[index])),
    )  # fmt: skip


def split_of(data: DataConfig, split: str, seed: int) -> Source:
    """Opens a split. Raises UserError if the split is empty."""
    if split not in SPLITS:
        raise UserError(unknown_name("`split`", split, SPLITS))
    source = open_source(data, split, seed)
    if not len(source):
        others = [name for name in SPLITS if name != split and len(open_source(data, name, seed))]
        advice = f"Use `split` {' or '.join(others)}." if others else "Check `data`."
        raise UserError(f"The split must hold pairs. Received {split!r}, empty in {data.dir}. {advice}")
    return source


def pair_reader(source: Source, data: DataConfig) -> Callable[[int], Pair | Weighted]:
    """Returns a function from an index to (input, target), both float32 (H, W, C) in [-1, 1] of the files' sizes, and
    weights (H, W, 1) if the source has any."""
    return lambda index: signed(source.whole(index), data)


def evaluated_pair_reader(source: Source, data: DataConfig) -> Callable[[int], Pair | Weighted]:
    """Returns a function from an index to a pair as `pair_reader` gives it, or of a large one to the part that
    `transforms.for_evaluation` takes."""
    return lambda index: signed(source.middle(index, data.size_px), data)
