"""Checks files: missing partners, unreadable files, and files that differ from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfpix2pix.data.doctor.findings import Finding, finding
from tfpix2pix.data.doctor.headers import Header
from tfpix2pix.data.doctor.report import grouped
from tfpix2pix.errors import listed

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Look, Survey

MOST_OTHERS = 0.05  # fraction of files that may differ; if more do, the set is taken to be mixed on purpose
FEWEST_FILES = 5  # below this number, files that differ are not reported
FIELDS = {"size": "size", "channels": "channels"}  # kind of finding -> field of a header


def pairing(survey: Survey) -> list[Finding]:
    """Finds what the source left out: files without a partner or with several, and table lines that name no files.

    Each is reported once, although undivided data have the same faults in every split.
    """
    splits: dict[tuple, list[str]] = {}
    for split, source in survey.sources.items():
        for fault in source.skipped:
            splits.setdefault((fault.kind, fault.where, fault.message), []).append(split)
    return [
        finding(kind, names[0] if len(names) == 1 else "", [Path(where).name], message, files=(where,))
        for (kind, where, message), names in splits.items()
    ]


def reading(survey: Survey) -> list[Finding]:
    """Finds pairs that cannot be read: unreadable, cut short, too small, or of other channels, values or classes."""
    return [
        finding(look.fault.kind, look.split, [look.name], look.fault.message, **survey.of(look))
        for look in survey.looks
        if look.fault
    ]


def roles_of(survey: Survey, files: int) -> tuple[str, ...]:
    """Returns the roles of a pair's files: image, or input and target, or the names of their parts, and perhaps
    weight."""
    if files == 1:
        return ("image",)
    inputs = [part.name for part in survey.data.inputs or () if part.row.in_files] or ["input"]
    targets = [part.name for part in survey.data.targets or ()] or ["target"]
    return (*inputs, *targets, "weight")[:files]


def files_of(survey: Survey) -> Iterator[tuple[Look, str, Path, Header]]:
    """Yields (look, role, path, header) once for every file of the pairs."""
    known = set()
    for look in survey.looks:
        paths = survey.sources[look.split].files(look.index)
        for role, path, header in zip(roles_of(survey, len(paths)), paths, look.headers, strict=False):
            if header is not None and path not in known:
                known.add(path)
                yield look, role, path, header


def histograms(survey: Survey) -> dict[str, dict[str, dict[str, int]]]:
    """Counts files: `size` and `channels` -> role -> value -> number of files, the most frequent first."""
    counts: dict[str, dict[str, Counter]] = {field: {} for field in FIELDS.values()}
    for _, role, _, header in files_of(survey):
        for field in counts:
            counts[field].setdefault(role, Counter())[getattr(header, field)] += 1
    return {
        field: {role: dict(counter.most_common()) for role, counter in roles.items()} for field, roles in counts.items()
    }


def profiles(survey: Survey) -> list[str]:
    """Notes how many files have a colour profile, which is not applied (docs/formats.md)."""
    headers = [header for _, _, _, header in files_of(survey)]
    counts = Counter(header.profile for header in headers if header.profile)
    if not counts:
        return []
    return [
        f"{counts.total()} of {len(headers)} files have a colour profile that is not applied ({listed(list(counts))}): "
        f"colours are not those that a viewer shows. Convert them to sRGB if that matters."
    ]


def outliers(survey: Survey) -> list[Finding]:
    """Finds files that differ in size, or in channels and depth, from nearly all others in the same role.

    Nearly all are at least 95 %, or of 5 to 19 files all but one. If more differ, or there are fewer files, the set is
    taken to be mixed on purpose. Files that cannot be read are left to `reading`.
    """
    findings = []
    for kind, field in FIELDS.items():
        for same_role in grouped(files_of(survey), lambda row: row[1]):
            counts = Counter(getattr(row[3], field) for row in same_role)
            (usual, count), total = counts.most_common(1)[0], len(same_role)
            if total < FEWEST_FILES or total - count > max(1, int(MOST_OTHERS * total)):
                continue
            for look, role, path, header in same_role:
                value = getattr(header, field)
                if value != usual and look.fault is None:
                    noun = "file" if role == "image" else role
                    message = f"The {noun} {path} is {value}; {count} of {total} are {usual}."
                    location = {"files": (str(path),), "pairs": ((look.split, look.index),)}
                    fault = "weights" if role == "weight" else kind
                    findings.append(finding(fault, look.split, [look.name], message, **location))
    return findings
