"""Writes a SavedModel, `<out>/<name>/<version>/`, for TensorFlow, its C++ runtime and TF Serving, for any image size.

`signatures.py` lists its signatures. Beside the graph it holds its model card and, for label maps, the classes with
their colours (`assets/`), and warm-up requests for TF Serving (`assets.extra/`).
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

from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.data.labels import class_colors
from tfpix2pix.errors import UserError
from tfpix2pix.export import QUANTIZATIONS
from tfpix2pix.export.signatures import signatures
from tfpix2pix.export.weights import Stored, in_bfloat16
from tfpix2pix.files import plain_path
from tfpix2pix.inference.view import InferenceView
from tfpix2pix.safe_files import read_regular_file
from tfpix2pix.safe_models import load_saved_model

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"

# Numbers of fields in TF Serving's protos: PredictionLog.predict_log, PredictLog.request, PredictRequest.model_spec
# and .inputs (a map: entries of key and value), ModelSpec.name and .signature_name.
PREDICT_LOG, REQUEST, MODEL_SPEC, INPUTS, KEY, VALUE, NAME, SIGNATURE_NAME = 6, 1, 1, 2, 1, 2, 1, 3


def write_warmup(path: Path, card: ModelCard, signatures: dict) -> None:
    """Writes a request of one image of the training size for every signature into the SavedModel folder `path`."""
    data = card.config.data
    size, channels = card.static_size_px or data.size_px, data.input_channels
    file = tf.io.encode_png(tf.zeros((*size, channels), tf.uint8)).numpy() if channels <= 4 else b""
    image = {"shape": (1, *size, channels)}
    values = {  # a proto of one value is small whatever its shape
        ("image", tf.float32): tf.make_tensor_proto(np.float32(0), **image),
        ("image", tf.uint8): tf.make_tensor_proto(np.uint8(128), **image),
        ("noise", tf.float32): tf.make_tensor_proto(np.float32(0.5), shape=(1, card.noise_size or 1)),
        ("image_bytes", tf.string): tf.make_tensor_proto([file]),
        ("query_bytes", tf.string): tf.make_tensor_proto([b""]),
    }
    for part in data.inputs or ():
        value = np.dtype(part.row.tensor).type(0 if part.row.in_files else part.range[0])
        of_part = tf.make_tensor_proto(value, shape=(1, *size, part.stacked_channels) if part.row.in_files else (1,))
        values[part.name, tf.as_dtype(value.dtype)] = of_part
    (path / FOLDER).mkdir()
    with plain_path(path / FOLDER / FILE) as plain, tf.io.TFRecordWriter(plain) as writer:
        for name, function in signatures.items():
            inputs = {
                tensor.name.split(":")[0]: values[tensor.name.split(":")[0], tensor.dtype].SerializeToString()
                for tensor in function.inputs
                if tensor.dtype != tf.resource
            }
            writer.write(prediction_log(card.name, name, inputs))


def prediction_log(model: str, signature: str, inputs: dict[str, bytes]) -> bytes:
    """Returns a serialised PredictionLog. `inputs` are serialised TensorProtos.

    The bytes are assembled here because tensorflow-serving-api requires the newest TensorFlow, which would replace that
    of a notebook. A test reads the result by the official protos.
    """
    spec = _field(NAME, model.encode()) + _field(SIGNATURE_NAME, signature.encode())
    entries = [_field(KEY, name.encode()) + _field(VALUE, tensor) for name, tensor in inputs.items()]
    request = _field(MODEL_SPEC, spec) + b"".join(_field(INPUTS, entry) for entry in entries)
    return _field(PREDICT_LOG, _field(REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """Returns a length-delimited field of a protocol buffer: text, or a message within a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the model into the empty folder `path`. Ignores calibration images."""
    generator = in_bfloat16(generator) if card.quantization == "bfloat16" else generator
    module = InferenceView(
        Stored(generator, tf.as_dtype(QUANTIZATIONS[card.quantization].dtype)), card.config.data.encoding
    )
    with tempfile.TemporaryDirectory() as folder:
        contents = {FILE_NAME: card.to_json(), **_class_tables(card)}
        for name, text in contents.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        module.assets = [tf.saved_model.Asset(str(Path(folder) / name)) for name in contents]
        functions = signatures(module, card)
        try:
            with plain_path(path) as plain:
                tf.saved_model.save(module, plain, signatures=functions)
        except tf.errors.OpError as error:  # TensorFlow's error for a full or broken disk
            full = "No space left" in error.message or isinstance(error, tf.errors.ResourceExhaustedError)
            raise OSError(
                errno.ENOSPC if full else errno.EIO, "No space left on device" if full else error.message
            ) from error
    write_warmup(path, card, functions)


def _class_tables(card: ModelCard) -> dict[str, str]:
    """Returns a CSV file, with index, label and colour of every class, for each side or part that is label maps."""
    tables, data = {}, card.config.data
    parts = [(part.name, part.classes) for part in (*(data.inputs or ()), *(data.targets or ()))]
    for side, classes in (*zip(("input", "target"), data.classes, strict=True), *parts):
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
    """Runs the `translate_float` and `sample` signatures of a SavedModel. `trust` is that of `load_saved_model`."""

    def __init__(self, path: Path, trust: bool = False) -> None:
        asset = path / "assets" / FILE_NAME
        if not asset.is_file():
            raise UserError(
                f"A SavedModel must hold {FILE_NAME} among its assets. Received {path} without it. "
                f"Give one that `tfpix2pix export` wrote."
            )
        self.card = ModelCard.from_json(read_regular_file(asset), asset)
        self._loaded = load_saved_model(path, trust=trust)  # kept, because its variables live as long as it does
        if not {"translate_float", "sample"} & set(self._loaded.signatures):
            raise UserError(
                f"A SavedModel must have the signatures translate_float and sample. Received {path} without them. "
                f"Give one that `tfpix2pix export` wrote."
            )

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        signatures = self._loaded.signatures
        image = tf.constant(images)
        if noise is None:
            return signatures["translate_float"](image=image)["image"].numpy()
        return signatures["sample"](image=image, noise=tf.constant(noise))["image"].numpy()

    def weights(self) -> list[np.ndarray]:
        """Returns the network's weights in the order of `Stored`, none if another program wrote the SavedModel."""
        stored = getattr(getattr(self._loaded, "generator", None), "stored", ())
        return [tf.cast(variable, tf.float32).numpy() for variable in stored]


def read(path: Path, trust: bool = False) -> SavedModelEngine:
    """Returns the engine of a SavedModel folder."""
    return SavedModelEngine(path, trust)
