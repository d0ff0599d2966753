"""What a path holds: a run directory or one of the export formats. Looks at names only, so it needs no TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

from tfpix2pix.config.section import NAME
from tfpix2pix.errors import UserError, unknown_name
from tfpix2pix.export import EXPORTERS
from tfpix2pix.export.format import Options
from tfpix2pix.run_directory import RunDirectory

RUN = "run"


def recognize(path: Path, also: str = "") -> str:
    """`run` or a row of `EXPORTERS`; `also` is what else would have done, for the message.

    Raises:
        UserError: `path` is no model; names the models right inside it, where there are some.
    """
    kind = _kind(model_at(path))
    if kind is not None:
        return kind
    inside = sorted(str(child) for child in path.iterdir() if _kind(model_at(child))) if path.is_dir() else []
    if inside:
        advice = f"Did you mean {' or '.join(inside[:3])}?"
    else:
        advice = "Check the path, or train one with `tfpix2pix train`."
    raise UserError(
        f"A model must be a run directory, a SavedModel folder, a .tflite, .keras or .onnx file{also}. Received "
        f"{path}, which {'is not one of these' if path.exists() else 'does not exist'}. {advice}"
    )


def named_path(text: str, rule: str) -> tuple[str | None, Path]:
    """`PATH` or `NAME=PATH`; a path that exists is one, whatever is in it. `rule` begins the message."""
    name, equals, path = text.partition("=")
    if equals and not path:
        raise UserError(f"{rule} NAME=PATH or PATH. Received {text!r}. Add the path.")
    if equals and name and not Path(text).expanduser().exists():
        return name, Path(path).expanduser()
    return None, Path(text).expanduser()


def is_model(path: Path) -> bool:
    return _kind(model_at(path)) is not None


def model_at(path: Path) -> Path:
    """`path`; of a folder of a model's versions, as TF Serving takes it, the newest."""
    versions = [child for child in path.iterdir() if child.name.isdigit()] if path.is_dir() else []
    newest = max(versions, key=lambda child: int(child.name), default=path)
    return newest if _kind(path) is None and _kind(newest) else path


def _kind(path: Path) -> str | None:
    if RunDirectory(path).is_run():
        return RUN
    return next((name for name, exporter in EXPORTERS.items() if exporter.recognizes(path)), None)


def check_export(run_dir: str | Path, format: str, options: Options) -> None:
    """Raises UserError where a run cannot be exported so, before anything slow begins."""
    if format not in EXPORTERS:
        raise UserError(unknown_name("--format", format, EXPORTERS))
    if options.quantize not in EXPORTERS[format].quantizations:
        raise UserError(unknown_name(f"--quantize of {format}", options.quantize, EXPORTERS[format].quantizations))
    if options.image_dtype not in EXPORTERS[format].image_dtypes:
        raise UserError(unknown_name(f"--io of {format}", options.image_dtype, EXPORTERS[format].image_dtypes))
    directory = RunDirectory(run_dir)
    card = directory.card() if directory.is_run() else None
    if card is None:
        without = ", which has no model_card.json" if directory.is_run() else ""
        raise UserError(
            f"An export must be made from a run directory. Received {run_dir}{without}. Give the --run of a training."
        )
    if options.name is not None and not re.fullmatch(NAME, options.name):
        raise UserError(
            f"--name must be letters, digits, '.', '_' and '-': it names a file. Received {options.name!r}. Change it."
        )
    if options.size_px and not EXPORTERS[format].static:
        raise UserError(
            f"--size goes with a static format. Received it for {format}, which takes any size. Leave it out."
        )
    if options.noise == "on" and not card.noise_size:
        raise UserError(
            f"--noise on must have a generator with noise. Received {run_dir}, whose generator has none. Leave it out."
        )
