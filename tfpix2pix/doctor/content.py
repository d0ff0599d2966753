"""What is in a pair that nothing can be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfpix2pix.doctor.findings import Finding, finding

if TYPE_CHECKING:
    from tfpix2pix.doctor.looks import Look, Survey

SIDES = ("input", "target")
CONSTANT_LEVELS = 2.0  # standard deviation, of 255 levels; facades and shoes have 18 or more
IDENTICAL_LEVELS = 1.0  # mean absolute difference, of 255 levels; facades and shoes have 14 or more


def flat_sides(survey: Survey, look: Look) -> list[str]:
    """The sides of a pair that are one colour, nearly. Label maps may be of one class."""
    sides = zip(SIDES, look.traits.spread, survey.config.data.classes, strict=True)
    return [side for side, spread, classes in sides if classes is None and spread < CONSTANT_LEVELS]


def constant(survey: Survey) -> list[Finding]:
    """Pairs of which a side is one colour: a blank page, a lost image, a mask of 0 and 1 read as 0 and 1 of 255.

    One thin line across a picture is more: it has a deviation of 8 levels.
    """
    found = []
    for look in survey.whole:
        for side in flat_sides(survey, look):
            spread = look.traits.spread[SIDES.index(side)]
            message = f"Its {side} is {'nearly ' * (spread > 0)}one colour: it varies by {spread:.1f} of 255 levels."
            found.append(finding("constant", look.split, [look.name], message, **survey.of(look)))
    return found


def identical(survey: Survey) -> list[Finding]:
    """Pairs whose two sides are one picture, but for a compression's noise."""
    return [
        finding(
            "identical", look.split, [look.name],
            f"Input and target are one picture: they differ by {look.traits.difference:.2f} of 255 levels on average.",
            **survey.of(look),
        )
        for look in survey.whole
        if look.traits.difference < IDENTICAL_LEVELS and not flat_sides(survey, look)
    ]  # fmt: skip
