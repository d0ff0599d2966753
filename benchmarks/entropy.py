"""Variety in bits: how much of a known entropy each kind of noise and objective recovers at equal training time.

python benchmarks/entropy.py --minutes 10 --seeds 0 1 2

The data are `colored_shapes`, whose colours have a known entropy. `recipes.py` trains, times, evaluates and compares
the methods, and its other options hold here too; OUT/recipes/ has them as files that `train --recipe` takes. A second
call goes on where the first was interrupted, and takes what is done as it is. OUT/entropy.md is the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import recipes
import yaml

from tfpix2pix.config import Config
from tfpix2pix.config.recipe import merged, recipe_keys
from tfpix2pix.config.resolve import read_settings, resolve_config
from tfpix2pix.errors import UserError

PRESET = "colored_shapes"


def method(noise: str, l1: float, **terms: float) -> dict[str, Any]:
    """The keys that a method sets: the noise, and all weights of the objective.

    Feature matching has weight 0 because it has one best answer for each input, as L1 has. The terms that the preset
    may set have weight 0 too unless `terms` names them.
    """
    others = ("feature_matching", "diversity_sensitive", "mode_seeking", "style_kl", "style_recovery")
    weights = {"l1": l1, "gan": 1, **dict.fromkeys(others, 0), **terms}
    return {"generator": {"noise": noise}, "objective": {"weights": weights}}


METHODS: dict[str, dict[str, Any]] = {  # name -> recipe keys by section
    "dropout": method("dropout", 100),
    "gaussian": method("gaussian", 100),
    "gaussian_diversity": method("gaussian", 10, diversity_sensitive=8),
    "modulation": method("modulation", 100),
    "modulation_l1_10": method("modulation", 10),
    "modulation_diversity": method("modulation", 10, diversity_sensitive=8),  # the weights of Yang et al., ICLR 2019
    "modulation_mode_seeking": method("modulation", 10, mode_seeking=2),  # those of Mao et al., CVPR 2019
    "modulation_styles": method("modulation", 100, gan=2, style_kl=0.01),  # BicycleGAN's encoder
    "preset": {},
}
FIGURES = {  # figure -> title in the table
    "entropy_bits": "bits for one input",
    "entropy_pooled_bits": "bits over all inputs",
    "entropy_kl_bits": "KL, bits",
    "colors_present": "colours",
    "no_color": "no clear colour",
    "outline_l1": "outline L1",
    "diversity": "diversity",
    "sharpness": "sharpness",
}


def written(folder: Path, methods: Mapping[str, Mapping[str, Any]], preset: str = PRESET) -> dict[str, str]:
    """name -> a recipe file: what the preset says of training, and over it what the method changes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, changes in methods.items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(merged(own_recipe(preset), changes), sort_keys=False))
        paths[name] = str(path)
    return paths


def own_recipe(preset: str) -> dict[str, Any]:
    """The recipe that a preset names, and the keys of its own that a recipe may set."""
    settings, allowed = read_settings(preset), set(recipe_keys(Config))
    own = {
        section: {key: value for key, value in values.items() if f"{section}.{key}" in allowed}
        for section, values in settings.items()
        if isinstance(values, Mapping)
    }
    return {"recipe": settings["recipe"], **{section: values for section, values in own.items() if values}}


def known(paths: Mapping[str, str], preset: str = PRESET, overrides: Sequence[str] = ()) -> list[str]:
    """The files of the methods that this version has, with the settings of every run. Others are named."""
    files = []
    for name, path in paths.items():
        try:
            resolve_config(preset, overrides, recipe=path)
        except UserError as error:
            print(f"left out: {name}. {error}", flush=True)
        else:
            files.append(path)
    return files


def table(figures: Mapping[str, Sequence[Mapping[str, float]]], true_bits: float) -> str:
    """A Markdown table: a row a method, mean and range over seeds.

    `figures`: method -> for each seed, figure -> value.
    """
    lines = [
        f"| method (of {true_bits:.4g} bits) | " + " | ".join(FIGURES.values()) + " |",
        "|---" * (len(FIGURES) + 1) + "|",
    ]
    for method, seeds in figures.items():
        cells = [cell([seed[figure] for seed in seeds if figure in seed]) for figure in FIGURES]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(values: Sequence[float]) -> str:
    """`mean (least to largest)`; one value alone without a range."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.3g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3g} to {max(values):.3g})"


def figures_of(options: argparse.Namespace, recipe: str) -> list[dict[str, float]]:
    """The figures of a method's evaluations, one for each seed."""
    runs = [recipes.run_of(options, PRESET, recipe, seed) for seed in options.seeds]
    records = [json.loads((recipes.evaluation_of(options, run) / "metrics.json").read_text()) for run in runs]
    return [{name: figure["value"] for name, figure in record["figures"].items()} for record in records]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = recipes.parser_of(__doc__, Path("runs/entropy"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args(
        ["--data", PRESET, "--size", "64", "--batch", "8", "--variants", "64", *(arguments or [])]
    )
    options.recipes = known(written(options.out / "recipes", {name: METHODS[name] for name in options.methods}))
    options.metrics, options.shown = ["entropy", "diversity", "l1", "sharpness"], list(FIGURES)
    if not options.recipes:
        raise SystemExit("no method is left")
    recipes.main(options)
    if options.pace_only:
        return
    figures = {recipes.name_of(recipe): figures_of(options, recipe) for recipe in options.recipes}
    true_bits = next(iter(figures.values()))[0]["entropy_true_bits"]
    (options.out / "entropy.md").write_text(text := table(figures, true_bits))
    print(text, flush=True)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
