"""Defines the training step of a generator whose styles an encoder finds in the targets (BicycleGAN, §3)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.errors import within
from tfpix2pix.losses.style import Style
from tfpix2pix.models.encoder import noise_of
from tfpix2pix.models.modulation import noise_as_styles
from tfpix2pix.models.noise import normals_of
from tfpix2pix.training.gradients import tape_on, weights_of
from tfpix2pix.training.pix2pix import Losses, Pix2Pix, Weight, counted


@keras.saving.register_keras_serializable("tfpix2pix")
class StyledPix2Pix(Pix2Pix):
    """Trains a generator with noise by modulation, a discriminator and an encoder of styles together on pairs.

    The generator makes two translations of every input. One has the style that the encoder finds in the target: terms
    that compare with the target see this one. The other has a style of N(0, 1): in it the encoder is to find this
    style again. D judges both.

    Args:
        encoder: a model of `build_style_encoder`.

    The other arguments are those of `Pix2Pix`, but `recompute_levels`, `coarse` and `teacher`.
    """

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, *, encoder: keras.Model, **more: Any
    ) -> None:
        super().__init__(generator, discriminator, **more)
        self.encoder = encoder
        self.style_key = rng.stream(self.seed, "style")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Sets optimisers and objective as `Pix2Pix` does. The generator's optimiser trains the encoder too.

        Raises:
            ValueError: as `Pix2Pix`, or the updates are not alternating or in several parts.
        """
        super().compile(*args, **kwargs)
        within(self.update_order == "alternating", "`update_order` with an encoder", "alternating", self.update_order)
        within(self.micro_batches == 1, "`micro_batches` with an encoder", "1", self.micro_batches)
        terms = self.objective.noise_terms
        within(not terms, "The terms of `objective` with an encoder", "others than those of two noises", terms)

    @property
    def generator_variables(self) -> list[keras.Variable]:
        return [*self.generator.trainable_variables, *self.encoder.trainable_variables]

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "encoder": keras.saving.serialize_keras_object(self.encoder)}
        return {key: value for key, value in config.items() if key not in ("recompute_levels", "coarse")}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Pix2Pix:
        encoder = keras.saving.deserialize_keras_object(config["encoder"], custom_objects=custom_objects)
        return super().from_config({**config, "encoder": encoder}, custom_objects)

    def alternating(self, image: tf.Tensor, target: tf.Tensor, weight: Weight, noise: tf.Tensor) -> Losses:
        """Updates D, then G and the encoder against the new D. The generator runs forward once, on both halves."""
        count, size = image.shape[0] or tf.shape(image)[0], self.noise_size
        drawn = normals_of(noise, size)
        with tape_on(self.generator, self.encoder) as tape:
            encoding = self.encoder(target, training=True)
            found = _sampled(encoding, normals_of(self.training_noise(count, self.style_key), size))
            images, weights = (None if one is None else tf.concat([one, one], 0) for one in (image, weight))
            with noise_as_styles():
                translations = self(images, tf.concat([found, drawn], 0), training=True)
            translations = counted(translations, weights)
            with tape.stop_recording():
                d_gradients, d_losses, features = self._discriminator_gradients(image, target, translations, images)
                self._update_discriminator(d_gradients)
            fake = self.judge(images, translations)
            by_found, by_drawn = tf.split(tf.identity(translations), 2)
            style = Style(encoding, drawn, self._recovered(by_drawn))
            halves = [[tf.split(maps, 2)[0] for maps in scale] for scale in fake.features]
            more = {"style": style, **self._more(image, weight)}
            g_losses = self.objective.generator(fake.logits, by_found, target, (features, halves), **more)
            loss = self._scaled(g_losses["g/total"], self.generator_optimizer)
        self._update_generator(tape.gradient(loss, weights_of(self.generator, self.encoder)))
        return {**g_losses, **d_losses}

    def noise_of_targets(self, target: tf.Tensor, weight: Weight = None) -> np.ndarray:
        """Returns the noise of the styles that the encoder finds in targets, float32 (N, noise_size) in [0, 1)."""
        encoding = self.encoder(counted(target, weight), training=False)
        return noise_of(tf.split(encoding, 2, axis=-1)[0].numpy())

    def _recovered(self, translation: tf.Tensor) -> tf.Tensor:
        """Returns the means of the styles that the encoder finds. Its weights are fixed, so only G learns from them:
        the encoder is not to adapt to what G happens to draw (BicycleGAN, §3.3)."""
        fixed = [tf.stop_gradient(v.value) for v in self.encoder.trainable_variables]
        encoding, _ = self.encoder.stateless_call(fixed, [], translation, training=True)
        return tf.split(encoding, 2, axis=-1)[0]


def _sampled(encoding: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
    """Returns styles of the distributions in `encoding`, by numbers of N(0, 1), as they are differentiated."""
    mean, log_variance = tf.split(encoding, 2, axis=-1)
    return mean + tf.exp(0.5 * log_variance) * normal
