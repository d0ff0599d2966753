"""Pairs made of photographs, written to disk: two folders of PNG files that any program reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tfpix2pix.config import Config
from tfpix2pix.data.images import suffix_for, write_image
from tfpix2pix.data.opening import splits_of
from tfpix2pix.errors import UserError
from tfpix2pix.files import safe_file_name, whole_directory

FOLDERS = ("input", "target")


def write_pairs(
    config: Config, out: Path, *, track: Callable[[Iterable, int], Iterable] = lambda items, total: items
) -> dict[str, int]:
    """Writes `<out>/<split>/input/<name>` and `<out>/<split>/target/<name>` of every pair; returns pairs by split.

    PNG, or TIFF of floats and of more than four channels. A run over them sees the pairs that `config` makes on the
    fly, but for holes, which are those of the first epoch.

    Raises:
        UserError: a photograph cannot be read or is too small, or `out` exists.
        RunError: the disk does not take it; nothing is left of it.
    """
    if out.exists():
        raise UserError(f"Pairs must go into a new folder. Received {out}, which exists. Change --out.")
    sources = splits_of(config)
    with whole_directory(out) as folder:
        items = ((split, source, index) for split, source in sources.items() for index in range(len(source)))
        for split, source, index in track(items, sum(map(len, sources.values()))):
            for name, image in zip(FOLDERS, source.read(index), strict=True):
                suffix = suffix_for(image.shape[-1], image.dtype)
                write_image(folder / split / name / f"{safe_file_name(source.names[index])}{suffix}", image)
    return {split: len(source) for split, source in sources.items() if len(source)}
