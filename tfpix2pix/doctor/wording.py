"""How findings and figures are put, in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tfpix2pix.doctor.findings import Examination, Finding

NAMES_SHOWN, VALUES_SHOWN = 5, 6


def grouped(items: Iterable[Any], key: Callable[[Any], Hashable]) -> list[list]:
    """Items of equal keys, in the order of their first."""
    groups: dict[Hashable, list] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def listed(names: list[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    if len(names) <= most:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def by_kind(examination: Examination) -> list[list[Finding]]:
    """The findings of each kind, which stand together."""
    return grouped(examination.findings, lambda found: found.kind)


def where(found: Finding) -> str:
    """`val/12`, or as much as there is to say."""
    if not found.names:
        return "the whole set"
    if not found.split:
        return listed(list(found.names))
    return listed([f"{found.split}/{name}" for name in found.names])


def first_names(findings: Iterable[Finding]) -> str:
    return listed([where(found) for found in findings], NAMES_SHOWN)


def figures(examination: Examination) -> list[str]:
    """`size of image: 512x256 px: 500`, a line a role of files."""
    lines = []
    for what, roles in (("size", examination.sizes), ("kind", examination.channels)):
        for role, counts in roles.items():
            values = [f"{value}: {count}" for value, count in list(counts.items())[:VALUES_SHOWN]]
            rest = len(counts) - VALUES_SHOWN
            lines.append(f"{what} of {role}: {', '.join(values)}{f' and {rest} other' if rest > 0 else ''}")
    return lines
