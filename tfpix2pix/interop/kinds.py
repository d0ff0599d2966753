"""Detects the kind of weights at a path from names and first bytes. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.safe_files import parse_json

PYTORCH_SUFFIXES = (".pth", ".pt", ".safetensors")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")


def is_pytorch(path: Path) -> bool:
    return path.is_file() and path.suffix in PYTORCH_SUFFIXES


def is_keras(path: Path) -> bool:
    return (path.is_file() and path.suffix in KERAS_SUFFIXES) or (path / "saved_model.pb").is_file()


def is_tfjs(path: Path) -> bool:
    file = model_json(path)
    if not file.is_file():
        return False
    try:
        return "weightsManifest" in parse_json(file.read_bytes())
    except ValueError:
        return file.name == "model.json"  # a damaged file, for which the reader raises the error


def is_tf1(path: Path) -> bool:
    return _names_of(path, b"encoder_1")  # not the whole name: an index leaves out a prefix that names share


def is_tutorial(path: Path) -> bool:
    return _names_of(path, b"_CHECKPOINTABLE_OBJECT_GRAPH")


def model_json(path: Path) -> Path:
    """Returns the model.json in a folder, or the path itself."""
    return path / "model.json" if path.is_dir() else path


def checkpoint_prefix(path: Path) -> Path:
    """Returns the path of a checkpoint's files without their endings, by which TensorFlow loads it.

    For a folder, it is that of the newest checkpoint in it.
    """
    if path.is_dir():
        named = _named_newest(path)
        indices = sorted(path.glob("[!.]*.index"), key=lambda file: file.stat().st_mtime)
        return named or (indices[-1].with_suffix("") if indices else path)
    for ending in (".index", ".meta"):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending))
    stem, _, data = path.name.partition(".data-")
    return path.with_name(stem) if data else path


def _named_newest(folder: Path) -> Path | None:
    """Returns the prefix of the checkpoint that the file `checkpoint` names, or None if it does not exist."""
    file = folder / "checkpoint"
    if not file.is_file():
        return None
    for line in file.read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == "model_checkpoint_path":
            prefix = folder / Path(value.strip().strip('"')).name  # its path may be of another machine
            return prefix if prefix.with_name(f"{prefix.name}.index").is_file() else None
    return None


def _names_of(path: Path, needle: bytes) -> bool:
    """Returns True if a checkpoint's index contains `needle` among the names of its variables."""
    prefix = checkpoint_prefix(path)
    index = prefix.with_name(f"{prefix.name}.index")
    return index.is_file() and needle in index.read_bytes()


def kind_of(path: Path, wanted: str | None) -> str:
    """Returns the row of `IMPORTERS` that reads a path. If `wanted` is set, it must be that row.

    Raises:
        UserError: the path does not exist, or no row or not the wanted one reads it.
    """
    from tfpix2pix.interop import IMPORTERS

    prefix = checkpoint_prefix(path)
    if wanted is not None and wanted not in IMPORTERS:
        raise UserError(unknown_name("`kind`", wanted, IMPORTERS))
    if not path.exists() and not prefix.with_name(f"{prefix.name}.index").is_file():
        raise UserError(
            f"Weights to import must be an existing file or folder. Received {path}, which does not exist. "
            f"Check the path."
        )
    kinds = [name for name, kind in IMPORTERS.items() if kind.recognizes(path)]
    if wanted in kinds:
        return wanted
    if wanted is not None:
        looks = f"looks like {kinds[0]}: {IMPORTERS[kinds[0]].title}" if kinds else "is of an unknown kind"
        raise UserError(f"`kind` {wanted} reads {IMPORTERS[wanted].title}. Received {path}, which {looks}. Change one.")
    if not kinds:
        raise UserError(
            f"Weights to import must be of a known kind: "
            f"{'; '.join(f'{name}: {kind.title}' for name, kind in IMPORTERS.items())}. Received {path}, of another "
            f"kind. Name another file, or its folder."
        )
    return kinds[0]
