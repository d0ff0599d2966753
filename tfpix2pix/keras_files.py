"""Keras's `.keras` and HDF5 files opened with care: no code, no other files, no more memory than their bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from tfpix2pix.foreign import parse_json, read_member

RUNS_CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "FlaxLayer", "JaxLayer"}
READS_FILES = {"TFSMLayer", "StringLookup", "IntegerLookup", "TextVectorization"}
MOST_EXPANSION = 100  # bytes in memory for one of the file: weights hardly compress
SPARED_BYTES = 2**20  # of a part, whatever its expansion


class UnsafeLayer(ValueError):
    """A layer that does more than compute."""


def load_keras_file(path: Path, *, custom_objects: Mapping[str, Any] | None = None, trust: bool = False) -> keras.Model:
    """Loads the model of a `.keras` file without compiling it.

    Args:
        custom_objects: classes by the names that the file has for them.
        trust: load layers that run code of the file or read other files.

    Raises:
        UnsafeLayer: it has such layers.
        ValueError, KeyError, OSError, …: it is damaged; Keras and h5py have many.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            check_expansion(member.filename, member.file_size, member.compress_size)
        if not trust:
            check_layers(parse_json(read_member(archive, "config.json")), custom_objects or {})
        for name in (each for each in archive.namelist() if each.endswith(".h5")):
            with archive.open(name) as file:
                check_hdf5(file)
    return keras.models.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=not trust)


def check_hdf5(file: Any) -> None:
    """Raises ValueError if an HDF5 file (path or open file) names data in other files, or claims more than it holds."""
    with h5py.File(file) as content:
        waiting, seen = [content["/"]], set()
        while waiting:
            group = waiting.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ValueError(f"its part {name!r} lies elsewhere")
                part = group[name]
                address = h5py.h5o.get_info(part.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(part, h5py.Group):
                    waiting.append(part)
                elif isinstance(part, h5py.Dataset):
                    if part.external or part.is_virtual:
                        raise ValueError(f"its part {name!r} lies elsewhere")
                    check_expansion(name, part.nbytes, part.id.get_storage_size())


def check_expansion(name: str, in_memory_bytes: int, stored_bytes: int) -> None:
    """Raises ValueError if a part of a file unpacks to far more than what is stored of it."""
    if in_memory_bytes > SPARED_BYTES + MOST_EXPANSION * stored_bytes:
        raise ValueError(f"its part {name!r} claims {in_memory_bytes / 1e6:.0f} MB and holds {stored_bytes} bytes")


def check_layers(configuration: Any, custom_objects: Mapping[str, Any]) -> None:
    """Raises UnsafeLayer if a model's configuration names a class that is neither of Keras nor among `custom_objects`,
    or one of Keras that runs code of the file or reads other files."""
    for each in _objects(configuration):
        name, module = each.get("class_name"), each.get("module") or "keras"
        registered = {name, each.get("registered_name")} & set(custom_objects)
        foreign = module.split(".")[0] not in ("keras", "builtins") and not registered
        if foreign or name in RUNS_CODE or name in READS_FILES:
            does = "read other files" if name in READS_FILES else "run code"
            raise UnsafeLayer(f"it has {name} of {module}, which can {does}")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the parts of a Keras configuration that name a class."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            if isinstance(each.get("class_name"), str) and isinstance(each.get("module"), (str, type(None))):
                yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
