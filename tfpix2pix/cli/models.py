"""`train`, `translate`, `export`, `presets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from tfpix2pix.cli.shared import (
    Json,
    Set,
    answer,
    check_choice,
    load_tensorflow,
    out_console,
    progress_console,
    track,
)
from tfpix2pix.errors import UserError
from tfpix2pix.presets import preset_names, preset_text

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A run directory, a SavedModel folder or a .tflite file.")]
Noise = Annotated[
    Optional[str], typer.Option(help="`on` or `off`: drop units by noise; default: as the model card says.")
]

Weights = Annotated[
    Optional[str],
    typer.Option(help="Of a run with training.ema_decay: `average`, the default, or `trained`, as the last step left."),
]
Best = Annotated[
    bool, typer.Option("--best", help="Of a run, the checkpoint that did best on held-out pairs; default: the newest.")
]


def train(
    config: Annotated[
        Optional[str], typer.Argument(metavar="PRESET|CONFIG.yaml", help="What to train; left out with --resume.")
    ] = None,
    run: Annotated[Optional[Path], typer.Option(help="Run directory to create: checkpoints, samples, metrics.")] = None,
    data: Annotated[Optional[str], typer.Option(help="Folder of the data, in place of data.dir.")] = None,
    set_: Set = None,
    strategy: Annotated[
        Optional[str],
        typer.Option(help="auto, one, mirrored (all GPUs) or multiworker (TF_CONFIG): training.strategy."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace a run that is there.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print configuration, layers, parameters, FLOPs; write nothing, need no data."),
    ] = False,
) -> None:
    """Train a generator on pairs."""
    from tfpix2pix.data import SOURCES
    from tfpix2pix.data.opening import check_readable
    from tfpix2pix.run_directory import run_config  # TensorFlow waits until the configuration is known to be sound
    from tfpix2pix.training.cluster import this_worker

    if run is None and not dry_run:
        look = "" if resume else ", or --dry-run to look first"
        raise UserError(f"A run directory must be given. Received none. Add --run DIR{look}.")
    overrides = [*(set_ or ()), *([f"training.strategy={strategy}"] if strategy else [])]
    resolved = run_config(config, run, data_dir=data, overrides=overrides, resume=resume, fresh=fresh)
    alone = this_worker(resolved.training.strategy).count == 1
    if alone and (resolved.data.dir or not dry_run):
        # Raises where there is nothing to train on, or its first pair does not fit.
        if resolved.data.source == "shards":
            load_tensorflow()  # without its notes
        source = SOURCES[resolved.data.source](resolved.data, "train", resolved.seed)
        check_readable(source, at_most=1 if resolved.data.on_error == "stop" else 0)
    load_tensorflow()
    if dry_run:
        from tfpix2pix.dry_run import describe

        out_console.print(describe(resolved, run))
        return
    from tfpix2pix import experiment

    result = experiment.train(resolved, run_dir=run, resume=resume, fresh=fresh, console=progress_console)
    if result.interrupted:
        out_console.print(f"Stopped at step {result.card.step}, saved. Continue: tfpix2pix train --run {run} --resume")
        return
    out_console.print(f"Run directory: {run}\nSample grids (input | output | target): {result.directory.samples}")


def translate(
    model: Model,
    inputs: Annotated[
        Optional[list[Path]], typer.Argument(metavar="INPUT...", help="Images and folders of them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the images: PNG, or TIFF of floats.")] = ...,
    data: Annotated[Optional[str], typer.Option(help="Folder of paired data, with --split.")] = None,
    split: Annotated[
        Optional[str], typer.Option(help="Translate the inputs of this split's pairs: train, val, test.")
    ] = None,
    noise: Noise = None,
    seed: Annotated[int, typer.Option(help="Of the noise.", min=0, max=2**31 - 1)] = 0,
    samples: Annotated[
        Optional[int], typer.Option(help="Write this many variants of each image, by noise.", min=1)
    ] = None,
    tile: Annotated[
        Optional[int],
        typer.Option(help="Go over large images in overlapping tiles of this side, px.", min=16),
    ] = None,
    enlarge: Annotated[
        int, typer.Option(help="Enlarge inputs this many times first: super-resolution.", min=1, max=16)
    ] = 1,
    best: Best = False,
    weights: Weights = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names.")] = False,
    json_: Json = False,
) -> None:
    """Translate images with a trained model, each into a file of its own size."""
    from tfpix2pix.data import SPLITS
    from tfpix2pix.recognize import recognize

    check_choice("--noise", noise, ("on", "off"))
    check_choice("--split", split, SPLITS)
    if bool(inputs) == bool(split) or (data and not split):
        received = "both" if inputs else "--data alone" if data else "neither"
        raise UserError(
            f"Either images or --split must say what to translate. Received {received}. "
            f"Name images or folders, or give --split (and --data) for the inputs of paired data."
        )
    if samples and (noise == "off" or tile):
        raise UserError(
            f"--samples must go with noise and without --tile. Received {'--tile' if tile else '--noise off'}. "
            f"Leave it out."
        )
    recognize(model)
    for path in inputs or ():
        if not path.exists():
            raise UserError(f"An input must be an image file or a folder. Received {path}, which does not exist.")
    load_tensorflow()
    from tfpix2pix.artefacts import load
    from tfpix2pix.translate import translate_files

    written = translate_files(
        load(model, best=best, weights=weights),
        inputs or (), out=out, data=data, split=split, noise=noise, seed=seed, samples=samples,
        tile_px=tile, enlarge=enlarge, overwrite=overwrite,
        track=track("translate"),
    )  # fmt: skip
    answer(json_, {"written": [str(path) for path in written]}, f"{len(written)} translated into {out}")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    format_: Annotated[str, typer.Option("--format", help="saved_model or tflite.")] = "saved_model",
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("export/models"),
    size: Annotated[
        Optional[int], typer.Option(help="tflite: height and width, px; default: training's.", min=1)
    ] = None,
    noise: Noise = None,
    best: Best = False,
    weights: Weights = None,
    json_: Json = False,
) -> None:
    """Export a trained generator, and measure that the export does what the generator does."""
    from tfpix2pix.recognize import check_export

    check_choice("--noise", noise, ("on", "off"))
    check_export(run, format_, noise=noise, size_px=size)
    load_tensorflow()
    from tfpix2pix.exporting import export_run

    report = export_run(run, format_, out, noise=noise, size_px=size, best=best, weights=weights)
    answer(json_, report.as_dict(), _parity_table(report))


def presets(
    name: Annotated[Optional[str], typer.Argument(help="Print this preset's YAML; without it, the names.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Print every key, its default and what it means.")] = False,
    json_: Json = False,
) -> None:
    """List the presets, or print one to start a configuration of your own from."""
    if keys:
        from tfpix2pix.resolve import describe_keys, explain_keys

        values = {key: {"default": default, "help": meaning} for key, default, meaning in describe_keys()}
        answer(json_, values, explain_keys())
        return
    if name:
        print(preset_text(name), end="")
        return
    first_lines = {preset: preset_text(preset).splitlines()[0].lstrip("# ") for preset in preset_names()}
    table = Table(box=None, show_header=False)
    for preset, line in first_lines.items():
        table.add_row(preset, line)
    answer(json_, first_lines, table)


def _parity_table(report) -> Table:
    table = Table(title="Parity with the Keras view", title_justify="left", show_header=False)
    keras_ms, export_ms = report.keras_latency_s * 1e3, report.latency_s * 1e3
    for name, value in {
        "format": report.format,
        "path": report.path,
        "images compared": report.images,
        "max abs error on [-1, 1]": f"{report.max_abs_error:.2e}",
        "PSNR, dB": f"{report.psnr_db:.1f}",
        "latency, ms an image": f"{export_ms:.1f} (the Keras view takes {keras_ms:.1f})",
        "size, MB": f"{report.size_mb:.1f}",
    }.items():
        table.add_row(name, str(value))
    return table
