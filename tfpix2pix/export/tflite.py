"""TFLite: one file of built-in operations and static shape, the model card inside it.

Input `image` float32 (1, S, S, C) in [-1, 1] and, for `noise: on`, `noise` float32 (1, noise_size) uniform in [0, 1).
The card is a member `model_card.json` of a ZIP archive appended to the flatbuffer, TFLite's own way of packing
associated files: interpreters do not see it, `unzip` does.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.card import FILE_NAME, ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.inference import InferenceView
from tfpix2pix.models.noise import NO_NOISE
from tfpix2pix.quiet import quiet_native_code


def path_of(card: ModelCard, out: Path) -> Path:
    """`<out>/<name>-<size>px.tflite`."""
    return out / f"{card.name}-{card.fixed_size_px}px.tflite"


def write(generator: keras.Model, card: ModelCard, path: Path) -> None:
    """Writes the file `path`."""
    path.write_bytes(_convert(generator, card))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE_NAME, card.to_json())


def _convert(generator: keras.Model, card: ModelCard) -> bytes:
    """The flatbuffer of a generator of fixed size, with a signature that names its tensors."""
    side, channels = card.fixed_size_px, card.config.data.input_channels
    specs = [tf.TensorSpec((1, side, side, channels), tf.float32, name="image")]
    if card.noise_size:
        specs.append(tf.TensorSpec((1, card.noise_size), tf.float32, name="noise"))
    view = InferenceView(generator, card.config.data.encoding)

    def translate(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": view.translate(*tensors)}

    # The module holds the variables themselves: given the Keras model, the converter does not see that they are
    # constants here and leaves READ_VARIABLE nodes, which fail on a device.
    module = tf.Module()
    module.frozen_variables = [variable.value for variable in generator.variables]
    module.translate = tf.function(translate, autograph=False)
    concrete = module.translate.get_concrete_function(*specs)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


class TFLiteEngine:
    """Runs a .tflite file by ai-edge-litert on the CPU (XNNPACK)."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with zipfile.ZipFile(path) as archive:
                card = archive.read(FILE_NAME)
        except (zipfile.BadZipFile, KeyError) as error:
            raise UserError(
                f"A .tflite file must carry {FILE_NAME}. Received {path} without. "
                f"Give one that `tfpix2pix export` wrote."
            ) from error
        self.card = ModelCard.from_json(card, path)
        with quiet_native_code():
            self._interpreter = Interpreter(str(path))
            self._interpreter.allocate_tensors()
        self._run = self._interpreter.get_signature_runner()

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        inputs = {"image": images}
        if self.card.noise_size:
            off = np.full((1, self.card.noise_size), NO_NOISE, np.float32)
            inputs["noise"] = off if noise is None else noise
        return self._run(**inputs)["image"]


def read(path: Path) -> TFLiteEngine:
    """The engine of a .tflite file."""
    return TFLiteEngine(path)
