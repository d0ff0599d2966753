"""Assembles a comparison: checks that evaluations have the same images and protocol, and pairs them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.comparison.differences import OPEN, cost_of, difference, verdict
from tfpix2pix.evaluation.comparison.evaluations import Evaluated
from tfpix2pix.evaluation.comparison.outcome import Comparison
from tfpix2pix.evaluation.comparison.seeds import bounded
from tfpix2pix.evaluation.comparison.table import Cell

NAMES_SHOWN = 3
SAME_LEVELS = 1e-3  # tolerance of mean and deviation on [-1, 1]: machines resize a little differently

# Entries of the protocol that must be equal -> what to do if they are not. Noise, statistics and step of a model may
# differ, because they are compared.
EQUAL = {
    "size_px": "Evaluate both at one `size`.",
    "fit": "Evaluate both with the same data.fit.",
    "seed": "Evaluate both with the same `seed`.",
    "replicates": "Evaluate both with the same `replicates`.",
    "group": "Evaluate both with the same `data.group`.",
    "covered": "Evaluate both with this version of tfpix2pix.",
}
EQUAL_WHERE_USED = {
    "segmenter": "Evaluate both with the same `segmenter`.",
    "features": "Evaluate both with the same `features`.",
}


def check_alike(evaluations: Sequence[Evaluated]) -> None:
    """Raises UserError if any two evaluations differ in images or protocol. It names the difference."""
    for first, other in combinations(evaluations, 2):
        _check_images(first, other)
        protocols = [first.record.protocol, other.record.protocol]
        for key, advice in EQUAL.items():
            values = [getattr(protocol, key) for protocol in protocols]
            if values[0] != values[1]:
                raise _differ("by the same protocol", first, other, [f"{key} {value}" for value in values], advice)
        for key, advice in EQUAL_WHERE_USED.items():
            values = [getattr(protocol, key) for protocol in protocols]
            if None not in values and _identity(values[0]) != _identity(values[1]):
                raise _differ(
                    "by the same protocol", first, other, [f"{key} {_in_words(value)}" for value in values], advice
                )
        for key in first.figures.keys() & other.figures.keys():
            units = [evaluated.figures[key].unit for evaluated in (first, other)]
            if units[0] != units[1] and all(units):  # older versions did not write it
                received = [f"{key} in {unit}" for unit in units]
                raise _differ("in the same unit", first, other, received, "Evaluate both with one `data.target_unit`.")


def notes_on(evaluations: Sequence[Evaluated]) -> Iterator[str]:
    """Yields a sentence for everything that may weaken the comparison."""
    paths = {evaluated.name: evaluated.record.data.dir for evaluated in evaluations}
    folders = {PureWindowsPath(path).name: name for name, path in paths.items() if path}  # reads paths of any system
    if len(folders) > 1:
        listed = ", ".join(f"{folder} ({name})" for folder, name in folders.items())
        yield f"The data come from folders of different names: {listed}. Images of one name are taken to be the same."
    sentences: dict[str, set[str]] = {}
    for evaluated in evaluations:
        for metric, sentence in evaluated.record.protocols.items():
            sentences.setdefault(metric, set()).add(sentence)
    changed = [metric for metric, descriptions in sentences.items() if len(descriptions) > 1]
    if changed:
        yield (
            f"Versions of tfpix2pix with different descriptions measured {', '.join(changed)}. Evaluate again if that "
            f"matters."
        )


def _check_images(first: Evaluated, other: Evaluated) -> None:
    splits = [first.record.data.split, other.record.data.split]
    if None not in splits and splits[0] != splits[1]:
        received = [f"split {split}" for split in splits]
        raise _differ("of the same images", first, other, received, "Evaluate both on one `split`.")
    if first.images == other.images:
        levels = [evaluated.record.data.target_levels for evaluated in (first, other)]
        if None not in levels and not np.allclose(*levels, atol=SAME_LEVELS):
            received = [f"targets of mean {mean:.4f}" for mean, _ in levels]
            raise _differ("of the same images", first, other, received, "Evaluate both with the same targets.")
        return
    common = set(first.images) & set(other.images)
    alone = [sorted(set(evaluated.images) - common)[:NAMES_SHOWN] for evaluated in (first, other)]
    received = [
        f"{len(evaluated.images)} images" + (f" ({', '.join(names)} only there)" if names else "")
        for evaluated, names in zip((first, other), alone, strict=True)
    ]
    advice = f"{len(common)} are common to both: " if common else "None are common to both: "
    same = "evaluate both on the same pairs. Runs of other seeds hold them out if `data.split_seed` is the same."
    raise _differ("of the same images", first, other, received, f"{advice}{same}")


def _differ(rule: str, first: Evaluated, other: Evaluated, received: Sequence[str], advice: str) -> UserError:
    names = [
        f"{evaluated.name!r}" + (f" in {evaluated.path}" if evaluated.path else "") for evaluated in (first, other)
    ]
    return UserError(
        f"Evaluations that are compared must be {rule}. Received {received[0]} of {names[0]} and {received[1]} of "
        f"{names[1]}. {advice}"
    )


def _identity(value: Any) -> Any:
    """Returns the record of a network with its paths in their normal form: one path can be written in several ways."""
    if isinstance(value, dict):
        return {key: _normal(entry) for key, entry in value.items()}
    return _normal(value)


def _normal(entry: Any) -> Any:
    return os.path.normpath(entry) if isinstance(entry, str) else entry


def _in_words(value: Any) -> str:
    return ", ".join(f"{key} {entry}" for key, entry in value.items()) if isinstance(value, dict) else str(value)


def compare(evaluations: Sequence[Evaluated], baseline: int = 0) -> Comparison:
    """Returns evaluations of the same images by the same protocol side by side. Some may be means over seeds (`group`).

    Args:
        baseline: index of the evaluation that is subtracted from the others.

    Raises:
        UserError: there is no evaluation, two have one name, `baseline` is not an index, or images or protocols
            differ.
    """
    if not evaluations:
        raise UserError("A comparison must have an evaluation. Received none. Name some.")
    names = [evaluated.name for evaluated in evaluations]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(
            f"Evaluations that are compared must have different names. Received {twice[0]!r} twice. Rename one, "
            f"or group them as seeds of one variant."
        )
    if not 0 <= baseline < len(evaluations):
        raise UserError(
            f"The baseline must be one of the {len(evaluations)} evaluations, from 0. Received {baseline}. Choose "
            f"another."
        )
    check_alike(evaluations)
    reference = evaluations[baseline]
    figures: dict[str, str] = {}
    for evaluated in evaluations:
        figures |= {key: metric.better for key, metric in evaluated.figures.items() if key not in figures}
    best = {key: _best([evaluated for evaluated in evaluations if key in evaluated.figures], key) for key in figures}
    table = {
        evaluated.name: {key: _cell(evaluated, key, evaluated.name in best[key]) for key in evaluated.figures}
        for evaluated in evaluations
    }
    differences = {
        evaluated.name: {
            key: difference(evaluated, reference, key)
            for key in figures
            if key in evaluated.figures and key in reference.figures
        }
        for evaluated in evaluations
        if evaluated is not reference
    }
    notes = [f"{evaluated.name}: {note}" for evaluated in evaluations for note in evaluated.record.notes]
    return Comparison(tuple(evaluations), baseline, figures, table, differences, (*notes_on(evaluations), *notes))


def _best(evaluations: Sequence[Evaluated], metric: str) -> set[str]:
    """Returns the names of the best evaluation and of those with a paired interval to it that includes zero.

    Returns no names if these are all evaluations, or if there are no intervals. Then none is known to be best.
    """
    costs = {evaluated.name: cost_of(evaluated, metric) for evaluated in evaluations}
    ranked = sorted(
        (evaluated for evaluated in evaluations if costs[evaluated.name] is not None),
        key=lambda evaluated: costs[evaluated.name],
    )
    if len(ranked) < 2:
        return set()
    verdicts = {evaluated.name: verdict(ranked[0], evaluated, metric) for evaluated in ranked[1:]}
    if not all(verdicts.values()) or all(result == OPEN for result in verdicts.values()):
        return set()
    return {ranked[0].name, *(name for name, result in verdicts.items() if result == OPEN)}


def _cell(evaluated: Evaluated, metric: str, best: bool) -> Cell:
    record = evaluated.figures[metric]
    members = tuple(float(member.replicates[metric][0]) for member in evaluated.members)
    low, high = bounded(record.metric, record.low, record.high)  # older versions did not cut it
    return Cell(record.value, low, high, best, members)
