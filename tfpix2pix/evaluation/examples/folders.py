"""Opens images that another program wrote as the examples of an evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.data.groups import groups_of
from tfpix2pix.data.images import match_channels, read_image
from tfpix2pix.data.labels import palettes_as, read_side
from tfpix2pix.data.opening import pair_reader, split_of, with_class_values
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.ranges import clipped_shares, in_range, to_signed
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.transforms import for_evaluation
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.layouts import Layout, beside, matching
from tfpix2pix.evaluation.examples.originals import Original
from tfpix2pix.evaluation.examples.pairs import INPUT, TARGET, Examples, at_size, fitted
from tfpix2pix.files import safe_path
from tfpix2pix.metrics.example import Example
from tfpix2pix.size import SizePx


def folder_examples(
    folder: Path, layout: Layout, config: Config, *, split: str | None, size_px: SizePx | None
) -> Examples:
    """Returns the examples of a folder of images.

    Args:
        config: describes how files are read and, with a `split`, where the pairs of the outputs lie.
        split: split of these pairs; None: targets and inputs, if any, lie where `layout` says.
        size_px: size at which images are compared; None: that of the files.

    Raises:
        UserError: no output belongs to a pair, or sizes differ.
    """
    data, outputs = config.data, matching(folder, layout.output)
    if not split:
        data = _with_class_values(folder, layout, config, outputs)
    pairs = _pairs(at_size(config, size_px), split) if split else _files_beside(folder, layout, data, outputs)
    for inner in {name.rpartition("/")[0] for name in pairs.names if "/" in name}:  # pairs in sub-folders
        if (folder / inner).is_dir():
            outputs |= {f"{inner}/{name}": file for name, file in matching(folder / inner, layout.output).items()}
    named = under_names(outputs, pairs.names)
    names, notes = list(named), []
    if not names:
        raise UserError(
            f"An output must have the name of a pair. Received {', '.join(list(outputs)[:3]) or 'none'} in {folder} "
            f"for pairs named {', '.join(pairs.names[:3])}. Set `outputs` to the pattern of their names, "
            f"such as '*_fake_B'."
        )
    if len(names) < len(pairs.names):
        notes.append(
            f"{len(pairs.names) - len(names)} of {len(pairs.names)} pairs have no output: metrics are of the others."
        )
    if len(names) < len(outputs):
        notes.append(
            f"{len(outputs) - len(names)} of {len(outputs)} outputs do not belong to a pair and were left out."
        )
    resized = None if size_px is None else data.model_copy(update={"image_size_px": size_px})
    converted: list[str] = []

    def compute(index: int) -> Example:
        name = names[index]
        image, target, *weight = pairs.read(name)
        clipped = pairs.clipped(name, weight[0] if weight else None)
        output = read_as(TARGET, named[name], data)
        if target is not None:
            if output.shape[-1] != target.shape[-1] and not converted:
                converted.append(name)
                kinds = f"{output.shape[-1]} channels for targets of {target.shape[-1]}"
                warnings.warn(f"Outputs have {kinds} ({name!r} and perhaps others): they were converted.", stacklevel=2)
            output = match_channels(output, target.shape[-1], named[name])
        if resized is not None and weight:
            image, target, *weight = map(np.asarray, for_evaluation((image, target, *weight), resized))
            output = fitted(output, resized, TARGET)
        elif resized is not None:
            image, target = fitted(image, resized, INPUT), fitted(target, resized, TARGET)
            output = fitted(output, resized, TARGET)
        elif target is not None and output.shape != target.shape:
            sizes = [f"{picture.shape[1]}x{picture.shape[0]}" for picture in (output, target)]
            raise UserError(
                f"An output must be as large as its target. Received {sizes[0]} px in {named[name]} for a target of "
                f"{sizes[1]} px. Make them equally large, or give a `size` for both."
            )
        more = {"weight": weight[0] if weight else None, "group": pairs.groups.get(name, ""), "clipped": clipped}
        return Example(name, output, image, target, **more)

    return Examples(
        names, compute, data, pairs.has, len(pairs.names), tuple(notes), lambda index: pairs.original(names[index])
    )  # fmt: skip


def under_names(outputs: dict[str, Path], names: Iterable[str]) -> dict[str, Path]:
    """Returns name of a pair -> its output. `translate` writes a name that it cannot write as `safe_path`."""
    keys = {name: name if name in outputs else safe_path(name) for name in names}
    return {name: outputs[key] for name, key in keys.items() if key in outputs}


class _Pairs(NamedTuple):
    """Holds the inputs and targets that outputs belong to."""

    names: list[str]
    has: frozenset[str]  # `input`, `target`
    # name -> input and target, if there are any, and perhaps the weights of the pixels
    read: Callable[[str], tuple[np.ndarray | None, ...]]
    groups: Mapping[str, str] = {}  # name -> group, if `data.group` is set and the pairs are those of a split
    # (name, weights) -> share of the values of input and target that are clipped
    clipped: Callable[[str, np.ndarray | None], tuple[float, float]] = lambda name, weight: (0.0, 0.0)
    original: Callable[[str], Original | None] = lambda name: None  # what the files of a pair say


def _pairs(config: Config, split: str) -> _Pairs:
    """Opens the pairs of a split."""
    source = split_of(config.data, split, config.seed)
    indices, read = {name: index for index, name in enumerate(source.names)}, pair_reader(source, config.data)
    groups = dict(zip(source.names, groups_of(source.names, source.groups, config.data), strict=True))
    return _Pairs(
        list(indices), frozenset({"input", "target"}), lambda name: read(indices[name]), groups,
        lambda name, weight: clipped_shares(source, indices[name], config.data, weight),
        lambda name: Original.of(source, indices[name]),
    )  # fmt: skip


def _with_class_values(folder: Path, layout: Layout, config: Config, outputs: dict[str, Path]) -> DataConfig:
    """Returns `config.data` with a decision how label maps are read, from the files that `_files_beside` finds."""
    files = (beside(folder, layout.input), beside(folder, layout.target) or outputs)
    names = sorted(files[TARGET])

    def opened(data: DataConfig) -> Source:
        palettes = palettes_as(data)

        def stored(index: int, side: int) -> np.ndarray:
            if names[index] not in files[side]:
                raise UserError("There is no such file.")  # so its values are not known
            return read_image(files[side][names[index]], palette=palettes[side], max_megapixels=data.max_megapixels)

        return Source(names, lambda index: (), stored=stored)

    return with_class_values(config.data, config.seed, opened)


def _files_beside(folder: Path, layout: Layout, data: DataConfig, outputs: dict[str, Path]) -> _Pairs:
    """Finds inputs and targets in files beside the outputs, or in other folders."""
    files = {"input": beside(folder, layout.input), "target": beside(folder, layout.target)}
    names = sorted(files["target"] or outputs)
    needed = under_names(outputs, names).keys()
    has = frozenset(kind for kind, files_of in files.items() if files_of and needed <= files_of.keys())

    def read(name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        sides = (("input", INPUT), ("target", TARGET))
        return tuple(read_as(side, files[kind][name], data) if kind in has else None for kind, side in sides)

    return _Pairs(names, has, read)


def read_as(side: int, path: Path, data: DataConfig) -> np.ndarray:
    """Reads an image file, or the label map in it, as inputs (`side` 0) or targets (1) are: float32 in [-1, 1].

    Values outside the range are clipped if those of pairs are. If channels have ranges of their own, the image gets
    their channels first.
    """
    image, value_range = read_side(path, side, data), data.ranges[side]
    if value_range and np.ndim(value_range) > 1:
        image = match_channels(image, len(value_range), path)
    if data.clips[side] and not data.classes[side]:
        image = in_range(image, value_range, f"data.{('input', 'target')[side]}_range", path, clip=True)
    return to_signed(image, value_range)
