"""Defines the commands `train` and `presets`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.table import Table

from tfpix2pix.activity import doing
from tfpix2pix.cli import completion
from tfpix2pix.cli.seeds import run_group
from tfpix2pix.cli.shared import Json, Set, answer, names_options, out_console, progress_console
from tfpix2pix.config import PRESETS, RECIPES
from tfpix2pix.errors import UserError
from tfpix2pix.quiet import load_tensorflow

if TYPE_CHECKING:
    from tfpix2pix.runs.plan import Plan

Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Replace the run that is in the directory.")]


@names_options(config="PRESET|CONFIG.yaml", run_dir="--run", overrides="--set")
def train(
    config: Annotated[
        Optional[str],
        typer.Argument(
            metavar="PRESET|CONFIG.yaml",
            help="Preset or .yaml file that says what to train; not needed with --resume. With --data alone: own.",
            autocompletion=completion.presets_and_files,
        ),
    ] = None,
    run: Annotated[Optional[Path], typer.Option(help="Run directory to create: checkpoints, samples, metrics.")] = None,
    data: Annotated[Optional[str], typer.Option(help="Folder of the data, in place of data.dir.")] = None,
    recipe: Annotated[
        Optional[str],
        typer.Option(
            metavar="RECIPE|RECIPE.yaml",
            help=f"Recipe that says how to train: {', '.join(RECIPES)}, or a file. `presets --recipes` lists them.",
            autocompletion=completion.recipes_and_files,
        ),
    ] = None,
    set_: Set = None,
    folds: Annotated[
        Optional[int],
        typer.Option(help="Number of parts for a cross-validation, as data.folds. A run holds out one of them."),
    ] = None,
    fold: Annotated[Optional[int], typer.Option(help="Part that this run holds out, as data.fold.")] = None,
    seeds: Annotated[
        Optional[int],
        typer.Option(metavar="N", help="Train N runs one after another, of seeds counted up: RUN-seed0, RUN-seed1, …"),
    ] = None,
    strategy: Annotated[
        Optional[str],
        typer.Option(
            help="Devices to train on, as training.strategy: auto, one, "
            "mirrored (all GPUs) or multiworker (TF_CONFIG).",
            autocompletion=completion.strategies,
        ),
    ] = None,
    resume: Resume = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although the configuration or the data have changed.")
    ] = False,
    fresh: Fresh = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print configuration, layers, parameters, FLOPs, memory and disk, without data and without writing.",
        ),
    ] = False,
) -> None:
    """Train a generator on pairs."""
    from tfpix2pix.config.resolve import recipe_override
    from tfpix2pix.runs.plan import plan_training
    from tfpix2pix.runs.seeds import plan_seeds

    shortcuts = {"training.strategy": strategy, "data.folds": folds, "data.fold": fold}
    given = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    options = {
        "data_dir": data, "overrides": [*(set_ or ()), *recipe_override(recipe), *given], "resume": resume,
        "fresh": fresh, "accept_changes": accept_changes, "dry_run": dry_run,
    }  # fmt: skip
    if seeds is not None:
        plans = plan_seeds(config, run, seeds, **options)
        _load_tensorflow()
        run_group(plans, run, dry_run=dry_run)
        return
    plan = plan_training(config, run, **options)
    _load_tensorflow()  # after the checks, so that mistakes are reported at once
    _run(plan, run, "train", dry_run=dry_run)


@names_options(teacher="TEACHER", run_dir="--run", overrides="--set")
def distill(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="Run directory of a trained model.")],
    run: Annotated[
        Optional[Path], typer.Option(help="Run directory to create for the student: checkpoints, samples, metrics.")
    ] = None,
    data: Annotated[Optional[str], typer.Option(help="Folder of the data, in place of the teacher's.")] = None,
    set_: Set = None,
    target_mb: Annotated[
        Optional[float],
        typer.Option(
            help="Size limit of the student's .tflite file with 8-bit weights (dynamic), MB. The widest student within "
            "it is trained.",
            min=0.01,
        ),
    ] = None,
    target_ms: Annotated[
        Optional[float],
        typer.Option(
            help="Time limit for an image of the training size by that file on this machine, ms. The widest student "
            "within it is trained.",
            min=0.1,
        ),
    ] = None,
    resume: Resume = False,
    fresh: Fresh = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the student's configuration, layers and parameters, and write nothing."),
    ] = False,
) -> None:
    """Train a small generator, a student, on the translations of a trained one."""
    from tfpix2pix.runs.distill import plan_distillation, width_within

    overrides = list(set_ or ())
    if target_mb or target_ms:
        if resume:
            raise UserError("--target-mb and --target-ms must go with a new run. Received --resume. Leave them out.")
        load_tensorflow()
        overrides.append(f"generator.base_filters={width_within(teacher, overrides, target_mb, target_ms)}")
    plan = plan_distillation(
        teacher, run, data_dir=data, overrides=overrides, resume=resume, fresh=fresh, dry_run=dry_run
    )
    _load_tensorflow()
    _run(plan, run, f"distill {quote(str(teacher))}", dry_run=dry_run)


def _load_tensorflow() -> None:
    """Loads TensorFlow, which takes some seconds, and says so on a terminal."""
    with doing(progress_console, "Loads TensorFlow", log=False):
        load_tensorflow()


def _run(plan: Plan, run: Path | None, command: str, *, dry_run: bool) -> None:
    """Trains as planned, or describes the plan, and prints what comes next."""
    if dry_run:
        from tfpix2pix.runs.dry_run import describe

        out_console.print(describe(plan))
        return
    from tfpix2pix.runs import train as runs

    result = runs.run(plan, progress_console)
    if result.interrupted:
        again = f"tfpix2pix {command} --run {quote(str(run))} --resume"
        out_console.print(f"Stopped at step {result.card.step}, saved. Continue: {again}")
        return
    place = quote(str(run))
    measure = [f"Measure: tfpix2pix evaluate {place}"] if result.card.metrics_images else []
    lines = [
        f"Run directory: {run}",
        f"Sample grids (input | output | target): {result.directory.samples}",
        *measure,
        f"Use it: tfpix2pix translate {place} image.png --out translated",
    ]
    out_console.print("\n".join(lines))


@names_options(name="NAME")
def presets(
    name: Annotated[
        Optional[str],
        typer.Argument(
            help="Print the YAML of this preset or recipe; without it, the names.",
            autocompletion=completion.presets_and_recipes,
        ),
    ] = None,
    recipes: Annotated[
        bool, typer.Option("--recipes", help="List the recipes only, or print the recipe of this name.")
    ] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="Print every configuration key with its default and its meaning.")
    ] = False,
    json_: Json = False,
) -> None:
    """List presets (what to train on) and recipes (how to train), or print one as a start for a file of your own."""
    if keys:
        from tfpix2pix.config.resolve import describe_keys, explain_keys

        values = {key: {"default": default, "help": meaning} for key, default, meaning in describe_keys()}
        answer(json_, values, explain_keys())
        return
    if name:
        files = RECIPES if recipes or (name in RECIPES and name not in PRESETS) else PRESETS
        print(files.text(name), end="")
        return
    if json_ or recipes:
        titles = (RECIPES if recipes else PRESETS).titles()
        answer(json_, titles, _table(titles))
        return
    out_console.print("Presets, what to train on: tfpix2pix train PRESET", _table(PRESETS.titles()), sep="\n")
    out_console.print("\nRecipes, how to train: --recipe RECIPE, on any preset", _table(RECIPES.titles()), sep="\n")


def _table(titles: dict[str, str]) -> Table:
    table = Table(box=None, show_header=False)
    for name, title in titles.items():
        table.add_row(name, title)
    return table
