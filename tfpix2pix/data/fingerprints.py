"""Fingerprints of the pairs that a run trains on, so that a resume can name the pairs that have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfpix2pix.data.pairs import Source
from tfpix2pix.foreign import open_regular_file

MOST_READ = 1_000  # pairs whose files are looked into; of the others, the names alone count
PART_BYTES = 2**20  # of a file's beginning, and of its end
NAMED = 3  # in a message
Fingerprints = Mapping[str, str]  # name of a pair -> digest of its files; "" where they were not looked into


def fingerprints(source: Source, at_most: int = MOST_READ) -> dict[str, str]:
    """Maps the name of every pair of a source to a digest of its files: of their sizes and of their first and last
    MiB.

    A source that knows its pairs' digests (shards, whose manifest has checksums) gives them. Otherwise the digest is ""
    beyond `at_most` pairs, evenly spread, and for a pair without files.
    """
    if source.digests:
        return dict(zip(source.names, source.digests, strict=True))
    count = min(len(source), at_most)
    indices = [position * len(source) // count for position in range(count)]
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(indices, pool.map(lambda index: _digest(source.files(index)), indices), strict=True))
    return {name: digests.get(index, "") for index, name in enumerate(source.names)}


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    try:
        for path in files:
            with open_regular_file(path) as file:
                size = file.seek(0, 2)
                file.seek(0)
                digest.update(size.to_bytes(8, "little") + file.read(PART_BYTES))
                file.seek(max(PART_BYTES, size - PART_BYTES))
                digest.update(file.read(PART_BYTES))
    except OSError:  # a pair that cannot be read is said by whoever reads it
        return ""
    return digest.hexdigest() if files else ""


def changes(before: Mapping[str, Fingerprints], now: Mapping[str, Fingerprints]) -> Iterator[str]:
    """Yields what differs between two sets of splits, a split at a time, in words and with the first names."""
    for split in sorted(before.keys() | now.keys()):
        old, new = before.get(split, {}), now.get(split, {})
        changed = {name for name in old.keys() & new.keys() if old[name] and new[name] and old[name] != new[name]}
        kinds = (
            (old.keys() - new.keys(), "lacks {}"),
            (new.keys() - old.keys(), "has {} more"),
            (changed, "holds other images in {}"),
        )
        found = [text.format(_counted(names)) + f" ({_some(names)})" for names, text in kinds if names]
        if found:
            yield f"{split} {', '.join(found)}"


def _counted(names: set[str]) -> str:
    return f"{len(names)} pair{'s' if len(names) > 1 else ''}"


def _some(names: set[str]) -> str:
    shown = [repr(name) for name in sorted(names)[:NAMED]]
    return ", ".join([*shown, "…"] if len(names) > NAMED else shown)


def digest_of(splits: Mapping[str, Fingerprints]) -> str:
    """Returns one digest of all splits: 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for split in sorted(splits):
        for name in sorted(splits[split]):
            digest.update("\0".join((split, name, splits[split][name], "")).encode())
    return digest.hexdigest()
