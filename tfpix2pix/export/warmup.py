"""`assets.extra/tf_serving_warmup_requests`: TF Serving replays these requests before it gives a version traffic.

Without them the first user of every version waits while TensorFlow plans memory and builds its kernels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpix2pix.card import ModelCard

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"

# Numbers of fields in TF Serving's protos: PredictionLog.predict_log, PredictLog.request, PredictRequest.model_spec
# and .inputs (a map: entries of key and value), ModelSpec.name and .signature_name.
PREDICT_LOG, REQUEST, MODEL_SPEC, INPUTS, KEY, VALUE, NAME, SIGNATURE_NAME = 6, 1, 1, 2, 1, 2, 1, 3


def write_warmup(path: Path, card: ModelCard, signatures: dict) -> None:
    """Writes a request of one image of the training size for every signature into the SavedModel folder `path`."""
    side, channels = card.fixed_size_px or card.config.data.image_size_px, card.config.data.input_channels
    file = tf.io.encode_png(tf.zeros((side, side, channels), tf.uint8)).numpy() if channels <= 4 else b""
    image = {"shape": (1, side, side, channels)}
    values = {  # a shape with one value is a small proto whatever its size
        ("image", tf.float32): tf.make_tensor_proto(np.float32(0), **image),
        ("image", tf.uint8): tf.make_tensor_proto(np.uint8(128), **image),
        ("noise", tf.float32): tf.make_tensor_proto(np.float32(0.5), shape=(1, card.noise_size or 1)),
        ("image_bytes", tf.string): tf.make_tensor_proto([file]),
        ("query_bytes", tf.string): tf.make_tensor_proto([b""]),
    }
    (path / FOLDER).mkdir()
    with tf.io.TFRecordWriter(str(path / FOLDER / FILE)) as writer:
        for name, function in signatures.items():
            inputs = {
                each.name.split(":")[0]: values[each.name.split(":")[0], each.dtype].SerializeToString()
                for each in function.inputs
                if each.dtype != tf.resource
            }
            writer.write(prediction_log(card.name, name, inputs))


def prediction_log(model: str, signature: str, inputs: dict[str, bytes]) -> bytes:
    """A serialised PredictionLog; `inputs` are serialised TensorProtos.

    By hand, because tensorflow-serving-api asks for the newest TensorFlow: as a requirement of this package it would
    replace the one that a notebook came with. A test reads what is written by the official protos.
    """
    spec = _field(NAME, model.encode()) + _field(SIGNATURE_NAME, signature.encode())
    entries = [_field(KEY, name.encode()) + _field(VALUE, tensor) for name, tensor in inputs.items()]
    request = _field(MODEL_SPEC, spec) + b"".join(_field(INPUTS, entry) for entry in entries)
    return _field(PREDICT_LOG, _field(REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer: text, or a message within a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
