"""SavedModel: `<out>/<name>/<version>/`, loadable by plain TensorFlow, its C++ runtime and TF Serving, any image size.

`signatures.py` lists what it can be asked. Beside the graph it carries its model card and, for label maps, the classes
with their colours (`assets/`), and warm-up requests for TF Serving (`assets.extra/`).
"""

from __future__ import annotations

import csv
import errno
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.card import FILE_NAME, ModelCard
from tfpix2pix.data.labels import class_colors
from tfpix2pix.errors import UserError
from tfpix2pix.export.signatures import signatures
from tfpix2pix.export.stored import DTYPES, Stored, in_bfloat16
from tfpix2pix.export.warmup import write_warmup
from tfpix2pix.foreign import read_regular_file
from tfpix2pix.inference import InferenceView
from tfpix2pix.saved_models import load_saved_model


def path_of(card: ModelCard, out: Path) -> Path:
    """`<out>/<name>/<version>`, the next version."""
    return out / card.name / str(next_version(out / card.name))


def next_version(parent: Path) -> int:
    """One more than the largest numbered folder in `parent`."""
    versions = [int(path.name) for path in parent.iterdir() if path.name.isdigit()] if parent.is_dir() else []
    return max(versions, default=0) + 1


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the model into the empty folder `path`; nothing is calibrated here."""
    generator = in_bfloat16(generator) if card.quantization == "bfloat16" else generator
    module = InferenceView(Stored(generator, DTYPES[card.quantization]), card.config.data.encoding)
    with tempfile.TemporaryDirectory() as folder:
        contents = {FILE_NAME: card.to_json(), **_class_tables(card)}
        for name, text in contents.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        module.assets = [tf.saved_model.Asset(str(Path(folder) / name)) for name in contents]
        functions = signatures(module, card)
        try:
            tf.saved_model.save(module, str(path), signatures=functions)
        except tf.errors.OpError as error:  # the disk's trouble in TensorFlow's words
            full = "No space left" in error.message or isinstance(error, tf.errors.ResourceExhaustedError)
            raise OSError(
                errno.ENOSPC if full else errno.EIO, "No space left on device" if full else error.message
            ) from error
    write_warmup(path, card, functions)


def _class_tables(card: ModelCard) -> dict[str, str]:
    """A CSV file for a side that is label maps: index, label and colour of every class."""
    tables, data = {}, card.config.data
    for side, classes in zip(("input", "target"), data.classes, strict=True):
        if classes:
            names = data.class_names or [f"class {index}" for index in range(classes)]
            table = io.StringIO()
            writer = csv.writer(table)
            writer.writerow(("index", "label", "red", "green", "blue"))
            for index, (name, color) in enumerate(zip(names, class_colors(data, classes).tolist(), strict=True)):
                writer.writerow((index, name, *color))
            tables[f"{side}_classes.csv"] = table.getvalue()
    return tables


class SavedModelEngine:
    """Runs the `translate_float` and `sample` signatures of a SavedModel; `trust` as in `load_saved_model`."""

    def __init__(self, path: Path, trust: bool = False) -> None:
        asset = path / "assets" / FILE_NAME
        if not asset.is_file():
            raise UserError(
                f"A SavedModel must carry {FILE_NAME} among its assets. Received {path} without. "
                f"Give one that `tfpix2pix export` wrote."
            )
        self.card = ModelCard.from_json(read_regular_file(asset), asset)
        self._loaded = load_saved_model(path, trust=trust)  # kept: its variables live as long as it does
        if not {"translate_float", "sample"} & set(self._loaded.signatures):
            raise UserError(
                f"A SavedModel must have the signatures translate_float and sample. Received {path} without. "
                f"Give one that `tfpix2pix export` wrote."
            )

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        signatures = self._loaded.signatures
        image = tf.constant(images)
        if noise is None:
            return signatures["translate_float"](image=image)["image"].numpy()
        return signatures["sample"](image=image, noise=tf.constant(noise))["image"].numpy()


def read(path: Path, trust: bool = False) -> SavedModelEngine:
    """The engine of a SavedModel folder."""
    return SavedModelEngine(path, trust)
