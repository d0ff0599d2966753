"""Reads pairs from TFRecord shards, a few large files with the pairs' files as they are on disk.

`shards.json` has the shard and offset of each pair, so that a step can read its pairs in any order, also from gs://,
s3:// or hdfs://. Training from shards equals training from the files, bit for bit. Each record is a
`tf.train.Example`: `name`, and `image` (a combined one) or `input`, `target` and perhaps `weight`, each with its
`…_suffix`, and the numbers of an input as `scalars`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Container
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from pydantic import BaseModel, Field, ValidationError, model_validator

from tfpix2pix.data.formats import Palette
from tfpix2pix.data.guess import SHARDS_MANIFEST, guess_source, settings_of
from tfpix2pix.data.images import Cache, read_image
from tfpix2pix.data.labels import palettes_as
from tfpix2pix.data.pairs import Pair, Source, Weighted
from tfpix2pix.data.parts import MOST_PARTS
from tfpix2pix.data.scalars import in_order_of_parts, scalar_parts
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.sources import halves
from tfpix2pix.data.splits import data_path, names_of_split
from tfpix2pix.data.stacks import stacked, stacked_targets
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.data.weights import checked_whole
from tfpix2pix.errors import UserError, shortly, within
from tfpix2pix.files import safe_file_name
from tfpix2pix.safe_files import open_regular_file, parse_json

ALL = "all"  # the split of undivided data, which the seed divides when they are read
MOST_FILES = 1 + 2 * MOST_PARTS  # of a pair
SCALARS, SCALAR_TYPE = "scalars", "<f8"  # key and type of the numbers of a pair, in the order of `data.inputs`


def keys_of(files_a_pair: int, has_weights: bool = False, targets: int = 1) -> tuple[str, ...]:
    """Returns the keys of a pair's record: its only file, or those of the input, of the target and of the weights."""
    if files_a_pair == 1:
        return ("image",)
    sides = {"input": files_a_pair - targets - has_weights, "target": targets}
    keys = (side if number == 1 else f"{side}{number}" for side in sides for number in range(1, sides[side] + 1))
    return (*keys, *["weight"] * has_weights)


class SplitIndex(BaseModel):
    """Holds the positions of a split's pairs in the shards. Each list has one value per pair."""

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

    def subset(self, names: Container[str]) -> SplitIndex:
        """Returns an index of only the pairs with these names."""
        kept = [index for index, name in enumerate(self.names) if name in names]
        return SplitIndex.model_construct(**{key: [values[i] for i in kept] for key, values in self})


class ShardManifest(BaseModel):
    """Holds the content of `shards.json`. Names of shards are checked, so they cannot lead to another folder."""

    format_version: Literal[1]
    files_a_pair: Annotated[int, Field(ge=0, le=MOST_FILES)]
    shards: list[Annotated[str, Field(pattern=r"^\w[\w.-]*$")]]
    inputs: list[str] = []  # names of the parts of `data.inputs`, in the order of their files
    targets: list[str] = []  # the same of `data.targets`
    has_weights: bool = False  # the last file of a pair has the weights of its pixels
    scalars: Annotated[int, Field(ge=0, le=MOST_PARTS)] = 0  # numbers of a pair
    splits: dict[str, SplitIndex]

    @model_validator(mode="after")
    def _shards_are_named(self) -> ShardManifest:
        last = max((shard for part in self.splits.values() for shard in part.shard), default=-1)
        within(last < len(self.shards), "The number of a pair's shard", f"below {len(self.shards)}", last)
        least = len(self.targets) + 1 if self.targets else 1
        within(last < 0 or self.files_a_pair >= least, "`files_a_pair`", f"{least} or more", self.files_a_pair)
        return self


def shards(config: DataConfig, split: str, seed: int) -> Source:
    """Opens a split of the shards that `write_shards` wrote."""
    folder = config.dir or str(data_path(config))  # raises the error of a missing folder
    manifest = _manifest(folder)
    part = manifest.splits.get(split)
    if ALL in manifest.splits:
        part = manifest.splits[ALL]
        part = part.subset(set(names_of_split(part.names, split, config, seed)))
    if part is None or not part.names:
        if split == "train" and not any(other.names for other in manifest.splits.values()):
            raise UserError(f"There must be pairs to train on. Received none in {folder}. Check `data.dir`.")
        return Source([], lambda index: (), divided=ALL not in manifest.splits)  # nothing to read
    numbers = len(scalar_parts(config))
    of_targets = [part.name for part in config.targets or ()]
    if of_targets != manifest.targets:
        raise UserError(
            f"Shards must be read with the `data.targets` with which they were written, "
            f"{' and '.join(manifest.targets) or 'none'} here. Received {' and '.join(of_targets) or 'none'} for "
            f"{folder}. Set `data.targets` to these, or write the shards again."
        )
    count = len(of_targets) or 1  # files of a target
    images, expected = manifest.files_a_pair - manifest.has_weights - count + 1, len(config.inputs or ()) - numbers + 1
    keys = keys_of(manifest.files_a_pair, manifest.has_weights, count)
    names = [part.name for part in config.inputs or ()]
    if weight_folder(config) and not manifest.has_weights:
        raise UserError(
            f"With `data.weight: {config.weight}` the shards must hold the weights. Received {folder} without. Write "
            f"them again with the same `data.weight`, or leave it out."
        )
    if config.inputs and images != expected:
        raise UserError(
            f"With `data.inputs` the shards must hold a file of each part and of the target, {expected} here. Received "
            f"{images} in {folder}. Write them again with the same `data.inputs`."
        )
    differ = images > 2 and (not names or manifest.inputs not in ([], names))  # older shards have no names
    if manifest.inputs != names if manifest.scalars or numbers else differ:
        given = " and ".join(names) or "none"
        written = " and ".join(manifest.inputs) or (f"{images - 1} files of each input" if images > 2 else "none")
        raise UserError(
            f"Shards must be read with the `data.inputs` with which they were written, {written} here. Received "
            f"{given} for {folder}. Set `data.inputs` to these."
        )
    cache = Cache(config.cache_files_mb)

    def record(index: int) -> bytes:
        path, length = join(folder, manifest.shards[part.shard[index]]), part.length[index]
        try:
            data = _read(path, part.offset[index], length)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"A shard must be readable. Received {path}: {_reason(error)}. Check it.") from error
        if len(data) != length or zlib.crc32(data) != part.crc32[index]:
            raise UserError(
                f"A shard must be as it was written. Received {path}, in which the pair {part.names[index]!r} is "
                f"damaged. Copy it again.", "unreadable",
            )  # fmt: skip
        return data

    def path_of(index: int) -> Path:
        return Path(folder) / safe_file_name(part.names[index])

    def features_of(index: int) -> tuple[list[tuple[str, bytes]], tuple[float, ...]]:
        """Returns the suffix and content of a pair's files, and its numbers."""
        pair_path = path_of(index)
        try:
            features = tf.train.Example.FromString(cache.get(index, lambda: record(index), len)).features.feature
            files = [
                (features[f"{key}_suffix"].bytes_list.value[0].decode(), features[key].bytes_list.value[0])
                for key in keys
            ]
            content = features[SCALARS].bytes_list.value[0] if numbers else b""
            if len(content) != numbers * np.dtype(SCALAR_TYPE).itemsize:
                raise IndexError
        except (DecodeError, IndexError, UnicodeDecodeError) as error:
            raise UserError(
                f"A shard must hold the files of pairs. Received {pair_path}, a record of something else. Write the "
                f"shards again with `tfpix2pix data shard`.",
                "unreadable",
            ) from error
        return files, tuple(np.frombuffer(content, SCALAR_TYPE).tolist())

    def opened(index: int) -> tuple[list[Path], Callable[[int, Palette], np.ndarray], tuple[float, ...]]:
        """Returns the paths of a pair's files, a function that reads one of them, and the pair's numbers."""
        pair_path, (files, scalars) = path_of(index), features_of(index)
        paths = [pair_path.with_name(safe_file_name(pair_path.name + suffix)) for suffix, _ in files]

        def image_of(number: int, palette: Palette) -> np.ndarray:
            content, most = files[number][1], config.max_megapixels
            return read_image(paths[number], palette=palette, read_bytes=lambda path: content, max_megapixels=most)

        return paths, image_of, scalars

    def parts_of(index: int) -> list[np.ndarray | float]:
        """Returns the parts of an input: images as files hold them, and numbers."""
        _, image_of, scalars = opened(index)
        of_files = [part for part in config.inputs if part.row.in_files]
        parts = [image_of(number, part.row.palette(part, config)) for number, part in enumerate(of_files)]
        return in_order_of_parts(parts, scalars, config)

    def unpacked(index: int) -> tuple[Pair, list[tuple[np.ndarray, Path]]]:
        """Returns the images of a pair, and the weights with their file if they lie in one."""
        pair_path, (paths, image_of, _) = path_of(index), opened(index)
        if len(paths) == 1:
            return halves(image_of(0, "colors"), config, pair_path), []
        weights = [(image_of(-1, "indices"), paths[-1])] if weight_folder(config) else []
        of_input, of_target = palettes_as(config)
        if config.inputs:
            where = in_order_of_parts(paths[: images - 1], [pair_path] * numbers, config)
            image = stacked(parts_of(index), config, where)
        else:
            image = image_of(0, of_input)
        if not config.targets:
            return (image, image_of(images - 1, of_target)), weights
        of_parts = [
            image_of(number, part.row.palette(part, config)) for number, part in enumerate(config.targets, images - 1)
        ]
        return (image, stacked_targets(of_parts, config, paths[images - 1 :][:count])), weights

    def whole(index: int) -> Pair | Weighted:
        pair, weights = unpacked(index)
        return checked_whole(pair, config, path_of(index), None, *weights)

    return Source.reading(
        part.names,
        whole,
        config,
        digests=[f"{crc32:08x}" for crc32 in part.crc32],
        stored=lambda index, side: unpacked(index)[0][side],
        divided=ALL not in manifest.splits,
        scalars=lambda index: features_of(index)[1],
        parts=parts_of if config.inputs else None,
    )


def _manifest(folder: str) -> ShardManifest:
    path = join(folder, SHARDS_MANIFEST)
    local = Path(folder).expanduser()
    if not is_remote(folder) and local.is_dir() and not (local / SHARDS_MANIFEST).exists():
        advice = settings_of(guess_source(local) or {"source": "combined"})
        raise UserError(
            f"`data.dir` must be a folder of shards that `tfpix2pix data shard` wrote. Received {folder} without "
            f"{SHARDS_MANIFEST}. Name such a folder, or to read pairs in files add `{advice}`."
        )
    try:
        return ShardManifest.model_validate(parse_json(_read(path)))
    except (OSError, tf.errors.OpError) as error:
        reason = _reason(error)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"in {SHARDS_MANIFEST} {'.'.join(map(str, first['loc'])) or 'the whole'} does not fit ({first['msg']})"
    except ValueError as error:
        reason = f"{SHARDS_MANIFEST} is not JSON ({shortly(error)})"
    raise UserError(
        f"`data.dir` must be a folder of shards that `tfpix2pix data shard` wrote. Received {folder}: {reason}. Check "
        f"the path, or name another `data.source`."
    )


def _read(path: str, offset: int = 0, length: int | None = None) -> bytes:
    """Reads bytes of a file, remote or not. Raises OSError or TensorFlow's OpError."""
    if is_remote(path):
        with tf.io.gfile.GFile(path, "rb") as file:
            return _part(file, file.size(), offset, length)
    with open_regular_file(Path(path).expanduser()) as file:  # takes any name, which TensorFlow does not
        return _part(file, os.fstat(file.fileno()).st_size, offset, length)


def _part(file: Any, size: int, offset: int, length: int | None) -> bytes:
    file.seek(min(offset, size))
    return file.read(size if length is None else min(length, size))  # memory is allocated for all requested bytes


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, tf.errors.OpError) else error.strerror or str(error)


def is_remote(path: str) -> bool:
    """Returns True for a URL, gs://, s3:// or hdfs://, which TensorFlow opens."""
    return "://" in path


def join(folder: str, name: str) -> str:
    """Joins a folder, which may be a URL, and a file name."""
    return f"{folder.rstrip('/')}/{name}"
