"""TFLite: one file of built-in operations and static shape, the model card inside it.

Input `image` (1, S, S, C), float32 in [-1, 1] or uint8 pixels (`image_dtype` of the card), and, for `noise: on`,
`noise` float32 (1, noise_size) uniform in [0, 1). The card is a member `model_card.json` of a ZIP archive appended to
the flatbuffer, TFLite's own way of packing associated files: interpreters do not see it, `unzip` does, and the
metadata inside names it. A digest beside it tells a damaged file from a whole one.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.card import FILE_NAME, ModelCard
from tfpix2pix.data.images import from_signed, to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.export.coverage import Coverage, coverage_of
from tfpix2pix.export.metadata import with_metadata
from tfpix2pix.export.phases import in_phases
from tfpix2pix.export.quantization import QUANTIZERS, with_noise
from tfpix2pix.export.signatures import from_uint8, to_uint8
from tfpix2pix.export.stored import Stored
from tfpix2pix.foreign import open_regular_file, parse_json, read_member
from tfpix2pix.inference import InferenceView
from tfpix2pix.models.noise import NO_NOISE
from tfpix2pix.quiet import quiet_native_code

DIGEST = "model_digest.json"  # member of the archive: bytes and SHA-256 of the flatbuffer before it


def path_of(card: ModelCard, out: Path) -> Path:
    """`<out>/<name>-<size>px.tflite`, the name telling what is not the usual."""
    parts = [
        f"{card.name}-{card.fixed_size_px}px",
        "noise" if card.noise_size else "",
        card.image_dtype if card.image_dtype != "float32" else "",
        card.quantization if card.quantization != "none" else "",
    ]
    return out / ("-".join(part for part in parts if part) + ".tflite")


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the file `path`; `calibration` are inputs float32 (1, S, S, C) in [-1, 1] as the model will see."""
    flatbuffer = with_metadata(_convert(generator, card, calibration), card)
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE_NAME, card.to_json())
        archive.writestr(DIGEST, json.dumps({"bytes": len(flatbuffer), "sha256": sha256(flatbuffer).hexdigest()}))


def _convert(generator: keras.Model, card: ModelCard, calibration: Sequence[np.ndarray]) -> bytes:
    """The flatbuffer of a generator of fixed size, with a signature that names its tensors."""
    side, channels, pixels = card.fixed_size_px, card.config.data.input_channels, card.image_dtype == "uint8"
    specs = [tf.TensorSpec((1, side, side, channels), card.image_dtype, name="image")]
    if card.noise_size:
        specs.append(tf.TensorSpec((1, card.noise_size), tf.float32, name="noise"))
    # `Stored`, whose variables the converter finds and makes constants. Of a Keras model it does not, and leaves
    # READ_VARIABLE nodes, which fail on a device.
    view = InferenceView(Stored(in_phases(generator)), card.config.data.encoding)

    def translate(image: tf.Tensor, *noise: tf.Tensor) -> dict[str, tf.Tensor]:
        translation = view.translate(from_uint8(image) if pixels else image, *noise)
        return {"image": to_uint8(translation) if pixels else translation}

    view.exported = tf.function(translate, autograph=False)
    concrete = view.exported.get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], view)
    images = [from_signed(image) for image in calibration] if pixels else calibration
    with quiet_native_code():
        return bytes(QUANTIZERS[card.quantization](converter, with_noise(images, card.noise_size, NO_NOISE)))


class TFLiteEngine:
    """Runs a .tflite file by ai-edge-litert on all cores of the CPU (XNNPACK); threads take turns."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with zipfile.ZipFile(path) as archive:
                self.card = ModelCard.from_json(read_member(archive, FILE_NAME), path)
                _check_digest(path, archive)
            with quiet_native_code():
                self._interpreter = Interpreter(str(path), num_threads=os.cpu_count())
                self._interpreter.allocate_tensors()
            self._run = self._interpreter.get_signature_runner()
        except UserError:
            raise
        except Exception as error:  # zipfile and the interpreter have errors of their own for each damage
            raise UserError(
                f"A .tflite file must be whole and carry {FILE_NAME}. Received {path}, which is damaged or without. "
                f"Give one that `tfpix2pix export` wrote."
            ) from error
        self._one_at_a_time = Lock()  # an interpreter has one set of tensors, and uses all cores by itself

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        pixels = self.card.image_dtype == "uint8"
        inputs = {"image": from_signed(images) if pixels else images}
        if self.card.noise_size:
            off = np.full((1, self.card.noise_size), NO_NOISE, np.float32)
            inputs["noise"] = off if noise is None else noise
        with self._one_at_a_time:
            translation = self._run(**inputs)["image"]
        return to_signed(translation) if pixels else translation

    @property
    def coverage(self) -> Coverage:
        """How much of it XNNPACK runs."""
        return coverage_of(self._interpreter)


def _check_digest(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises ValueError if the flatbuffer is not what was written. One changed number of a shape can make the
    interpreter take all memory. Files of older versions have no digest."""
    if DIGEST not in archive.namelist():
        return
    written = parse_json(read_member(archive, DIGEST))
    with open_regular_file(path) as file:
        if sha256(file.read(written["bytes"])).hexdigest() != written["sha256"]:
            raise ValueError("its flatbuffer is not what was written")


def read(path: Path, trust: bool = False) -> TFLiteEngine:
    """The engine of a .tflite file."""
    return TFLiteEngine(path)
