"""Writes a `.keras` file that `keras.saving.load_model` reads without this package: fixed size, Keras's own layers.

Its inputs are `image`, float32 (N, H, W, C) in [-1, 1], and with `noise: on` also `noise`, float32 (N, noise_size)
uniform in [0, 1). The archive holds the model card beside Keras's own members.
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

from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.export.plain import in_plain_keras
from tfpix2pix.models.noise import no_noise
from tfpix2pix.safe_files import read_member
from tfpix2pix.safe_models import UnsafeLayer, check_not_in_training, load_keras_file


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the file `path`.

    Raises:
        UserError: the generator needs more than Keras's own layers.
    """
    data = card.config.data
    label_maps = bool(data.input_classes) or any(data.numbers[1])
    if data.color_space != "rgb" or label_maps or data.inputs:
        received = "label maps" if label_maps else f"data.color_space {data.color_space}"
        received = "data.inputs" if data.inputs else received
        raise UserError(
            f"A .keras file holds the network alone, so it must take images as they are. Received {received}, encoded "
            f"outside the network. Use the format onnx or saved_model."
        )
    whole = path.with_name(f"{path.name}.keras")  # Keras requires the ending
    try:
        in_plain_keras(generator).save(whole)
        with zipfile.ZipFile(whole, "a") as archive:
            archive.writestr(FILE_NAME, card.to_json())
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


class KerasFileEngine:
    """Runs a .keras file by Keras. `trust` is that of `load_keras_file`."""

    def __init__(self, path: Path, trust: bool = False) -> None:
        check_not_in_training(path)
        try:
            with zipfile.ZipFile(path) as archive:
                self.card = ModelCard.from_json(read_member(archive, FILE_NAME), path)
            model = _load(path, trust)
            signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
        except UserError:
            raise
        except UnsafeLayer as error:
            raise UserError(
                f"A .keras file must hold nothing but layers that compute. Received {path}: {error}. Add "
                f"`trust` if you trust its author (docs/security.md)."
            ) from error
        except Exception as error:  # zipfile, Keras and h5py raise errors of many types for damage
            raise UserError(
                f"A .keras file must be whole and hold {FILE_NAME}. Received {path}, which is damaged or lacks it. "
                f"Give one that `tfpix2pix export` wrote, or import another with `tfpix2pix import`."
            ) from error
        self._run = tf.function(
            lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0], training=False),
            input_signature=signature, autograph=False,
        )  # fmt: skip

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        if not self.card.noise_size:
            return self._run(images).numpy()
        if noise is None:
            noise = no_noise(len(images), self.card.noise_size)
        return self._run(images, noise).numpy()


def _load(path: Path, trust: bool) -> keras.Model:
    if path.suffix == ".keras":
        return load_keras_file(path, beside=(FILE_NAME,), trust=trust)
    with tempfile.TemporaryDirectory() as folder:  # a temporary file: Keras requires the ending
        named = Path(folder, "model.keras")
        shutil.copyfile(path, named)
        return load_keras_file(named, beside=(FILE_NAME,), trust=trust)


def read(path: Path, trust: bool = False) -> KerasFileEngine:
    """Returns the engine of a .keras file."""
    return KerasFileEngine(path, trust)
