"""Detects which side of a dataset looks like a photograph and which like a drawing: a label map, lines or a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfpix2pix.data import source_row
from tfpix2pix.data.doctor.findings import Finding, finding
from tfpix2pix.data.guess import OTHER_WAY
from tfpix2pix.data.splits import folders_in_words

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Survey

LEAST_TEXTURE = 0.1  # typical difference of a pair's sides that is required; 0.28 on facades, 0.2 on edges2shoes
CLEAR = 0.03  # difference of one pair's sides that counts; facades and shoes have 0.06 at least
LEAST_SHARE, MOST_UNCLEAR = 0.85, 0.05  # fractions of pairs that agree, and of pairs without a clear difference
FEWEST_PAIRS = 4

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def photograph_side(survey: Survey) -> int:
    """Returns 1 if the inputs look like photographs and the targets like drawings, -1 in the opposite case, and 0 if
    neither is clear."""
    data = survey.data
    differences = _differences(survey)
    measured = any(levels for look in survey.readable for levels in look.traits.levels)  # 16 bits are no drawing
    if (
        data.makes_inputs
        or measured
        or any(channels[0] for channels in data.numbers)
        or len(differences) < FEWEST_PAIRS
    ):
        return 0
    side = 1 if np.median(differences) > 0 else -1
    agree, unclear = np.mean(side * differences > CLEAR), np.mean(np.abs(differences) <= CLEAR)
    typical = np.median(side * differences)
    return side if typical >= LEAST_TEXTURE and agree >= LEAST_SHARE and unclear <= MOST_UNCLEAR else 0


def _differences(survey: Survey) -> np.ndarray:
    return np.array([look.traits.texture[0] - look.traits.texture[1] for look in survey.readable])


def swapped(survey: Survey) -> list[Finding]:
    """Finds pairs with exchanged sides, compared with a clear majority (`photograph_side`).

    A pair is reported if its texture differs by more than CLEAR in the other direction. Unchanged facades and shoes
    stay 0.09 or more away from that.
    """
    side = photograph_side(survey)
    if not side:
        return []
    kinds = ("a drawing", "a photograph")[::side]
    findings = []
    for look, difference in zip(survey.readable, _differences(survey), strict=True):
        if side * difference < -CLEAR:
            message = f"Its input looks like {kinds[0]} and its target like {kinds[1]}, unlike most pairs."
            findings.append(finding("swapped", look.split, [look.name], message, **survey.of(look)))
    return findings


def direction(survey: Survey) -> list[str]:
    """Notes what a run would learn, and how to exchange input and target: no error shows that mistake."""
    side = photograph_side(survey)
    if not side:
        return []
    data, row = survey.data, source_row(survey.data.source)
    first, second = ("photograph", "drawing")[::side]
    words = {"first": first, "second": second, "opposite": OPPOSITE[data.input_side], **folders_in_words(data)}
    has_other = row.other_way and not (data.inputs or data.targets)
    other = f" {OTHER_WAY}: {row.other_way.format(data, **words)}." if has_other else ""
    return [f"{row.sides.format(data, **words)}: a run learns {first} -> {second}.{other}"]
