"""Defines the training step, of the discriminator and of the generator (paper §3.3), as a `keras.Model` for `fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.errors import within
from tfpix2pix.losses.diversity import noise_distance
from tfpix2pix.losses.objective import Features, Objective, Variant
from tfpix2pix.models.enhancer import at_own_size, shrinking
from tfpix2pix.models.noise import no_noise, noise_size
from tfpix2pix.models.norms import without_moving
from tfpix2pix.models.pyramid import Judgement, judging
from tfpix2pix.models.recompute import recomputing
from tfpix2pix.tables import row
from tfpix2pix.training.gradients import replicas, summed, tape_on, update, update_average, weights_of
from tfpix2pix.training.optimizers import FusedAdam

Losses = dict[str, tf.Tensor]
Weight = tf.Tensor | None  # of the pixels, float32 (N, H, W, 1) in [0, 1]; None: all count
NETWORKS, OPTIMIZERS = ("generator", "discriminator", "average"), ("generator_optimizer", "discriminator_optimizer")


@keras.saving.register_keras_serializable("tfpix2pix")
class Pix2Pix(keras.Model):
    """Trains a generator and a discriminator together on pairs.

    Args:
        generator: a model of inputs `image` or `[image, noise]`, such as `build_unet(256)`.
        discriminator: a model of inputs `[input, target]` or `target`, such as `build_patchgan(70)`.
        average: a second generator of the same layers, which holds the moving average of the first one's weights and
            makes the translations (`compile(ema_decay=…)`). None: no average.
        seed: seed of the noise. The noise of step t depends on (seed, t) alone.
        recompute_levels: number of outer levels that are recomputed in the backward pass to save memory. A `coarse`
            model recomputes none.
        teacher: a function from images, as the generator gets them, to the translations of a trained generator, for an
            objective with terms of a teacher. It is not saved with the model.
        perceptual_network: a function from images, float32 (N, H, W, C) in [-1, 1], to feature maps, each times its
            weight, for an objective with the term `perceptual`. It is neither trained nor saved with the model.
        coarse: whether `generator` is one of `build_coarse`, which is trained at its own size, on halved pairs.

    `model(images)` translates images, float32 (N, H, W, C) in [-1, 1], to the same height, width and range. It adds no
    noise, and normalises each image by its own statistics.
    """

    encoder: keras.Model | None = None  # of styles, in `StyledPix2Pix`

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, *, average: keras.Model | None = None, seed: int = 0,
        recompute_levels: int = 0, teacher: Callable[[tf.Tensor], tf.Tensor] | None = None,
        perceptual_network: Callable[[tf.Tensor], Any] | None = None, coarse: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name="pix2pix")
        self.generator, self.discriminator, self.average = generator, discriminator, average
        if average is not None:
            average.trainable = False
            average.set_weights(generator.get_weights())
        self.coarse, self.shrink = coarse, shrinking(generator) if coarse else _unchanged
        self.trained = at_own_size(generator) if coarse else generator
        recomputes = recompute_levels and not coarse  # images of the coarse stage are small
        self.training_generator = recomputing(generator, recompute_levels) if recomputes else self.trained
        self.seed, self.recompute_levels = seed, recompute_levels
        self.noise_key, self.variant_key = rng.stream(seed, "noise"), rng.stream(seed, "variant")
        self.objective, self.judge, self.teacher = Objective(), judging(discriminator), teacher
        # In functions, because Keras would take a network's variables for the model's own.
        self.perceptual_network = perceptual_network and (lambda images: perceptual_network(images))
        first = {"shape": (), "trainable": False, "aggregation": "only_first_replica"}
        self.step = self.add_weight(name="step", dtype="int64", initializer="zeros", **first)
        # Multiplies the learning rate. It is 1 until a run is rolled back because of numbers that are not finite.
        self.learning_rate_factor = self.add_weight(name="learning_rate_factor", initializer="ones", **first)
        self.built = True

    @property
    def generator_variables(self) -> list[keras.Variable]:
        """Returns the variables that the generator's optimiser trains."""
        return self.generator.trainable_variables

    @property
    def own_variables(self) -> list[keras.Variable]:
        """Returns the variables that belong to neither a network nor an optimiser."""
        return [self.step, self.learning_rate_factor]

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer | None = None,
        discriminator_optimizer: keras.optimizers.Optimizer | None = None,
        objective: Objective | str | None = None,
        update_order: str = "alternating",
        *,
        micro_batches: int = 1,
        clip_gradient_norm: float | None = None,
        ema_decay: float = 0.999,
        ema_first_step: int = 0,
        **kwargs: Any,
    ) -> None:
        """Sets optimisers and objective, and builds the optimisers' variables, so that a checkpoint can be restored.

        Args:
            generator_optimizer: default: Adam of learning rate 2e-4 and β 0.5, 0.999 (paper §3.3).
            discriminator_optimizer: default: the same.
            objective: an `Objective`, or the name of one, such as `l1+cgan`. Default: cGAN + 100·L1.
            update_order: a row of `UPDATE_ORDERS`.
            micro_batches: number of parts of a batch. Their gradients are summed before an update.
            clip_gradient_norm: largest norm of a network's gradient over all its weights; None: no limit.
            ema_decay: decay of `average`. The first steps use a smaller one.
            ema_first_step: number of the step that is the first one for the average.

        Raises:
            ValueError: a name is unknown, a number lies outside its range, or a term needs noise and the generator has
                none.
        """
        row(UPDATE_ORDERS, "`update_order`", update_order)
        within(micro_batches >= 1, "`micro_batches`", "at least 1", micro_batches)
        within(clip_gradient_norm is None or clip_gradient_norm > 0, "`clip_gradient_norm`", "> 0", clip_gradient_norm)
        within(0 <= ema_decay < 1, "`ema_decay`", "in [0, 1)", ema_decay)
        kwargs.setdefault("jit_compile", False)  # XLA's convolutions are slower on a CPU
        super().compile(**kwargs)
        self.objective = Objective.named(objective) if isinstance(objective, str) else objective or Objective()
        if self.objective.noise_terms and not self.noise_size:
            raise ValueError(
                f"`generator` must have a noise input for {self.objective.noise_terms[0]} of `objective`. Received one "
                f'without. Build it with `noise="gaussian"`, or leave the term out.'
            )
        self.judge = judging(self.discriminator, features=self.objective.needs_features)
        self.update_order, self.micro_batches, self.ema_decay = update_order, micro_batches, ema_decay
        self.clip_gradient_norm, self.ema_first_step = clip_gradient_norm, ema_first_step
        self.generator_optimizer = generator_optimizer or FusedAdam()
        self.discriminator_optimizer = discriminator_optimizer or FusedAdam()
        self.generator_optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Returns the networks and settings, from which `save("m.keras")` and `ModelCheckpoint` make the same model."""
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in NETWORKS}
        return {**networks, "seed": self.seed, "recompute_levels": self.recompute_levels, "coarse": self.coarse}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Pix2Pix:
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in NETWORKS
        }
        return cls(**{**config, **networks})

    def get_compile_config(self) -> dict[str, Any]:
        optimizers = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in OPTIMIZERS}
        return {
            **optimizers, "objective": dataclasses.asdict(self.objective), "update_order": self.update_order,
            "micro_batches": self.micro_batches, "clip_gradient_norm": self.clip_gradient_norm,
            "ema_decay": self.ema_decay, "ema_first_step": self.ema_first_step,
        }  # fmt: skip

    def compile_from_config(self, config: dict[str, Any]) -> None:
        optimizers = {name: keras.saving.deserialize_keras_object(config[name]) for name in OPTIMIZERS}
        self.compile(**{**config, **optimizers, "objective": Objective(**config["objective"])})

    @property
    def translator(self) -> keras.Model:
        """Returns the generator that makes the translations: the average if there is one."""
        return self.generator if self.average is None else self.average

    def call(self, image: tf.Tensor, noise: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Returns translations. `noise` (N, noise_size), uniform in [0, 1), switches z on. None switches it off.

        In training a coarse model takes and gives images that `shrink` has made.
        """
        generator = self.training_generator if training else self.translator
        if self.noise_size and noise is None:
            noise = no_noise(tf.shape(image)[0], self.noise_size)
        elif noise is not None:
            fits = noise.shape[-1] in (None, self.noise_size)
            within(fits, "`noise`", f"of shape (N, {self.noise_size})", f"the shape {noise.shape}")
        return generator([image, noise] if self.noise_size else image, training=training)

    @tf.autograph.experimental.do_not_convert  # traces faster, and has no Python control flow on tensors
    def train_step(self, data: tuple[tf.Tensor, ...]) -> Losses:
        """Trains one step on `(input, target)`, each float32 (N, H, W, C) in [-1, 1], or on `(input, target, weight)`,
        the weights of the pixels float32 (N, H, W, 1) in [0, 1]. Returns the losses by name.

        With weights, D and every term see `counted` images. On several replicas, `data` and the losses are of one
        replica's share of the batch.
        """
        image, target, weight = self._whole(data)
        image, target, weight = map(self.shrink, (image, counted(target, weight), weight))
        count = image.shape[0] or tf.shape(image)[0]
        noises = [self.training_noise(count)]
        if self.objective.noise_terms:
            noises.append(self.training_noise(count, self.variant_key))
        order = getattr(self, self.update_order if self.objective.adversarial else "without_discriminator")
        losses = order(image, target, weight, *noises)
        if self.average is not None:
            update_average(self.average, self.generator, self.ema_decay, self.step, self.ema_first_step)
        self.step.assign_add(1)
        return losses

    def alternating(self, image: tf.Tensor, target: tf.Tensor, weight: Weight, *noises: tf.Tensor) -> Losses:
        """Updates D, then G against the new D: the order of the paper (§3.3) and of the authors' code.

        `weight` is None if all pixels count. `noises` holds z, and another z for the variant if the objective has terms
        of the noise.

        The generator runs forward once. Its translations are data for D, and G's tape differentiates them. With
        micro-batches it runs twice, because the new D is known only after the last part. The features of the targets
        are the old D's.
        """
        if self.micro_batches > 1:
            return self._alternating_in_parts(image, target, weight, *noises)
        variant = self._variant(image, weight, *noises)
        with tape_on(self.generator) as g_tape:
            translation = counted(self(image, noises[0], training=True), weight)
            with g_tape.stop_recording():
                d_gradients, d_losses, features = self._discriminator_gradients(image, target, translation)
                self._update_discriminator(d_gradients)
            fake = self.judge(image, translation)
            maps, more = (features, fake.features), self._more(image, weight)
            g_losses = self.objective.generator(fake.logits, translation, target, maps, variant=variant, **more)
            g_loss = self._scaled(g_losses["g/total"], self.generator_optimizer)
        self._update_generator(g_tape.gradient(g_loss, weights_of(self.generator)))
        return {**g_losses, **d_losses}

    def _alternating_in_parts(self, image: tf.Tensor, target: tf.Tensor, weight: Weight, *noises: tf.Tensor) -> Losses:
        features = []  # of the targets, by part

        def of_discriminator(
            image: tf.Tensor, target: tf.Tensor, weight: Weight, noise: tf.Tensor, *_: tf.Tensor
        ) -> tuple[list, Losses]:
            translation = counted(self(image, noise, training=True), weight)
            gradients, losses, maps = self._discriminator_gradients(image, target, translation)
            features.append(maps)
            return gradients, losses

        def of_generator(*part: tf.Tensor) -> tuple[list, Losses]:
            return self._generator_gradients(*part, features=features.pop(0))

        batch = (image, target, weight, *noises)
        d_gradients, d_losses = summed(of_discriminator, batch, self.micro_batches)
        self._update_discriminator(d_gradients)
        g_gradients, g_losses = summed(of_generator, batch, self.micro_batches)
        self._update_generator(g_gradients)
        return {**g_losses, **d_losses}

    def simultaneous(self, image: tf.Tensor, target: tf.Tensor, weight: Weight, *noises: tf.Tensor) -> Losses:
        """Updates D and G from one forward pass: the order of the TensorFlow tutorial."""
        g_count = len(self.generator.trainable_variables)

        def of_both(image: tf.Tensor, target: tf.Tensor, weight: Weight, *noises: tf.Tensor) -> tuple[list, Losses]:
            variant = self._variant(image, weight, *noises)
            with tape_on(self.generator) as g_tape, tape_on(self.discriminator) as d_tape:
                translation = counted(self(image, noises[0], training=True), weight)
                real, fake = self.judge(image, target), self.judge(image, translation)
                d_losses = self.objective.discriminator(real.logits, fake.logits)
                maps, more = (real.features, fake.features), self._more(image, weight)
                g_losses = self.objective.generator(fake.logits, translation, target, maps, variant=variant, **more)
                g_loss = self._scaled(g_losses["g/total"], self.generator_optimizer)
                d_loss = self._scaled(d_losses["d/total"], self.discriminator_optimizer)
            g_gradients = g_tape.gradient(g_loss, weights_of(self.generator))
            d_gradients = d_tape.gradient(d_loss, weights_of(self.discriminator))
            return [*g_gradients, *d_gradients], {**g_losses, **d_losses}

        gradients, losses = summed(of_both, (image, target, weight, *noises), self.micro_batches)
        self._update_generator(gradients[:g_count])
        self._update_discriminator(gradients[g_count:])
        return losses

    def without_discriminator(self, image: tf.Tensor, target: tf.Tensor, weight: Weight, *noises: tf.Tensor) -> Losses:
        """Updates G for the reconstruction terms alone (`gan_loss: none`)."""
        gradients, losses = summed(self._generator_gradients, (image, target, weight, *noises), self.micro_batches)
        self._update_generator(gradients)
        return losses

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: tuple[tf.Tensor, ...]) -> Losses:
        """Returns the losses on data as of `train_step`, without noise, for `evaluate` and `fit`. Changes no state."""
        image, target, weight = self._whole(data)
        images = (image, counted(target, weight), weight, self(image))
        image, target, weight, translation = map(self.shrink, images)
        features = self.judge(image, target, training=False).features
        return self._generator_losses(image, target, weight, translation, features, training=False)

    @staticmethod
    def _whole(data: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, Weight]:
        """Returns input, target and the weights of the pixels, None if `data` has none."""
        image, target, *weight = map(tf.convert_to_tensor, data)
        return image, target, weight[0] if weight else None

    def judge_whole(self, image: tf.Tensor, target: tf.Tensor, training: bool = True) -> Judgement:
        """Returns D's judgement of pairs of full size, at the size at which D is trained."""
        return self.judge(self.shrink(image), self.shrink(target), training)

    @property
    def noise_size(self) -> int:
        """Returns the number of noise values for one image, 0 for a generator without noise."""
        return noise_size(self.generator)

    def training_noise(self, count: tf.Tensor | int, key: tf.Tensor | None = None) -> tf.Tensor:
        """Draws the noise of the current step: float32 (count, noise_size), uniform in [0, 1).

        Each of several replicas gets its rows of the noise that one replica would draw for the whole batch. `key` is
        that of another stream than `noise_key`, such as `variant_key`.
        """
        key = rng.at(self.noise_key if key is None else key, self.step.value)
        replica = tf.distribute.get_replica_context()
        noise = rng.uniform((count * replicas(), self.noise_size), key)
        if replicas() == 1:
            return noise
        first = tf.cast(replica.replica_id_in_sync_group, tf.int32) * count
        return noise[first : first + count]

    def _discriminator_gradients(
        self, image: tf.Tensor, target: tf.Tensor, translation: tf.Tensor, images: tf.Tensor | None = None
    ) -> tuple[list, Losses, Features]:
        """Returns gradients and losses of D, and its features of the targets. `images`: those of translations."""
        with tape_on(self.discriminator) as tape:
            real, fake = self.judge(image, target), self.judge(image if images is None else images, translation)
            losses = self.objective.discriminator(real.logits, fake.logits)
            loss = self._scaled(losses["d/total"], self.discriminator_optimizer)
        return tape.gradient(loss, weights_of(self.discriminator)), losses, real.features

    def _generator_gradients(
        self, image: tf.Tensor, target: tf.Tensor, weight: Weight, *noises: tf.Tensor, features: Features = ()
    ) -> tuple[list, Losses]:
        variant = self._variant(image, weight, *noises)
        with tape_on(self.generator) as tape:
            translation = self(image, noises[0], training=True)
            losses = self._generator_losses(image, target, weight, translation, features, variant)
            loss = self._scaled(losses["g/total"], self.generator_optimizer)
        return tape.gradient(loss, weights_of(self.generator)), losses

    def _generator_losses(
        self, image: tf.Tensor, target: tf.Tensor, weight: Weight, translation: tf.Tensor, features: Features,
        variant: Variant | None = None, training: bool = True,
    ) -> Losses:  # fmt: skip
        """Returns the generator's losses, with the current D if the objective has one. `features`: of the target."""
        translation = counted(translation, weight)
        more = {"variant": variant, **self._more(image, weight)}
        if not self.objective.adversarial:
            return self.objective.generator(None, translation, target, None, **more)
        fake = self.judge(image, translation, training)
        return self.objective.generator(fake.logits, translation, target, (features, fake.features), **more)

    def _variant(
        self, image: tf.Tensor, weight: Weight, noise: tf.Tensor, other: tf.Tensor | None = None
    ) -> Variant | None:
        """Returns the translation by another noise, and the distance of the two noises; None without another.

        It is made outside the tapes, by the plain network even if levels are recomputed, and moves no moving averages.
        So it takes only the memory and time of a forward pass.
        """
        if other is None:
            return None
        with without_moving():
            translation = self.trained([image, other], training=True)
        return counted(translation, weight), noise_distance(noise, other)

    def _more(self, image: tf.Tensor, weight: Weight) -> dict[str, Any]:
        """Returns the teacher's translations and the perceptual network, if the objective needs them."""
        more: dict[str, Any] = {}
        if self.objective.needs_teacher:
            within(self.teacher is not None, "`teacher`", "a function for an objective with terms of a teacher", None)
            more["teacher"] = counted(self.teacher(image), weight)
        if self.objective.needs_network:
            network = self.perceptual_network
            within(network is not None, "`perceptual_network`", "a function for the term `perceptual`", None)
            more["perceptual_network"] = network
        return more

    def _scaled(self, loss: tf.Tensor, optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
        """Returns `loss`, scaled so that its gradients, summed over parts and replicas, are those of the batch mean."""
        parts = replicas() * self.micro_batches
        return optimizer.scale_loss(loss if parts == 1 else loss / parts)

    def _update_generator(self, gradients: list[tf.Tensor]) -> None:
        update(self.generator_variables, self.generator_optimizer, gradients, self.clip_gradient_norm)

    def _update_discriminator(self, gradients: list[tf.Tensor]) -> None:
        network = self.discriminator
        update(network.trainable_variables, self.discriminator_optimizer, gradients, self.clip_gradient_norm)


def counted(images: tf.Tensor, weight: Weight) -> tf.Tensor:
    """Returns targets or translations as D and every term of the objective see them: times the weight of each pixel.

    Where the weight is 0, both are 0. So the pixel counts nowhere and has no gradient. A difference counts in
    proportion to the weight, in `l2` to its square. `weight` None: all pixels count.
    """
    return images if weight is None else weight * images


def _unchanged(images: Any) -> Any:
    return images


UPDATE_ORDERS = {"alternating": Pix2Pix.alternating, "simultaneous": Pix2Pix.simultaneous}  # by the methods' names
