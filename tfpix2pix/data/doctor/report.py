"""Writes findings as text: for the terminal, for the page, and in a few lines for a run that starts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfpix2pix.data.doctor.findings import Examination, Finding
from tfpix2pix.errors import listed

NAMES_SHOWN, VALUES_SHOWN = 5, 6


def grouped(items: Iterable[Any], key: Callable[[Any], Hashable]) -> list[list]:
    """Groups items with equal keys, in the order of their first items."""
    groups: dict[Hashable, list] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def by_kind(examination: Examination) -> list[list[Finding]]:
    """Groups the findings by kind."""
    return grouped(examination.findings, lambda finding: finding.kind)


def where(finding: Finding) -> str:
    """Names the pairs or files of a finding: `val/12`, a file's name, or `the whole set`."""
    if not finding.names:
        return "the whole set"
    if not finding.split:
        return listed(list(finding.names))
    return listed([f"{finding.split}/{name}" for name in finding.names])


def first_names(findings: Iterable[Finding]) -> str:
    return listed([where(finding) for finding in findings], NAMES_SHOWN)


def count_lines(examination: Examination) -> list[str]:
    """Returns the counts of files, one line for each role: `size of image: 512x256 px: 500`."""
    lines = []
    for noun, roles in (("size", examination.sizes), ("kind", examination.channels)):
        for role, counts in roles.items():
            values = [f"{value}: {count}" for value, count in list(counts.items())[:VALUES_SHOWN]]
            rest = len(counts) - VALUES_SHOWN
            lines.append(f"{noun} of {role}: {', '.join(values)}{f' and {rest} other' if rest > 0 else ''}")
    return lines


def as_table(examination: Examination) -> RenderableType:
    """Makes a table with a row for each kind of finding, followed by counts of files, notes and the verdict."""
    parts: list[RenderableType] = []
    if examination.findings:
        table = Table(show_lines=True)
        for heading in ("finding", "count", "first", "advice"):
            table.add_column(heading, justify="right" if heading == "count" else "left", overflow="fold")
        for findings in by_kind(examination):
            first = Text(f"{first_names(findings)}\n{findings[0].message}")
            table.add_row(Text(findings[0].kind), str(len(findings)), first, Text(findings[0].advice))
        parts.append(table)
    parts.append(Text(f"read as: {examination.read_as}"))
    if examination.groups:
        parts.append(Text(f"pairs: {examination.division.sentence}"))
    parts += [Text(line) for line in count_lines(examination)]
    if examination.shifts:
        parts.append(Text(f"shifts: {examination.shifts.summary}"))
    parts += [Text(f"Note: {note}") for note in examination.notes]
    return Group(*parts, Text(examination.verdict))


def quick_lines(examination: Examination) -> list[str]:
    """Returns lines for the start of a run: one for each kind, with the first pair's name, then the notes."""
    lines = [
        f"{findings[0].kind}: {len(findings)}, the first {where(findings[0])}: {findings[0].message}"
        if findings[0].names
        else f"{findings[0].kind}: {findings[0].message} {findings[0].advice}"
        for findings in by_kind(examination)
    ]
    more = ["`tfpix2pix data check` lists all of them with advice."] if lines else []
    return lines + more + list(examination.notes)
