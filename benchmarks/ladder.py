"""From the paper's recipe to `best`, a setting after the other: what each brings at equal training time.

python benchmarks/ladder.py --data openmoji --minutes 4 --seeds 0

A rung keeps the settings of those before it. The rungs are trained, timed and compared by `recipes.py`, whose other
options hold here too; OUT/recipes/ has them as files that `train --recipe` takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recipes
import yaml

from tfpix2pix.config.recipe import merged


@dataclass(frozen=True)
class Rung:
    """A name, and what it changes of the rung below: recipe keys by section."""

    name: str
    settings: Mapping[str, Mapping[str, Any]]


RUNGS = (
    Rung("paper", {}),
    Rung("lean", {"generator": {"max_filters_factor": 2}, "discriminator": {"max_filters_factor": 2}}),
    Rung("rate", {"training": {"learning_rate": 0.0005}}),
    Rung("features", {"objective": {"weights": {"l1": 100, "gan": 1, "feature_matching": 10}}}),
    Rung("decay", {"training": {"learning_rate_schedule": "linear_decay"}}),
    Rung("average", {"training": {"ema_decay": 0.999}}),
    Rung("upsampling", {"generator": {"upsampling": "blurred", "last_upsampling": "transposed"}}),
)


def climbed(rungs: Sequence[Rung] = RUNGS) -> dict[str, dict[str, dict[str, Any]]]:
    """name -> all settings up to this rung, by section."""
    made, settings = {}, {}
    for rung in rungs:
        settings = merged(settings, rung.settings)
        made[rung.name] = settings
    return made


def written(folder: Path) -> list[str]:
    """A recipe file a rung, each based on `paper`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, settings in climbed().items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"recipe": "paper", **settings}))
        paths.append(str(path))
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    options = recipes.parse(arguments, __doc__, out=Path("runs/ladder"))
    options.recipes = written(options.out / "recipes")
    recipes.main(options)


if __name__ == "__main__":
    main()
