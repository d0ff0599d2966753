"""Computes fingerprints of the pairs that a run trains on, so that a resume can name the pairs that have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from tfpix2pix.data.pairs import Source
from tfpix2pix.files import as_bytes
from tfpix2pix.parallel import evenly_spread, in_order
from tfpix2pix.safe_files import open_regular_file

MOST_READ = 1_000  # pairs with files that are read; for the others only the names count
PART_BYTES = 2**20  # read from a file's beginning and from its end
NAMED = 3  # pairs that a message names
Fingerprints = Mapping[str, str]  # name of a pair -> digest of its files; "" if they were not read


def fingerprints(source: Source, at_most: int = MOST_READ) -> dict[str, str]:
    """Maps the name of every pair of a source to a digest of its files' sizes and first and last MiB, and its scalars.

    Shards have checksums in their manifest, which are used instead. Otherwise only `at_most` pairs, evenly spread, are
    read; the digest of the others, and of pairs without files, is "".
    """
    if source.digests:
        return dict(zip(source.names, source.digests, strict=True))
    indices = evenly_spread(len(source), at_most)
    digest = cache(_digest)  # the slices of a volume have one
    found = in_order(lambda index: digest(source.files(index), source.scalars(index)), indices)
    digests = dict(zip(indices, found, strict=True))
    return {name: digests.get(index, "") for index, name in enumerate(source.names)}


def _digest(files: tuple[Path, ...], scalars: tuple[float, ...] = ()) -> str:
    """Returns the digest of scalars, files, and the files in the folders of DICOM series; "" if one cannot be read."""
    digest = hashlib.blake2b(np.array(scalars, "<f8").tobytes(), digest_size=8)
    try:
        for path in chain(*(sorted(file.iterdir()) if file.is_dir() else (file,) for file in files)):
            with open_regular_file(path) as file:
                size = file.seek(0, 2)
                file.seek(0)
                digest.update(size.to_bytes(8, "little") + file.read(PART_BYTES))
                file.seek(max(PART_BYTES, size - PART_BYTES))
                digest.update(file.read(PART_BYTES))
    except OSError:  # the error is reported when the pair is read
        return ""
    return digest.hexdigest() if files else ""


def changes(before: Mapping[str, Fingerprints], now: Mapping[str, Fingerprints]) -> Iterator[str]:
    """Yields a phrase for every split that differs between `before` and `now`, with counts and the first names."""
    for split in sorted(before.keys() | now.keys()):
        old, new = before.get(split, {}), now.get(split, {})
        changed = {name for name in old.keys() & new.keys() if old[name] and new[name] and old[name] != new[name]}
        kinds = (
            (old.keys() - new.keys(), "lacks {}"),
            (new.keys() - old.keys(), "has {} more"),
            (changed, "holds other images in {}"),
        )
        phrases = [text.format(_counted(names)) + f" ({_some(names)})" for names, text in kinds if names]
        if phrases:
            yield f"{split} {', '.join(phrases)}"


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
            digest.update(as_bytes("\0".join((split, name, splits[split][name], ""))))
    return digest.hexdigest()
