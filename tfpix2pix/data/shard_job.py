"""Says what is in a shard, and writes shards by the workers of an engine: a worker writes a whole shard at a time.

Which pairs a shard holds follows from the sizes of their files, which are known before any is read. So shards are those
of one process, byte for byte. A shard is written whole or not at all, with the positions of its pairs beside it, so a
job that was killed goes on with the shards that are missing.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfpix2pix._version import __version__
from tfpix2pix.data import SOURCES
from tfpix2pix.data.guess import SHARDS_MANIFEST
from tfpix2pix.data.opening import open_source, splits_of
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.scalars import scalar_parts
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.shards import ALL, SCALAR_TYPE, SCALARS, is_remote, keys_of
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.errors import UserError
from tfpix2pix.files import (
    as_bytes,
    digest_of,
    make_directory,
    plain_path,
    remove_leftovers,
    stamp_of,
    whole_file,
    write_text,
)
from tfpix2pix.safe_files import parse_json
from tfpix2pix.tables import import_and_call

FRAME_BYTES = (12, 4)  # TFRecord's: length and its checksum before the data, the data's checksum after them
FOLDER, DESCRIPTION = ".tfpix2pix-shards", "job.json"
POSITIONS = ("names", "shard", "offset", "length", "crc32")


class Shard(NamedTuple):
    """Holds which pairs of a split a shard has."""

    name: str
    split: str
    start: int
    stop: int


def parts_of(data: DataConfig, seed: int) -> dict[str, Source]:
    """Opens the splits that hold pairs, or all pairs as one split if only the seed divides them."""
    alone = {"group": None, "folds": None, "fold": None}  # groups and folds are for those who read the shards
    whole, halved = (data.model_copy(update={**alone, "held_out_fraction": fraction}) for fraction in (0.0, 0.5))
    counts = [len(SOURCES[config.source](config, "train", seed)) for config in (whole, halved)]
    if counts[1] < counts[0]:
        return {ALL: open_source(whole, "train", seed)}
    return {split: source for split, source in splits_of(whole, seed).items() if len(source)}


def shard_name(split: str, before: Sequence[str]) -> str:
    """Returns the name of the next shard of a split."""
    return f"{split}-{sum(shard.startswith(split) for shard in before):05d}.tfrecord"


def record_of(name: str, files: Sequence[Path], data: DataConfig, scalars: Sequence[float] = ()) -> bytes:
    """Returns the record of a pair: its name, its files as they are, and its numbers."""
    features = {"name": as_bytes(name)}
    for key, path in zip(_keys_of(files, data), files, strict=True):
        features |= {key: _bytes_of(path), f"{key}_suffix": path.suffix.encode(errors="replace")}
    if scalars:
        features[SCALARS] = np.array(scalars, SCALAR_TYPE).tobytes()
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[features[key]])) for key in features}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def length_of_record(name: str, files: Sequence[Path], data: DataConfig, scalars: Sequence[float] = ()) -> int:
    """Returns the length of a pair's record by the sizes of its files, bytes."""
    lengths = {"name": len(as_bytes(name))}
    for key, path in zip(_keys_of(files, data), files, strict=True):
        lengths |= {key: stamp_of(path)[1], f"{key}_suffix": len(path.suffix.encode(errors="replace"))}
    if scalars:
        lengths[SCALARS] = len(scalars) * np.dtype(SCALAR_TYPE).itemsize
    entries = (_field(len(key)) + _field(_field(_field(length))) for key, length in lengths.items())
    return _field(sum(_field(entry) for entry in entries))


def _keys_of(files: Sequence[Path], data: DataConfig) -> tuple[str, ...]:
    return keys_of(len(files), bool(weight_folder(data)), len(data.targets or ()) or 1)


def _field(length: int) -> int:
    """Returns the length of a field of protocol buffers with so many bytes: a tag, their number and themselves."""
    return 1 + max(1, -(-length.bit_length() // 7)) + length


def manifest_of(
    files_a_pair: int, shards: Sequence[str], data: DataConfig, splits: Mapping[str, Mapping[str, list]]
) -> dict[str, Any]:
    """Returns the content of `shards.json`."""
    return {
        "format_version": 1,
        "files_a_pair": files_a_pair,
        "shards": shards,
        "inputs": [part.name for part in data.inputs or ()],
        "targets": [part.name for part in data.targets or ()],
        "has_weights": bool(weight_folder(data)),
        "scalars": len(scalar_parts(data)),
        "splits": splits,
    }


def write_by_workers(
    run: Callable[..., list[Any]], data: DataConfig, out: str, seed: int, shard_mb: int, sources: Mapping[str, Source]
) -> None:
    """Writes the pairs of `sources` as shards of about `shard_mb` MB into the folder `out`.

    Args:
        run: runs an engine, as `EngineRow.run` with its options.
        data: with what the training pairs decide.

    Raises:
        UserError: a pair cannot be trained on, or `out` holds something other than this job.
        RunError: the engine does not run to its end.
    """
    if is_remote(out):
        raise UserError(
            f"With `engine` beam shards must go into a folder of a disk that all machines share. Received {out}. Name "
            f"such a folder, then copy it."
        )
    folder = Path(out)
    data = data.model_copy(update={"dir": None if data.dir is None else str(Path(data.dir).expanduser().absolute())})
    stamps = []
    shards = list(_planned(sources, shard_mb * 2**20, data, stamps))
    digest = digest_of(__version__, data.model_dump(mode="json"), seed, shard_mb, stamps)
    if _digest_at(folder) != digest or (folder / SHARDS_MANIFEST).exists():
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UserError(f"Shards must go into a new folder. Received {out}, which is not empty. Change `out`.")
        make_directory(folder / FOLDER)
        with whole_file(folder / FOLDER / DESCRIPTION) as temporary:
            temporary.write_text(json.dumps({"digest": digest}))
    remove_leftovers(folder)
    # It imports TensorFlow when it is called, not when a worker unpickles it.
    work = partial(import_and_call, __name__, open_shards.__name__, data, seed, folder.absolute(), shards)
    answers = run(work, range(len(shards)), folder=folder / FOLDER)
    refused = next((answer["refused"] for answer in answers if "refused" in answer), None)
    if refused:
        raise UserError(refused)
    splits: dict[str, dict[str, list]] = {}
    for number, (shard, answer) in enumerate(zip(shards, answers, strict=True)):
        rows = splits.setdefault(shard.split, {key: [] for key in POSITIONS})
        for index, position in zip(range(shard.start, shard.stop), answer["positions"], strict=True):
            values = (sources[shard.split].names[index], number, *position)
            for key, value in zip(POSITIONS, values, strict=True):
                rows[key].append(value)
    files_a_pair = len(sources[shards[-1].split].files(0)) if shards else 0
    manifest = manifest_of(files_a_pair, [shard.name for shard in shards], data, splits)
    with whole_file(folder / SHARDS_MANIFEST) as temporary:
        write_text(temporary, json.dumps(manifest))
    shutil.rmtree(folder / FOLDER)


def open_shards(data: DataConfig, seed: int, folder: Path, shards: Sequence[Shard]) -> Callable[[int], dict[str, Any]]:
    """Opens the data in a worker. Returns a function that writes a shard by its number.

    The function's result is plain data: the `positions` of the pairs, (offset, length, CRC-32) each, or `refused`, a
    message.
    """
    try:
        sources = parts_of(data, seed)
    except UserError as error:
        message = str(error)
        return lambda number: {"refused": message}

    def write(number: int) -> dict[str, Any]:
        shard = Shard(*shards[number])
        path, positions = folder / shard.name, folder / FOLDER / f"{shard.name}.json"
        if not (path.exists() and positions.exists()):
            try:
                rows = _write(path, sources[shard.split], shard, data)
            except UserError as error:
                return {"refused": str(error)}
            with whole_file(positions) as temporary:
                temporary.write_text(json.dumps(rows))
        return {"positions": json.loads(positions.read_text())}

    return write


def _planned(sources: Mapping[str, Source], shard_bytes: int, data: DataConfig, stamps: list[tuple]) -> Iterator[Shard]:
    """Yields the shards as one process divides the pairs, and adds what identifies each pair to `stamps`."""
    names: list[str] = []
    for split, source in sources.items():
        start = offset = 0
        for index, name in enumerate(source.names):
            files, scalars = source.files(index), source.scalars(index)
            stamps.append((split, name, scalars, *map(stamp_of, files)))
            if offset > shard_bytes:
                names.append(shard_name(split, names))
                yield Shard(names[-1], split, start, index)
                start, offset = index, 0
            offset += length_of_record(name, files, data, scalars) + sum(FRAME_BYTES)
        names.append(shard_name(split, names))
        yield Shard(names[-1], split, start, len(source))


def _write(path: Path, source: Source, shard: Shard, data: DataConfig) -> list[tuple[int, int, int]]:
    rows, offset = [], 0
    with whole_file(path) as temporary, plain_path(temporary) as plain, tf.io.TFRecordWriter(plain) as writer:
        for index in range(shard.start, shard.stop):
            name, files, scalars = source.names[index], source.files(index), source.scalars(index)
            source.whole(index)  # raises for a pair that cannot be trained on
            record = record_of(name, files, data, scalars)
            if len(record) != length_of_record(name, files, data, scalars):
                raise UserError(f"Files must stay the same while they are packed. Received {name}. Start again.")
            writer.write(record)
            rows.append((offset + FRAME_BYTES[0], len(record), zlib.crc32(record)))
            offset += len(record) + sum(FRAME_BYTES)
    return rows


def _digest_at(folder: Path) -> str | None:
    try:
        return parse_json((folder / FOLDER / DESCRIPTION).read_text(encoding="utf-8")).get("digest")
    except (OSError, ValueError, AttributeError):
        return None


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Every file must be readable. Received {path}: {error.strerror}. Replace or remove it."
        ) from error
