"""Writes pairs to disk: as two folders of PNG files, or as TFRecord shards, which `shards.py` reads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfpix2pix.data.guess import SHARDS_MANIFEST
from tfpix2pix.data.images import suffix_for, write_image
from tfpix2pix.data.opening import decided, splits_of
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.shard_job import FRAME_BYTES, manifest_of, parts_of, record_of, shard_name, write_by_workers
from tfpix2pix.data.shards import is_remote, join
from tfpix2pix.data.slices import check_no_slices
from tfpix2pix.data.splits import check_splits_of_folder
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.files import plain_path, safe_path, whole_directory

FOLDERS = ("input", "target")


def write_pairs(
    data: DataConfig,
    out: Path,
    seed: int = 0,
    *,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> dict[str, int]:
    """Writes `<out>/<split>/input/<name>` and `<out>/<split>/target/<name>` of every pair. Returns counts by split.

    Writes PNG, or TIFF for floats and more than four channels. A run on these files sees the same pairs that `data`
    makes during training, except for holes, which are those of the first epoch.

    Raises:
        UserError: a photograph cannot be read or is too small, or `out` exists.
        RunError: the files cannot be written to the disk. All of them are removed.
    """
    if out.exists():
        raise UserError(f"Pairs must go into a new folder. Received {out}, which exists. Change `out`.")
    for key in ("inputs", "targets"):
        if parts := getattr(data, key):
            raise UserError(
                f"`data pairs` must have {key} of one file each. Received `data.{key}` with {len(parts)} parts. Use "
                f"the files as they are, or `tfpix2pix data shard`."
            )
    if data.weight:
        raise UserError(
            f"`data pairs` must have pairs whose pixels all count. Received `data.weight: {data.weight}`. Use the "
            f"files as they are, or `tfpix2pix data shard`."
        )
    check_splits_of_folder(data)
    sources = splits_of(decided(data, seed), seed)
    with whole_directory(out) as folder:
        items = ((split, source, index) for split, source in sources.items() for index in range(len(source)))
        for split, source, index in track(items, sum(map(len, sources.values()))):
            for name, image in zip(FOLDERS, source.read(index), strict=True):
                suffix = suffix_for(image.shape[-1], image.dtype)
                write_image(folder / split / name / f"{safe_path(source.names[index])}{suffix}", image)
    return {split: len(source) for split, source in sources.items() if len(source)}


def write_shards(
    data: DataConfig,
    out: str,
    seed: int = 0,
    *,
    shard_mb: int = 128,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
    run: Callable[..., list[Any]] | None = None,
) -> dict[str, int]:
    """Writes all splits of pairs in files as shards of about `shard_mb` MB into the folder `out`. Returns counts
    of pairs by split.

    Args:
        run: writes shards by workers, a shard each at a time, as `EngineRow.run` with its options; None: here. A job
            that was killed goes on if it is started again.

    Raises:
        UserError: inputs are made during training, a file is missing, or `out` is not empty.
        RunError: the disk or the remote store cannot be written.
    """
    if data.makes_inputs or data.source == "shards":
        how = "Write pairs with `tfpix2pix data pairs` first" if data.makes_inputs else "Name the files' folder"
        raise UserError(f"Shards must be made from pairs in files. Received `data.source: {data.source}`. {how}.")
    check_splits_of_folder(data)
    data = decided(data, seed)
    sources = parts_of(data, seed)
    for source in sources.values():
        check_no_slices(source, "Shards")
    if run is not None:
        write_by_workers(run, data, out, seed, shard_mb, sources)
        return {split: len(source) for split, source in sources.items()}
    total = sum(len(source) for source in sources.values())
    with _empty_folder(out) as folder, closing(_Writer(folder, shard_mb, data)) as writer:
        items = ((split, source, index) for split, source in sources.items() for index in range(len(source)))
        for split, source, index in track(items, total):
            source.whole(index)  # raises for a pair that cannot be trained on
            writer.write(split, source.names[index], source.files(index), source.scalars(index))
        writer.finish()
    return {split: len(source) for split, source in sources.items()}


class _Writer:
    """Appends pairs to shards and records their positions. Starts a new shard for each split and after `shard_mb`."""

    def __init__(self, folder: str, shard_mb: int, data: DataConfig) -> None:
        self.folder, self.shard_bytes, self.data = folder, shard_mb * 2**20, data
        self.shards: list[str] = []
        self.splits: dict[str, dict[str, list]] = {}
        self.files_a_pair = 0
        self._file: tf.io.TFRecordWriter | None = None
        self._offset = 0

    def write(self, split: str, name: str, files: tuple[Path, ...], scalars: tuple[float, ...] = ()) -> None:
        part = self.splits.setdefault(split, {key: [] for key in ("names", "shard", "offset", "length", "crc32")})
        if not part["names"] or self._offset > self.shard_bytes:
            self.close()
            self.shards.append(shard_name(split, self.shards))
            self._file, self._offset = tf.io.TFRecordWriter(join(self.folder, self.shards[-1])), 0
        self.files_a_pair = len(files)
        record = record_of(name, files, self.data, scalars)
        self._file.write(record)
        row = (name, len(self.shards) - 1, self._offset + FRAME_BYTES[0], len(record), zlib.crc32(record))
        for values, value in zip(part.values(), row, strict=True):
            values.append(value)
        self._offset += len(record) + sum(FRAME_BYTES)

    def finish(self) -> None:
        """Writes the manifest. It comes last, because without it the folder does not count as shards."""
        self.close()
        manifest = manifest_of(self.files_a_pair, self.shards, self.data, self.splits)
        with tf.io.gfile.GFile(join(self.folder, SHARDS_MANIFEST), "w") as file:
            file.write(json.dumps(manifest))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def _empty_folder(out: str) -> Iterator[str]:
    """Yields an empty folder: on a disk a temporary one, renamed to `out` when complete, elsewhere `out` itself."""
    try:
        if _holds_something(out):
            raise UserError(f"Shards must go into a new folder. Received {out}, which is not empty. Change `out`.")
        if is_remote(out):
            tf.io.gfile.makedirs(out)
            yield out
        else:
            with whole_directory(Path(out)) as temporary, plain_path(temporary) as plain:
                yield plain
    except tf.errors.OpError as error:
        raise RunError(
            f"Shards must be written whole. Received: {error.message.splitlines()[0]} for {out}. Free space or choose "
            f"another place. For gs://, s3:// and hdfs://, check the connection and that `tensorflow-io` is installed."
        ) from error


def _holds_something(out: str) -> bool:
    """Returns True for a file, and for a folder that is not empty, on a disk or in a remote store."""
    if not is_remote(out):
        path = Path(out)
        return path.exists() and not (path.is_dir() and not any(path.iterdir()))
    return tf.io.gfile.exists(out) and not (tf.io.gfile.isdir(out) and not tf.io.gfile.listdir(out))
