"""Variety against quality at equal training time: noises, terms of the objective and their weights, and which of them
no other beats in both.

python benchmarks/diversity.py --data facades=data/facades --data openmoji_flags --minutes 2 --seeds 0

L1, sharpness and the sliced Wasserstein distance are those of one draw of the noise for each image. `recipes.py`
trains, times and evaluates the methods, and its other options hold here too; OUT/recipes/ has them as files that
`train --recipe` takes. A second call goes on where the first was interrupted, and takes what is done as it is.
OUT/PRESET-diversity.md is the table, OUT/PRESET-front.png the plot.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import recipes
from entropy import cell, known, method, written
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfpix2pix.evaluation.comparison import Evaluated, group, read_evaluation
from tfpix2pix.metrics.bootstrap import Resampling, interval

VARIANTS = 8
DETERMINISTIC = "no noise"


@dataclass(frozen=True)
class Method:
    """A way to train: the noise, the weight of L1, and perhaps a term of the noise with its weight."""

    noise: str
    l1: float = 100
    term: str | None = None
    weight: float = 0
    gan: float = 1

    @property
    def overlay(self) -> dict[str, Any]:
        """The keys that a recipe sets for it."""
        return method(self.noise, self.l1, gan=self.gan, **({self.term: self.weight} if self.term else {}))

    @property
    def family(self) -> str:
        """The noise and the term: methods of a family differ in weights alone."""
        return self.noise if self.term is None else f"{self.noise}, {self.term}"

    @property
    def weights(self) -> str:
        """The weights of L1 and of the term, as the plot labels them."""
        return f"l1 {self.l1:g}" + (f", {self.weight:g}" if self.term else "")


METHODS: dict[str, Method] = {
    DETERMINISTIC: Method("none"),
    "dropout": Method("dropout"),
    "gaussian": Method("gaussian"),
    "gaussian, ds 8": Method("gaussian", 10, "diversity_sensitive", 8),
    "modulation": Method("modulation"),
    **{f"modulation, l1 {weight}": Method("modulation", weight) for weight in (30, 10)},
    **{f"modulation, l1 {l1}, ds 8": Method("modulation", l1, "diversity_sensitive", 8) for l1 in (100, 30)},
    **{f"modulation, ds {weight:g}": Method("modulation", 10, "diversity_sensitive", weight) for weight in (2, 4, 8)},
    **{f"modulation, ms {weight:g}": Method("modulation", 10, "mode_seeking", weight) for weight in (0.5, 1)},
    # BicycleGAN's encoder: its one discriminator sees two translations, so `gan` counts for both.
    **{f"styles, l1 {weight}": Method("modulation", weight, "style_kl", 0.01, gan=2) for weight in (10, 50, 200)},
}
FIGURES = {  # figure -> title in the table
    "diversity": "diversity",
    "l1": "L1 of one draw",
    "best_of_k_l1": f"best of {VARIANTS}",
    "best_of_k_gain": "gain over no noise",
    "swd": "SWD",
    "sharpness": "sharpness",
}


def best_against_deterministic(
    seeds: Sequence[Evaluated], deterministic: Sequence[Evaluated]
) -> tuple[float, tuple[float, float]]:
    """The best of K variants in L1 minus the L1 of the model without noise: (mean, 95 % interval over images).

    Negative: one of the variants is nearer to the target than the deterministic translation is. Each image's value is
    the mean over seeds.
    """
    differences = np.mean(
        [own.rows["best_of_k_l1"] - other.rows["l1"] for own, other in zip(seeds, deterministic, strict=True)], axis=0
    )
    weights = np.stack([Resampling().weights(name) for name in seeds[0].images], axis=1)  # (1 + replicates, images)
    means = weights @ differences / weights.sum(axis=1)
    return float(means[0]), interval(means)


def on_the_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which of the points no other point beats: lower in one coordinate and no higher in the other."""
    return [
        not any(all(o <= p for o, p in zip(other, point, strict=True)) and other != point for other in points)
        for point in points
    ]


def table(evaluations: Mapping[str, Sequence[Evaluated]]) -> str:
    """A Markdown table: a row a method, mean and range over seeds, and the best of K against no noise at all."""
    titles = [*FIGURES.values(), "best against the model without noise"]
    lines = ["| method | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for name, seeds in evaluations.items():
        cells = [cell([seed.figures[f].value for seed in seeds if f in seed.figures]) for f in FIGURES]
        against = ""
        if "best_of_k_l1" in seeds[0].rows:
            mean, (low, high) = best_against_deterministic(seeds, evaluations[DETERMINISTIC])
            against = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
        lines.append(f"| {name} | " + " | ".join([*cells, against]) + " |")
    return "\n".join(lines) + "\n"


def draw_front(evaluations: Mapping[str, Sequence[Evaluated]], path: Path) -> None:
    """Draws variety, and the best of K, against the sliced Wasserstein distance; weights of one term are joined."""
    means = {name: group(seeds, name).figures for name, seeds in evaluations.items()}
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    alone = {name: figure.value for name, figure in means[DETERMINISTIC].items()}
    panels = {  # figure -> (title, sign of what is better, value of a model without noise)
        "diversity": ("diversity: up is more varied", -1, 0.0),
        "best_of_k_l1": (f"L1 of the best of {VARIANTS}: down is nearer to the target", 1, alone["l1"]),
    }
    for axes, (metric, (title, sign, without_noise)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        names = [name for name in means if metric in means[name]]
        points = {name: (means[name]["swd"].value, means[name][metric].value) for name in names}
        families: dict[str, list[str]] = {}
        for name in names:
            families.setdefault(METHODS[name].family, []).append(name)
        for family, members in families.items():
            axes.plot(*zip(*(points[name] for name in members), strict=True), "o-", label=family, markersize=6)
        best = on_the_front([(swd, sign * value) for swd, value in points.values()])
        front = sorted(point for point, is_best in zip(points.values(), best, strict=True) if is_best)
        axes.plot(*zip(*front, strict=True), color="0.6", linewidth=6, alpha=0.35, zorder=0, label="no other is better")
        for name, point in points.items():
            axes.annotate(METHODS[name].weights, point, xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.plot(alone["swd"], without_noise, "x", color="0.2", label="a model without noise")
        axes.margins(x=0.18, y=0.1)
        axes.set_xlabel("sliced Wasserstein distance: left is nearer to real images")
        axes.set_title(title, fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = recipes.parser_of(__doc__, Path("runs/diversity"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args(["--size", "64", "--variants", str(VARIANTS), "--noise", "on", *(arguments or [])])
    names = list(dict.fromkeys([DETERMINISTIC, *options.methods]))
    options.metrics = ["l1", "swd", "sharpness", "diversity", "best_of_k", "best_of_k_gain"]
    options.shown = ["l1", "sharpness", "diversity", "best_of_k_l1"]
    options.settings.append("inference.noise=off")  # in the panel, also of a preset that has noise on
    for data in options.data:
        preset, _ = recipes.preset_and_data(data)
        overlays = {file_name(name): METHODS[name].overlay for name in names}
        paths = written(options.out / "recipes" / preset, overlays, preset)
        files = known(paths, preset, options.settings)
        recipes.main(argparse.Namespace(**{**vars(options), "data": [data], "recipes": files}))
        if options.pace_only:
            continue
        evaluations = {
            name: [
                read_evaluation(recipes.evaluation_of(options, recipes.run_of(options, data, path, seed)))
                for seed in options.seeds
            ]
            for name in names
            if (path := paths[file_name(name)]) in files
        }
        (options.out / f"{preset}-diversity.md").write_text(text := table(evaluations))
        draw_front(evaluations, options.out / f"{preset}-front.png")
        print(text, flush=True)


def file_name(method: str) -> str:
    return method.replace(", ", "-").replace(" ", "_").replace(".", "_")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
