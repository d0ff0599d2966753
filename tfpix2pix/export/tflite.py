"""Writes TFLite: one file of built-in operations and static shape, which holds the model card.

Its inputs are `image` (1, H, W, C), float32 in [-1, 1] or uint8 pixels (`image_dtype` of the card), and with
`noise: on` also `noise`, float32 (1, noise_size) uniform in [0, 1). The card is the member `model_card.json` of a ZIP
archive after the flatbuffer, as TFLite packs files. Interpreters ignore it, `unzip` reads it, and the metadata name it.
A digest beside it shows whether the file is whole.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.data.ranges import from_signed, to_signed
from tfpix2pix.errors import UserError
from tfpix2pix.export import QUANTIZATIONS
from tfpix2pix.export.metadata import with_metadata
from tfpix2pix.export.phases import in_phases
from tfpix2pix.export.quantization import with_noise
from tfpix2pix.export.signatures import from_uint8, to_uint8
from tfpix2pix.export.weights import Stored
from tfpix2pix.files import plain_path
from tfpix2pix.inference.view import InferenceView
from tfpix2pix.models.noise import no_noise
from tfpix2pix.quiet import quiet_native_code
from tfpix2pix.safe_files import open_regular_file, parse_json, read_member

DELEGATE = "DELEGATE"  # name of a node that replaces a part of the graph
HEAVY = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"}


@dataclass(frozen=True)
class Coverage:
    """Counts the nodes of a file and those that a delegate runs, and names the heavy ones that no delegate runs."""

    nodes: int
    delegated: int
    heavy_left: tuple[str, ...]


def coverage_of(interpreter: Any) -> Coverage:
    """Returns the coverage of an `ai_edge_litert` interpreter after it has allocated its tensors.

    Its list of nodes then holds those of the file and those of delegates. A delegate runs the nodes from its inputs to
    its outputs.
    """
    nodes = interpreter._get_ops_details()
    operations = [node for node in nodes if node["op_name"] != DELEGATE]
    producers = {tensor: node for node in operations for tensor in node["outputs"]}
    inside: set[int] = set()
    for delegate in nodes:
        if delegate["op_name"] != DELEGATE:
            continue
        begins, wanted = set(delegate["inputs"]), list(delegate["outputs"])
        while wanted:
            tensor = wanted.pop()
            node = producers.get(tensor)
            if tensor not in begins and node is not None and node["index"] not in inside:
                inside.add(node["index"])
                wanted.extend(node["inputs"])
    left = (node["op_name"] for node in operations if node["index"] not in inside)
    return Coverage(len(operations), len(inside), tuple(sorted(name for name in left if name in HEAVY)))


DIGEST = "model_digest.json"  # member of the archive: bytes and SHA-256 of the flatbuffer before it


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the file `path`. `calibration` are inputs of the model, float32 (1, H, W, C) in [-1, 1]."""
    flatbuffer = with_metadata(_convert(generator, card, calibration), card)
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE_NAME, card.to_json())
        archive.writestr(DIGEST, json.dumps({"bytes": len(flatbuffer), "sha256": sha256(flatbuffer).hexdigest()}))


def _convert(generator: keras.Model, card: ModelCard, calibration: Sequence[np.ndarray]) -> bytes:
    """Returns the flatbuffer of a generator of fixed size, with a signature that names its tensors."""
    size, channels, pixels = card.static_size_px, card.config.data.input_channels, card.image_dtype == "uint8"
    specs = [tf.TensorSpec((1, *size, channels), card.image_dtype, name="image")]
    if card.noise_size:
        specs.append(tf.TensorSpec((1, card.noise_size), tf.float32, name="noise"))
    # The converter makes constants of the variables of `Stored`. For those of a Keras model it leaves READ_VARIABLE
    # nodes, which fail on a device.
    view = InferenceView(Stored(in_phases(generator)), card.config.data.encoding)

    def translate(image: tf.Tensor, *noise: tf.Tensor) -> dict[str, tf.Tensor]:
        translation = view.translate(from_uint8(image) if pixels else image, *noise)
        return {"image": to_uint8(translation) if pixels else translation}

    view.exported = tf.function(translate, autograph=False)
    concrete = view.exported.get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], view)
    images = [from_signed(image) for image in calibration] if pixels else calibration
    with quiet_native_code():
        return bytes(QUANTIZATIONS[card.quantization].tflite(converter, with_noise(images, card.noise_size)))


class TFLiteEngine:
    """Runs a .tflite file by ai-edge-litert on all CPU cores (XNNPACK). Threads take turns."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with zipfile.ZipFile(path) as archive:
                self.card = ModelCard.from_json(read_member(archive, FILE_NAME), path)
                _check_digest(path, archive)
            with quiet_native_code(), plain_path(path) as plain:
                self._interpreter = Interpreter(plain, num_threads=os.cpu_count())
                self._interpreter.allocate_tensors()
            self._run = self._interpreter.get_signature_runner()
        except UserError:
            raise
        except Exception as error:  # zipfile and the interpreter raise errors of many types for damage
            raise UserError(
                f"A .tflite file must be whole and hold {FILE_NAME}. Received {path}, which is damaged or lacks it. "
                f"Give one that `tfpix2pix export` wrote."
            ) from error
        self._one_at_a_time = Lock()  # an interpreter has one set of tensors, and uses all cores

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        pixels = self.card.image_dtype == "uint8"
        inputs = {"image": from_signed(images) if pixels else images}
        if self.card.noise_size:
            inputs["noise"] = no_noise(1, self.card.noise_size) if noise is None else noise
        with self._one_at_a_time:
            translation = self._run(**inputs)["image"]
        return to_signed(translation) if pixels else translation

    @property
    def coverage(self) -> Coverage:
        """Returns the nodes of the file that XNNPACK runs."""
        return coverage_of(self._interpreter)


def _check_digest(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises ValueError if the flatbuffer has changed since it was written.

    One changed number of a shape can make the interpreter take all memory. Files of older versions have no digest.
    """
    if DIGEST not in archive.namelist():
        return
    written = parse_json(read_member(archive, DIGEST))
    with open_regular_file(path) as file:
        if sha256(file.read(written["bytes"])).hexdigest() != written["sha256"]:
            raise ValueError("its flatbuffer has changed")


def read(path: Path, trust: bool = False) -> TFLiteEngine:
    """Returns the engine of a .tflite file."""
    return TFLiteEngine(path)
