"""Pairs that are there twice: within a split (`duplicate`) or in two (`leak`), recompressed, scaled or lit anew too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfpix2pix.data import SPLITS
from tfpix2pix.data.near_duplicates import MOST_DIFFERENCE, Groups, difference, near
from tfpix2pix.doctor.findings import Finding, finding
from tfpix2pix.doctor.wording import grouped, listed

if TYPE_CHECKING:
    from tfpix2pix.doctor.looks import Survey

COMPARED_AT_ONCE = 4096  # thumbnails


def duplicates(survey: Survey) -> list[Finding]:
    """Pairs of one split with the same pixels on both sides, a finding for all that are the same."""
    found = []
    for looks in grouped(survey.whole, lambda look: (look.split, look.traits.exact)):
        if len(looks) > 1:
            names = [look.name for look in looks]
            message = f"{len(looks)} pairs have the same pixels: {listed(names)}."
            found.append(finding("duplicate", looks[0].split, names, message, **survey.of(*looks)))
    return found


def leaks(survey: Survey) -> list[Finding]:
    """Pairs that are in two splits, pixel for pixel or to the eye, a finding for all that are the same.

    Exact copies by their hashes; others as `near` finds them, confirmed where their thumbnails differ by
    MOST_DIFFERENCE at most.
    """
    looks = survey.whole
    groups = Groups(len(looks))
    by_exact = grouped(range(len(looks)), lambda at: looks[at].traits.exact)
    for same in by_exact:
        for at in same[1:]:
            groups.join(same[0], at)
    firsts = [one[0] for same in by_exact for one in grouped(same, lambda at: looks[at].split)]
    traits = [looks[at].traits for at in firsts]
    hashes = np.array([each.perceptual for each in traits], np.uint64)
    candidates = near(hashes, np.array([SPLITS.index(looks[at].split) for at in firsts]))
    for start in range(0, len(candidates), COMPARED_AT_ONCE):
        some = candidates[start : start + COMPARED_AT_ONCE]
        a, b = (np.stack([traits[at].thumbnails for at in side]) for side in some.T)
        for i, j in some[difference(a, b) <= MOST_DIFFERENCE]:
            groups.join(firsts[i], firsts[j])
    found = []
    for same in grouped(range(len(looks)), groups.of):
        if len({looks[at].split for at in same}) > 1:
            members = [looks[at] for at in same]
            exact = len({look.traits.exact for look in members}) == 1
            names = [f"{look.split}/{look.name}" for look in members]
            how = "have the same pixels" if exact else "are the same to the eye"
            message = f"{listed(names)} {how}."
            found.append(finding("leak", "", names, message, **survey.of(*members)))
    return found
