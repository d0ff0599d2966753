"""What is worth a word and no fault: how the folder was read, splits that are none, images of an unlikely shape."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tfpix2pix.config import DataConfig
from tfpix2pix.data import SPLITS, source_row
from tfpix2pix.data.images import SUFFIXES
from tfpix2pix.doctor.files import files_of
from tfpix2pix.doctor.wording import listed

if TYPE_CHECKING:
    from tfpix2pix.doctor.looks import Survey

TALL = 1.6  # times as high as wide: two halves side by side are seldom of that shape, two above each other are


def read_as(data: DataConfig) -> str:
    """How pairs were taken to lie in the folder."""
    return source_row(data.source).read_as.format(data)


def splits(survey: Survey) -> list[str]:
    """Where nothing is held out, and folders beside train/ that look like splits but are none."""
    notes = []
    root = Path(survey.config.data.dir or "").expanduser()
    if survey.config.data.dir and root.is_dir() and any((root / split).is_dir() for split in SPLITS):
        sides = (survey.config.data.input_folder, survey.config.data.target_folder)
        other = [
            child.name
            for child in sorted(root.iterdir())
            if child.is_dir() and child.name not in (*SPLITS, *sides) and _holds_images(child)
        ]
        if other:
            notes.append(f"{listed([f'{name}/' for name in other])} hold images that no run sees: splits are train/, "
                         f"val/ and test/.")  # fmt: skip
    if len(survey.sources["train"]) and not len(survey.sources["val"]):
        notes.append("No pairs are held out, so nothing will say how well a run does on images it has not seen: add "
                     "val/ or raise `data.held_out_fraction`.")  # fmt: skip
    return notes


def shapes(survey: Survey) -> list[str]:
    """Combined images that do not look like two halves side by side."""
    data = survey.config.data
    if data.source != "combined" or data.input_side not in ("left", "right"):
        return []
    sizes = Counter(tuple(map(int, row[3].size.split(" ")[0].split("x"))) for row in files_of(survey))
    total = sizes.total()
    tall = sum(count for (width, height), count in sizes.items() if height >= TALL * width)
    narrow = sum(count for (width, height), count in sizes.items() if height < TALL * width and width <= height)
    if 2 * tall > total:
        return [
            "Most images are much higher than wide: are their halves above each other? `--set data.input_side=top`."
        ]
    if 2 * narrow > total:
        return ["Most images are no wider than high: are they two halves, or photographs? For those "
                "`--set data.source=photographs`."]  # fmt: skip
    return []


def _holds_images(folder: Path) -> bool:
    """Whether there is an image in it or one folder below."""
    return any(path.suffix.lower() in SUFFIXES for pattern in ("*", "*/*") for path in folder.glob(pattern))
