"""Untrained generators as exports: what a graph does with files, sizes and types does not depend on the weights."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from tests.conftest import tiny_config
from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.export import saved_model, tflite
from tfpix2pix.inference.translator import Translator
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import noise_size
from tfpix2pix.runs.networks import build_generator

SEEDS = [0, 1, 7, 999_999, 2**31 - 1]  # up to the largest that `translate` takes


def vector_of(seed: int, length: int) -> np.ndarray:
    """The noise of `translate --noise on --seed`, (length,)."""
    card = SimpleNamespace(noise_size=length, noise_of_styles=np.zeros((0, length), np.float32))
    return Translator(SimpleNamespace(card=card)).noise(1, seed)[0]


def generator_of(config: Config, **options):
    """A generator whose weights are large enough that its translations are no gray."""
    generator = build_generator(config, seed=0, **options)
    for variable in generator.trainable_variables:
        if "kernel" in variable.path:
            variable.assign(variable * 4.0)
    return generator


def made_saved_model(folder: Path, **changes):
    """(loaded SavedModel, the Keras translator that it must equal)."""
    card_changes = changes.pop("card", {})
    config = tiny_config(**changes)
    generator = generator_of(config, input_size_px="any")
    card = ModelCard.of(config, 0, noise_size=noise_size(generator), **card_changes)
    folder.mkdir(parents=True)
    saved_model.write(generator, card, folder)
    return tf.saved_model.load(str(folder)), Translator(KerasEngine(generator, card))


def made_tflite(path: Path, *, quantization: str = "none", noise_input: bool = False, **changes):
    """(engine of the file, the Keras engine that it must equal)."""
    card_changes = changes.pop("card", {})
    config = tiny_config(**changes)
    generator = generator_of(config, noise_input=noise_input)
    card = ModelCard.of(
        config, 0, noise_size=noise_size(generator), fixed_size_px=config.data.image_size_px,
        quantization=quantization, **card_changes,
    )  # fmt: skip
    shape, rng = (1, *config.data.size_px, config.data.input_channels), np.random.default_rng(1)
    images = [rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(8)]
    tflite.write(generator, card, path, images)
    return tflite.read(path), KerasEngine(generator, card)
