"""Recipes at equal training time: the same seconds, not the same steps, on several data sets, over several seeds.

python benchmarks/recipes.py --data facades=../shared/data/facades --data edges2shoes=../shared/data/edges2shoes \
    --data openmoji --minutes 10

Machines are noisy, so the pace of every recipe is measured first, in turns with the baseline's in one process, and
becomes a number of steps. That number is trained, however long it takes: other work on the machine changes no figure.
The paces stand in OUT/paces.json; a second call takes them, finished runs and evaluations as they are, and goes on with
begun runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from comparisons import command, panel

from tfpix2pix.config import Config
from tfpix2pix.config.resolve import resolve_config
from tfpix2pix.data.doctor import examine, quick_lines
from tfpix2pix.evaluation.comparison import compare, draw_comparison, group, read_evaluation
from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.request import Request
from tfpix2pix.metrics import METRICS as METRIC_ROWS
from tfpix2pix.models import NOISES
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.resuming import resumed_config
from tfpix2pix.runs.stages import Stage

METRICS = ("l1", "psnr", "ssim", "ms_ssim", "sharpness", "lab_intersection", "swd")
SHOWN = (
    "l1", "psnr_db", "ssim", "ms_ssim", "sharpness", "lab_intersection_L", "lab_intersection_a", "lab_intersection_b",
)  # fmt: skip
ROUNDS, STEPS_A_TURN, WARM_UP_STEPS = 9, 3, 3
PANEL_ROWS = 6
EXAMINED = 100  # pairs, before the first training


def parser_of(description: str, out: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--data", action="append", required=True, metavar="PRESET[=DIR]", help="a task preset and its data; repeatable"
    )
    parser.add_argument(
        "--recipes", nargs="+", default=["paper", "best"], help="names or .yaml files; the first is the baseline"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, as of an idle machine")
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--batch", type=int, default=1, help="pairs a step")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--pace-only", action="store_true")
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help="for every run; repeatable"
    )
    parser.add_argument("--metrics", nargs="+", default=list(METRICS))
    parser.add_argument("--shown", nargs="+", default=list(SHOWN), help="figures of the tables, beside those of swd")
    parser.add_argument("--variants", type=int, default=0, help="translations of each image by different noise")
    parser.add_argument("--noise", choices=("on", "off"), help="of models with noise when they are measured")
    return parser


def parse(
    arguments: Sequence[str] | None = None, description: str = __doc__, out: Path = Path("runs/recipes")
) -> argparse.Namespace:
    return parser_of(description, out).parse_args(arguments)


def overrides_of(options: argparse.Namespace, seed: int = 0, steps: int = 1) -> list[str]:
    settings = {
        "seed": seed,
        "data.split_seed": 0,  # all seeds hold out the same pairs
        "data.image_size_px": options.size,
        "training.steps": steps,
        "training.minutes": "null",  # the steps are fixed here
        "training.batch_size": options.batch,
        "training.sample_every_steps": 1_000,
        "training.checkpoint_every_steps": 500,
        "training.validate_every_steps": 1_000_000,
        "training.validation_images": 20,
    }
    return [*(f"{key}={value}" for key, value in settings.items()), *options.settings]


def preset_and_data(text: str) -> tuple[str, str | None]:
    preset, _, folder = text.partition("=")
    return preset, folder or None


def name_of(recipe: str) -> str:
    return Path(recipe).stem


def paces(options: argparse.Namespace, preset: str) -> dict[str, dict[str, float]]:
    """Seconds a step of every recipe, and its ratio to the baseline's in the same turns."""
    path = options.out / "paces.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    for recipe in options.recipes:
        measured = known.setdefault(preset, {})
        if name_of(recipe) not in measured:
            configs = [
                resolve_config(preset, overrides_of(options), recipe=each) for each in (options.recipes[0], recipe)
            ]
            ratio, seconds = in_turns(*configs)
            ratio = 1.0 if recipe == options.recipes[0] else ratio  # beside itself, only noise is measured
            measured[name_of(recipe)] = {"ratio": round(ratio, 4), "step_s": round(seconds, 4)}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known, indent=2) + "\n")
            print(f"{preset}: a step of {name_of(recipe)} takes {ratio:.3f} of one of {name_of(options.recipes[0])}")
    return known[preset]


def in_turns(
    baseline: Config, contestant: Config, stages: tuple[Stage | None, Stage | None] = (None, None)
) -> tuple[float, float]:
    """The median ratio of the contestant's step to the baseline's, and the median of the contestant's, in seconds.

    `stages` are those of the trainings, None for the first.
    """
    import tensorflow as tf

    from tfpix2pix.runs.networks import build_model

    steps = []
    for config, stage in zip((baseline, contestant), stages, strict=True):
        model, side = build_model(config, stage=stage), config.data.image_size_px
        batch = [
            tf.random.stateless_uniform((config.training.batch_size, side, side, channels), (0, 0), -1.0, 1.0)
            for channels in config.data.network_channels
        ]
        step = tf.function(model.train_step, autograph=False)
        for _ in range(WARM_UP_STEPS):
            step(batch)
        steps.append((step, batch))
    rounds = []
    for _ in range(ROUNDS):
        taken = []
        for step, batch in steps:
            start = time.perf_counter()
            for _ in range(STEPS_A_TURN):
                step(batch)
            taken.append((time.perf_counter() - start) / STEPS_A_TURN)
        rounds.append(taken)
    return statistics.median(own / other for other, own in rounds), statistics.median(own for _, own in rounds)


def run_of(options: argparse.Namespace, data: str, recipe: str, seed: int) -> Path:
    return options.out / f"{preset_and_data(data)[0]}-{name_of(recipe)}-seed{seed}"


def evaluation_of(options: argparse.Namespace, run: Path) -> Path:
    return options.out / "evaluations" / run.name


def train(options: argparse.Namespace, data: str, recipe: str, seed: int, steps: int) -> Path:
    preset, folder = preset_and_data(data)
    path = run_of(options, data, recipe, seed)
    overrides = [*overrides_of(options, seed, steps), f"recipe={recipe}"]
    begun = (path / "config.yaml").is_file()
    if begun:  # raises where it was of another scale
        config = resumed_config(preset, RunDirectory(path), data_dir=folder, overrides=overrides)
        if (card := RunDirectory(path).card()) and card.step == config.training.steps:
            return path
    changes = [part for override in overrides for part in ("--set", override)]
    where = ["--data", folder] if folder else []
    command(
        ["train", preset, *where, "--run", path, *(["--resume"] if begun else []), *changes], path.with_suffix(".log")
    )
    print(f"trained {path.name}, {steps} steps", flush=True)
    return path


def trained_and_evaluated(
    options: argparse.Namespace, data: str, recipe: str, seed: int, steps: int
) -> tuple[Path, Path]:
    """The run, and the folder of its evaluation."""
    run = train(options, data, recipe, seed, steps)
    return run, evaluated(options, data, run)


def evaluated(options: argparse.Namespace, data: str, run: Path) -> Path:
    folder = evaluation_of(options, run)
    if not (folder / "metrics.json").is_file():
        where = ["--data", preset_and_data(data)[1]] if preset_and_data(data)[1] else []
        metrics, variants = measurable(options, RunDirectory(run).config())
        command(
            [
                "evaluate", run, *where, "--split", "val", "--out", folder, "--metrics", ",".join(metrics),
                "--variants", variants, *(["--noise", options.noise] if variants and options.noise else []),
            ],
            folder.with_suffix(".log"),
        )  # fmt: skip
    return folder


def measurable(options: argparse.Namespace, config: Config) -> tuple[list[str], int]:
    """The metrics that a run can be measured by, and the variants: a model without noise has no variants."""
    spec = config.generator
    if NOISES[spec.noise].is_there(spec.dropout_rate):
        return options.metrics, options.variants
    return [name for name in options.metrics if "variants" not in METRIC_ROWS[name].needs], 0


def draw_panel(options: argparse.Namespace, data: str, runs: dict[str, Path]) -> None:
    columns = {}
    for recipe, run in runs.items():
        examples = open_subject(Request(run, data=preset_and_data(data)[1])).examples
        shown = [examples[i] for i in range(0, len(examples), -(-len(examples) // PANEL_ROWS))]
        columns.setdefault("input", [example.input for example in shown])
        columns[recipe] = [example.translation for example in shown]
        target = [example.target for example in shown]
    panel({**columns, "target": target}).save(options.out / f"{preset_and_data(data)[0]}-panel.png")


def main(options: argparse.Namespace) -> None:
    for data in options.data:
        preset, folder = preset_and_data(data)
        config = resolve_config(preset, overrides_of(options), data_dir=folder)
        for line in quick_lines(
            examine(config.data, config.seed, at_most=EXAMINED)
        ):  # a pair of swapped sides is the other task
            print(f"{preset}: {line}", flush=True)
        measured = paces(options, preset)
        if options.pace_only:
            continue
        # The baseline's own seconds count alone, so that all recipes have the same ratio of time on every machine.
        seconds = measured[name_of(options.recipes[0])]["step_s"]
        steps = {
            recipe: max(1, round(60 * options.minutes / (seconds * measured[name_of(recipe)]["ratio"])))
            for recipe in options.recipes
        }
        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = {
                (recipe, seed): pool.submit(trained_and_evaluated, options, data, recipe, seed, steps[recipe])
                for seed, recipe in itertools.product(options.seeds, options.recipes)
            }
        done = {key: job.result() for key, job in jobs.items()}
        groups = [
            group([read_evaluation(done[recipe, seed][1]) for seed in options.seeds], name_of(recipe))
            for recipe in options.recipes
        ]
        comparison = compare(groups)
        shown = [figure for figure in comparison.figures if figure in options.shown or figure.startswith("swd")]
        (options.out / f"{preset}.md").write_text(comparison.markdown(shown))
        values = {"minutes": options.minutes, "steps": {name_of(key): value for key, value in steps.items()}}
        (options.out / f"{preset}.json").write_text(json.dumps({**values, **comparison.to_json()}, indent=2) + "\n")
        draw_comparison(comparison, options.out / f"{preset}.png", shown)
        draw_panel(options, data, {name_of(key): done[key, options.seeds[0]][0] for key in options.recipes})
        print(f"\n{preset}\n\n{comparison.markdown(shown)}", flush=True)


if __name__ == "__main__":
    main(parse())
