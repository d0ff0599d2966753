"""Defines the commands `data download`, `data check`, `data match`, `data align`, `data pairs` and `data shard`."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from tfpix2pix.cli import completion
from tfpix2pix.cli.shared import (
    EngineOption,
    EngineOptions,
    Json,
    Set,
    answer,
    choice,
    names_options,
    out_console,
    progress_console,
    track,
)
from tfpix2pix.data import OPERATORS
from tfpix2pix.engines import ENGINES, LOCAL
from tfpix2pix.errors import UserError, listed
from tfpix2pix.parallel import evenly_spread
from tfpix2pix.quiet import load_tensorflow

if TYPE_CHECKING:
    from tfpix2pix.config import Config

ConfigOption = Annotated[
    Optional[str],
    typer.Option(
        "--config",
        metavar="PRESET|CONFIG.yaml",
        help="Preset or file that says how to read the data; default: detected from the folder.",
        autocompletion=completion.presets_and_files,
    ),
]
READING = {  # source -> keys that say how pairs lie in a folder
    "combined": ("source", "input_side"),
    "folders": ("source", "input_folder", "target_folder"),
}
PREVIEWED, LEFT_NAMED = 8, 12  # pairs of `data match`, and files left over
MOST_SHIFT_PX = 32
FOLDER = {"folder": "DIR", "data": "DIR"}  # arguments -> their name on the command line


@names_options(name="NAME")
def download(
    name: Annotated[
        Optional[str],
        typer.Argument(help="Name of an archive; without it, list the names.", autocompletion=completion.archives),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder in which the dataset's own folder is created.")] = Path("data"),
    mirror: Annotated[
        Optional[str],
        typer.Option(metavar="URL", help="Address of the archive, or of a folder with it, on another server."),
    ] = None,
    sha256: Annotated[Optional[str], typer.Option(help="SHA-256 that the archive must have.")] = None,
    json_: Json = False,
) -> None:
    """Download one of the paper's datasets, or resume a download that was cut."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from tfpix2pix.data.download.archives import ARCHIVES, download

    if name is None:
        sizes = {known: archive.size_mb for known, archive in ARCHIVES.items()}
        text = "\n".join(f"{known:<16}{f'about {size} MB' if size else ''}" for known, size in sizes.items())
        answer(json_, sizes, text)
        return
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress_console, disable=not progress_console.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        done = download(
            name, out, mirror=mirror, sha256=sha256,
            track=lambda received, total: progress.update(task, completed=received, total=total),
        )  # fmt: skip
    values = {"path": str(done.path), "url": done.url, "size_bytes": done.size_bytes, "sha256": done.sha256}
    state = "was there already" if done.already_there else f"{done.size_bytes / 1e6:.1f} MB, SHA-256 {done.sha256}"
    text = f"{done.path}: {state}\nTrain: tfpix2pix train {name} --data {quote(str(done.path))} --run runs/{name}"
    answer(json_, {**values, "already_there": done.already_there}, text)


@names_options(**FOLDER)
def check(
    folder: Annotated[
        Optional[str], typer.Argument(metavar="DIR", help="Folder of the data, or a table's .csv or .tsv file.")
    ] = None,
    config: ConfigOption = None,
    set_: Set = None,
    html: Annotated[Optional[Path], typer.Option(help="Write a page that shows the findings with pictures.")] = None,
    most: Annotated[
        Optional[int], typer.Option("--most", help="Number of pairs to check, evenly spread; default: all.", min=1)
    ] = None,
    json_: Json = False,
) -> None:
    """Examine data: pairing, files, sizes, direction, shifts, duplicates. Exits with code 3 if it has findings."""
    from rich.console import Group
    from rich.text import Text

    from tfpix2pix.data.doctor import as_table, check_page_place, examine, write_html
    from tfpix2pix.data.doctor.findings import STOPPING
    from tfpix2pix.data.guess import OTHER_WAY, direction_note, guess_source
    from tfpix2pix.data.splits import check_splits_of_folder

    resolved = _config(config, folder, set_ or ())
    if not resolved.data.is_given:
        raise UserError("DIR must be given, or a --config that names its data. Received neither. Add the folder.")
    check_splits_of_folder(resolved.data)
    if html is not None:
        check_page_place(html)
    if resolved.data.source == "shards":
        load_tensorflow()
    examination = examine(resolved.data, resolved.seed, at_most=most, track=track("examine"))
    note = direction_note(guess_source(Path(folder))) if folder and not config else ""
    other_way = any(OTHER_WAY in note for note in examination.notes)  # the content says more than the names
    if (
        note
        and not other_way
        and resolved.data.source == "folders"
        and not any(override.startswith("data.input_folder=") for override in set_ or ())
    ):
        examination = replace(examination, notes=(note, *examination.notes))
    if html is not None:
        write_html(examination, resolved.data, resolved.seed, html)
    stops = resolved.data.on_error == "stop" and not STOPPING.isdisjoint(examination.kinds)
    skip = ["data.on_error=skip"] if stops else []
    train = _train_command(resolved, config, folder, [*(set_ or ()), *skip, *examination.overrides])
    label = "Train" + " without them" * stops + " in this direction" * other_way
    lines = [Text(f"{label}: {train}")] if examination.pairs["train"] else []
    answer(json_, {**examination.as_dict(), "train": train if lines else None}, Group(as_table(examination), *lines))
    if html is not None and not json_:
        out_console.print(f"With pictures: {html}")
    raise typer.Exit(examination.exit_code)


@names_options(inputs="INPUTS", targets="TARGETS")
def match(
    inputs: Annotated[Path, typer.Argument(metavar="INPUTS", help="Folder of the inputs.")],
    targets: Annotated[Path, typer.Argument(metavar="TARGETS", help="Folder of the targets.")],
    out: Annotated[Path, typer.Option(help="Table to write, a new .csv or .tsv file.")],
    by: Annotated[
        Optional[str],
        choice(
            ("name", "number", "likeness"),
            "Match by equal parts of names, by numbers in names or by where edges lie; default: all, in this order.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Pair two folders whose names differ: write a table of the pairs, show some, and list what is left over."""
    from rich.table import Table

    from tfpix2pix.data.match import check_table_place, doubt, match, write_table

    check_table_place(out)
    matches = match(inputs, targets, by, track=track("look"))
    write_table(matches, out)
    pairs = [
        {"input": str(pair.input), "target": str(pair.target), "by": pair.by, "split": pair.split}
        for pair in matches.pairs
    ]
    left = {"inputs": [str(path) for path in matches.inputs], "targets": [str(path) for path in matches.targets]}
    doubtful = doubt(matches)
    if doubtful:
        warnings.warn(doubtful, stacklevel=2)
    if json_:
        answer(True, {"path": str(out), "pairs": pairs, "counts": matches.counts, "left": left}, "")
        return
    preview = Table("input", "target", "matched by")
    chosen = [matches.pairs[index] for index in evenly_spread(len(matches.pairs), PREVIEWED)]
    for pair in chosen:
        preview.add_row(_below(pair.input, inputs), _below(pair.target, targets), pair.how)
    counts = ", ".join(f"{count} by {way}" for way, count in matches.counts.items())
    rest = [f"{len(chosen)} of {len(matches.pairs)} pairs ({counts}) are shown, evenly spread."]
    for folder, paths in ((inputs, matches.inputs), (targets, matches.targets)):
        if paths:
            names = listed([_below(path, folder) for path in paths], LEFT_NAMED)
            rest.append(f"Left over in {folder}, {len(paths)}: {names}.")
    rest += [
        f"{out}: {len(matches.pairs)} pairs",
        f"Check: tfpix2pix data check {shlex.quote(str(out))}",
        f"Train: tfpix2pix train --data {shlex.quote(str(out))} --run runs/{shlex.quote(out.stem)}",
        f"It learns to make what is in {targets} from what is in {inputs}. For the other direction, name {targets} "
        f"first.",
    ]
    out_console.print(preview)
    out_console.print("\n".join(rest))


@names_options(**FOLDER)
def align(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the data.")],
    out: Annotated[Path, typer.Option(help="New folder for the corrected pairs, in the layout of DIR.")],
    config: ConfigOption = None,
    set_: Set = None,
    most_px: Annotated[
        int, typer.Option(help="Largest shift that is corrected, px. Pairs with a larger one are copied.", min=1)
    ] = MOST_SHIFT_PX,
    json_: Json = False,
) -> None:
    """Write corrected pairs: where a target is shifted, both sides are cut to what both show. Lists what is left."""
    from tfpix2pix.data.align import LEFT, TABLE, align

    resolved = _config(config, folder, set_ or ())
    aligned = align(resolved.data, out, resolved.seed, most_px=most_px, track=track("align"))
    moved, unmoved = aligned.counts["moved"], aligned.counts["aligned"]
    lines = [f"{out}: {len(aligned.rows)} pairs, {moved} of them moved, {unmoved} aligned already"]
    lines += [
        f"Copied as they are, {len(names)} {LEFT[done].format(most_px=most_px)}: {listed(names, LEFT_NAMED)}."
        for done, names in aligned.left.items()
    ]
    if aligned.left_out:
        names = listed([fault.where for fault in aligned.left_out], LEFT_NAMED)
        lines.append(
            f"Left out, {len(aligned.left_out)} that cannot be read or do not fit: {names}. The first: "
            f"{aligned.left_out[0].message}"
        )
    lines += [
        f"The shift of each pair: {out / TABLE}",
        f"Check and train with the same keys as before, but with the folder {quote(str(out))}.",
    ]
    values = {"path": str(out), "table": str(out / TABLE), "counts": aligned.counts, "left": aligned.left}
    values["left_out"] = {fault.where: fault.message for fault in aligned.left_out}
    answer(json_, {**values, "pairs": [row._asdict() for row in aligned.rows]}, "\n".join(lines))


@names_options(photos="PHOTOS", data="PHOTOS")
def pairs(
    photos: Annotated[
        str, typer.Argument(metavar="PHOTOS", help="Folder of photographs, with or without folders for splits.")
    ],
    operator: Annotated[str, choice(OPERATORS, "Operator that makes the inputs.")],
    out: Annotated[Path, typer.Option(help="New folder for <split>/input/ and <split>/target/.")],
    set_: Set = None,
    json_: Json = False,
) -> None:
    """Make pairs from photographs and write them: the operator's result is the input, the photograph is the target."""
    from tfpix2pix.config.resolve import make_config, with_overrides

    data = {"source": "photographs", "operator": operator, "input_channels": OPERATORS[operator].channels}
    config = make_config(with_overrides({"data": data}, set_ or (), data_dir=photos), "the command")
    if operator != "mask":  # only the size of holes depends on the training size; the others take any photograph
        config = config.model_copy(update={"data": config.data.model_copy(update={"image_size_px": 2})})
    load_tensorflow()
    from tfpix2pix.data.writing import write_pairs

    counts = write_pairs(config.data, out, config.seed, track=track("write"))
    channels = f"--set data.input_channels={OPERATORS[operator].channels}"
    answer(
        json_, {"path": str(out), "pairs": counts},
        f"{out}: {_counted(counts)}\nTrain: tfpix2pix train facades --data {quote(str(out))} "
        f"--run {quote(f'runs/{out.name}')} --set data.source=folders {channels}",
    )  # fmt: skip


@names_options(**FOLDER, engine_options="--engine-option")
def shard(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the data, or a table's .csv or .tsv file.")],
    out: Annotated[str, typer.Option(help="New folder for the shards; gs://, s3:// and hdfs:// too.")],
    config: ConfigOption = None,
    set_: Set = None,
    shard_mb: Annotated[int, typer.Option(help="Approximate size of a shard, MB.", min=1)] = 128,
    engine: EngineOption = LOCAL,
    engine_option: EngineOptions = None,
    json_: Json = False,
) -> None:
    """Pack pairs into TFRecord shards, for data too large for one machine. Training from shards gives the same run."""
    from tfpix2pix.data import SOURCES

    ENGINES[engine].check(engine_option or [])
    resolved = _config(config, folder, set_ or ())
    if resolved.data.source != "shards":
        # Raises the errors of the folder before TensorFlow is loaded.
        SOURCES[resolved.data.source](resolved.data, "train", resolved.seed)
    load_tensorflow()
    from tfpix2pix.data.writing import write_shards

    run = ENGINES[engine].run and partial(ENGINES[engine].run, options=engine_option or [])
    counts = write_shards(resolved.data, out, resolved.seed, shard_mb=shard_mb, track=track("pack"), run=run)
    answer(
        json_, {"path": out, "pairs": counts},
        f"{out}: {_counted(counts)}\nTrain from it with the same keys as from the files, but --data {quote(out)} "
        f"--set data.source=shards",
    )  # fmt: skip


def _config(preset_or_file: str | None, folder: str | None, overrides: list[str]) -> Config:
    """Returns the configuration for reading the data: that of `preset_or_file`, with which `train` reads the same.

    Without one it is the preset of own pairs, with which `train` reads a folder whose content decides.
    """
    from tfpix2pix.config.resolve import make_config, read_settings, resolve_config, with_overrides
    from tfpix2pix.runs.plan import OWN_PAIRS

    if folder is not None and not preset_or_file:
        return resolve_config(OWN_PAIRS, overrides, data_dir=folder)
    settings = read_settings(preset_or_file) if preset_or_file else {}
    return make_config(with_overrides(settings, overrides, data_dir=folder), preset_or_file or "the command")


def _train_command(config: Config, preset_or_file: str | None, folder: str | None, overrides: Sequence[str]) -> str:
    """Returns the command that trains on the pairs of a check, read in the same way."""
    from tfpix2pix.config.resolve import resolve_config
    from tfpix2pix.data.guess import OF_VOLUMES, keys_of, settings_of
    from tfpix2pix.runs.plan import OWN_PAIRS

    base = preset_or_file or OWN_PAIRS
    data, usual = config.data, resolve_config(base, overrides, data_dir=folder).data
    differing = {
        key: getattr(data, key)
        for key in (*READING.get(data.source, ("source",)), *OF_VOLUMES)
        if getattr(data, key) != getattr(usual, key) and key not in keys_of(overrides)
    }
    is_file = Path(base).suffix in (".yaml", ".yml")
    name = Path(folder or (base if is_file else config.name)).absolute().stem
    parts = [f"tfpix2pix train {shlex.quote(base)}" if preset_or_file else "tfpix2pix train"]
    parts += [f"--data {shlex.quote(folder)}"] if folder else []
    parts += [f"--run {shlex.quote(f'runs/{name}')}"]
    parts += [f"--set {shlex.quote(override)}" for override in overrides]
    return " ".join([*parts, *([settings_of(differing)] if differing else [])])


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} pairs in {split}" for split, count in counts.items())
