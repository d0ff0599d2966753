"""What is wrong with files: partners that are missing, what cannot be read, what is not like the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfpix2pix.doctor.findings import Finding, finding
from tfpix2pix.doctor.headers import Header
from tfpix2pix.doctor.wording import grouped, listed

if TYPE_CHECKING:
    from tfpix2pix.doctor.looks import Look, Survey

MOST_OTHERS = 0.05  # of the files that may differ where the rest share a size or kind, or else nothing is to be said
FEWEST_FILES = 5  # in which one may differ
ROLES = {1: ("image",), 2: ("input", "target")}  # of a pair's files, by their number
FIELDS = {"size": "size", "channels": "channels"}  # kind of finding -> field of a header


def pairing(survey: Survey) -> list[Finding]:
    """Files without a partner, with several, lines of a table that name none: what the source left out, told once.

    Data that nothing divides say the same of every split.
    """
    splits: dict[tuple, list[str]] = {}
    for split, source in survey.sources.items():
        for fault in source.skipped:
            splits.setdefault((fault.kind, fault.where, fault.message), []).append(split)
    return [
        finding(kind, found_in[0] if len(found_in) == 1 else "", [Path(where).name], message, files=(where,))
        for (kind, where, message), found_in in splits.items()
    ]


def reading(survey: Survey) -> list[Finding]:
    """Pairs that reading refuses: unreadable, cut short, too small, of other channels, values or classes."""
    return [
        finding(look.fault.kind, look.split, [look.name], look.fault.message, **survey.of(look))
        for look in survey.looks
        if look.fault
    ]


def files_of(survey: Survey) -> Iterator[tuple[Look, str, Path, Header]]:
    """Every file of the pairs once, with its role and header; (look, role, path, header)."""
    seen = set()
    for look in survey.looks:
        paths = survey.sources[look.split].files(look.index)
        for role, path, header in zip(ROLES.get(len(paths), ()), paths, look.headers, strict=False):
            if header is not None and path not in seen:
                seen.add(path)
                yield look, role, path, header


def histograms(survey: Survey) -> dict[str, dict[str, dict[str, int]]]:
    """`size` and `channels` -> role -> value -> number of files, the most frequent first."""
    counts: dict[str, dict[str, Counter]] = {field: {} for field in FIELDS.values()}
    for _, role, _, header in files_of(survey):
        for field in counts:
            counts[field].setdefault(role, Counter())[getattr(header, field)] += 1
    return {
        field: {role: dict(counter.most_common()) for role, counter in roles.items()} for field, roles in counts.items()
    }


def profiles(survey: Survey) -> list[str]:
    """A note of files with a colour profile, which is not applied (docs/data.md)."""
    headers = [header for _, _, _, header in files_of(survey)]
    counts = Counter(header.profile for header in headers if header.profile)
    if not counts:
        return []
    return [
        f"{counts.total()} of {len(headers)} files have a colour profile that is not applied ({listed(list(counts))}): "
        f"colours are not those that a viewer shows. Convert them to sRGB where that matters."
    ]


def outliers(survey: Survey) -> list[Finding]:
    """Files whose size, or channels and depth, are not those of nearly all others in the same role.

    Nearly all: at least 95 of 100; of 5 to 19 files, all but one; of fewer, or where more differ, a set is taken to be
    of mixed sizes on purpose. Files that reading refuses are told there.
    """
    found = []
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
                    of = {"files": (str(path),), "pairs": ((look.split, look.index),)}
                    found.append(finding(kind, look.split, [look.name], message, **of))
    return found
