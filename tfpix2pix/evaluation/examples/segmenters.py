"""Opens segmenters for the FCN score (paper §3.4), and the true label maps that theirs are compared with.

The paper's FCN-8s was trained on Cityscapes' photographs. Here a segmenter is any photo→labels model: one that this
package trained on real pairs, which hold the true label maps, or a SavedModel of another origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfpix2pix.config import Config
from tfpix2pix.config.card import FILE_NAME
from tfpix2pix.data.images import list_images, match_channels, stem_of
from tfpix2pix.data.labels import read_labels
from tfpix2pix.data.opening import split_of
from tfpix2pix.data.ranges import to_signed
from tfpix2pix.data.scale import OWN
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.examples.pairs import TARGET, fitted
from tfpix2pix.metrics.example import Example
from tfpix2pix.metrics.extractors import load_segmenter
from tfpix2pix.metrics.segmentation import indices
from tfpix2pix.runs.load import load
from tfpix2pix.runs.recognize import find_model
from tfpix2pix.size import SizePx


@dataclass(frozen=True)
class Segmenter:
    """Holds a photo→labels model and the true label maps.

    Args:
        segment: image, (H, W, C) in [-1, 1] -> its label map, int (H, W).
        classes: number of classes.
        labels: example -> its true label map, int (H, W), of the translation's size; pixels of classes beyond the
            number are not scored.
        record: describes the model in metrics.json.
    """

    segment: Callable[[np.ndarray], np.ndarray]
    classes: int
    labels: Callable[[Example], np.ndarray]
    record: dict[str, object]

    def with_labels(self, example: Example) -> Example:
        """Returns the example with its true label map. Raises UserError if the map has another size."""
        labels = self.labels(example)
        if labels.shape != example.translation.shape[:2]:
            sizes = ["x".join(map(str, shape[:2])) for shape in (labels.shape, example.translation.shape)]
            raise UserError(
                f"A label map must be as large as the translation. Received {sizes[0]} for {sizes[1]} in "
                f"{example.name!r}. Give a `size` for both."
            )
        return replace(example, labels=labels)


def open_segmenter(
    path: Path,
    *,
    data_dir: str | None,
    split: str,
    size_px: SizePx | None,
    label_maps: Path | None,
    data: DataConfig,
    value_range: tuple[float, float] | None,
    trust: bool = False,
) -> Segmenter:
    """Opens the segmenter at a path.

    Args:
        data_dir: folder of the pairs, in place of the one that the segmenter's card names.
        size_px: size of the evaluation; None: that of the files.
        label_maps: folder of the true label maps, named as the pairs.
        data: data of the evaluation. Its inputs are the label maps if neither the segmenter nor `label_maps` has them.
        value_range: values of black and white that a SavedModel of another origin expects.
        trust: as in `load_saved_model`.

    Raises:
        UserError: the model does not give label maps, or the true ones are unknown.
    """
    model = find_model(path)
    if model is not None and not _is_foreign(model.path):
        translator = load(model, trust=trust)
        config = translator.card.config
        if not config.data.target_classes:
            raise UserError(
                f"A segmenter must give label maps. Received {path}, trained on pictures. Train one on the photographs "
                f"as inputs, with `data.target_classes` and `data.class_colors` (docs/fcn-score.md)."
            )
        channels = config.data.input_channels
        segment = lambda image: indices(translator(match_channels(image, channels), size=OWN))  # noqa: E731
        classes = config.data.target_classes
        pairs = config if data_dir is None else _with_dir(config, data_dir)
        labels = None if label_maps else _labels_of_pairs(pairs, split, size_px)
        record = {"model": str(path), "step": translator.card.step, "classes": classes}
    else:
        segment, classes = load_segmenter(str(path), value_range, trust=trust)
        of_parts = next((part.classes for part in data.inputs or () if part.classes), None)
        classes, labels = classes or data.input_classes or of_parts, None
        record = {"model": str(path), "classes": classes}
    if classes is None:
        raise UserError(
            f"A segmenter that gives indices must have a known number of classes. Received {path}. Give a model that "
            f"gives a score a class, or add `--set data.input_classes=…` if the inputs are label maps."
        )
    if labels is None:
        labels = _labels_of_folder(label_maps, classes, data, size_px) if label_maps else _labels_of_inputs(data, path)
    return Segmenter(segment, classes, labels, record)


def _with_dir(config: Config, data_dir: str) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update={"dir": data_dir})})


def _is_foreign(path: Path) -> bool:
    """Returns True if a model is a SavedModel that this package did not write."""
    return (path / "saved_model.pb").is_file() and not (path / "assets" / FILE_NAME).is_file()


def _labels_of_pairs(config: Config, split: str, size_px: SizePx | None) -> Callable[[Example], np.ndarray]:
    """Returns a function from an example to its true label map: the target of the segmenter's pair of the same name."""
    source = split_of(config.data, split, config.seed)
    numbers = {name: index for index, name in enumerate(source.names)}

    def labels(example: Example) -> np.ndarray:
        if example.name not in numbers:
            raise UserError(
                f"The segmenter's pairs must have the names of those evaluated. Received {example.name!r}, unlike "
                f"{', '.join(source.names[:3])} in {config.data.dir}. Add `labels`, a folder of label maps."
            )
        return _fitted(source.read(numbers[example.name])[1], config.data, size_px)

    return labels


def _labels_of_folder(
    folder: Path, classes: int, data: DataConfig, size_px: SizePx | None
) -> Callable[[Example], np.ndarray]:
    """Returns a function from an example to its true label map: the file of the same name in the folder."""
    files = {stem_of(file, folder): file for file in list_images(folder)}
    of_sides = zip(data.classes, data.class_values, strict=True)
    values = next((values for count, values in of_sides if count == classes), None)

    def labels(example: Example) -> np.ndarray:
        if example.name not in files:
            raise UserError(
                f"Every pair must have a label map. Received none for {example.name!r} in {folder}. Add it, named as "
                f"the pair."
            )
        return _fitted(read_labels(files[example.name], classes, data, values), data, size_px)

    return labels


def _labels_of_inputs(data: DataConfig, path: Path) -> Callable[[Example], np.ndarray]:
    """Returns a function from an example to its true label map: the input."""
    labels = next((number for number, part in enumerate(data.inputs or ()) if part.classes), None)
    if labels is not None:
        channel = sum(part.stacked_channels for part in data.inputs[:labels])
        return lambda example: indices(example.input[..., channel : channel + 1])
    if not data.input_classes:
        raise UserError(
            f"The true label maps for a segmenter must be known. Received {path}, which has no pairs. Add `labels`, a "
            f"folder of label maps, or `--set data.input_classes=…` if the inputs are label maps."
        )
    return lambda example: indices(example.input)


def _fitted(label_map: np.ndarray, data: DataConfig, size_px: SizePx | None) -> np.ndarray:
    """Fits a label map, uint8 (H, W, 1), to a size in the same way as the pairs, by the nearest pixel: int (H, W)."""
    image = to_signed(label_map)
    if size_px is not None:
        nearest = data.model_copy(update={"image_size_px": size_px, "target_classes": data.target_classes or 2})
        image = fitted(image, nearest, TARGET)
    return indices(image)
