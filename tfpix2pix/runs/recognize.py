"""Recognizes models: run directories and the export formats. Looks at names only, so it needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfpix2pix.errors import UserError
from tfpix2pix.export import EXPORTERS
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.pretrained import PRETRAINED, trained_path

RUN = "run"


@dataclass(frozen=True)
class Recognized:
    """Holds the kind of a model and the path that it is read from."""

    kind: str  # `run` or a row of `EXPORTERS`
    path: Path  # the newest version, if the user named a folder of a model's versions


def recognize(path: str | Path, also: str = "") -> Recognized:
    """Recognizes the model at a path. `load` takes the result.

    Args:
        also: end of the list of accepted kinds in the message, for callers that accept more.

    Raises:
        UserError: `path` is not a model. The message names models directly inside it, if there are some.
    """
    path = Path(path).expanduser()
    model = find_model(path)
    if model is not None:
        return model
    inside = sorted(str(child) for child in path.glob("[!.]*") if find_model(child)) if path.is_dir() else []
    if inside:
        advice = f"Did you mean {' or '.join(inside[:3])}?"
    else:
        advice = (
            f"Check the path, train one with `tfpix2pix train`, or take {' or '.join(PRETRAINED)}, which comes with "
            f"the package."
        )
    raise UserError(
        f"A model must be a run directory, a SavedModel folder, a .tflite, .keras or .onnx file, an exported "
        f"page{also}. Received {path}, which {'is not one of these' if path.exists() else 'does not exist'}. {advice}"
    )


def find_model(path: Path) -> Recognized | None:
    """Returns the model at a path, the newest version in a folder of versions as TF Serving takes it, the model of the
    package of that name, or None."""
    path = trained_path(path)
    for candidate in (path, _newest_version(path)):
        kind = None if candidate is None else _kind(candidate)
        if kind is not None:
            return Recognized(kind, candidate)
    return None


def model_at(path: Path) -> Path:
    """Returns `path`, or the newest version if it is a folder of a model's versions, as TF Serving takes it."""
    model = find_model(path)
    return path if model is None else model.path


def named_path(text: str, rule: str) -> tuple[str | None, Path]:
    """Splits `NAME=PATH`. Returns None as the name of `PATH` alone, and of a text that exists as a path.

    `rule` begins the error's message.
    """
    name, equals, path = text.partition("=")
    if equals and not path:
        raise UserError(f"{rule} NAME=PATH or PATH. Received {text!r}. Add the path.")
    if equals and name and not Path(text).expanduser().exists():
        return name, Path(path).expanduser()
    return None, Path(text).expanduser()


def _newest_version(path: Path) -> Path | None:
    versions = [child for child in path.iterdir() if child.name.isdigit()] if path.is_dir() else []
    return max(versions, key=lambda child: int(child.name), default=None)


def _kind(path: Path) -> str | None:
    if RunDirectory(path).is_run():
        return RUN
    return next((name for name, exporter in EXPORTERS.items() if exporter.recognizes(path)), None)
