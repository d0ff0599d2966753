"""Writes notes about what is not a fault: how a folder was read, files left unread, empty splits, unlikely shapes."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tfpix2pix.data import source_row
from tfpix2pix.data.doctor.files import files_of
from tfpix2pix.data.images import counted, unread
from tfpix2pix.data.ranges import on_clipped
from tfpix2pix.data.scalars import scalar_parts
from tfpix2pix.data.scale import times_as_large
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.splits import data_path, folders_in_words, is_divided

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Survey

MUCH_LARGER = 2  # times the size of training images, before the random crop
MUCH_SMALLER = 1 / 1.5  # times that size
MIXED = 1.4  # times as wide, by which shapes differ
TALL = 1.6  # height by width: two halves side by side seldom have it, two halves above each other often do


def read_as(data: DataConfig) -> str:
    """Describes how the folder was read."""
    return source_row(data.source).read_as.format(data, **folders_in_words(data))


def left_unread(survey: Survey) -> list[str]:
    """Notes the files in the folder that no pair is read from: other formats, other folders."""
    if not source_row(survey.data.source).of_folder or survey.data.dir is None:
        return []
    sources = survey.sources.values()
    read = [path for source in sources for index in range(len(source)) for path in source.files(index)]
    skipped = [path for source in sources for fault in source.skipped for path in (fault.where, *fault.files)]
    counts = unread(data_path(survey.data), [*read, *map(Path, skipped)])
    if not counts:
        return []
    total = sum(counts.values())
    divided = is_divided(data_path(survey.data))
    why = " Splits are train/, val/ and test/." if divided else ""
    return [f"{total} file{'s are' if total > 1 else ' is'} not read: {counted(counts)}.{why}"]


def empty_slices(survey: Survey) -> list[str]:
    """Notes how many slices of volumes have a side of one colour, which is no fault of theirs."""
    empty = len(survey.empty)
    if not empty:
        return []
    return [f"{empty} of {len(survey.readable)} slices have a side of nearly one colour, as the ends of volumes have."]


def splits(survey: Survey) -> list[str]:
    """Notes that no pairs are there to train on, or none are held out."""
    counts = {split: len(source) for split, source in survey.sources.items()}
    if counts["train"] and not counts["val"]:
        return [f"No pairs are held out, so no metric will show how well a run does on new images. "
                f"{_to_hold_out(survey.data, counts['train'])}."]  # fmt: skip
    if not counts["train"] and any(counts.values()):
        held_out = next(split for split in counts if counts[split])
        return [f"There are no pairs to train on. `tfpix2pix translate RUN --split {held_out} --data DIR --out OUT` "
                f"translates these, and `tfpix2pix evaluate` measures a run on them."]  # fmt: skip
    return []


def groups(survey: Survey) -> list[str]:
    """Notes that a single group is held out."""
    return survey.division.warnings


def _to_hold_out(data: DataConfig, pairs: int) -> str:
    """Returns advice how pairs come to be held out."""
    row = source_row(data.source)
    divided = row.of_folder and data.dir and is_divided(data_path(data))
    if pairs == 1 and not divided:
        return "Add more pairs: one alone is trained on"
    add = "Add lines of the split val" if data.source == "table" else "Add val/ with pairs"
    if divided or (data.held_out_fraction and data.split_rule != "rank"):  # by which one pair at least is held out
        return add
    return "Raise `data.held_out_fraction`" if row.brings_data else f"{add}, or raise `data.held_out_fraction`"


def shapes(survey: Survey) -> list[str]:
    """Notes combined images that do not look like two halves side by side."""
    data = survey.data
    if data.source != "combined" or data.input_side not in ("left", "right"):
        return []
    sizes = _sizes(survey)
    total = sizes.total()
    tall = sum(count for (width, height), count in sizes.items() if height >= TALL * width)
    narrow = sum(count for (width, height), count in sizes.items() if height < TALL * width and width <= height)
    if 2 * tall > total:
        return ["Most images are much higher than wide. For halves above each other, add `--set data.input_side=top`."]
    if 2 * narrow > total:
        return ["Most images are not wider than high. If they are photographs and not two halves, add "
                "`--set data.source=photographs`."]  # fmt: skip
    return []


def scale(survey: Survey) -> list[str]:
    """Notes images much larger or smaller than the training images, and a mixture of shapes that become one."""
    data, notes = survey.data, []
    if data.fit == "crop":
        return notes
    sides = {"left": (2, 1), "right": (2, 1), "top": (1, 2), "bottom": (1, 2)}[data.input_side]
    across, down = sides if data.source == "combined" else (1, 1)
    sizes = Counter({(w / across, h / down): count for (w, h), count in _sizes(survey).items()})
    if not sizes:
        return notes
    times = statistics.median(times_as_large(h, w, data.fit, data.size_px) for w, h in sizes.elements())
    typical = data.size_px.map(lambda side: round(side * times))
    about = f"{typical.height:,}" if typical.is_square else typical
    if times < MUCH_SMALLER:
        notes.append(
            f"Most images are about {about} px and are enlarged to {data.size_px} px, so a step takes longer than they "
            f"need. Set `data.image_size_px` to {str(about).replace(',', '')}."
        )
    if times > MUCH_LARGER * data.jitter_ratio:
        notes.append(
            f"Most images are about {about} px, {times:.1f} times `data.image_size_px`, "
            f"so a run learns them without their details. Raise `data.image_size_px`, or set `data.fit` to crop."
        )
    ratios = sorted(w / h for w, h in sizes.elements())
    narrow, wide = ratios[len(ratios) // 20], ratios[-1 - len(ratios) // 20]  # without the outermost
    if data.fit == "resize" and wide > MIXED * narrow:
        made = "square" if data.size_px.is_square else f"{data.size_px} px"
        notes.append(
            f"Images are {narrow:.2g} to {wide:.2g} times as wide as high, and `data.fit` resize makes them {made}. "
            f"Set it to resize_crop or pad to keep their shapes."
        )
    return notes


def weights(survey: Survey) -> list[str]:
    """Notes how many of the pixels count, if they have weights."""
    if not survey.data.weight or not survey.readable:
        return []
    shares = [look.traits.counting for look in survey.readable]
    return [
        f"By `data.weight`, {100 * statistics.mean(shares):.3g} % of the pixels count: {100 * min(shares):.3g} % to "
        f"{100 * max(shares):.3g} % of an image."
    ]


def scalars(survey: Survey) -> list[str]:
    """Notes the numbers that the scalars of the inputs have, and how many of them are clipped."""
    lines = []
    for number, part in enumerate(scalar_parts(survey.data)):
        values = [survey.sources[look.split].scalars(look.index)[number] for look in survey.readable]
        if values:
            low, high = part.range
            outside = sum(not low <= value <= high for value in values)
            clipped = f" {outside} of {len(values)} lie outside, and are clipped." if outside else ""
            lines.append(
                f"The scalar {part.name} is {min(values):g} to {max(values):g}, and its range is {low:g} to {high:g}."
                f"{clipped}"
            )
    return lines


def clipped(survey: Survey) -> list[str]:
    """Notes how many values are clipped because they lie outside the range."""
    return on_clipped([look.traits.clipped for look in survey.readable], survey.data)


def _sizes(survey: Survey) -> Counter[tuple[int, int]]:
    """Counts the files of each (width, height), px."""
    return Counter(tuple(map(int, row[3].size.split(" ")[0].split("x"))) for row in files_of(survey))
