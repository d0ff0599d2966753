"""TFRecord shards: any pairs of files, as they are on disk, in a few large files that TensorFlow's file systems read.

`shards.json` says where in which shard each pair lies, so that step t reads its own pairs, in any order, from gs://,
s3:// or hdfs:// too; training from shards is training from the files, bit for bit. Each record is a
`tf.train.Example`: `name`, and `image` (a combined one) or `input` and `target`, each with its `…_suffix`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal

import tensorflow as tf
from pydantic import BaseModel, Field, ValidationError, model_validator

from tfpix2pix.config import Config, DataConfig
from tfpix2pix.data import SOURCES
from tfpix2pix.data.cache import Cache
from tfpix2pix.data.guess import SHARDS_MANIFEST
from tfpix2pix.data.images import read_image
from tfpix2pix.data.opening import open_source, splits_of
from tfpix2pix.data.pairs import Pair, Source, checked
from tfpix2pix.data.sources import halves
from tfpix2pix.data.splits import data_path, seeded_split
from tfpix2pix.errors import RunError, UserError, within
from tfpix2pix.files import safe_file_name, whole_directory

FRAME_BYTES = (12, 4)  # of TFRecord: length and its checksum before the data, the data's checksum after
ALL = "all"  # the split of data that nothing divides: the seed does, when they are read
KEYS = {1: ("image",), 2: ("input", "target")}  # of a record, by files a pair


class SplitIndex(BaseModel):
    """Says where the pairs of a split lie; each list has one value for each pair."""

    names: list[str]
    shard: list[Annotated[int, Field(ge=0)]]
    offset: list[Annotated[int, Field(ge=0, lt=2**50)]]
    length: list[Annotated[int, Field(ge=0, lt=2**31)]]
    crc32: list[int]

    @model_validator(mode="after")
    def _of_one_length(self) -> SplitIndex:
        lengths = {len(getattr(self, key)) for key in type(self).model_fields}
        within(len(lengths) == 1, "The lists of a split", "of one length", sorted(lengths))
        return self

    def of(self, names: Container[str]) -> SplitIndex:
        """The pairs of these names alone."""
        kept = [index for index, name in enumerate(self.names) if name in names]
        return SplitIndex.model_construct(**{key: [values[i] for i in kept] for key, values in self})


class ShardManifest(BaseModel):
    """Holds `shards.json`. A shard's name is a name, so it leads to no other folder."""

    format_version: Literal[1]
    files_a_pair: Literal[0, 1, 2]
    shards: list[Annotated[str, Field(pattern=r"^\w[\w.-]*$")]]
    splits: dict[str, SplitIndex]

    @model_validator(mode="after")
    def _shards_are_named(self) -> ShardManifest:
        last = max((shard for part in self.splits.values() for shard in part.shard), default=-1)
        within(last < len(self.shards), "The number of a pair's shard", f"below {len(self.shards)}", last)
        within(last < 0 or self.files_a_pair > 0, "`files_a_pair`", "1 or 2", self.files_a_pair)
        return self


def shards(config: DataConfig, split: str, seed: int) -> Source:
    """The pairs of a folder that `write_shards` wrote."""
    folder = config.dir or str(data_path(config))  # which says that one must be given
    manifest = _manifest(folder)
    part = manifest.splits.get(split)
    if ALL in manifest.splits:
        part = manifest.splits[ALL]
        part = part.of(set(seeded_split(part.names, split, config.seed_of_split(seed), config.held_out_fraction)))
    if part is None or not part.names:
        if split == "train":
            raise UserError(f"There must be pairs to train on. Received none in {folder}. Check `data.dir`.")
        return Source([], lambda index: ())  # nothing to read
    cache = Cache(config.cache_files_mb)

    def record(index: int) -> bytes:
        path, length = _join(folder, manifest.shards[part.shard[index]]), part.length[index]
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                file.seek(min(part.offset[index], file.size()))
                data = file.read(min(length, file.size()))  # TensorFlow takes memory for all that is asked for
        except tf.errors.OpError as error:
            raise UserError(f"A shard must be readable. Received {path}: {error.message}. Check it.") from error
        if len(data) != length or zlib.crc32(data) != part.crc32[index]:
            raise UserError(
                f"A shard must be as it was written. Received {path}, of which the pair {part.names[index]!r} is "
                f"damaged. Copy it again.", "unreadable",
            )  # fmt: skip
        return data

    def read(index: int) -> Pair:
        features = tf.train.Example.FromString(cache.get(index, lambda: record(index), len)).features.feature
        where = Path(folder) / safe_file_name(part.names[index])
        images = []
        for key, classes in zip(KEYS[manifest.files_a_pair], config.classes, strict=False):
            suffix, data = (features[name].bytes_list.value[0] for name in (f"{key}_suffix", key))
            path = where.with_name(safe_file_name(where.name + suffix.decode()))
            indices = classes is not None and key != "image"
            images.append(read_image(path, indices=indices, read_bytes=lambda path, data=data: data))
        return halves(images[0], config, where) if len(images) == 1 else checked(images, config, where)

    return Source(part.names, read)


def write_shards(
    config: Config,
    out: str,
    *,
    shard_mb: int = 128,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> dict[str, int]:
    """Writes all splits of given pairs as shards of about `shard_mb` MB into the folder `out`; returns pairs by split.

    Raises:
        UserError: inputs are made on the fly, a file is not there, or `out` is taken.
        RunError: the disk or the remote store does not take it.
    """
    if config.data.makes_inputs or config.data.source == "shards":
        how = "Write pairs with `tfpix2pix data pairs` first" if config.data.makes_inputs else "Name the files' folder"
        raise UserError(f"Shards must be made of files of pairs. Received `data.source: {config.data.source}`. {how}.")
    sources = _parts(config)
    total = sum(len(source) for source in sources.values())
    with _empty_folder(out) as folder, closing(_Writer(folder, shard_mb)) as writer:
        items = ((split, source, index) for split, source in sources.items() for index in range(len(source)))
        for split, source, index in track(items, total):
            source.read(index)  # what cannot be trained on shall not be packed
            writer.write(split, source.names[index], source.files(index))
        writer.finish()
    return {split: len(source) for split, source in sources.items()}


def _parts(config: Config) -> dict[str, Source]:
    """The splits that hold pairs; all pairs as one where nothing but the seed divides them."""
    whole, halved = (
        config.model_copy(update={"data": config.data.model_copy(update={"held_out_fraction": share})})
        for share in (0.0, 0.5)
    )
    listed = [len(SOURCES[each.data.source](each.data, "train", each.seed)) for each in (whole, halved)]
    if listed[1] < listed[0]:
        return {ALL: open_source(whole, "train")}
    return {split: source for split, source in splits_of(whole).items() if len(source)}


class _Writer:
    """Appends pairs to shards, a new one where a split begins or `shard_mb` is passed, and notes where each lies."""

    def __init__(self, folder: str, shard_mb: int) -> None:
        self.folder, self.shard_bytes = folder, shard_mb * 2**20
        self.shards: list[str] = []
        self.splits: dict[str, dict[str, list]] = {}
        self.files_a_pair = 0
        self._file: tf.io.TFRecordWriter | None = None
        self._offset = 0

    def write(self, split: str, name: str, files: tuple[Path, ...]) -> None:
        part = self.splits.setdefault(split, {key: [] for key in ("names", "shard", "offset", "length", "crc32")})
        if not part["names"] or self._offset > self.shard_bytes:
            self.close()
            self.shards.append(f"{split}-{sum(shard.startswith(split) for shard in self.shards):05d}.tfrecord")
            self._file, self._offset = tf.io.TFRecordWriter(_join(self.folder, self.shards[-1])), 0
        self.files_a_pair = len(files)
        features = {"name": name.encode()}
        for key, path in zip(KEYS[len(files)], files, strict=True):
            features |= {key: _bytes_of(path), f"{key}_suffix": path.suffix.encode()}
        feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[features[key]])) for key in features}
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        data = example.SerializeToString(deterministic=True)
        self._file.write(data)
        row = (name, len(self.shards) - 1, self._offset + FRAME_BYTES[0], len(data), zlib.crc32(data))
        for values, value in zip(part.values(), row, strict=True):
            values.append(value)
        self._offset += len(data) + sum(FRAME_BYTES)

    def finish(self) -> None:
        """Writes the manifest, last: without it there are no shards."""
        self.close()
        manifest = {
            "format_version": 1,
            "files_a_pair": self.files_a_pair,
            "shards": self.shards,
            "splits": self.splits,
        }
        with tf.io.gfile.GFile(_join(self.folder, SHARDS_MANIFEST), "w") as file:
            file.write(json.dumps(manifest))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def _empty_folder(out: str) -> Iterator[str]:
    """A folder to fill: on a disk a temporary one that takes its name when whole, elsewhere `out` itself."""
    try:
        if tf.io.gfile.exists(out) and not (tf.io.gfile.isdir(out) and not tf.io.gfile.listdir(out)):
            raise UserError(f"Shards must go into a new folder. Received {out}, which holds something. Change --out.")
        if "://" in out:
            tf.io.gfile.makedirs(out)
            yield out
        else:
            with whole_directory(Path(out)) as temporary:
                yield str(temporary)
    except tf.errors.OpError as error:
        raise RunError(
            f"Shards must be written whole. Received: {error.message.splitlines()[0]} for {out}. Free space or choose "
            f"another place; for gs://, s3:// and hdfs:// see that it can be reached and `tensorflow-io` is installed."
        ) from error


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Every file must be readable. Received {path}: {error.strerror}. Mend or remove it."
        ) from error


def _manifest(folder: str) -> ShardManifest:
    path = _join(folder, SHARDS_MANIFEST)
    try:
        with tf.io.gfile.GFile(path, "r") as file:
            return ShardManifest.model_validate_json(file.read())
    except tf.errors.OpError as error:
        reason = error.message
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"in {SHARDS_MANIFEST} {'.'.join(map(str, first['loc'])) or 'the whole'} does not fit ({first['msg']})"
    raise UserError(
        f"`data.dir` must be a folder of shards that `tfpix2pix data shard` wrote. Received {folder}: {reason}. Check "
        f"the path, or name another `data.source`."
    )


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
