"""Keras's `.keras` and HDF5 files opened with care: no code, no other files, no arrays beyond their bytes."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras

from tfpix2pix.foreign import parse_json, read_member

# What a model's configuration may name: whatever else is there is not opened. By names, because Keras finds classes by
# module and name, functions among them.
MODELS = "Functional Sequential Model"
LAYERS = """
    Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D
    BatchNormalization CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose Cropping1D
    Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Flatten GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity InputLayer LayerNormalization LeakyReLU
    MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum Multiply PReLU Permute ReLU RepeatVector Rescaling
    Reshape Resizing SeparableConv1D SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization Subtract UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
"""
PARTS = """
    Constant DTypePolicy GlorotNormal GlorotUniform HeNormal HeUniform L1 L1L2 L2 LecunNormal LecunUniform MaxNorm
    MinMaxNorm NonNeg Ones Orthogonal Policy RandomNormal RandomUniform TruncatedNormal UnitNorm VarianceScaling Zeros
    __ellipsis__ __keras_tensor__ __slice__
"""
OPERATIONS = ("keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.image")  # modules of classes that compute
ACTIVATIONS = """
    elu exponential gelu hard_sigmoid leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu softmax softplus
    softsign swish tanh
"""
CLASSES, FUNCTIONS = frozenset((MODELS + LAYERS + PARTS).split()), frozenset(ACTIVATIONS.split())
CORE, COMPUTES = "keras.src.ops.core", ("Cast", "Slice", "StopGradient")  # the others of this module call functions
MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
MOST_EXPANSION = 100  # bytes in memory for one of the file: weights hardly compress
SPARED_BYTES = 2**20  # of a part, whatever its expansion


class UnsafeLayer(ValueError):
    """A layer that does more than compute."""


def load_keras_file(
    path: Path, *, custom_objects: Mapping[str, Any] | None = None, beside: Sequence[str] = (), trust: bool = False
) -> keras.Model:
    """Loads the model of a `.keras` file without compiling it.

    Args:
        custom_objects: classes by the names that the file has for them.
        beside: files that the archive may hold beside Keras's own.
        trust: load layers that run code of the file or read other files.

    Raises:
        UnsafeLayer: it has such layers.
        ValueError, KeyError, OSError, …: it is damaged; Keras and h5py have many.
    """
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if not trust and (strange := sorted(name for name in names - {*MEMBERS, *beside} if not name.endswith("/"))):
            raise UnsafeLayer(f"it has the file {strange[0]!r}, which no network needs")
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
    """Raises UnsafeLayer if a model's configuration names a class or function that is neither among `custom_objects`
    nor one of Keras's that compute and do nothing else."""
    for each in _objects(configuration):
        name, module = each["class_name"], each.get("module")
        if name == "function":
            known = each.get("config") in FUNCTIONS and module in (None, "builtins", "keras.activations")
        else:
            of_keras = module is None or module == "keras" or str(module).startswith("keras.")
            operation = (module in OPERATIONS and re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)) or (
                module == CORE and name in COMPUTES
            )
            known = name in custom_objects or (of_keras and (name in CLASSES or operation))
        if not known:
            what = f"the function {each.get('config')!r}" if name == "function" else f"{name} of {module or 'keras'}"
            raise UnsafeLayer(f"it has {what}, which is not among the layers that are opened")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the parts of a Keras configuration that name a class."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            if isinstance(each.get("class_name"), str):
                yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
