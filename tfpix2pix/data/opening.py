"""Opens sources, and reads their files once before a run writes anything."""

from __future__ import annotations

from collections.abc import Callable

from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.pairs import Fault, Pair, Source, signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.parallel import evenly_spread, in_order

MOST_READ = 1_000


def check_readable(source: Source, at_most: int = MOST_READ) -> int:
    """Reads every pair, or `at_most` of them evenly spread, and returns the number read.

    Raises:
        UserError: a file is unreadable, cut short, too small or does not fit. The text names it.
    """
    indices = evenly_spread(len(source), at_most)
    for _ in in_order(source.read, indices):
        pass
    return len(indices)


def splits_of(data: DataConfig, seed: int) -> dict[str, Source]:
    """Opens all splits, empty ones too, without the unreadable pairs if `data.on_error` is `skip`."""
    return {split: open_source(data, split, seed) for split in SPLITS}


def open_source(data: DataConfig, split: str, seed: int) -> Source:
    """Opens a split, without the unreadable pairs if `data.on_error` is `skip`."""
    source = SOURCES[data.source](data, split, seed)
    return without_unreadable(source) if data.on_error == "skip" else source


def open_sources(data: DataConfig, seed: int) -> dict[str, Source]:
    """Opens the pairs to train on and those held out, without the unreadable ones if `data.on_error` is `skip`.

    Raises:
        UserError: no pair to train on can be read.
    """
    sources = {split: open_source(data, split, seed) for split in ("train", "val")}
    if sources["train"].skipped and not len(sources["train"]):
        raise UserError(
            f"There must be a readable pair to train on. Received {len(sources['train'].skipped)}, none readable. "
            f"The first: {sources['train'].skipped[0].message}"
        )
    if not len(sources["train"]):
        raise UserError(
            f"There must be pairs to train on. Received {data.dir}, which holds held-out pairs alone. Add train/ with "
            f"pairs, or name another folder."
        )
    return sources


def without_unreadable(source: Source) -> Source:
    """Returns `source` without the pairs that cannot be read, which its `skipped` lists. Reads all pairs."""

    def fault(index: int) -> Fault | None:
        try:
            source.read(index)
        except UserError as error:
            return Fault(error.kind or "unfit", source.names[index], str(error))
        return None

    faults = list(in_order(fault, range(len(source))))
    kept = [index for index, fault_ in enumerate(faults) if fault_ is None]
    names = [source.names[index] for index in kept]
    skipped = (*source.skipped, *filter(None, faults))
    varied = source.at_epoch and (lambda index, epoch: source.at_epoch(kept[index], epoch))
    digests = [source.digests[index] for index in kept] if source.digests else ()
    return Source(
        names, lambda index: source.read(kept[index]), lambda index: source.files(kept[index]), skipped, varied, digests
    )


def split_of(data: DataConfig, split: str, seed: int) -> Source:
    """Opens a split. Raises UserError if it holds no pairs."""
    if split not in SPLITS:
        raise UserError(unknown_name("`split`", split, SPLITS))
    source = open_source(data, split, seed)
    if not len(source):
        others = [name for name in SPLITS if name != split and len(open_source(data, name, seed))]
        advice = f"Use `split` {' or '.join(others)}." if others else "Check `data`."
        raise UserError(f"The split must hold pairs. Received {split!r}, empty in {data.dir}. {advice}")
    return source


def pair_reader(source: Source, data: DataConfig) -> Callable[[int], Pair]:
    """Returns a function from an index to (input, target), both float32 (H, W, C) in [-1, 1] of the files' sizes."""
    return lambda index: signed(source.read(index), data)
