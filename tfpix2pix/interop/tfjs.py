"""Reads TensorFlow.js layers models: `model.json` (topology and manifest) and its weight shards, float or quantised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError
from tfpix2pix.interop.addons import fill, model_of, unreadable, weights_of
from tfpix2pix.interop.kinds import model_json
from tfpix2pix.interop.weights import ForeignWeights, Unfit
from tfpix2pix.safe_files import parse_json, read_regular_file

DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32, "uint8": np.uint8, "uint16": np.uint16,
          "bool": np.uint8}  # fmt: skip


def read(path: Path, statistics: str | None) -> ForeignWeights:
    """Reads the generator of a model.json or its folder. Batch norms called as in training give `statistics: image`."""
    file = model_json(path)
    try:
        described = parse_json(file.read_bytes())
        topology = described["modelTopology"]
        topology = topology.get("model_config", topology)
        manifest = described["weightsManifest"]
        if not isinstance(topology, dict) or "class_name" not in topology:
            raise ValueError("it is a graph model, without layers")
        model = model_of(topology)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise unreadable(file, error) from error
    fill(model, dict(_arrays(manifest, file)))
    return weights_of(model, statistics)


def _arrays(manifest: list[dict[str, Any]], file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (name, array) from groups of shards. The shards of a group are one sequence of bytes."""
    for group in manifest:
        data = b"".join(_shard(file, name) for name in group["paths"])
        offset = 0
        for entry in group["weights"]:
            quantized = entry.get("quantization")
            kind = (quantized or entry)["dtype"]
            if kind not in DTYPES:
                raise Unfit(entry["name"], f"is of {kind}", ", ".join(DTYPES))
            dtype, count = np.dtype(DTYPES[kind]).newbyteorder("<"), int(np.prod(entry["shape"]))
            stop = offset + count * dtype.itemsize
            if stop > len(data):
                raise UserError(
                    f"Shards of weights must be whole. Received {file}, in which {entry['name']} ends at byte {stop} "
                    f"of {len(data)} in {', '.join(group['paths'])}. Download them again."
                )
            array = np.frombuffer(data[offset:stop], dtype).reshape(entry["shape"]).astype(np.float32)
            if quantized and "scale" in quantized:
                array = array * np.float32(quantized["scale"]) + np.float32(quantized["min"])
            yield entry["name"].removesuffix(":0"), array
            offset = stop


def _shard(file: Path, name: str) -> bytes:
    path = file.parent / name
    if not path.resolve().is_relative_to(file.parent.resolve()):
        raise UserError(
            f"The weight shards of a model.json must lie in its folder. Received {file}, which names {name!r}. "
            f"Move them there, and correct the names in it."
        )
    try:
        return read_regular_file(path)
    except OSError as error:
        raise UserError(
            f"A model.json must lie beside its weight shards. Received none at {path}: {error.strerror}. Move it there."
        ) from error
