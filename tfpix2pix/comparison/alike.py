"""Whether evaluations are of the same images by the same protocol: only then is a difference between them one of the
models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from tfpix2pix.comparison.evaluations import Evaluated
from tfpix2pix.errors import UserError

NAMES_SHOWN = 3
SAME_LEVELS = 1e-3  # of mean and deviation on [-1, 1]: other machines resize a little differently

# Of the protocol, what must be equal -> what to do. What a model was given (noise, statistics, step) may differ: that
# is what is compared.
EQUAL = {
    "size_px": "Evaluate both at one --size.",
    "fit": "Evaluate both with the same data.fit.",
    "seed": "Evaluate both with the same --seed.",
    "replicates": "Evaluate both with the same --replicates.",
    "covered": "Evaluate both with this version of tfpix2pix.",
}
EQUAL_WHERE_USED = {
    "segmenter": "Evaluate both with the same --segmenter.",
    "features": "Evaluate both with the same --features.",
}


def check_alike(evaluations: Sequence[Evaluated]) -> None:
    """Raises UserError that names what differs between any two."""
    for first, other in combinations(evaluations, 2):
        _check_images(first, other)
        protocols = [each.record["protocol"] for each in (first, other)]
        for key, advice in EQUAL.items():
            values = [protocol[key] for protocol in protocols]
            if values[0] != values[1]:
                raise _differ("by the same protocol", first, other, [f"{key} {value}" for value in values], advice)
        for key, advice in EQUAL_WHERE_USED.items():
            values = [protocol.get(key) for protocol in protocols]
            if None not in values and _identity(values[0]) != _identity(values[1]):
                raise _differ("by the same protocol", first, other, [f"{key} {_said(each)}" for each in values], advice)


def notes_on(evaluations: Sequence[Evaluated]) -> Iterator[str]:
    """What may make a comparison less than it seems, a sentence each."""
    places_of = {each.name: each.record["data"]["dir"] for each in evaluations}
    folders = {PureWindowsPath(place).name: name for name, place in places_of.items() if place}  # of either system
    if len(folders) > 1:
        places = ", ".join(f"{folder} ({name})" for folder, name in folders.items())
        yield f"The data come from folders of different names: {places}. Images of one name are taken to be the same."
    sentences: dict[str, set[str]] = {}
    for each in evaluations:
        for metric, sentence in each.record["protocols"].items():
            sentences.setdefault(metric, set()).add(sentence)
    changed = [metric for metric, said in sentences.items() if len(said) > 1]
    if changed:
        yield (
            f"Versions of tfpix2pix that describe them differently measured {', '.join(changed)}: evaluate again where "
            f"that matters."
        )


def _check_images(first: Evaluated, other: Evaluated) -> None:
    splits = [each.record["data"]["split"] for each in (first, other)]
    if None not in splits and splits[0] != splits[1]:
        received = [f"split {split}" for split in splits]
        raise _differ("of the same images", first, other, received, "Evaluate both on one --split.")
    if first.images == other.images:
        levels = [each.record["data"].get("target_levels") for each in (first, other)]
        if None not in levels and not np.allclose(*levels, atol=SAME_LEVELS):
            received = [f"targets of mean {mean:.4f}" for mean, _ in levels]
            raise _differ("of the same images", first, other, received, "Evaluate both beside the same targets.")
        return
    common = set(first.images) & set(other.images)
    alone = [sorted(set(each.images) - common)[:NAMES_SHOWN] for each in (first, other)]
    received = [
        f"{len(each.images)} images" + (f" ({', '.join(names)} only there)" if names else "")
        for each, names in zip((first, other), alone, strict=True)
    ]
    advice = f"{len(common)} are common to both: " if common else "None are common to both: "
    same = "evaluate both on the same pairs, which runs of other seeds hold out by `data.split_seed`."
    raise _differ("of the same images", first, other, received, f"{advice}{same}")


def _differ(rule: str, first: Evaluated, other: Evaluated, received: Sequence[str], advice: str) -> UserError:
    names = [f"{each.name!r}" + (f" in {each.path}" if each.path else "") for each in (first, other)]
    return UserError(
        f"Evaluations that are compared must be {rule}. Received {received[0]} of {names[0]} and {received[1]} of "
        f"{names[1]}. {advice}"
    )


def _identity(value: Any) -> Any:
    """A network's record, in which one path may be written in several ways."""
    same: Callable[[Any], Any] = lambda each: os.path.normpath(each) if isinstance(each, str) else each  # noqa: E731
    return {key: same(each) for key, each in value.items()} if isinstance(value, dict) else same(value)


def _said(value: Any) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
