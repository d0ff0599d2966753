"""What the paper's comparisons share: variants are trained, evaluated, grouped over seeds and compared.

Each comparison is a file beside this one that names its variants (`objectives.py`, `receptive_fields.py`,
`generators.py`, `noise.py`) and takes these options. Runs stand in one folder by what they are, so that a variant that
two comparisons share is trained once; finished runs are taken as they are, begun ones go on.

The defaults are what 2 CPU cores do in minutes a run. The paper's scale is the same command with
--size 256 --base-filters 64 --steps 80000 --batch 1 --learning-rate 2e-4 --segmenter-steps 80000, for a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from tfpix2pix.evaluation.comparison import compare, draw_comparison, group, read_evaluation
from tfpix2pix.evaluation.examples.opening import open_subject
from tfpix2pix.evaluation.request import NoiseOptions, Request
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.resuming import resumed_config
from tfpix2pix.training.samples import picture

PANEL_ROWS, CAPTION_PX = 5, 16
SEGMENTER = "segmenter"
METRICS = (
    "l1", "psnr", "ssim", "ms_ssim", "sharpness", "lab_intersection", "swd", "semantic", "diversity",
)  # fmt: skip
SHOWN = (  # in tables and figure; the JSON has all
    "l1", "psnr_db", "ssim", "ms_ssim", "sharpness", "lab_intersection_L", "lab_intersection_a", "lab_intersection_b",
    "swd", "semantic_pixel_accuracy", "semantic_class_accuracy", "semantic_class_iou",
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way to train or to use a generator; what is not said is the paper's default."""

    label: str
    generator: str = "unet"
    objective: str = "l1+cgan"
    patch_px: int = 70
    noise: str = "dropout"
    noise_on: bool = False  # at test

    def run(self, seed: int) -> str:
        """Name of its run, which variants that differ at test alone share."""
        noise = "" if self.noise == "dropout" else f"-{self.noise}"
        return f"{self.generator}-{self.objective}-{self.patch_px}px{noise}-seed{seed}"

    def settings(self, seed: int) -> dict[str, object]:
        judged = "+gan" in f"+{self.objective}" or "cgan" in self.objective
        return {
            "seed": seed,
            "generator.kind": self.generator,
            "generator.noise": self.noise,
            "discriminator.receptive_field_px": self.patch_px,
            "objective": self.objective if judged else f"{{name: {self.objective}, gan_loss: none}}",
        }


def parse(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the facades set")
    parser.add_argument("--out", type=Path, default=Path("runs/paper"))
    parser.add_argument("--size", type=int, default=128, help="px")
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--base-filters", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--segmenter-steps", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", type=int, default=4, help="translations an image by different noise: diversity")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--train-only", action="store_true")
    return parser.parse_args(arguments)


def train_all(variants: Iterable[Variant], options: argparse.Namespace) -> None:
    """Every variant and seed, and the segmenter, each in a process of its own."""
    runs = {variant.run(seed): variant.settings(seed) for seed in options.seeds for variant in variants}
    jobs = [(SEGMENTER, "facades_segmenter", {"training.steps": options.segmenter_steps})]
    jobs += [(name, "facades", settings) for name, settings in runs.items()]
    with ThreadPoolExecutor(options.jobs) as pool:
        for done in [pool.submit(train, options, *job) for job in jobs]:
            done.result()


def train(options: argparse.Namespace, name: str, preset: str, settings: dict[str, object]) -> None:
    path = options.out / name
    overrides = [f"{key}={value}" for key, value in {**scale(options), **settings}.items()]
    begun = ["--resume"] if (path / "config.yaml").is_file() else []
    if begun:  # raises where it was of another scale
        config = resumed_config(preset, RunDirectory(path), data_dir=options.data, overrides=overrides)
        if (card := RunDirectory(path).card()) and card.step == config.training.steps:
            return
    changes = [part for override in overrides for part in ("--set", override)]
    command(["train", preset, "--data", options.data, "--run", path, *begun, *changes], path.with_suffix(".log"))
    print(f"trained {name}", flush=True)


def scale(options: argparse.Namespace) -> dict[str, object]:
    return {
        "data.image_size_px": options.size,
        "generator.base_filters": options.base_filters,
        "discriminator.base_filters": options.base_filters,
        "training.steps": options.steps,
        "training.batch_size": options.batch,
        "training.learning_rate": options.learning_rate,
        "training.log_every_steps": 50,
        "training.sample_every_steps": 1_000,
        "training.checkpoint_every_steps": 1_000,
        "training.validation_images": 20,
    }


def command(arguments: Sequence[object], log: Path) -> None:
    """`tfpix2pix ARGUMENTS`; what it says goes into `log`, which is shown where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        done = subprocess.run([sys.executable, "-m", "tfpix2pix", *map(str, arguments)], stdout=file, stderr=file)
    if done.returncode:
        raise SystemExit(f"tfpix2pix {' '.join(map(str, arguments))}\n{log.read_text()[-2000:]}")


def compare_variants(
    name: str, variants: Sequence[Variant], options: argparse.Namespace, also: Sequence[str] = ()
) -> None:
    """Trains, evaluates and compares; the first variant is the one that others are compared with. Tables and figure
    show `SHOWN`, and the figures `also`.

    Writes into --out: `NAME.md` (tables), `NAME.json`, `NAME.png` (figure), `NAME-curves.png`, and two panels of
    pictures, `NAME-panel.png` with inputs and targets, and `NAME-outputs.png` without (the set's terms do not allow to
    show them elsewhere).
    """
    train_all(variants, options)
    if options.train_only:
        return
    with ThreadPoolExecutor(options.jobs) as pool:
        folders = {
            variant.label: [pool.submit(evaluated, variant, seed, options) for seed in options.seeds]
            for variant in variants
        }
    groups = [group([read_evaluation(each.result()) for each in done], label) for label, done in folders.items()]
    comparison = compare(groups)
    out = options.out
    settings = {key: value for key, value in vars(options).items() if key not in ("data", "out")}
    (out / f"{name}.json").write_text(json.dumps({"settings": settings, **comparison.to_json()}, indent=2) + "\n")
    shown = [figure for figure in (*SHOWN, *also) if figure in comparison.figures]
    (out / f"{name}.md").write_text(comparison.markdown(shown))
    draw_comparison(comparison, out / f"{name}.png", shown)
    draw_curves(variants, options, out / f"{name}-curves.png")
    draw_panels(variants, options, out / name)
    print(comparison.markdown(shown))


def evaluated(variant: Variant, seed: int, options: argparse.Namespace) -> Path:
    """The folder of a run's evaluation, made where it is not there yet."""
    run = variant.run(seed)
    folder = options.out / "evaluations" / (f"{run}-noise" if variant.noise_on else run)
    if not (folder / "metrics.json").is_file():
        noise = [] if variant.noise == "none" else ["--noise", "on" if variant.noise_on else "off"]
        metrics = [name for name in METRICS if name != "diversity" or variant.noise != "none"]
        options_ = ["--split", "val", "--metrics", ",".join(metrics), "--variants", options.variants, *noise]
        segmenter = ["--segmenter", options.out / SEGMENTER]
        command(
            ["evaluate", options.out / run, "--data", options.data, "--out", folder, *options_, *segmenter],
            folder.with_suffix(".log"),
        )
        print(f"evaluated {folder.name}", flush=True)
    return folder


def draw_curves(variants: Sequence[Variant], options: argparse.Namespace, path: Path) -> None:
    """What the losses did: a line a variant, mean over seeds."""
    figure = Figure(figsize=(10, 3.2), dpi=120, layout="constrained")
    panels = {"g/l1": "L1 of training batches", "d/real_accuracy": "D: share of real patches it is right about"}
    for axes, (key, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for index, variant in enumerate(variants):
            runs = [logged(options.out / variant.run(seed), key) for seed in options.seeds]
            if all(runs):
                steps, values = list(runs[0]), np.mean([list(run.values()) for run in runs], axis=0)
                smooth = np.convolve(values, np.ones(5) / 5, "valid")
                axes.plot(
                    steps[2 : len(smooth) + 2], smooth, f"C{index}", label=variant.label, linewidth=1.4
                )  # fmt: skip
        axes.set_title(title, fontsize=9, loc="left", fontweight="bold")
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, frameon=False)
    FigureCanvasAgg(figure).print_png(path)


def logged(run: Path, key: str) -> dict[int, float]:
    """step -> value of the lines of a run's metrics.jsonl that have the key."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line[key] for line in lines if key in line}


def draw_panels(variants: Sequence[Variant], options: argparse.Namespace, path: Path) -> None:
    """Pictures of held-out pairs: a row a pair, a column a variant (of the first seed)."""
    columns: dict[str, list[np.ndarray]] = {}
    for variant in variants:
        noise = NoiseOptions("on" if variant.noise_on else None)
        request = Request(options.out / variant.run(options.seeds[0]), data=str(options.data), noise=noise)
        examples = open_subject(request).examples
        shown = [examples[i] for i in range(0, len(examples), -(-len(examples) // PANEL_ROWS))]
        columns.setdefault("input", [example.input for example in shown])
        columns[variant.label] = [example.translation for example in shown]
        target = [example.target for example in shown]
    outputs = {label: images for label, images in columns.items() if label != "input"}
    panel(outputs).save(path.with_name(f"{path.name}-outputs.png"))
    panel({**columns, "target": target}).save(path.with_name(f"{path.name}-panel.png"))


def panel(columns: dict[str, list[np.ndarray]]) -> Image.Image:
    side = next(iter(columns.values()))[0].shape[0]
    shown_px = max(side, 128)
    canvas = Image.new("RGB", (len(columns) * (shown_px + 4), CAPTION_PX + PANEL_ROWS * (shown_px + 4)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (name, images) in enumerate(columns.items()):
        left = column * (shown_px + 4)
        draw.text((left + 2, 2), name, fill="black")
        for row, image in enumerate(images):
            shown = Image.fromarray(picture(image)).resize((shown_px, shown_px), Image.Resampling.NEAREST)
            canvas.paste(shown, (left, CAPTION_PX + row * (shown_px + 4)))
    return canvas
