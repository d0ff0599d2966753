"""The paper's objectives on the same pairs: how near, how sharp, how coloured (paper §4.2, Fig. 4 and Table 1).

    python benchmarks/objectives.py --data ../shared/data/facades [--size 64] [--steps 800] [--seeds 0 1 2]

Trains `facades` once for every objective and seed, small, and measures all held-out pairs. The paper's own scale is
the same command with --size 256 --base-filters 64 --receptive-field 70 --steps 80000. Writes into --out: the runs,
`table.md`, `figures.json`, and `panel.png` (input, one column an objective, target).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image, ImageDraw

import tfpix2pix as p2p
from tfpix2pix.data.images import from_signed
from tfpix2pix.data.pipeline import evaluation_batches
from tfpix2pix.evaluation.held_out import measure
from tfpix2pix.experiment import open_sources
from tfpix2pix.losses import OBJECTIVES

METRIC_NAMES = ("l1", "psnr", "sharpness", "lab_intersection")
PANEL_ROWS = 5
CAPTION_PX = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the facades set")
    parser.add_argument("--out", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--base-filters", type=int, default=16)
    parser.add_argument("--receptive-field", type=int, default=34)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()

    figures: dict[str, list[dict[str, float]]] = {}
    columns: dict[str, list[np.ndarray]] = {}
    for objective in OBJECTIVES:
        for seed in options.seeds:
            config = p2p.resolve_config("facades", overrides(options, objective, seed), data_dir=str(options.data))
            run = p2p.train(config, run_dir=options.out / f"{objective}-seed{seed}", fresh=True)
            translator = p2p.load(run.path)
            pairs = list(evaluation_batches(open_sources(config)["val"], config.data))
            translate = lambda image: translator(image.numpy())  # noqa: B023, E731
            figures.setdefault(objective, []).append(measure(translate, pairs, METRIC_NAMES, config.data))
            check_finite(run.directory.metrics_file, figures[objective][-1])
            print(
                objective, seed, {name: round(value, 4) for name, value in figures[objective][-1].items()}, flush=True
            )
        shown = pairs[:: len(pairs) // PANEL_ROWS][:PANEL_ROWS]
        columns.setdefault("input", [image.numpy()[0] for image, _ in shown])
        columns[objective] = [translate(image)[0] for image, _ in shown]
    columns["target"] = [target.numpy()[0] for _, target in shown]

    options.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(options).items() if name not in ("data", "out")}
    (options.out / "figures.json").write_text(json.dumps({"settings": settings, "figures": figures}, indent=2) + "\n")
    (options.out / "table.md").write_text(table(figures))
    panel(columns).save(options.out / "panel.png")
    print(table(figures))


def check_finite(metrics_file: Path, values: dict[str, float]) -> None:
    """Stops where a loss of the run or a figure is not a finite number."""
    logged = [value for line in metrics_file.read_text().splitlines() for value in json.loads(line).values()]
    if not np.isfinite([*logged, *values.values()]).all():
        raise SystemExit(f"{metrics_file}: a loss or a figure is not finite")


def overrides(options: argparse.Namespace, objective: str, seed: int) -> list[str]:
    settings = {
        "objective": objective,
        "seed": seed,
        "data.image_size_px": options.size,
        "generator.base_filters": options.base_filters,
        "discriminator.base_filters": options.base_filters,
        "discriminator.receptive_field_px": options.receptive_field,
        "training.steps": options.steps,
        "training.batch_size": options.batch,
        "training.learning_rate": options.learning_rate,
        "training.log_every_steps": max(1, options.steps // 10),
        "training.sample_every_steps": options.steps,
        "training.checkpoint_every_steps": options.steps,
        "training.validation_images": 0,
    }
    return [f"{key}={value}" for key, value in settings.items()]


def table(figures: dict[str, list[dict[str, float]]]) -> str:
    """Mean over seeds, and the range in brackets."""
    names = list(next(iter(figures.values()))[0])
    lines = [f"| objective | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for objective, runs in figures.items():
        cells = []
        for name in names:
            values = [run[name] for run in runs]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})")
        lines.append(f"| {objective} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def panel(columns: dict[str, list[np.ndarray]]) -> Image.Image:
    """A column for the input, each objective and the target; rows are held-out pairs."""
    side = next(iter(columns.values()))[0].shape[0]
    shown_px = max(side, 96)
    canvas = Image.new("RGB", (len(columns) * (shown_px + 4), CAPTION_PX + PANEL_ROWS * (shown_px + 4)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (name, images) in enumerate(columns.items()):
        left = column * (shown_px + 4)
        draw.text((left + 2, 2), name, fill="black")
        for row, image in enumerate(images):
            picture = Image.fromarray(from_signed(image)).resize((shown_px, shown_px), Image.Resampling.NEAREST)
            canvas.paste(picture, (left, CAPTION_PX + row * (shown_px + 4)))
    return canvas


if __name__ == "__main__":
    main()
