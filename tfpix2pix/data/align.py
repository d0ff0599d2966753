"""Writes pairs anew whose target is shifted against the input: both cut to the area that they have in common.

The shift is the one that the doctor reports (`doctor.shifts`), of whole pixels. Nothing is resampled, so pixels,
depth, palettes and formats stay what they are.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfpix2pix.data import source_row
from tfpix2pix.data.doctor.shifts import common_area
from tfpix2pix.data.doctor.survey import aligner, painter
from tfpix2pix.data.opening import decided, splits_of
from tfpix2pix.data.originals import open_original
from tfpix2pix.data.pairs import AXES, Fault, Source
from tfpix2pix.data.scalars import FILE, scalar_parts
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.slices import check_no_slices
from tfpix2pix.data.splits import check_splits_of_folder, data_folder
from tfpix2pix.data.weight_settings import weight_folder
from tfpix2pix.destinations import check_new_folder
from tfpix2pix.errors import UserError
from tfpix2pix.files import whole_directory
from tfpix2pix.parallel import in_order

TABLE = "shifts.csv"
AT_ONCE = 8  # pairs; those that are cut lie in memory until they are written
LAYOUTS = ("combined", "folders")  # sources whose files can be written anew under their own names
MOVED, ALIGNED, UNCLEAR, FAR, SIZES = "moved", "aligned", "unclear", "too far", "sizes differ"
LEFT = {  # what was done with pairs that could not be corrected -> why, in words
    UNCLEAR: "without a clear peak",
    FAR: "shifted by more than {most_px} px",
    SIZES: "with sides of two sizes",
}


class Row(NamedTuple):
    """Holds what was measured of a pair and done with it: a line of the table."""

    split: str
    name: str
    dy: int | None  # px by which the target lies lower than the input; None: not known
    dx: int | None  # px to the right
    strength: float | None  # of the peak, in standard deviations; None: too small to measure
    done: str  # MOVED, ALIGNED or a key of LEFT


@dataclass(frozen=True)
class Aligned:
    """Holds what was done with every pair."""

    rows: tuple[Row, ...]
    left_out: tuple[Fault, ...] = ()  # pairs that are not written, because a file cannot be read or does not fit

    @property
    def counts(self) -> dict[str, int]:
        """Counts the pairs by what was done with them."""
        counts = Counter(row.done for row in self.rows)
        return {done: counts[done] for done in (MOVED, ALIGNED, *LEFT)}

    @property
    def left(self) -> dict[str, list[str]]:
        """Returns the pairs that were copied although they may be shifted: key of LEFT -> `train/12`, …."""
        names = {done: [f"{row.split}/{row.name}" for row in self.rows if row.done == done] for done in LEFT}
        return {done: those for done, those in names.items() if those}


def align(
    data: DataConfig,
    out: Path,
    seed: int = 0,
    *,
    most_px: int = 32,
    track: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Aligned:
    """Writes the pairs of `data` into the folder `out`, under their own names, and the table `shifts.csv`.

    A pair that is shifted by `most_px` or less in both directions is cut to the area that both sides have in common.
    Weights in files are cut with the target. Every other file is copied, but not the pairs that `data.on_error: skip`
    leaves out. Nothing in the data folder is changed.

    Raises:
        UserError: the pairs do not lie in combined images or in folders, one cannot be read, `out` holds something or
            lies in the data folder.
        RunError: the files cannot be written to the disk. All of them are removed.
    """
    _check_layout(data)
    check_splits_of_folder(data)
    root = data_folder(data)
    check_new_folder(out)
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"`out` must lie outside the data folder, which would hold every pair twice. Received {out}, in {root}. "
            f"Change `out`."
        )
    # Neither the training size nor transparency matters here.
    data = decided(data, seed).model_copy(
        update={"image_size_px": 2, "fit": "resize", "alpha": "drop", "cache_files_mb": 0}
    )
    sources = splits_of(data, seed)
    for source in sources.values():
        check_no_slices(source, "Aligned pairs")
    positions = [(split, index) for split, source in sources.items() for index in range(len(source))]
    with whole_directory(out) as folder:
        rows = []
        if scalar_parts(data):
            shutil.copyfile(root / FILE, folder / FILE)
        # Written here and not in the threads, which may outlive an interruption, and the folder with it.
        for row, files in track(in_order(_cutter(data, sources, most_px), positions, AT_ONCE), len(positions)):
            for path, content in files.items():
                to = folder / path.relative_to(root)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to) if content is None else to.write_bytes(content)
            rows.append(row)
        with (folder / TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(Row._fields)
            table.writerows(rows)
    return Aligned(tuple(rows), tuple(fault for source in sources.values() for fault in source.skipped))


def _check_layout(data: DataConfig) -> None:
    if data.source not in LAYOUTS:
        made = ", whose inputs are made from the targets" if source_row(data.source).makes_inputs else ""
        advice = {"table": "Put the files into two folders", "shards": "Name the files' folder"}.get(
            data.source, "Name a folder of pairs"
        )
        raise UserError(
            f"Pairs to align must lie in combined images or in folders ({' or '.join(LAYOUTS)}). Received "
            f"`data.source: {data.source}`{made}. {advice}."
        )


def _cutter(
    data: DataConfig, sources: dict[str, Source], most_px: int
) -> Callable[[tuple[str, int]], tuple[Row, dict[Path, bytes | None]]]:
    """Returns a function from a pair's split and index to what is done with it, and the new content of each of its
    files: None if it stays as it is.

    The function may run in threads.
    """
    paint, measure = painter(data), aligner(data)

    def cut(position: tuple[str, int]) -> tuple[Row, dict[Path, bytes | None]]:
        split, index = position
        source = sources[split]
        pair, files = source.read(index), source.files(index)
        found = measure(pair, paint(pair))
        shift = found and found.shift
        if pair[0].shape[:2] != pair[1].shape[:2]:
            done, shift = SIZES, None
        elif shift is None:
            done = UNCLEAR
        elif shift.distance_px > most_px:
            done = FAR
        else:
            done = MOVED if shift.distance_px else ALIGNED
        contents = dict.fromkeys(files)
        if done == MOVED:
            areas = common_area(*pair[0].shape[:2], shift.down, shift.right)
            of_target = len(data.targets or ("",)) + bool(weight_folder(data))  # weights are of the target's pixels
            inputs = len(files) - of_target
            of_file = [areas] if len(files) == 1 else [areas[:1]] * inputs + [areas[1:]] * of_target
            contents = {path: _cut(path, those, data) for path, those in zip(files, of_file, strict=True)}
        known = (shift.down, shift.right) if shift else (None, None)
        return Row(split, source.names[index], *known, found and round(found.peak.height, 1), done), contents

    return cut


def _cut(path: Path, areas: Sequence[tuple[slice, slice]], data: DataConfig) -> bytes:
    """Returns areas of a file as a file of the same kind.

    Args:
        areas: rows and columns: one, or those of the halves of a combined image, the input's first.
    """
    original = open_original(path.read_bytes(), data.max_megapixels * 1e6)
    if len(areas) == 1:
        return original.encode(original.pixels[areas[0]])
    axis, is_first = AXES[data.input_side], data.input_side in ("left", "top")
    halves = np.split(original.pixels, 2, axis=axis)
    parts = [half[area] for half, area in zip(halves, areas if is_first else areas[::-1], strict=True)]
    return original.encode(np.concatenate(parts, axis=axis))
