"""Which side of a set looks like a photograph and which like a drawing: a label map, a line drawing, a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfpix2pix.config import DataConfig
from tfpix2pix.doctor.findings import Finding, finding

if TYPE_CHECKING:
    from tfpix2pix.doctor.looks import Survey

REACH_PX = 7  # around a pixel: a JPEG block's noise is as far from its edge
FAINT_LEVELS = 12  # contrast under which nothing is there
MIDDLE = (0.15, 0.6)  # of the contrast around: less is flat or a JPEG's noise, more is the edge itself
LEAST_TEXTURE = 0.1  # by which most pairs' sides must differ; 0.28 on facades, 0.2 on edges2shoes
CLEAR = 0.03  # a pair's sides differ; those of facades and shoes by 0.06 at least
LEAST_SHARE, MOST_UNCLEAR = 0.85, 0.05  # of pairs that agree, and of pairs that say neither
FEWEST_PAIRS = 4

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def texture(view: np.ndarray) -> float:
    """Share of pixels of uint8 (H, W, 3) with middling contrast, which photographs have all over and drawings not.

    The contrast of 3 x 3 pixels, relative to the largest within REACH_PX. A drawing is flat, or an edge; what lies
    between is JPEG noise, weak beside the edge that it comes from. Unlike the number of colours or the share of flat
    pixels, this tells the two sides apart in every one of 500 facades and 100 pairs of edges2shoes, whose photographs
    have white grounds. Recompressed at JPEG quality 50, 1 in 100 differs by less than CLEAR and none by -0.002 or less.
    """
    planes = np.ascontiguousarray(np.moveaxis(view, -1, 0))
    contrast = (_largest(planes, 1) - ~_largest(~planes, 1)).max(axis=0)
    around = _largest(contrast, REACH_PX)
    share = contrast / np.maximum(around, 1)
    return float(((around > FAINT_LEVELS) & (share > MIDDLE[0]) & (share < MIDDLE[1])).mean())


def _largest(values: np.ndarray, reach: int) -> np.ndarray:
    """The largest value within `reach` rows and columns of (…, H, W), by doubling."""
    size = 2 * reach + 1
    values = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(reach, reach)] * 2, mode="edge")
    for rest in ((), (slice(None),)):  # along rows, along columns
        done = 1
        while done < size:
            step = min(done, size - done)
            values = np.maximum(*(values[(..., part, *rest)] for part in (slice(None, -step), slice(step, None))))
            done += step
    return values


def photograph_side(survey: Survey) -> int:
    """1 where the inputs look like photographs and the targets like drawings, -1 the other way round, 0: not clear."""
    data = survey.config.data
    differences = _differences(survey)
    if data.makes_inputs or any(data.classes) or len(differences) < FEWEST_PAIRS:
        return 0
    side = 1 if np.median(differences) > 0 else -1
    agree, unclear = np.mean(side * differences > CLEAR), np.mean(np.abs(differences) <= CLEAR)
    typical = np.median(side * differences)
    return side if typical >= LEAST_TEXTURE and agree >= LEAST_SHARE and unclear <= MOST_UNCLEAR else 0


def _differences(survey: Survey) -> np.ndarray:
    return np.array([look.traits.texture[0] - look.traits.texture[1] for look in survey.readable])


def swapped(survey: Survey) -> list[Finding]:
    """Pairs whose sides are the other way round than in a clear majority (`photograph_side`).

    Found where the texture differs by more than CLEAR the other way. As they are, no facade or shoe comes nearer to
    that than 0.09.
    """
    side = photograph_side(survey)
    if not side:
        return []
    kinds = ("a drawing", "a photograph")[::side]
    found = []
    for look, difference in zip(survey.readable, _differences(survey), strict=True):
        if side * difference < -CLEAR:
            message = f"Its input looks like {kinds[0]} and its target like {kinds[1]}: the other way round than most."
            found.append(finding("swapped", look.split, [look.name], message, **survey.of(look)))
    return found


def direction(survey: Survey) -> list[str]:
    """A note of what a run would learn, and how to have it the other way: a mistake that no error shows."""
    side = photograph_side(survey)
    if not side:
        return []
    data = survey.config.data
    first, second = ("photograph", "drawing")[::side]
    sentence, other = OTHER_WAY.get(data.source, _of_any)(data)
    other = f"; for the other direction {other}" if other else ""
    return [f"{sentence.format(first=first, second=second)}: a run learns {first} -> {second}{other}."]


def _of_halves(data: DataConfig) -> tuple[str, str]:
    here, there = data.input_side, OPPOSITE[data.input_side]
    sentence = f"The {here} half (input) looks like a {{first}} and the {there} (target) like a {{second}}"
    return sentence, f"`--set data.input_side={there}`"


def _of_folders(data: DataConfig) -> tuple[str, str]:
    one, two = data.input_folder, data.target_folder
    sentence = "The inputs, in {}, look like {{first}}s and the targets, in {}, like {{second}}s"
    return sentence.format(*(f"{name}/".replace("{", "{{").replace("}", "}}") for name in (one, two))), (
        f"`--set data.input_folder={two} --set data.target_folder={one}`"
    )


def _of_any(data: DataConfig, other: str = "") -> tuple[str, str]:
    return "The inputs look like {first}s and the targets like {second}s", other


# source -> (sentence with the places {first} and {second}, how to exchange the sides)
OTHER_WAY = {
    "combined": _of_halves,
    "folders": _of_folders,
    "table": lambda data: _of_any(data, f"exchange the columns input and target of {data.dir}"),
    "shards": lambda data: _of_any(
        data,
        f"`--set data.input_side={OPPOSITE[data.input_side]}` where they hold combined images, else exchange the sides "
        f"before `tfpix2pix data shard`",
    ),
}
