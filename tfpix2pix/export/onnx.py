"""Writes ONNX by tf2onnx: one file of fixed height and width for any batch, with the model card in its metadata.

Its inputs are float32: `image` (N, H, W, C) in [-1, 1], and `noise` (N, noise_size) uniform in [0, 1) if it is on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.config.card import FILE_NAME, ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.export.plain import plain_weights, with_plain_convolutions
from tfpix2pix.export.weights import Stored
from tfpix2pix.inference.view import InferenceView
from tfpix2pix.models.noise import no_noise
from tfpix2pix.quiet import quiet_native_code
from tfpix2pix.safe_files import read_regular_file

OPSET = 17


def write(generator: keras.Model, card: ModelCard, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Writes the file `path`.

    Raises:
        UserError: tf2onnx is not installed.
    """
    tf2onnx = _installed("tf2onnx")
    plain = with_plain_convolutions(generator)
    plain.set_weights([weights for layer in generator.layers for weights in plain_weights(layer)])
    view = InferenceView(Stored(plain), card.config.data.encoding)
    size, channels = card.static_size_px, card.config.data.input_channels
    specs = [tf.TensorSpec((None, *size, channels), tf.float32, name="image")]
    if card.noise_size:
        specs.append(tf.TensorSpec((None, card.noise_size), tf.float32, name="noise"))

    @tf.function(input_signature=specs, autograph=False)
    def translate(image: tf.Tensor, *noise: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"translation": view.translate(image, *noise)}

    with quiet_native_code():
        model, _ = tf2onnx.convert.from_function(translate, input_signature=specs, opset=OPSET)
    entry = model.metadata_props.add()
    entry.key, entry.value = FILE_NAME, card.to_json()
    path.write_bytes(model.SerializeToString())


class OnnxEngine:
    """Runs an .onnx file by onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        onnx, runtime = _installed("onnx"), _installed("onnxruntime")
        try:
            data = read_regular_file(path)
            if any(
                tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors(onnx.load_from_string(data))
            ):
                raise UserError(
                    f"An .onnx file must hold its weights. Received {path}, which has weights in other files. "
                    f"Save it as one file."
                )
            with redirect_stdout(io.StringIO()):  # onnxruntime also prints its errors
                self._session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
            card = self._session.get_modelmeta().custom_metadata_map[FILE_NAME]
        except UserError:
            raise
        except Exception as error:  # onnxruntime raises errors of many types for damage
            raise UserError(
                f"An .onnx file must be whole and hold {FILE_NAME} in its metadata. Received {path}, which is damaged "
                f"or lacks it. Give one that `tfpix2pix export` wrote."
            ) from error
        self.card = ModelCard.from_json(card, path)

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        inputs = {"image": images}
        if self.card.noise_size:
            inputs["noise"] = no_noise(len(images), self.card.noise_size) if noise is None else noise
        return self._session.run(None, inputs)[0]


def tensors(message: Any) -> Iterator[Any]:
    """Yields every TensorProto within a protobuf message of ONNX, in any graph, function or node."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, Sequence) or hasattr(value, "add") else (value,):
                yield from tensors(part)


def read(path: Path, trust: bool = False) -> OnnxEngine:
    """Returns the engine of an .onnx file."""
    return OnnxEngine(path)


def _installed(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise UserError(
            f"An .onnx file needs {name}. Received no module {name}. Install it with pip install 'tfpix2pix[onnx]'."
        ) from error
