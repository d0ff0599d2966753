"""A `.keras` file that `keras.saving.load_model` reads without this package: fixed size, Keras's own layers.

Input `image` float32 (N, S, S, C) in [-1, 1] and, for `noise: on`, `noise` float32 (N, noise_size) uniform in [0, 1).
The model card is a member of the archive beside Keras's own.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.card import FILE_NAME, ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.export.plain import in_plain_keras
from tfpix2pix.foreign import read_member
from tfpix2pix.keras_files import UnsafeLayer, load_keras_file
from tfpix2pix.models.noise import NO_NOISE


def path_of(card: ModelCard, out: Path) -> Path:
    """`<out>/<name>-<size>px.keras`."""
    return out / f"{card.name}-{card.fixed_size_px}px{'-noise' if card.noise_size else ''}.keras"


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the file `path`.

    Raises:
        UserError: the generator has what Keras's own layers cannot do.
    """
    data = card.config.data
    if data.color_space != "rgb" or any(data.classes):
        what = "label maps" if any(data.classes) else f"data.color_space {data.color_space}"
        raise UserError(
            f"A .keras file holds the network alone, which must see images as they are. Received {what}, which is made "
            f"into channels outside it. Use --format onnx or saved_model."
        )
    whole = path.with_name(f"{path.name}.keras")  # Keras asks for the ending
    try:
        in_plain_keras(generator).save(whole)
        with zipfile.ZipFile(whole, "a") as archive:
            archive.writestr(FILE_NAME, card.to_json())
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


class KerasFileEngine:
    """Runs a .keras file by Keras; `trust` as in `load_keras_file`."""

    def __init__(self, path: Path, trust: bool = False) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                self.card = ModelCard.from_json(read_member(archive, FILE_NAME), path)
            model = _load(path, trust)
            signature = [tf.TensorSpec(each.shape, each.dtype) for each in model.inputs]
        except UserError:
            raise
        except UnsafeLayer as error:
            raise UserError(
                f"A .keras file must hold nothing but layers that compute. Received {path}: {error}. Open it by "
                f"--trust if you trust whoever made it (docs/security.md)."
            ) from error
        except Exception as error:  # zipfile, Keras and h5py have errors of their own for each damage
            raise UserError(
                f"A .keras file must be whole and carry {FILE_NAME}. Received {path}, which is damaged or without. "
                f"Give one that `tfpix2pix export` wrote, or bring another in by `tfpix2pix import`."
            ) from error
        self._run = tf.function(
            lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0], training=False),
            input_signature=signature, autograph=False,
        )  # fmt: skip

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        if not self.card.noise_size:
            return self._run(images).numpy()
        if noise is None:
            noise = np.full((len(images), self.card.noise_size), NO_NOISE, np.float32)
        return self._run(images, noise).numpy()


def _load(path: Path, trust: bool) -> keras.Model:
    if path.suffix == ".keras":
        return load_keras_file(path, beside=(FILE_NAME,), trust=trust)
    with tempfile.TemporaryDirectory() as folder:  # one that has not its name yet: Keras asks for the ending
        named = Path(folder, "model.keras")
        shutil.copyfile(path, named)
        return load_keras_file(named, beside=(FILE_NAME,), trust=trust)


def read(path: Path, trust: bool = False) -> KerasFileEngine:
    """The engine of a .keras file."""
    return KerasFileEngine(path, trust)
