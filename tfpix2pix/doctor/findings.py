"""What an examination gives: findings, each a fault of some pairs or files, and the figures around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXIT_CLEAN, EXIT_FINDINGS = 0, 3

# kind -> what to do about it; in the order in which kinds are reported
ADVICE = {
    "partner": "Add the missing file under the same name, or remove the one that is alone.",
    "repeated": "Keep one file of each name in a folder.",
    "missing": "Mend the line of the table, or remove it.",
    "unreadable": "Replace the file by a whole copy, or remove it.",
    "size": "Cut or scale it like the others, or remove it; where all are so, set another `data.image_size_px` or "
    "`data.fit`.",
    "channels": "Save it like the others, or remove it; where all are so, set `data.input_channels` and "
    "`data.target_channels`.",
    "range": "Set `data.input_range` and `data.target_range` to what the files hold.",
    "classes": "Mend the label map, or set the number of classes, `data.ignore_class` or `data.class_colors`.",
    "unfit": "Mend the pair or remove it.",
    "constant": "Remove the pair: there is nothing to learn from it. Where values fill little of their range, set "
    "`data.input_range` or `data.target_range`; where they are classes, `data.input_classes` or `data.target_classes`.",
    "identical": "Check that input and target are not one file; remove the pair.",
    "swapped": "Exchange its input and target.",
    "misaligned": "Cut it anew so that both sides show the same place at the same pixel, or remove it.",
    "duplicate": "Keep one of them: the others only weigh it more.",
    "leak": "Keep it in one split: a held-out pair that is trained on measures nothing.",
}


@dataclass(frozen=True)
class Finding:
    """One fault: its kind, of which pairs or files, in one sentence with the figure, and what to do."""

    kind: str  # a key of ADVICE
    split: str  # empty: of several splits or of none; names of pairs then begin with theirs, as in `val/12`
    names: tuple[str, ...]  # of pairs; of files where there is no pair; none: of the whole set
    message: str
    advice: str
    files: tuple[str, ...] = ()  # on disk
    pairs: tuple[tuple[str, int], ...] = ()  # split and index in its source, to read them again


def finding(kind: str, split: str, names: Sequence[str], message: str, **more: Any) -> Finding:
    """A finding with the advice of its kind."""
    return Finding(kind, split, tuple(names), message, ADVICE[kind], **more)


@dataclass(frozen=True)
class Examination:
    """Everything that was found out about a set of pairs."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]  # advice that is no fault
    read_as: str  # how pairs were taken to lie in the folder
    pairs: Mapping[str, int]  # split -> how many pairs it has
    examined: int  # how many of them were read
    sizes: Mapping[str, Mapping[str, int]]  # `image`, or `input` and `target` -> `512x256 px` -> number of files
    channels: Mapping[str, Mapping[str, int]]  # the same -> `RGB, 8 bits` -> number of files

    @property
    def kinds(self) -> dict[str, int]:
        """Kind -> number of findings, in the order in which they are reported."""
        return dict(Counter(found.kind for found in self.findings))

    @property
    def exit_code(self) -> int:
        """0 where nothing was found, else 3."""
        return EXIT_FINDINGS if self.findings else EXIT_CLEAN

    @property
    def verdict(self) -> str:
        """The examination in a line."""
        total = sum(self.pairs.values())
        of = f"{self.examined} of {total} pairs" if self.examined < total else f"{total} pairs"
        if not self.findings:
            return f"{of}, nothing found"
        count, kinds = len(self.findings), len(self.kinds)
        return f"{of}, {count} finding{'s' * (count > 1)}{f' of {kinds} kinds' if kinds > 1 else ''}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `read_as`, `pairs`, `examined`, `findings`, `notes`, `kinds`, `sizes`, `channels`, `exit_code`.

        A finding has `kind`, `split`, `names`, `files`, `message` and `advice`.
        """
        keys = ("kind", "split", "names", "files", "message", "advice")
        found = [{key: getattr(each, key) for key in keys} for each in self.findings]
        return {
            "read_as": self.read_as,
            "pairs": dict(self.pairs),
            "examined": self.examined,
            "findings": [{**each, "names": list(each["names"]), "files": list(each["files"])} for each in found],
            "notes": list(self.notes),
            "kinds": self.kinds,
            "sizes": {role: dict(counts) for role, counts in self.sizes.items()},
            "channels": {role: dict(counts) for role, counts in self.channels.items()},
            "exit_code": self.exit_code,
        }
