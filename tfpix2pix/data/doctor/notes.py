"""Writes notes that are not faults: how a folder was read, folders that are not splits, unlikely shapes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tfpix2pix.data import SPLITS, source_row
from tfpix2pix.data.doctor.files import files_of
from tfpix2pix.data.doctor.report import listed
from tfpix2pix.data.images import SUFFIXES
from tfpix2pix.data.settings import DataConfig

if TYPE_CHECKING:
    from tfpix2pix.data.doctor.survey import Survey

TALL = 1.6  # height by width: two halves side by side seldom have it, two halves above each other often do


def read_as(data: DataConfig) -> str:
    """Describes how the folder was read."""
    return source_row(data.source).read_as.format(data)


def splits(survey: Survey) -> list[str]:
    """Notes folders beside train/ that hold images but are not splits, and an empty held-out split."""
    notes = []
    root = Path(survey.data.dir or "").expanduser()
    if survey.data.dir and root.is_dir() and any((root / split).is_dir() for split in SPLITS):
        sides = (survey.data.input_folder, survey.data.target_folder)
        other = [
            child.name
            for child in sorted(root.iterdir())
            if child.is_dir() and child.name not in (*SPLITS, *sides) and _holds_images(child)
        ]
        if other:
            notes.append(f"{listed([f'{name}/' for name in other])} hold images that no run sees: splits are train/, "
                         f"val/ and test/.")  # fmt: skip
    if len(survey.sources["train"]) and not len(survey.sources["val"]):
        notes.append("No pairs are held out, so no metric will show how well a run does on new images. Add "
                     "val/ or raise `data.held_out_fraction`.")  # fmt: skip
    return notes


def shapes(survey: Survey) -> list[str]:
    """Notes combined images that do not look like two halves side by side."""
    data = survey.data
    if data.source != "combined" or data.input_side not in ("left", "right"):
        return []
    sizes = Counter(tuple(map(int, row[3].size.split(" ")[0].split("x"))) for row in files_of(survey))
    total = sizes.total()
    tall = sum(count for (width, height), count in sizes.items() if height >= TALL * width)
    narrow = sum(count for (width, height), count in sizes.items() if height < TALL * width and width <= height)
    if 2 * tall > total:
        return ["Most images are much higher than wide. For halves above each other, add `--set data.input_side=top`."]
    if 2 * narrow > total:
        return ["Most images are not wider than high. If they are photographs and not two halves, add "
                "`--set data.source=photographs`."]  # fmt: skip
    return []


def _holds_images(folder: Path) -> bool:
    """Returns True if there is an image in the folder or one level below."""
    return any(path.suffix.lower() in SUFFIXES for pattern in ("*", "*/*") for path in folder.glob(pattern))
