"""Measures how much translations, and the narrowest layer, vary across inputs, and how D judges real pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.models.noise import no_noise, noise_size
from tfpix2pix.training.pix2pix import counted


def variation(images: np.ndarray) -> float:
    """Returns the standard deviation across images (N, H, W, C), its mean over pixels and channels."""
    return float(np.mean(np.std(np.asarray(images, np.float64), axis=0)))


class Probe:
    """Measures a generator on a few pairs (input, target), each float32 (1, H, W, C) in [-1, 1].

    Args:
        translate: images -> translations.
        generator: the network that `translate` uses, of a fixed input size.
        encode: images -> inputs of the network.
    """

    def __init__(self, translate: Callable, generator: keras.Model, encode: Callable, pairs: Sequence[tuple]) -> None:
        self.translate, self.encode = translate, encode
        self.inputs = [pair[0] for pair in pairs]
        self.target_variation = variation(np.concatenate([pair[1] for pair in pairs])) if len(pairs) > 1 else 0.0
        self.noise_size = noise_size(generator)
        narrowest = keras.Model(generator.inputs, narrowest_output(generator))
        self._narrowest = tf.function(narrowest, autograph=False)

    def measure(self) -> dict[str, float]:
        """Returns two variations across inputs, or nothing if all targets are the same.

        `health/output_variation`: of the translations, divided by that of the targets. It is 0 if all translations are
        the same. `health/bottleneck_variation`: of the narrowest layer, divided by the root of its mean square.
        """
        if not self.target_variation:
            return {}
        translations = np.concatenate([self.translate(image) for image in self.inputs])
        inside = np.concatenate([self._inside(image) for image in self.inputs]).astype(np.float64)
        size = math.sqrt(float(np.mean(np.square(inside))))
        return {
            "health/output_variation": variation(translations) / self.target_variation,
            "health/bottleneck_variation": variation(inside) / size if size else 0.0,
        }

    def _inside(self, image: tf.Tensor) -> np.ndarray:
        encoded = self.encode(image)
        inputs = [encoded, tf.constant(no_noise(1, self.noise_size))] if self.noise_size else encoded
        return np.asarray(self._narrowest(inputs, training=False), np.float32)


class RealSigns:
    """Measures how often D calls real pairs real: pairs that it is trained on, and held-out pairs.

    Args:
        judge: (image, target, training) -> `Judgement`, of a `Pix2Pix` model.
        boundary: logits above it mean "real".
        encoding: encodes images for the networks, by `encode_input` and `encode_target`.
    """

    def __init__(self, judge: Callable, boundary: float, encoding: Any) -> None:
        def signs(image: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
            target = counted(encoding.encode_target(target), weight)  # as D sees it in training
            logits = judge(encoding.encode_input(image), target, training=False).logits
            signs = [tf.sign(tf.reshape(scale - boundary, (tf.shape(scale)[0], -1))) for scale in logits]
            return sum(tf.reduce_mean(scale, 1) for scale in signs) / len(signs)

        self.signs = tf.function(signs, autograph=False, reduce_retracing=True)

    def measure(self, training: Iterable[tuple], held_out: Iterable[tuple]) -> dict[str, float]:
        """Returns `health/real_sign` and `health/held_out_real_sign`, or nothing if there are no held-out pairs.

        They are the mean signs of D's logits, over its scales: -1 if D calls all pairs generated, 1 if it calls all
        real. Both arguments are batches (inputs, targets), float32 (N, H, W, C) in [-1, 1], or with weights of pixels.
        Source: r_t of Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020, §3.1,
        and r_v, the same for held-out images.
        """
        names = {"health/real_sign": training, "health/held_out_real_sign": held_out}
        signs = {name: [self.signs(*pair).numpy() for pair in pairs] for name, pairs in names.items()}
        return (
            {name: float(np.mean(np.concatenate(values))) for name, values in signs.items()}
            if all(signs.values())
            else {}
        )


def narrowest_output(generator: keras.Model) -> keras.KerasTensor:
    """Returns the last map of fewest pixels inside a network of fixed input size.

    In a U-Net, this is the bottleneck after its activation.
    """
    maps = [layer.output for layer in generator.layers if len(getattr(layer.output, "shape", ())) == 4]
    fewest = min(math.prod(map_.shape[1:3]) for map_ in maps)
    return [map_ for map_ in maps if math.prod(map_.shape[1:3]) == fewest][-1]
