"""Runs a trained generator in the one form that samples, translation and every export share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.rows import Encoding
from tfpix2pix.models.noise import no_noise, noise_size


class Engine(Protocol):
    """Runs a generator by Keras, a SavedModel, TFLite or ONNX."""

    card: ModelCard

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Translates float32 (N, H, W, C) in [-1, 1] into (N, H, W, C'), by noise (N, noise_size) or None for off.

        H and W are any, or the card's `fixed_size_px`.
        """


class InferenceView(tf.Module):
    """Translates images of any size, in their own colours, by a trained generator.

    Samples during training, Keras inference and every export share it. Sizes are any because the generator pads and
    crops. Colours are the images' own because the view encodes what the network sees (`data.encoding`).
    """

    def __init__(self, generator: keras.Model, encoding: Encoding) -> None:
        super().__init__(name="inference_view")
        self.generator, self.encoding = generator, encoding
        self.noise_size = noise_size(generator)

    def translate(self, images: tf.Tensor, noise: tf.Tensor | None = None) -> tf.Tensor:
        """Translates float32 (N, H, W, C) in [-1, 1] into (N, H, W, C'). `noise` None switches the noise off."""
        encoded = self.encoding.encode_input(images)
        if self.noise_size and noise is None:
            noise = no_noise(tf.shape(images)[0], self.noise_size, images.dtype)
        inputs = [encoded, noise] if self.noise_size else encoded
        return self.encoding.decode(encoded, self.generator(inputs, training=False))

    def function(self, channels: int, dtype: tf.DType = tf.float32) -> Callable[..., tf.Tensor]:
        """Returns `translate` with one trace of the network, for every size, with noise and without."""
        specs = [tf.TensorSpec((None, None, None, channels), dtype)]
        if self.noise_size:
            specs.append(tf.TensorSpec((None, self.noise_size), dtype))
        traced = tf.function(self.translate, input_signature=specs, autograph=False)

        def translate(images: tf.Tensor, noise: tf.Tensor | None = None) -> tf.Tensor:
            if not self.noise_size:
                return traced(images)
            return traced(images, no_noise(tf.shape(images)[0], self.noise_size, dtype) if noise is None else noise)

        return translate


class KerasEngine:
    """Runs a Keras generator in the type of its input, by one trace for every size."""

    def __init__(self, generator: keras.Model, card: ModelCard) -> None:
        self.generator, self.card = generator, card
        self.dtype = tf.as_dtype(generator.inputs[0].dtype)
        data = card.config.data
        self._run = InferenceView(generator, data.encoding).function(data.input_channels, self.dtype)

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        noise = None if noise is None else tf.cast(noise, self.dtype)
        return self._run(tf.cast(images, self.dtype), noise).numpy()
