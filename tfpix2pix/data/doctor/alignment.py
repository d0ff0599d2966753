"""Checks by `measure.surface` that input and target show the same point at the same pixel.

Measured at 256 px on the 500 CMP facades, whose labels are hand-drawn, and on 100 pairs of edges2shoes, unchanged and
with either side moved (its edge pixels repeated) by 8 px across, down or both:

| | unchanged: largest margin | 8 px detected | 4 px detected |
|---|---|---|---|
| facades | 1.1 (in 99 of 100: 0.2 or less) | 96 to 98 % | 36 to 95 % |
| edges2shoes | 0.0 | 100 % | 100 % |

At most 1 % of moved facades were detected with a wrong displacement. Labels lie a little high: of moves by 4 px, those
of labels down are detected least. Pairs of noise have a margin up to 4.1, but a peak up to 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfpix2pix.data import source_row
from tfpix2pix.data.doctor.findings import Finding, finding
from tfpix2pix.data.doctor.measure import LEAST_MARGIN, LEAST_PEAK, NEAR_PX
from tfpix2pix.data.doctor.shifts import FAR_PX, ShiftReport

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Survey

LEAST_PX = 3  # of a view; smaller displacements are not reported
LEAST_ALIGNED = 0.5  # fraction of pairs with a clear peak that must be near zero before single pairs are reported
LEAST_SHIFTED = 0.5  # fraction of pairs with a clear shift that are far from aligned, for a finding about the set
LEAST_ALIKE = 0.5  # fraction of them that are shifted as the whole set is
FEWEST_PAIRS = 4  # with a clear peak, for the same reason
SET_PEAK, SET_MARGIN = 8.0, 1.5  # of the sum: 33 and 2 or more with every facade moved by 3 px; noise has a peak of 4.7


def in_words(right_px: float, down_px: float) -> str:
    """Describes a displacement: `about 8 px to the left and 3 px down`."""
    words = [
        f"{abs(round(value))} px {after if value > 0 else before}"
        for value, after, before in ((right_px, "to the right", "to the left"), (down_px, "down", "up"))
        if round(value)
    ]
    return f"about {' and '.join(words)}"


def misaligned(survey: Survey) -> list[Finding]:
    """Finds pairs with displaced sides while most are aligned, or a displacement of the whole set.

    A pair is reported if its peak is LEAST_PX or more from zero, LEAST_MARGIN above all values near zero and LEAST_PEAK
    high, and if most pairs with such a peak are aligned: then the displacement is a fault and not the task. The set is
    reported if the sum over its pairs has its peak away from zero, or if most pairs with a clear shift are shifted by
    more than FAR_PX, each in its own way. Then single pairs are not. Sources that draw both sides of a pair from one
    file are not checked: a row of equal arrows would seem displaced by one arrow.
    """
    if source_row(survey.data.source).drawn:
        return []
    looks = [look for look in survey.readable if look.traits.peak is not None]
    scale = np.median([look.traits.scale for look in looks], axis=0) if looks else (1, 1)
    report, whole = shift_report(survey), survey.surfaces.peak()
    shifts = [shift for _, _, shift in report.pairs] if report else []
    many = len(shifts) >= FEWEST_PAIRS
    if whole and whole.distance >= LEAST_PX and whole.margin >= SET_MARGIN and whole.height >= SET_PEAK:
        right, down = whole.right * scale[0], whole.down * scale[1]
        near_px = NEAR_PX * max(scale)
        alike = [max(abs(shift.right - right), abs(shift.down - down)) <= near_px for shift in shifts]
        if not many or sum(alike) >= LEAST_ALIKE * len(alike):
            message = f"Targets are displaced {in_words(right, down)} against inputs in the whole set, by the edges of "
            message += f"{len(looks)} pairs."
            return [finding("misaligned", "", (), message)]
    if many and len(report.far) >= LEAST_SHIFTED * len(shifts):
        message = f"{len(report.far)} of {len(shifts)} pairs are shifted by more than {FAR_PX} px: the median is "
        message += f"{report.median_px:g} px, the largest {report.largest_px} px."
        return [finding("misaligned", "", (), message)]
    clear = [look for look in looks if look.traits.peak.height >= LEAST_PEAK]
    aligned = sum(look.traits.peak.distance <= NEAR_PX for look in clear)
    if len(clear) < FEWEST_PAIRS or aligned < LEAST_ALIGNED * len(clear):
        return []
    findings = []
    for look in clear:
        peak, scale = look.traits.peak, look.traits.scale
        if peak.distance >= LEAST_PX and peak.margin >= LEAST_MARGIN:
            words = in_words(peak.right * scale[0], peak.down * scale[1])
            message = f"Its target is displaced {words} against its input; {aligned} of {len(clear)} pairs are aligned."
            findings.append(finding("misaligned", look.split, [look.name], message, **survey.of(look)))
    return findings


def shift_report(survey: Survey) -> ShiftReport | None:
    """Summarizes the shifts of the pairs. Returns None if no pair was compared, as if one file gives both sides."""
    if source_row(survey.data.source).drawn:
        return None
    looks = [look for look in survey.readable if look.traits.peak is not None]
    pairs = tuple((look.split, look.name, look.traits.shift) for look in looks if look.traits.shift is not None)
    return ShiftReport(pairs, len(looks) - len(pairs)) if looks else None
