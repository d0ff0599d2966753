"""Holds the result of an examination: findings, each a fault of some pairs or files, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfpix2pix.data.division import Division
from tfpix2pix.data.doctor.shifts import ShiftReport

EXIT_CLEAN, EXIT_FINDINGS = 0, 3

STOPPING = {"partner", "repeated", "missing", "unreadable"}  # kinds that end a run, unless `data.on_error` is skip

# kind -> advice, in the order in which kinds are reported
ADVICE = {
    "partner": "Add the missing file under the same name, remove the one that is alone, or leave such files out by "
    "`data.on_error: skip`. Pair other names by "
    "number or likeness: `tfpix2pix data match INPUTS TARGETS --out pairs.csv`.",
    "repeated": "Keep one file of each name in a folder.",
    "missing": "Correct the line of the table, or remove it.",
    "unreadable": "Replace the file with a whole copy in a format that is read, or remove it. Save integers below 0, "
    "such as HU, as float32.",
    "large": "Raise `data.max_megapixels` if the files are right, or make them smaller.",
    "size": "Cut or scale it like the others, or remove it. If all are like it, set another `data.image_size_px` or "
    "`data.fit`.",
    "channels": "Save it like the others, or remove it. If all are like it, set `data.input_channels` and "
    "`data.target_channels`.",
    "range": "Set `data.input_range` and `data.target_range` to what the files hold.",
    "finite": "Write numbers in place of NaN and infinity, or remove the file. If NaN stands for no data, set "
    "`data.weight` to {nodata: nan}.",
    "classes": "Correct the label map, or set the number of classes, `data.class_colors`, `data.input_class_values`, "
    "`data.target_class_values` or `data.ignore_class`.",
    "weights": "Replace the weights with one gray channel, as large as the target: black to white, or floats from 0 to "
    "1. For `data.weight: alpha` save the target with transparency. With `data.weight: null` all pixels count.",
    "unfit": "Replace the pair or remove it.",
    "absent": "Add pairs with it, or set fewer classes. If its pixels are there, check `data.ignore_class`, "
    "`data.class_colors`, `data.input_class_values` and `data.target_class_values`.",
    "palettes": "Set `data.class_colors`: palette files are then read by their colours. Or save all of them with one "
    "palette.",
    "constant": "Remove the pair: nothing can be learned from it. If values fill little of their range, set "
    "`data.input_range` or `data.target_range`. If they are classes, set `data.input_classes` or "
    "`data.target_classes`.",
    "uncounted": "Remove the pair, or correct its weights. White counts, and black does not.",
    "faint": "Save the mask with 0 and 255, or with 0 and 1, if its values are numbers of classes.",
    "identical": "Check that input and target are not one file, or remove the pair.",
    "photographs": "If they are photographs, set `data.source` to photographs and `data.operator` to what makes their "
    "inputs. If input and target are two files, put them into two folders and set `data.source` to folders.",
    "swapped": "Exchange its input and target.",
    "misaligned": "Write corrected pairs by `tfpix2pix data align DIR --out NEW`. If it stays, cut the pair again so "
    "that both sides show the same point at the same pixel, or remove it. If pairs stay shifted by a few px, give the "
    "weight of `l1` to `objective.weights.pyramid_l1`.",
    "duplicate": "Keep one of them: the others only give it more weight.",
    "leak": "Keep it in one split: a held-out pair that is trained on measures nothing.",
    "group": "Move its pairs into one split: a held-out pair is no new image if others of its group are trained on.",
}


@dataclass(frozen=True)
class Finding:
    """Describes one fault: its kind, its pairs or files, one sentence with the measurement, and advice."""

    kind: str  # a key of ADVICE
    split: str  # empty for several splits or none; names of pairs then begin with their split, as in `val/12`
    names: tuple[str, ...]  # of pairs, or of files without a pair; empty for the whole set
    message: str
    advice: str
    files: tuple[str, ...] = ()  # on disk
    pairs: tuple[tuple[str, int], ...] = ()  # split and index in its source, to read them again


def finding(kind: str, split: str, names: Sequence[str], message: str, **more: Any) -> Finding:
    """Makes a finding with the advice of its kind."""
    return Finding(kind, split, tuple(names), message, ADVICE[kind], **more)


@dataclass(frozen=True)
class Examination:
    """Holds all results of the examination of a dataset."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]  # advice about what is not a fault
    read_as: str  # how the folder was read, in words
    pairs: Mapping[str, int]  # split -> number of its pairs
    examined: int  # number of pairs that were read
    sizes: Mapping[str, Mapping[str, int]]  # `image`, or `input` and `target` -> `512x256 px` -> number of files
    channels: Mapping[str, Mapping[str, int]]  # the same -> `RGB, 8 bits` -> number of files
    shifts: ShiftReport | None = None  # None: of no pair are both sides compared
    division: Division | None = None  # the groups of each split
    overrides: tuple[str, ...] = ()  # `data.key=value` of the keys that the notes advise for these values

    @property
    def groups(self) -> dict[str, list[str]] | None:
        """Returns the names of the groups by split; None without `data.group`."""
        groups = self.division and self.division.groups
        return groups and {split: list(names) for split, names in groups.items()}

    @property
    def kinds(self) -> dict[str, int]:
        """Counts the findings of each kind, in the order in which kinds are reported."""
        return dict(Counter(finding.kind for finding in self.findings))

    @property
    def exit_code(self) -> int:
        """Returns 0 if there are no findings, else 3."""
        return EXIT_FINDINGS if self.findings else EXIT_CLEAN

    @property
    def verdict(self) -> str:
        """Returns a summary in one line."""
        total = sum(self.pairs.values())
        pairs = f"{self.examined} of {total} pairs" if self.examined < total else f"{total} pairs"
        if not self.findings:
            return f"{pairs}, no faults found"
        count, kinds = len(self.findings), len(self.kinds)
        return f"{pairs}, {count} finding{'s' * (count > 1)}{f' of {kinds} kinds' if kinds > 1 else ''}"

    def as_dict(self) -> dict[str, Any]:
        """Returns a dictionary for JSON: `read_as`, `pairs`, `groups`, `examined`, `findings`, `notes`, `kinds`,
        `sizes`, `channels`, `shifts` and `exit_code`.

        A finding has `kind`, `split`, `names`, `files`, `message` and `advice`.
        """
        keys = ("kind", "split", "names", "files", "message", "advice")
        rows = [{key: getattr(finding, key) for key in keys} for finding in self.findings]
        return {
            "read_as": self.read_as,
            "pairs": dict(self.pairs),
            "groups": self.groups,
            "examined": self.examined,
            "findings": [{**row, "names": list(row["names"]), "files": list(row["files"])} for row in rows],
            "notes": list(self.notes),
            "kinds": self.kinds,
            "sizes": {role: dict(counts) for role, counts in self.sizes.items()},
            "channels": {role: dict(counts) for role, counts in self.channels.items()},
            "shifts": self.shifts and self.shifts.as_dict(),
            "exit_code": self.exit_code,
        }
