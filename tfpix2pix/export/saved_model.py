"""SavedModel: `<out>/<name>/<version>/`, loadable by plain TensorFlow and TF Serving, any image size.

Signatures, all with `image` in and out:
- `serving_default`: float32 (N, H, W, C) in [-1, 1], noise off;
- `translate_uint8`: uint8 (N, H, W, C), noise off;
- `sample`, where the generator has noise: float32 as above and `noise` float32 (N, noise_size) uniform in [0, 1).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.card import FILE_NAME, ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.inference import InferenceView


def path_of(card: ModelCard, out: Path) -> Path:
    """`<out>/<name>/<version>`, the next version."""
    return out / card.name / str(next_version(out / card.name))


def write(generator: keras.Model, card: ModelCard, path: Path) -> None:
    """Writes the model into the empty folder `path`."""
    module = InferenceView(generator, card.config.data.encoding)
    with tempfile.TemporaryDirectory() as folder:
        asset = Path(folder) / FILE_NAME
        asset.write_text(card.to_json(), encoding="utf-8")
        module.model_card = tf.saved_model.Asset(str(asset))
        tf.saved_model.save(module, str(path), signatures=_signatures(module, card))


def next_version(parent: Path) -> int:
    """One more than the largest numbered folder in `parent`."""
    versions = [int(path.name) for path in parent.iterdir() if path.name.isdigit()] if parent.is_dir() else []
    return max(versions, default=0) + 1


def _signatures(module: InferenceView, card: ModelCard) -> dict[str, tf.types.experimental.ConcreteFunction]:
    channels = card.config.data.input_channels
    image = tf.TensorSpec((None, None, None, channels), tf.float32, name="image")
    image_uint8 = tf.TensorSpec((None, None, None, channels), tf.uint8, name="image")
    noise = tf.TensorSpec((None, card.noise_size), tf.float32, name="noise")

    def translate(image):
        return {"image": module.translate(image)}

    def translate_uint8(image):
        signed = tf.cast(image, tf.float32) * (2.0 / 255.0) - 1.0
        return {"image": tf.saturate_cast(tf.round((module.translate(signed) + 1.0) * 127.5), tf.uint8)}

    def sample(image, noise):
        return {"image": module.translate(image, noise)}

    table = {"serving_default": (translate, [image]), "translate_uint8": (translate_uint8, [image_uint8])}
    if card.noise_size:
        table["sample"] = (sample, [image, noise])
    return {
        name: tf.function(function, autograph=False).get_concrete_function(*specs)
        for name, (function, specs) in table.items()
    }


class SavedModelEngine:
    """Runs the `serving_default` and `sample` signatures of a SavedModel."""

    def __init__(self, path: Path) -> None:
        asset = path / "assets" / FILE_NAME
        if not asset.is_file():
            raise UserError(
                f"A SavedModel must carry {FILE_NAME} among its assets. Received {path} without. "
                f"Give one that `tfpix2pix export` wrote."
            )
        self.card = ModelCard.from_json(asset.read_bytes(), asset)
        self._loaded = tf.saved_model.load(str(path))  # kept: its variables live as long as it does

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        signatures = self._loaded.signatures
        image = tf.constant(images)
        if noise is None:
            return signatures["serving_default"](image=image)["image"].numpy()
        return signatures["sample"](image=image, noise=tf.constant(noise))["image"].numpy()


def read(path: Path) -> SavedModelEngine:
    """The engine of a SavedModel folder."""
    return SavedModelEngine(path)
