"""Checks the content of pairs: sides from which nothing can be learned, missing classes, and pairs that occur twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfpix2pix.data import SPLITS, source_row
from tfpix2pix.data.doctor.findings import Finding, finding
from tfpix2pix.data.doctor.report import grouped
from tfpix2pix.data.doctor.survey import CONSTANT_LEVELS, label_maps
from tfpix2pix.data.groups import groups_by_name
from tfpix2pix.data.near_duplicates import MOST_DIFFERENCE, Groups, difference, near
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.errors import listed

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Look, Survey

SIDES = ("input", "target")
IDENTICAL_LEVELS = 1.0  # mean absolute difference, of 255 levels; facades and shoes have 14 or more
MOST_STEP_ACROSS = 1.5  # large steps between columns, of a picture that continues
FEWEST_STEPS, LEAST_TELLING = 3, 0.2  # number and fraction of images that must say something
LEAST_CONTINUING = 0.6  # fraction of them that must continue: 71 % of photographs or more do, 15 % of pairs or fewer
MOST_CLASSES = 20  # largest value of a mask that is taken for the number of a class
COMPARED_AT_ONCE = 4096  # thumbnails


def flat_sides(survey: Survey, look: Look) -> list[str]:
    """Lists the sides of a pair that are nearly one colour. Label maps may be of one class and are left out.

    The view of an input in several files shows the first of them.
    """
    sides = zip(SIDES, look.traits.spread, survey.data.numbers, strict=True)
    return [side for side, spread, numbers in sides if not numbers[0] and spread < CONSTANT_LEVELS]


def constant(survey: Survey) -> list[Finding]:
    """Finds pairs with a side of one colour: a blank page, a lost image, a mask of 0 and 1 read as levels of 255.

    A picture with one thin line across is not reported: its deviation is 8 levels.
    """
    findings = []
    for look in survey.whole:
        for side in flat_sides(survey, look):
            spread = look.traits.spread[SIDES.index(side)]
            message = f"Its {side} is {'nearly ' * (spread > 0)}one colour: it varies by {spread:.1f} of 255 levels."
            findings.append(finding("constant", look.split, [look.name], message, **survey.of(look)))
    return findings


def absent(survey: Survey) -> list[Finding]:
    """Finds classes that occur in no label map of the training split, if all of its pairs have been looked at."""
    looks = [look for look in survey.looks if look.split == SPLITS[0]]
    readable = [look for look in looks if look.traits]
    if len(looks) < len(survey.sources[SPLITS[0]]) or not readable:
        return []
    findings = []
    for position, map_ in enumerate(label_maps(survey.data)):
        occurring = set().union(*(look.traits.classes[position] for look in readable))
        for index in sorted(set(range(map_.classes)) - occurring):
            name = f" ({survey.data.class_names[index]})" if survey.data.class_names else ""
            message = f"Class {index}{name} occurs in no {map_.one} of the training split: it cannot be learned."
            findings.append(finding("absent", SPLITS[0], [], message))
    return findings


def palettes(survey: Survey) -> list[Finding]:
    """Finds that palette files which are read by their indices number the colours differently: one finding for the
    label maps of a side, or of a part of the inputs or the targets.

    Programs number the colours of a picture anew in each file. Only indices that occur count, in the training split.
    """
    findings = []
    for position, map_ in enumerate(label_maps(survey.data)):
        if not map_.by_index:
            continue
        known: dict[bytes, tuple[int, bytes, Look]] = {}  # colour -> its index, the palette and the pair
        for look in survey.readable:
            header = look.headers[map_.file] if len(look.headers) >= len(SIDES) else None
            if look.split != SPLITS[0] or header is None or not header.palette:
                continue
            for index in sorted(look.traits.classes[position]):
                color = header.palette[3 * index : 3 * index + 3]
                first, palette, other = known.setdefault(color, (index, header.palette, look))
                if first != index and palette != header.palette:
                    break
            else:
                continue
            files = [survey.files(pair)[map_.file] for pair in (other, look)]
            message = (
                f"Palettes of the {map_.many} number the colours differently, so a class is not the same in all files: "
                f"#{color.hex()} is index {first} in {files[0]} and index {index} in {files[1]}."
            )
            location = {"files": tuple(files), "pairs": survey.of(other, look)["pairs"]}
            findings.append(finding("palettes", SPLITS[0], (), message, **location))
            break
    return findings


def uncounted(survey: Survey) -> list[Finding]:
    """Finds pairs without a pixel that counts. Slices of volumes may have none."""
    message = "Every pixel has the weight 0, so the pair teaches and measures nothing."
    return [
        finding("uncounted", look.split, [look.name], message, **survey.of(look))
        for look in survey.readable
        if look.traits.counting == 0 and not survey.sources[look.split].is_slice(look.index)
    ]


def faint(survey: Survey) -> list[Finding]:
    """Finds masks whose largest value is so low that it seems the number of a class, and is read as black."""
    findings = []
    for look in survey.readable if weight_folder(survey.data) else ():
        for white in (np.iinfo(dtype).max for dtype in (np.uint8, np.uint16)):
            value = round(look.traits.heaviest * white)
            is_whole = abs(look.traits.heaviest * white - value) < 1e-3
            if not (is_whole and 1 < value <= MOST_CLASSES) or survey.sources[look.split].is_large(look.index):
                continue
            message = (
                f"The largest value of its mask is {value} of {white:,}, so its pixels have a weight of "
                f"{look.traits.heaviest:.2g} at most."
            )
            located = survey.of(look)
            located["files"] = located["files"][-1:]
            findings.append(finding("faint", look.split, [look.name], message, **located))
    return findings


def identical(survey: Survey) -> list[Finding]:
    """Finds pairs with the same picture on both sides, apart from compression noise."""
    return [
        finding(
            "identical", look.split, [look.name],
            f"Input and target are one picture: they differ by {look.traits.difference:.2f} of 255 levels on average.",
            **survey.of(look),
        )
        for look in survey.whole
        if look.traits.difference < IDENTICAL_LEVELS and not flat_sides(survey, look)
    ]  # fmt: skip


def photographs(survey: Survey) -> list[Finding]:
    """Finds that combined images are whole pictures, which continue across the middle, and not two halves.

    It is one finding about the set: most images whose columns say something must continue (`measure.step_across`).
    """
    steps = [look.traits.step for look in survey.readable if look.traits.step is not None]
    continuing = sum(step <= MOST_STEP_ACROSS for step in steps)
    least = max(FEWEST_STEPS, LEAST_TELLING * len(survey.readable))
    if len(steps) < least or continuing < LEAST_CONTINUING * len(steps):
        return []
    message = f"{continuing} of {len(steps)} images continue across the middle, like one picture and unlike a pair."
    return [finding("photographs", "", (), message)]


def duplicates(survey: Survey) -> list[Finding]:
    """Finds pairs of one split with the same pixels on both sides. Equal pairs are one finding."""
    findings = []
    for looks in grouped(survey.whole, lambda look: (look.split, look.traits.exact)):
        if len(looks) > 1:
            names = [look.name for look in looks]
            message = f"{len(looks)} pairs have the same pixels: {listed(names)}."
            findings.append(finding("duplicate", looks[0].split, names, message, **survey.of(*looks)))
    return findings


def leaks(survey: Survey) -> list[Finding]:
    """Finds pairs that are in two splits, with the same pixels or the same to the eye. Equal pairs are one finding.

    Exact copies have equal hashes. `near` finds candidates for others, which count if their thumbnails differ by
    MOST_DIFFERENCE at most. Pairs that are drawn at random are not checked: some are alike by chance. Slices of volumes
    count only with the same pixels, because patients are alike at one height.
    """
    if source_row(survey.data.source).invented:
        return []
    looks = survey.whole
    groups = Groups(len(looks))
    by_exact = grouped(range(len(looks)), lambda index: looks[index].traits.exact)
    for same in by_exact:
        for index in same[1:]:
            groups.join(same[0], index)
    firsts = [in_split[0] for same in by_exact for in_split in grouped(same, lambda index: looks[index].split)]
    firsts = [index for index in firsts if not survey.sources[looks[index].split].is_slice(looks[index].index)]
    traits = [looks[index].traits for index in firsts]
    hashes = np.array([trait.perceptual for trait in traits], np.uint64)
    candidates = near(hashes, np.array([SPLITS.index(looks[index].split) for index in firsts]))
    for start in range(0, len(candidates), COMPARED_AT_ONCE):
        part = candidates[start : start + COMPARED_AT_ONCE]
        a, b = (np.stack([traits[index].thumbnails for index in side]) for side in part.T)
        for i, j in part[difference(a, b) <= MOST_DIFFERENCE]:
            groups.join(firsts[i], firsts[j])
    findings = []
    for same in grouped(range(len(looks)), groups.of):
        if len({looks[index].split for index in same}) > 1:
            members = [looks[index] for index in same]
            exact = len({look.traits.exact for look in members}) == 1
            names = [f"{look.split}/{look.name}" for look in members]
            how = "have the same pixels" if exact else "are the same to the eye"
            message = f"{listed(names)} {how}."
            findings.append(finding("leak", "", names, message, **survey.of(*members)))
    return findings


def leaking_groups(survey: Survey) -> list[Finding]:
    """Finds groups (`data.group`) with pairs in several splits, of all pairs, read or not. A group is one finding.

    It is for data that folders or a column divide: others are divided by groups. The first pair of each split comes
    first.

    Raises:
        UserError: the pattern does not match the name of a pair.
    """
    pattern = survey.data.group
    if pattern is None:
        return []
    members: dict[str, dict[str, list[int]]] = {}  # group -> split -> indices of its pairs
    for split, source in survey.sources.items():
        groups = source.groups or groups_by_name(source.names, pattern)
        for index, group in enumerate(groups):
            members.setdefault(group, {}).setdefault(split, []).append(index)
    leaking = {group: splits for group, splits in members.items() if len(splits) > 1}
    findings = []
    for group, splits in leaking.items():
        firsts = [(split, indices[0]) for split, indices in splits.items()]
        pairs = [*firsts, *((split, index) for split, indices in splits.items() for index in indices[1:])]
        counts = listed([f"{len(indices)} in {split}" for split, indices in splits.items()])
        message = f"The group {group!r} has pairs in several splits: {counts}; {len(leaking)} of {len(members)} do."
        names = [f"{split}/{survey.sources[split].names[index]}" for split, index in pairs]
        files = dict.fromkeys(str(path) for split, index in pairs for path in survey.sources[split].files(index))
        findings.append(finding("group", "", names, message, files=tuple(files), pairs=tuple(pairs)))
    return findings
