"""Images that another program made, to be scored as a model's are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfpix2pix.config import Config, DataConfig
from tfpix2pix.data.images import match_channels, to_signed
from tfpix2pix.data.labels import read_side
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.example import Example
from tfpix2pix.examples.layouts import Layout, beside, matching
from tfpix2pix.examples.pairs import INPUT, TARGET, Examples, at_size, fitted, pair_reader, split_of
from tfpix2pix.examples.request import OWN


def of_folder(folder: Path, layout: Layout, config: Config, *, split: str | None, size_px: int | None) -> Examples:
    """The images of a folder.

    Args:
        config: how files are read; with a `split`, whose pairs the outputs belong to, where those lie too.
        split: None: targets and inputs are as `layout` says, or there are none.
        size_px: compare at this size; None: at the files' own.

    Raises:
        UserError: no output belongs to a pair, or sizes differ.
    """
    data, outputs = config.data, matching(folder, layout.output)
    pairs = _pairs(at_size(config, size_px), split) if split else _files_beside(folder, layout, data, outputs)
    every, has, read = pairs
    names, notes = [name for name in every if name in outputs], []
    if not names:
        raise UserError(
            f"An output must have the name of a pair. Received {', '.join(list(outputs)[:3]) or 'none'} in {folder} "
            f"for pairs named {', '.join(every[:3])}. Say by --outputs how they are named: '*_fake_B', say."
        )
    if len(names) < len(every):
        notes.append(f"{len(every) - len(names)} of {len(every)} pairs have no output: figures are of the others.")
    if len(names) < len(outputs):
        notes.append(f"{len(outputs) - len(names)} of {len(outputs)} outputs belong to no pair and were left out.")
    at = None if size_px is None else data.model_copy(update={"image_size_px": size_px})

    noted: list[str] = []

    def make(index: int) -> Example:
        name = names[index]
        image, target = read(name)
        output = read_as(TARGET, outputs[name], data)
        if target is not None:
            if output.shape[-1] != target.shape[-1] and not noted:
                noted.append(name)
                kinds = f"{output.shape[-1]} channels for targets of {target.shape[-1]}"
                warnings.warn(f"Outputs have {kinds} ({name!r} and perhaps others): they were converted.", stacklevel=2)
            output = match_channels(output, target.shape[-1], outputs[name])
        if at is not None:
            image, target, output = fitted(image, at, INPUT), fitted(target, at, TARGET), fitted(output, at, TARGET)
        elif target is not None and output.shape != target.shape:
            sizes = [f"{each.shape[1]}x{each.shape[0]}" for each in (output, target)]
            raise UserError(
                f"An output must be as large as its target. Received {sizes[0]} px in {outputs[name]} for a target of "
                f"{sizes[1]} px. Make them equally large, or compare all at one: --size PX."
            )
        return Example(name, output, image, target)

    about = {"name": folder.name, "protocol": {"size_px": size_px or OWN, "fit": data.fit if size_px else None}}
    return Examples(names, make, data, has, len(every), about, tuple(notes))


Reads = Callable[[str], tuple[np.ndarray | None, np.ndarray | None]]  # name -> input and target, where there are


def _pairs(config: Config, split: str) -> tuple[list[str], frozenset[str], Reads]:
    """Names, what there is, and how it is read: of a split's pairs."""
    source = split_of(config, split)
    indices, read = {name: index for index, name in enumerate(source.names)}, pair_reader(source, config.data)
    return list(indices), frozenset({"input", "target"}), lambda name: read(indices[name])


def _files_beside(
    folder: Path, layout: Layout, data: DataConfig, outputs: dict[str, Path]
) -> tuple[list[str], frozenset[str], Reads]:
    """The same of files that stand beside the outputs, or in folders of their own."""
    files = {"input": beside(folder, layout.input), "target": beside(folder, layout.target)}
    every = sorted(files["target"] or outputs)
    has = frozenset(kind for kind, found in files.items() if found and set(every) & outputs.keys() <= found.keys())

    def read(name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        sides = (("input", INPUT), ("target", TARGET))
        return tuple(read_as(side, files[kind][name], data) if kind in has else None for kind, side in sides)

    return every, has, read


def read_as(side: int, path: Path, data: DataConfig) -> np.ndarray:
    """An image file, or the label map in it, as float32 in [-1, 1], read as inputs or as targets are."""
    return to_signed(read_side(path, data.classes[side], data), data.ranges[side])
