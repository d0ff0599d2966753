"""Pairs packed into TFRecord shards, as `shards.py` reads them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import tensorflow as tf

from tfpix2pix.config import Config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.guess import SHARDS_MANIFEST
from tfpix2pix.data.opening import open_source, splits_of
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.shards import ALL, KEYS, join
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import whole_directory

FRAME_BYTES = (12, 4)  # of TFRecord: length and its checksum before the data, the data's checksum after


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
            self._file, self._offset = tf.io.TFRecordWriter(join(self.folder, self.shards[-1])), 0
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
        with tf.io.gfile.GFile(join(self.folder, SHARDS_MANIFEST), "w") as file:
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
