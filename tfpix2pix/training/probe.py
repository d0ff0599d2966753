"""What a generator does with different inputs: whether its translations differ, and what passes its narrowest layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.models.build import noise_size
from tfpix2pix.models.noise import NO_NOISE


def variation(images: np.ndarray) -> float:
    """Mean over pixels and channels of the standard deviation across images (N, H, W, C)."""
    return float(np.mean(np.std(np.asarray(images, np.float64), axis=0)))


class Probe:
    """Measures a generator on a few pairs (input, target), each float32 (1, H, W, C) in [-1, 1].

    Args:
        translate: images in, images out, as it is used.
        generator: the network behind it, of a fixed input size.
        encode: an input image -> what the network sees.
    """

    def __init__(self, translate: Callable, generator: keras.Model, encode: Callable, pairs: Sequence[tuple]) -> None:
        self.translate, self.encode = translate, encode
        self.inputs = [image for image, _ in pairs]
        self.wanted = variation(np.concatenate([target for _, target in pairs])) if len(pairs) > 1 else 0.0
        self.noise_size = noise_size(generator)
        narrowest = keras.Model(generator.inputs, narrowest_output(generator))
        self._narrowest = tf.function(narrowest, autograph=False)

    def measure(self) -> dict[str, float]:
        """`health/output_variation`, 1 where translations vary across inputs as their targets do, 0 where they are all
        the same; `health/bottleneck_variation`, that of the narrowest layer against the root of its mean square.
        Nothing where there are no two different targets."""
        if not self.wanted:
            return {}
        translations = np.concatenate([self.translate(image) for image in self.inputs])
        inside = np.concatenate([self._inside(image) for image in self.inputs]).astype(np.float64)
        size = math.sqrt(float(np.mean(np.square(inside))))
        return {
            "health/output_variation": variation(translations) / self.wanted,
            "health/bottleneck_variation": variation(inside) / size if size else 0.0,
        }

    def _inside(self, image: tf.Tensor) -> np.ndarray:
        seen = self.encode(image)
        noise = [tf.fill((1, self.noise_size), NO_NOISE)] if self.noise_size else []
        return np.asarray(self._narrowest([seen, *noise] if noise else seen, training=False), np.float32)


class RealSigns:
    """How surely D takes real pairs for real: those that it is trained on, and others.

    Args:
        judge: (image, target, training) -> `Judgement`, of a `Pix2Pix` model.
        boundary: a logit above it says "real".
        encoding: images -> what the networks see, by `encode_input` and `encode_target`.
    """

    def __init__(self, judge: Callable, boundary: float, encoding: Any) -> None:
        def signs(image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
            logits = judge(encoding.encode_input(image), encoding.encode_target(target), training=False).logits
            signs = [tf.sign(tf.reshape(each - boundary, (tf.shape(each)[0], -1))) for each in logits]
            return sum(tf.reduce_mean(each, 1) for each in signs) / len(signs)

        self.signs = tf.function(signs, autograph=False, reduce_retracing=True)

    def measure(self, training: Iterable[tuple], held_out: Iterable[tuple]) -> dict[str, float]:
        """`health/real_sign` and `health/held_out_real_sign`: the mean sign of D's logits, from -1, all called
        generated, to 1, all called real; the mean over its scales. Nothing where there are no held-out pairs.

        Each of batches (inputs, targets), float32 (N, H, W, C) in [-1, 1]. Source: r_t of Karras et al., "Training
        generative adversarial networks with limited data", NeurIPS 2020, §3.1, and its comparison of the same with
        held-out images, r_v.
        """
        names = {"health/real_sign": training, "health/held_out_real_sign": held_out}
        signs = {name: [self.signs(*pair).numpy() for pair in pairs] for name, pairs in names.items()}
        return (
            {name: float(np.mean(np.concatenate(values))) for name, values in signs.items()}
            if all(signs.values())
            else {}
        )


def narrowest_output(generator: keras.Model) -> keras.KerasTensor:
    """The last of the maps of fewest pixels inside a network of a fixed input size: of a U-Net, the bottleneck after
    its activation."""
    maps = [layer.output for layer in generator.layers if len(getattr(layer.output, "shape", ())) == 4]
    fewest = min(math.prod(each.shape[1:3]) for each in maps)
    return [each for each in maps if math.prod(each.shape[1:3]) == fewest][-1]
