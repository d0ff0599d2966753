"""Defines the command `export`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.table import Table

from tfpix2pix.cli import completion
from tfpix2pix.cli.shared import Best, Json, Noise, Weights, answer, names_options, size_of_option
from tfpix2pix.errors import UserError
from tfpix2pix.quiet import load_tensorflow
from tfpix2pix.runs.pretrained import PRETRAINED
from tfpix2pix.size import SizePx

if TYPE_CHECKING:
    from tfpix2pix.data.settings import DataConfig
    from tfpix2pix.export.verify import ParityReport
    from tfpix2pix.runs.directory import RunDirectory

LEVELS = 127.5  # of 255, in a difference of 1 on [-1, 1]
USE = "tfpix2pix translate {path} image.png --out translated"  # a command that uses an export
PAGES = ("web", "html")
_OTHER_SIZES = " It scales images of other sizes to its own and back, so their translations differ more."
USES = {  # format -> another command
    "saved_model": f"{USE}    # for TF Serving: export/serving/README.md",
    "web": "python -m http.server --directory {path}    # then open http://localhost:8000",
    "html": "open {path} in a browser, or send it to anybody: the file needs nothing else",
}


@names_options(run="RUN", run_dir="RUN", size_px="--size", image_dtype="--io")
def export(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help=f"Run directory, or a model of the package: {', '.join(PRETRAINED)}."),
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="saved_model, tflite, keras, onnx or web (a page).", autocompletion=completion.formats
        ),
    ] = "saved_model",
    out: Annotated[
        Optional[Path], typer.Option(help="Folder to write into; default: export/models, web: export/site.")
    ] = None,
    quantize: Annotated[
        Optional[str],
        typer.Option(
            help="Quantisation of the weights: none (float32, the default), "
            "float16; saved_model: bfloat16; tflite, web: dynamic, "
            "int8 (calibrated on the run's pairs).",
            autocompletion=completion.quantizations,
        ),
    ] = None,
    size: Annotated[
        Optional[list[str]],
        typer.Option(
            help="Size for tflite, keras, onnx and web, px: 256 for a square, or 512x1024 (height x width); default: "
            "as in training. If repeated, one file for each.",
        ),
    ] = None,
    io: Annotated[
        str,
        typer.Option(
            help="Type of the image tensors: float32 in [-1, 1], or uint8 pixels (saved_model: of serving_default)."
        ),
    ] = "float32",
    target_mb: Annotated[
        Optional[float],
        typer.Option(help="Size limit of the file, MB. The most faithful quantisation within it is chosen.", min=0.01),
    ] = None,
    data: Annotated[
        Optional[Path],
        typer.Option(
            help="Folder of the run's data, if it has moved. The export uses it to calibrate int8 and to compare."
        ),
    ] = None,
    name: Annotated[
        Optional[str],
        typer.Option(help="Name of the model, which names the file or folder; default: the run's `name`."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of the same name.")] = False,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="web: one .html, which opens from a disk without a server.")
    ] = False,
    examples: Annotated[
        bool, typer.Option(help="web: put held-out inputs of the run's data into the page, to begin with.")
    ] = True,
    runtime: Annotated[
        Optional[Path],
        typer.Option(
            help="web: folder of the npm package @litertjs/core, unpacked; default: fetched once into the cache."
        ),
    ] = None,
    noise: Noise = None,
    best: Best = False,
    weights: Weights = None,
    json_: Json = False,
) -> None:
    """Export a trained generator, and measure how much the export's results differ from the generator's."""
    from tfpix2pix.export import Options
    from tfpix2pix.runs.directory import RunDirectory
    from tfpix2pix.runs.planned_export import check_export, free_path, planned_card

    if quantize and target_mb:
        raise UserError(f"--target-mb must go without --quantize. Received --quantize {quantize}. Leave one out.")
    if single_file and format_ not in PAGES:
        raise UserError(f"--single-file must go with --format web. Received --format {format_}. Leave one out.")
    format_ = "html" if single_file else format_
    out = out or Path("export/site" if format_ in PAGES else "export/models")
    sizes: list[SizePx | None] = list(dict.fromkeys(map(size_of_option, size or []))) or [None]
    if len(sizes) > 1 and format_ == "web":
        raise UserError(
            "--size must be given once for --format web, whose folder holds one model. Received it "
            f"{len(sizes)} times. Give each its own --out, or add --single-file."
        )
    requested = [Options(noise, side, quantize or "none", io, name, runtime) for side in sizes]
    for options in requested:
        check_export(run, format_, options)
        if not target_mb:  # all, before the first export begins
            free_path(planned_card(RunDirectory.trained(run), format_, options), format_, out, overwrite=overwrite)
    load_tensorflow()
    from tfpix2pix.runs.export import export_run
    from tfpix2pix.runs.export_within import as_rows, export_within

    shared = {
        "noise": noise, "image_dtype": io, "best": best, "weights": weights, "data": data, "name": name,
        "overwrite": overwrite, "runtime": runtime, "examples": examples,
    }  # fmt: skip
    reports, choices = [], []
    for side in sizes:
        if target_mb:
            report, choices = export_within(run, format_, out, target_mb, size_px=side, **shared)
        else:
            report = export_run(run, format_, out, size_px=side, quantize=quantize or "none", **shared)
        reports.append(report)
        if not json_:
            for part in _said(report, RunDirectory.trained(run), noise):
                answer(False, {}, part)
    budget = {"budget": [choice.as_dict() for choice in choices]} if choices else {}
    if format_ in PAGES and not json_:
        for note in notes_on_page(RunDirectory.trained(run).config().data, data, examples=examples):
            answer(False, {}, note)
    if json_:
        answer(True, {"exports": [report.as_dict() for report in reports], **budget}, "")
    elif choices:
        answer(False, {}, _table(f"Within {target_mb:g} MB", as_rows(choices)))


def _said(report: ParityReport, run: RunDirectory, noise: str | None) -> Iterator[str | Table]:
    """Yields what was written, how to use it, how near it is to the run, and the details."""
    from tfpix2pix.export import EXPORTERS
    from tfpix2pix.runs.planned_export import made_for_variety

    exporter = EXPORTERS[report.format]
    yield f"Written: {report.path}, {report.size_mb:.1f} MB"
    yield f"Use it:  {USES.get(report.format, USE).format(path=shlex.quote(report.path))}"
    yield f"{_nearness(report)}{_OTHER_SIZES * exporter.static}\n"
    if exporter.varies and noise is None and run.card().noise_size and not made_for_variety(run.config()):
        yield (
            "The page has one answer to each drawing, because the noise of this model changes little. --noise on adds "
            "other answers.\n"
        )
    yield _parity_table(report)


def notes_on_page(config: DataConfig, folder: Path | None, *, examples: bool) -> Iterator[str]:
    """Yields what whoever opens a page learns of the run's data. `folder`: where the data are now, if they moved."""
    place = folder or config.dir
    if examples and place and Path(place).expanduser().exists():
        yield "The page begins with held-out inputs of the data, for everyone to see. --no-examples leaves them out."
    if not config.terms:
        yield (
            "The page says that author and licence of the data are not stated. A training with --set "
            "data.attribution=… states them."
        )


def _nearness(report: ParityReport) -> str:
    """Returns how far an export's pictures may be from the run's, in plain words."""
    if report.max_error_levels is None:
        share = report.max_abs_error + report.keras_max_abs_error
        return f"At most {share:.2%} of the pixels of a label map have another class than by the run."
    # Both are known by their distance from the generator in float64. Rounding adds less than one level.
    levels = math.ceil(LEVELS * (report.max_abs_error + report.keras_max_abs_error))
    plural = "s" * (levels != 1)
    return f"Its pictures differ from the run's by at most {levels} level{plural} of 255 on {report.images} images."


def _parity_table(report: ParityReport) -> Table:
    table = Table(title="Compared with the run's generator in float64", title_justify="left", show_header=False)
    keras_ms, export_ms = report.keras_latency_s * 1e3, report.latency_s * 1e3
    rows = {
        "format": f"{report.format}, weights {'float32' if report.quantization == 'none' else report.quantization}",
        "images compared": report.images,
        **_differences(report),
        "PSNR, dB": f"{report.psnr_db:.1f}",
        "latency, ms an image": f"{export_ms:.1f} (the run takes {keras_ms:.1f})",
    }
    version = Path(report.path).name
    if report.format == "saved_model" and version.isdigit() and int(version) > 1:
        rows["TF Serving"] = f"serves version {version} once its models.config names it (export/serving/models.config)"
    if report.nodes is not None:
        rows["operations that XNNPACK accelerates"] = f"{report.delegated_nodes} of {report.nodes}"
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _differences(report: ParityReport) -> dict[str, str]:
    keras = f"(the run in float32: {report.keras_max_abs_error:.2e})"
    if report.max_error_levels is None:
        return {"share of pixels of another class": f"{report.max_abs_error:.2e} {keras}"}
    rows = {
        "max abs error on [-1, 1]": f"{report.max_abs_error:.2e} {keras}",
        "max abs error in levels of 255": f"{report.max_error_levels:.2g}",
    }
    if report.other_classes is not None:
        rows["share of pixels of another class"] = f"{report.other_classes:.2e}"
    return rows


def _table(title: str, rows: list) -> Table:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*row.values())
    return table
