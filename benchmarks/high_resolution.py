"""Compares coarse to fine with a U-Net at equal training time: OpenMoji at 512 px, at small width, over three seeds.

python benchmarks/high_resolution.py --minutes 20

`coarse to fine` is the preset `openmoji_hd`: half of the time goes to the global generator at 256 px, a tenth to the
enhancer alone, and the rest to both. `U-Net` is the preset `openmoji` at 512 px. `global` is the generator of the first
at 512 px, without stages. The time of a step of each stage is measured in turns with one of the U-Net, in one process,
and becomes a number of steps, which is trained however long it takes. OUT/paces.json has the times. A second call takes
finished runs as they are, and resumes the others. OUT/openmoji512-panel.png shows held-out drawings of all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import recipes
from comparisons import command

from tfpix2pix.config import Config
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.data.opening import split_of
from tfpix2pix.evaluation.comparison import compare, draw_comparison, group, read_evaluation
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.stages import stages_of

STAGES = {"coarse": 0.5, "enhancers_alone": 0.1, "whole": 0.4}  # share of the time
EPOCHS = ("training.coarse_epochs", "training.fix_global_epochs", "training.epochs")


@dataclass(frozen=True)
class Contestant:
    """A preset, and the overrides that make it comparable."""

    preset: str
    overrides: tuple[str, ...] = ()
    staged: bool = False


ONE_STAGE = ("training.coarse_epochs=0", "training.fix_global_epochs=0", "training.epochs=null")
CONTESTANTS = {
    "U-Net": Contestant("openmoji", ("generator.base_filters=32", "discriminator.base_filters=32")),
    "global": Contestant("openmoji_hd", ("generator.kind=global", "generator.base_filters=16", *ONE_STAGE)),
    "coarse to fine": Contestant("openmoji_hd", staged=True),
}
BASELINE = next(iter(CONTESTANTS))


def overrides_of(options: argparse.Namespace, name: str, seed: int = 0) -> list[str]:
    contestant = CONTESTANTS[name]
    settings = {
        "seed": seed,
        "data.split_seed": 0,  # all seeds hold out the same pairs
        "data.image_size_px": options.size,
        "data.openmoji_set": "faces_animals_food",
        "training.sample_every_steps": 1_000,
        "training.checkpoint_every_steps": 500,
        "training.validate_every_steps": 1_000_000,
        "training.validation_images": 20,
    }
    return [*contestant.overrides, *(f"{key}={value}" for key, value in settings.items()), *options.settings]


def config_of(options: argparse.Namespace, name: str, *more: str) -> Config:
    return resolve_config(CONTESTANTS[name].preset, [*overrides_of(options, name), *more])


def seconds_by_stage(options: argparse.Namespace, pairs: int) -> dict[str, dict[str, float]]:
    """Returns the seconds of a step of each stage of each contestant: the U-Net's times the median ratio to them."""
    path = options.out / "paces.json"
    if path.is_file():
        return json.loads(path.read_text())
    known: dict[str, dict[str, float]] = {}
    for name, contestant in CONTESTANTS.items():
        config = config_of(options, name)
        if contestant.staged:
            spec = config.training.model_copy(update={"pairs_per_epoch": pairs})
            config = config.model_copy(update={"training": spec.within_epochs()})
        known[name] = {}
        for stage in stages_of(config):
            ratio, own = recipes.in_turns(config_of(options, BASELINE), config, stages=(None, stage))
            known[name][stage.kind] = own if name == BASELINE else ratio * known[BASELINE]["whole"]
            print(f"{name}, {stage.kind}: {known[name][stage.kind]:.3f} s a step", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2) + "\n")
    return known


def length_of(name: str, seconds: dict[str, float], minutes: float, pairs: int) -> list[str]:
    """Returns the overrides that give a contestant this many minutes."""
    if not CONTESTANTS[name].staged:
        return [f"training.steps={round(60 * minutes / seconds['whole'])}"]
    steps = {kind: round(60 * minutes * share / seconds[kind]) for kind, share in STAGES.items()}
    whole = sum(steps.values())
    epochs = [steps["coarse"] / pairs, steps["enhancers_alone"] / pairs, whole / pairs]
    return [f"{key}={value!r}" for key, value in zip(EPOCHS, epochs, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, as of an idle machine")
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/high_resolution"))
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    options.metrics, options.variants = list(recipes.METRICS), 0
    data = config_of(options, BASELINE).data
    pairs = len(split_of(data, "train", 0))
    seconds = seconds_by_stage(options, pairs)
    done: dict[tuple[str, int], Path] = {}
    first: dict[str, Path] = {}  # run of each contestant with the first seed
    for seed, name in itertools.product(options.seeds, options.contestants):
        run = options.out / f"{name.replace(' ', '-')}-seed{seed}"
        length = length_of(name, seconds[name], options.minutes, pairs)
        overrides = [*overrides_of(options, name, seed), *length]
        card = RunDirectory(run).card() if RunDirectory(run).is_run() else None
        if not (card and card.step == RunDirectory(run).config().training.steps):
            changes = [part for override in overrides for part in ("--set", override)]
            begun = ["--resume"] if (run / "config.yaml").is_file() else []
            command(["train", CONTESTANTS[name].preset, "--run", run, *begun, *changes], run.with_suffix(".log"))
        done[name, seed] = recipes.evaluated(options, BASELINE, run)
        first.setdefault(name, run)
        print(f"{run.name}: {RunDirectory(run).config().training.steps} steps", flush=True)
    groups = [
        group([read_evaluation(done[name, seed]) for seed in options.seeds], name) for name in options.contestants
    ]
    comparison = compare(groups)
    shown = [figure for figure in comparison.figures if figure in recipes.SHOWN or figure.startswith("swd")]
    (options.out / "openmoji512.md").write_text(comparison.markdown(shown))
    draw_comparison(comparison, options.out / "openmoji512.png", shown)
    recipes.draw_panel(options, "openmoji512", first)
    print(comparison.markdown(shown), flush=True)


if __name__ == "__main__":
    main()
