"""Sources opened, and their files tried, before a run writes anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.pairs import Fault, Source
from tfpix2pix.errors import UserError

MOST_READ = 1_000


def check_readable(source: Source, at_most: int = MOST_READ) -> int:
    """Reads every pair, or `at_most` of them evenly spread; returns how many.

    Raises:
        UserError: a file is unreadable, cut short, too small or does not fit, by its name.
    """
    count = min(len(source), at_most)
    indices = [position * len(source) // count for position in range(count)]
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(source.read, index) for index in indices]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return count


def splits_of(config: Config) -> dict[str, Source]:
    """The sources of all splits, empty ones too; without the unreadable pairs, where the configuration skips them."""
    return {split: open_source(config, split) for split in SPLITS}


def open_source(config: Config, split: str) -> Source:
    source = SOURCES[config.data.source](config.data, split, config.seed)
    return without_unreadable(source) if config.data.on_error == "skip" else source


def open_sources(config: Config) -> dict[str, Source]:
    """The pairs to train on and those held out; without the unreadable ones, where the configuration skips them.

    Raises:
        UserError: there is none to train on.
    """
    sources = {split: open_source(config, split) for split in ("train", "val")}
    if sources["train"].skipped and not len(sources["train"]):
        raise UserError(
            f"There must be a readable pair to train on. Received {len(sources['train'].skipped)}, none readable. "
            f"The first: {sources['train'].skipped[0].message}"
        )
    return sources


def without_unreadable(source: Source) -> Source:
    """`source` without the pairs that cannot be read, which stand in `skipped`. Reads all."""

    def fault(index: int) -> Fault | None:
        try:
            source.read(index)
        except UserError as error:
            return Fault(error.kind or "unfit", source.names[index], str(error))
        return None

    with ThreadPoolExecutor() as pool:
        faults = list(pool.map(fault, range(len(source))))
    kept = [index for index, found in enumerate(faults) if found is None]
    names = [source.names[index] for index in kept]
    skipped = (*source.skipped, *(found for found in faults if found))
    varied = source.at_epoch and (lambda index, epoch: source.at_epoch(kept[index], epoch))
    digests = [source.digests[index] for index in kept] if source.digests else ()
    return Source(
        names, lambda index: source.read(kept[index]), lambda index: source.files(kept[index]), skipped, varied, digests
    )
