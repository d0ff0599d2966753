"""What looks at translations for the FCN score (paper §3.4), and the label maps that it should see in them.

The paper's FCN-8s was trained on Cityscapes' photographs. Here it is any photo→labels model: one that this package
trained on the real training pairs, whose own data say where the true label maps lie, or a SavedModel of another origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfpix2pix.artefacts import load
from tfpix2pix.card import FILE_NAME
from tfpix2pix.config import DataConfig
from tfpix2pix.data.images import list_images, match_channels, to_signed
from tfpix2pix.data.labels import read_side
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.example import Example
from tfpix2pix.evaluation.extractors import load_segmenter
from tfpix2pix.evaluation.segmentation import indices
from tfpix2pix.examples.pairs import TARGET, fitted, split_of
from tfpix2pix.recognize import is_model, model_at


@dataclass(frozen=True)
class Segmenter:
    """Sees label maps in photographs, and knows which it should see."""

    see: Callable[[np.ndarray], np.ndarray]  # (H, W, C) in [-1, 1] -> int (H, W)
    classes: int
    labels: Callable[[Example], np.ndarray]  # int (H, W), of the translation's size; beyond the classes: not scored
    about: dict[str, object]  # for the record

    def labelled(self, example: Example) -> Example:
        labels = self.labels(example)
        if labels.shape != example.translation.shape[:2]:
            sizes = ["x".join(map(str, shape[:2])) for shape in (labels.shape, example.translation.shape)]
            raise UserError(
                f"A label map must be as large as the translation. Received {sizes[0]} for {sizes[1]} in "
                f"{example.name!r}. Give a --size for both."
            )
        return replace(example, labels=labels)


def open_segmenter(
    path: Path,
    *,
    data_dir: str | None,
    split: str,
    size_px: int | None,
    label_maps: Path | None,
    data: DataConfig,
    value_range: tuple[float, float] | None,
    trust: bool = False,
) -> Segmenter:
    """The segmenter at a path.

    Args:
        data_dir: folder of the pairs, in place of the one that the segmenter's card names.
        size_px: of the evaluation; None: the files' own.
        label_maps: folder of the true label maps, by the pairs' names.
        data: of the evaluation: where neither the segmenter nor `label_maps` say it, its inputs may be the label maps.
        value_range: of a SavedModel of another origin: what it takes as black and white.
        trust: as in `load_saved_model`.

    Raises:
        UserError: it sees no label maps, or nothing says which are the true ones.
    """
    if is_model(path) and not _is_foreign(path):
        translator = load(path, trust=trust)
        own = translator.card.config
        if not own.data.target_classes:
            raise UserError(
                f"A segmenter must give label maps. Received {path}, trained on pictures. Train one on the photographs "
                f"as inputs, with `data.target_classes` and `data.class_colors` (docs/evaluation.md)."
            )
        see = lambda image: indices(translator(match_channels(image, own.data.input_channels)))  # noqa: E731
        classes = own.data.target_classes
        if data_dir is not None:
            own = own.model_copy(update={"data": own.data.model_copy(update={"dir": data_dir})})
        labels = None if label_maps else _of_pairs(own, split, size_px)
        about = {"model": str(path), "step": translator.card.step, "classes": classes}
    else:
        see, classes = load_segmenter(str(path), value_range, trust=trust)
        classes, labels = classes or data.input_classes, None
        about = {"model": str(path), "classes": classes}
    if classes is None:
        raise UserError(
            f"A segmenter that gives indices must be told how many classes there are. Received {path}. Give a model "
            f"that gives a score a class, or `--set data.input_classes=…` where inputs are label maps."
        )
    if labels is None:
        labels = _of_folder(label_maps, classes, data, size_px) if label_maps else _of_inputs(data, path)
    return Segmenter(see, classes, labels, about)


def _is_foreign(path: Path) -> bool:
    """Whether it is a SavedModel that this package did not write."""
    path = model_at(path)
    return (path / "saved_model.pb").is_file() and not (path / "assets" / FILE_NAME).is_file()


def _of_pairs(config, split: str, size_px: int | None) -> Callable[[Example], np.ndarray]:
    """The true label maps are the targets of the segmenter's own pairs."""
    source = split_of(config, split)
    numbers = {name: index for index, name in enumerate(source.names)}

    def labels(example: Example) -> np.ndarray:
        if example.name not in numbers:
            raise UserError(
                f"The segmenter's pairs must have the names of those evaluated. Received {example.name!r}, which is "
                f"none of {', '.join(source.names[:3])} in {config.data.dir}. Give the label maps by --labels."
            )
        return _fitted(source.read(numbers[example.name])[1], config.data, size_px)

    return labels


def _of_folder(folder: Path, classes: int, data: DataConfig, size_px: int | None) -> Callable[[Example], np.ndarray]:
    files = {file.stem: file for file in list_images(folder)}

    def labels(example: Example) -> np.ndarray:
        if example.name not in files:
            raise UserError(
                f"Every pair must have a label map. Received none for {example.name!r} in {folder}. Add it, named as "
                f"the pair."
            )
        return _fitted(read_side(files[example.name], classes, data), data, size_px)

    return labels


def _of_inputs(data: DataConfig, path: Path) -> Callable[[Example], np.ndarray]:
    if not data.input_classes:
        raise UserError(
            f"Something must say which label maps a segmenter should see. Received {path}, which knows no pairs. Give "
            f"the label maps by --labels DIR, or `--set data.input_classes=…` where the inputs are label maps."
        )
    return lambda example: indices(example.input)


def _fitted(label_map: np.ndarray, data: DataConfig, size_px: int | None) -> np.ndarray:
    """uint8 (H, W, 1) -> int (H, W), brought to a size as the pairs are, by the nearest pixel."""
    image = to_signed(label_map)
    if size_px is not None:
        nearest = data.model_copy(update={"image_size_px": size_px, "target_classes": data.target_classes or 2})
        image = fitted(image, nearest, TARGET)
    return indices(image)
