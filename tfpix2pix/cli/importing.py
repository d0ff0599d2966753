"""Defines the command `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from tfpix2pix.cli import completion
from tfpix2pix.cli.shared import Json, answer, choice, names_options, size_of_option
from tfpix2pix.interop.kinds import kind_of
from tfpix2pix.quiet import load_tensorflow


@names_options(file="FILE", kind="--from", size_px="--size")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="latest_net_G.pth, .safetensors, .h5, .keras, a SavedModel folder, model.json, or a TensorFlow "
            "checkpoint (its folder, prefix or .index).",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run directory to create.")] = ...,
    from_: Annotated[
        Optional[str],
        typer.Option(
            "--from",
            help="Implementation that wrote the weights: pytorch, addons, "
            "tutorial, tf1 or tfjs; default: detected from the file.",
            autocompletion=completion.kinds,
        ),
    ] = None,
    discriminator: Annotated[
        Optional[Path],
        typer.Option(
            help="File of the discriminator (latest_net_D.pth) for pytorch. "
            "The other kinds hold both networks in one file."
        ),
    ] = None,
    statistics: Annotated[
        Optional[str],
        choice(
            ("image", "moving"),
            "Statistics of the batch norms: each image's own, or moving averages; default: the original's test mode.",
        ),
    ] = None,
    dropout: Annotated[
        Optional[bool],
        typer.Option(
            help="Treat a U-Net of pytorch as trained with dropout or without. "
            "Its weights do not show which; default: with dropout."
        ),
    ] = None,
    size: Annotated[
        Optional[str],
        typer.Option(
            help="Size of the training images, px: 256 for a square, or 512x1024 (height x width); default: as in the "
            "file, or 2^levels of a U-Net.",
        ),
    ] = None,
    name: Annotated[Optional[str], typer.Option(help="Name of the model; default: the file's name.")] = None,
    json_: Json = False,
) -> None:
    """Bring weights of PyTorch, tensorflow-addons, TensorFlow's tutorial, TF1 or TensorFlow.js into a run directory."""
    kind = kind_of(file, from_)
    size_px = None if size is None else size_of_option(size)
    load_tensorflow()
    from tfpix2pix.runs.import_weights import import_weights

    report = import_weights(
        file, out=out, kind=kind, discriminator=discriminator, statistics=statistics, dropout=dropout, size_px=size_px,
        name=name,
    )  # fmt: skip
    answer(json_, report.as_dict(), _table(report))


def _table(report) -> Table:
    error, field_px = report.max_abs_error, report.receptive_field_px
    statistics = "each image's own statistics" if report.statistics == "image" else "moving averages"
    rows = {
        "from": report.kind,
        "generator": report.architecture,
        "parameters": f"{report.parameters:,}",
        "discriminator": f"PatchGAN of {field_px} px" if field_px else "none",
        "batch norms use": statistics,
        "noise": f"{report.noise}, the default of translate",
        "compared with the original": (
            f"no: {report.runtime}"
            if error is None
            else f"max abs error {error:.1e} on [-1, 1], {report.max_error_levels:.2g} levels of 255, "
            f"{report.psnr_db:.1f} dB, from {report.runtime} in float64; the original in float32: "
            f"{report.original_max_abs_error:.1e}"
        ),
        **({"left out": "; ".join(report.notes)} if report.notes else {}),
        "run directory": report.path,
        "next": f"tfpix2pix export {report.path} --format saved_model",
    }
    table = Table(title="Imported", title_justify="left", show_header=False)
    for title, value in rows.items():
        table.add_row(title, value)
    return table
