"""An examination for the terminal: whole, as tables, and in a few lines for a run that starts."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfpix2pix.doctor.findings import Examination
from tfpix2pix.doctor.page import write_html
from tfpix2pix.doctor.wording import by_kind, figures, first_names, where

__all__ = ["as_table", "quick_lines", "write_html"]


def as_table(examination: Examination) -> RenderableType:
    """A row a kind of finding, what sizes and kinds of files there are, notes, and the verdict in a line."""
    parts: list[RenderableType] = []
    if examination.findings:
        table = Table(show_lines=True)
        for heading in ("found", "times", "first", "what to do"):
            table.add_column(heading, justify="right" if heading == "times" else "left", overflow="fold")
        for findings in by_kind(examination):
            first = Text(f"{first_names(findings)}\n{findings[0].message}")
            table.add_row(Text(findings[0].kind), str(len(findings)), first, Text(findings[0].advice))
        parts.append(table)
    parts.append(Text(f"read as: {examination.read_as}"))
    parts += [Text(line) for line in figures(examination)]
    parts += [Text(f"Note: {note}") for note in examination.notes]
    return Group(*parts, Text(examination.verdict))


def quick_lines(examination: Examination) -> list[str]:
    """For a run that starts: a line a kind, with the first pair's name; then the notes; nothing where all is well."""
    lines = [
        f"{findings[0].kind}: {len(findings)}, the first {where(findings[0])}: {findings[0].message}"
        for findings in by_kind(examination)
    ]
    more = ["All of them, and what to do: `tfpix2pix data check`."] if lines else []
    return lines + more + list(examination.notes)
