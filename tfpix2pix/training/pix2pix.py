"""The training step: one discriminator step, one generator step (paper §3.3), as a `keras.Model` that `fit` trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.errors import row
from tfpix2pix.losses.objective import Objective
from tfpix2pix.models.build import noise_size
from tfpix2pix.models.noise import NO_NOISE
from tfpix2pix.training.optimizers import FusedAdam


class Pix2Pix(keras.Model):
    """A generator and a discriminator trained together on pairs.

    Args:
        generator: a model of inputs `image` or `[image, noise]`, such as `build_unet(256)`.
        discriminator: a model of inputs `[input, target]` or `target`, such as `build_patchgan(70)`.
        seed: of the dropout noise; the noise of step t depends on (seed, t) alone.

    Call it for a translation: `model(images)` with images float32 (N, H, W, C) in [-1, 1] gives the same shape in
    [-1, 1], without dropout, each image normalised by its own statistics.
    """

    def __init__(self, generator: keras.Model, discriminator: keras.Model, *, seed: int = 0) -> None:
        super().__init__(name="pix2pix")
        self.generator, self.discriminator = generator, discriminator
        self.noise_key = rng.stream(seed, "noise")
        self.objective = Objective()
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.built = True

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer | None = None,
        discriminator_optimizer: keras.optimizers.Optimizer | None = None,
        objective: Objective | str | None = None,
        update_order: str = "alternating",
        **kwargs: Any,
    ) -> None:
        """Adam of learning rate 2e-4 and β 0.5, 0.999 (paper §3.3) for both, and cGAN + 100·L1, unless told otherwise.

        Builds the optimisers' variables at once, so that a checkpoint can be restored before the first step.

        Args:
            objective: an `Objective`, or the name of one: `l1+cgan`.
            update_order: `alternating` or `simultaneous`, see the methods of these names.
        """
        row(UPDATE_ORDERS, "`update_order`", update_order)
        kwargs.setdefault("jit_compile", False)  # as in the loop: XLA's convolutions are slower on a CPU
        super().compile(**kwargs)
        objective = Objective.named(objective) if isinstance(objective, str) else objective
        self.objective, self.update_order = objective or Objective(), update_order
        self.generator_optimizer = generator_optimizer or FusedAdam()
        self.discriminator_optimizer = discriminator_optimizer or FusedAdam()
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def call(self, image: tf.Tensor, noise: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """A translation; `noise` (N, noise_size) uniform in [0, 1) switches z on, None off."""
        if not self.noise_size:
            return self.generator(image, training=training)
        if noise is None:
            noise = tf.fill((tf.shape(image)[0], self.noise_size), NO_NOISE)
        return self.generator([image, noise], training=training)

    @tf.autograph.experimental.do_not_convert  # no Python control flow on tensors: tracing is faster as it is
    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on `(input, target)`, each float32 (N, H, W, C) in [-1, 1]; returns the losses by name."""
        image, target = map(tf.convert_to_tensor, data)
        update = UPDATE_ORDERS[self.update_order] if self.objective.adversarial else Pix2Pix.without_discriminator
        losses = update(self, image, target)
        self.step.assign_add(1)
        return losses

    def alternating(self, image: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        """D is updated first and G against the new D: the order of the paper (§3.3) and of the authors' code.

        The generator runs forward once: D sees its translations as data, the generator's tape differentiates them.
        """
        with _tape(self.generator) as g_tape:
            translation = self.translate_in_training(image)
            with g_tape.stop_recording():
                with _tape(self.discriminator) as d_tape:
                    real_logits = self.discriminate(image, target)
                    fake_logits = self.discriminate(image, translation)
                    d_losses = self.objective.discriminator(real_logits, fake_logits)
                _update(self.discriminator, self.discriminator_optimizer, d_tape, d_losses["d/total"])
            g_losses = self.objective.generator(self.discriminate(image, translation), translation, target)
        _update(self.generator, self.generator_optimizer, g_tape, g_losses["g/total"])
        return {**g_losses, **d_losses}

    def simultaneous(self, image: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        """Both gradients from one forward pass, then both updates: the order of the TensorFlow tutorial."""
        with _tape(self.generator) as g_tape, _tape(self.discriminator) as d_tape:
            translation = self.translate_in_training(image)
            real_logits = self.discriminate(image, target)
            fake_logits = self.discriminate(image, translation)
            d_losses = self.objective.discriminator(real_logits, fake_logits)
            g_losses = self.objective.generator(fake_logits, translation, target)
        _update(self.generator, self.generator_optimizer, g_tape, g_losses["g/total"])
        _update(self.discriminator, self.discriminator_optimizer, d_tape, d_losses["d/total"])
        return {**g_losses, **d_losses}

    def without_discriminator(self, image: tf.Tensor, target: tf.Tensor) -> dict[str, tf.Tensor]:
        """The reconstruction terms alone (`gan_loss: none`)."""
        with _tape(self.generator) as g_tape:
            translation = self.translate_in_training(image)
            g_losses = self.objective.generator(None, translation, target)
        _update(self.generator, self.generator_optimizer, g_tape, g_losses["g/total"])
        return g_losses

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The losses on `(input, target)` without noise, for `evaluate` and `fit(validation_data=…)`."""
        image, target = map(tf.convert_to_tensor, data)
        translation = self(image)
        logits = self.discriminate(image, translation, training=False)  # evaluation changes no state
        return self.objective.generator(logits, translation, target)

    def translate_in_training(self, image: tf.Tensor) -> tf.Tensor:
        """G(x, z) with the noise of the current step."""
        return self(image, self.training_noise(tf.shape(image)[0]), training=True)

    def discriminate(self, image: tf.Tensor, candidate: tf.Tensor, training: bool = True) -> tf.Tensor:
        """Logits for `candidate` (a target or a translation), beside `image` where D is conditional."""
        conditional = len(self.discriminator.inputs) == 2
        return self.discriminator([image, candidate] if conditional else candidate, training=training)

    @property
    def noise_size(self) -> int:
        """Values of noise that one image takes; 0 for a generator without."""
        return noise_size(self.generator)

    def training_noise(self, count: tf.Tensor | int) -> tf.Tensor:
        """The noise of the current step: float32 (count, noise_size), uniform in [0, 1)."""
        key = rng.at(self.noise_key, self.step.value)
        return rng.uniform((count, self.noise_size), key)


UPDATE_ORDERS = {"alternating": Pix2Pix.alternating, "simultaneous": Pix2Pix.simultaneous}


@contextmanager
def _tape(network: keras.Model) -> Iterator[tf.GradientTape]:
    """A tape on the trainable variables of one network."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in network.trainable_variables])
        yield tape


def _update(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, tape: tf.GradientTape, loss: tf.Tensor
) -> None:
    variables = network.trainable_variables
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
