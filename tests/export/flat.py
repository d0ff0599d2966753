"""Generators whose norms see nearly constant maps, as those of a drawing on white paper do."""

import numpy as np

from tests.conftest import tiny_config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.models.noise import noise_size
from tfpix2pix.runs.networks import build_generator

SIZE_PX = 256


def spread(network, seed=0):
    """`network` with weights as large as after training, so that a constant image gives maps far from 0."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        shape = tuple(variable.shape)
        if len(shape) == 4:
            variable.assign(rng.normal(0, 1, shape) * (4.0 / np.prod(shape[:3])) ** 0.5)
        else:
            variable.assign(rng.normal(1.0 if variable.name == "gamma" else 0.0, 0.2, shape))
    return network


def flat_view(size_px=SIZE_PX, **generator) -> KerasEngine:
    """The Keras view of a small U-Net with such weights, of a fixed size and without noise."""
    config = tiny_config(
        data={"image_size_px": size_px},
        generator={"noise": "none", "base_filters": 4, "levels": None, **generator},
        inference={"noise": "off"},
    )
    network = spread(build_generator(config, seed=None, input_size_px=size_px))
    return KerasEngine(network, ModelCard.of(config, 0, noise_size=noise_size(network), fixed_size_px=size_px))
