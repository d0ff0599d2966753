"""Advises keys of `data` that suit gray files, and files of 16 bits whose values are small."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from tfpix2pix.data.doctor.files import histograms

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Survey

SIDES = ("input", "target")
FULL = 2**16 - 1  # largest value of 16 bits
LITTLE = 0.25  # fraction of it below which a picture is nearly black
GRAY = "gray, "  # begins the description of a gray file's channels


class Advice(NamedTuple):
    """Holds what was seen, in a sentence, and the keys of `data` that suit it, with their values."""

    seen: str
    keys: Mapping[str, str]

    @property
    def overrides(self) -> tuple[str, ...]:
        """Returns the keys with the section that they are of."""
        return tuple(f"data.{name}={value}" for name, value in self.keys.items())


def advice_of(survey: Survey) -> list[Advice]:
    """Returns advice on the channels and on the range of values."""
    data = survey.data
    return [] if data.makes_inputs or data.inputs or data.targets else [*_of_gray(survey), *_of_dark(survey)]


def notes(survey: Survey) -> list[str]:
    """Notes what was seen, and which keys suit it."""
    return [
        f"{each.seen} Add `{' '.join(f'--set data.{name}={value}' for name, value in each.keys.items())}`."
        for each in advice_of(survey)
    ]


def _of_gray(survey: Survey) -> list[Advice]:
    data, files = survey.data, histograms(survey)["channels"]
    counts = dict(zip(SIDES, (data.input_channels, data.target_channels), strict=True))
    gray = []
    for side, classes in zip(SIDES, data.classes, strict=True):
        kinds = files.get(side, files.get("image", {}))
        if counts[side] == 3 and not classes and kinds and all(kind.startswith(GRAY) for kind in kinds):
            gray.append(side)
    if not gray:
        return []
    sides = " and ".join(f"{side}s" for side in gray)
    keys = {f"{side}_channels": "1" for side in gray}
    return [Advice(f"All files of the {sides} are gray, and a run learns three channels of them.", keys)]


def _of_dark(survey: Survey) -> list[Advice]:
    data, advice = survey.data, []
    for at, side in enumerate(SIDES):
        levels = [look.traits.levels[at] for look in survey.readable]
        if not levels or None in levels or data.ranges[at] is not None or data.classes[at]:
            continue
        low, high = min(low for low, _ in levels), max(high for _, high in levels)
        if 0 < high < LITTLE * FULL:
            unit = 10 ** (len(str(high)) - 1)
            seen = (
                f"The values of the {side}s are {low:,} to {high:,} of {FULL:,}, the most that 16 bits hold, so a run "
                f"sees them nearly black."
            )
            advice.append(Advice(seen, {f"{side}_range": f"[0,{math.ceil(high / unit) * unit}]"}))
    return advice
