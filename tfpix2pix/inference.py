"""From a trained generator to `translator(image)`: any size, uint8 or float, one image or many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.card import ModelCard
from tfpix2pix.data.images import from_signed, match_channels, to_signed
from tfpix2pix.data.labels import to_classes
from tfpix2pix.data.rows import Encoding
from tfpix2pix.errors import UserError, shortly, unknown_name
from tfpix2pix.models.build import noise_size
from tfpix2pix.models.noise import NO_NOISE
from tfpix2pix.tiling import fitting_tile, translate_tiles


class Engine(Protocol):
    """What runs a generator: Keras, a SavedModel or a TFLite interpreter."""

    card: ModelCard

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """float32 (N, H, W, C) in [-1, 1] -> the same; (N, noise_size) noise or None for off.

        H and W are any, or the card's `fixed_size_px`.
        """


class InferenceView(tf.Module):
    """A trained generator as it is used: images in, images out, of any size and in their own colours.

    The one forward form that training's samples, Keras inference, SavedModel and TFLite share. Any size, because the
    generator pads and crops by itself; own colours, because what the network sees (`data.encoding`) is made here.
    """

    def __init__(self, generator: keras.Model, encoding: Encoding) -> None:
        super().__init__(name="inference_view")
        self.generator, self.encoding = generator, encoding
        self.noise_size = noise_size(generator)

    def translate(self, images: tf.Tensor, noise: tf.Tensor | None = None) -> tf.Tensor:
        """float32 (N, H, W, C) in [-1, 1] -> (N, H, W, C'); `noise` None switches it off."""
        seen = self.encoding.encode_input(images)
        if self.noise_size and noise is None:
            noise = tf.fill((tf.shape(images)[0], self.noise_size), tf.cast(NO_NOISE, images.dtype))
        return self.encoding.decode(seen, self.generator([seen, noise] if self.noise_size else seen, training=False))


class KerasEngine:
    """Runs a Keras generator, in the type of its input; one trace for every size."""

    def __init__(self, generator: keras.Model, card: ModelCard) -> None:
        self.generator, self.card = generator, card
        self.dtype = tf.as_dtype(generator.inputs[0].dtype)
        view = InferenceView(generator, card.config.data.encoding)
        signature = [tf.TensorSpec((None, None, None, card.config.data.input_channels), self.dtype)]
        if card.noise_size:
            signature.append(tf.TensorSpec((None, card.noise_size), self.dtype))
        self._run = tf.function(view.translate, input_signature=signature, autograph=False)

    def __call__(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        images = tf.cast(images, self.dtype)
        if not self.card.noise_size:
            return self._run(images).numpy()
        if noise is None:
            noise = np.full((len(images), self.card.noise_size), NO_NOISE, np.float32)
        return self._run(images, tf.cast(noise, self.dtype)).numpy()


class Translator:
    """Translates images by one trained generator, whatever it was loaded from.

    `translator(image)` takes (H, W, C), (N, H, W, C) or, for gray, (H, W): uint8, uint16, or float in [-1, 1];
    it returns the same rank and dtype with the target's channels. Label maps are class indices, uint8 or uint16 in and
    uint8 out. A result does not depend on its batch neighbours.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self.card = engine, engine.card

    def __repr__(self) -> str:
        return f"Translator({self.card.name!r}, step {self.card.step}, by {type(self.engine).__name__})"

    def __call__(
        self,
        images: np.ndarray,
        *,
        noise: str | None = None,
        seed: int = 0,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> np.ndarray:
        """Translates.

        Args:
            noise: `on` drops units by a noise vector drawn from `seed`, `off` none; None: as the model card says.
            seed: of the noise; the i-th image of a call gets the i-th vector of the seed.
            tile_px: translate in overlapping tiles of this side, for images larger than memory allows.
            overlap_px: by how much tiles overlap at least, blended; None: an eighth of the side.

        Raises:
            UserError: an array that is no image or does not fit the model, noise from a model that has none, or tiles
                that overlap by more than half.
        """
        batch, encode, decode, single = self._form(np.asarray(images))
        if noise not in (None, "on", "off"):
            raise UserError(unknown_name("`noise`", noise, ("on", "off")))
        vectors = self.noise(len(batch), seed) if (noise or self.card.noise) == "on" else None
        results = []
        for index, image in enumerate(batch):  # one at a time: sizes of batches change nothing in the results
            one = None if vectors is None else vectors[index : index + 1]
            results.append(self._one(image, one, encode, decode, tile_px, overlap_px))
        return results[0] if single else np.stack(results)

    def translate(
        self,
        image: np.ndarray,
        noise: np.ndarray | None = None,
        where: object = "an image",
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> np.ndarray:
        """What a file holds, (H, W, C) in its own range, to what the file of its translation holds.

        Args:
            noise: float32 (1, noise_size), as `noise` draws; None for off.
            where: its name, for messages.
        """
        (input_range, target_range), dtype = self.card.config.data.ranges, np.dtype(self.card.target_dtype)
        return self._one(
            match_channels(image, self.card.config.data.input_channels, where), noise,
            lambda part: to_signed(part, input_range), lambda part: from_signed(part, dtype, target_range),
            tile_px, overlap_px,
        )  # fmt: skip

    def together(
        self, images: Sequence[np.ndarray], noise: np.ndarray | None = None, where: Sequence[object] = ()
    ) -> list[np.ndarray]:
        """`translate` of images of one shape and type, in one batch where the engine takes any."""
        where = where or ["an image"] * len(images)
        if len(images) == 1 or self.card.fixed_size_px:
            return [self.translate(image, noise, name) for image, name in zip(images, where, strict=True)]
        (input_range, target_range), dtype = self.card.config.data.ranges, np.dtype(self.card.target_dtype)
        channels = self.card.config.data.input_channels
        batch = np.stack([match_channels(image, channels, name) for image, name in zip(images, where, strict=True)])
        vectors = None if noise is None else np.repeat(noise, len(images), axis=0)
        return [from_signed(one, dtype, target_range) for one in self._run(to_signed(batch, input_range), vectors)]

    def _run(self, images: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        try:
            results = np.asarray(self.engine(images, noise))
        except (tf.errors.ResourceExhaustedError, tf.errors.AbortedError) as error:  # oneDNN's word is the second
            raise MemoryError(str(error)) from error
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # each runtime has errors of its own for a network that is not what its card says
            raise self._unfit(f"which fails: {shortly(error)}") from error
        expected = (*images.shape[:3], self.card.config.data.target_channels)
        if results.shape != expected:
            raise self._unfit(f"which gives an array of shape {results.shape} in place of {expected}")
        return results

    def _unfit(self, what: str) -> UserError:
        return UserError(
            f"A model must translate images as its card says. Received {self.card.name!r}, {what}. Fetch "
            f"or export it again."
        )

    def _one(
        self,
        image: np.ndarray,
        noise: np.ndarray | None,
        encode: Callable[[np.ndarray], np.ndarray],
        decode: Callable[[np.ndarray], np.ndarray],
        tile_px: int | None,
        overlap_px: int | None,
    ) -> np.ndarray:
        """(H, W, C) to (H, W, C'): `encode` gives the engine's float32 in [-1, 1], `decode` takes it back."""
        fixed = self.card.fixed_size_px
        size = fixed or (fitting_tile(tile_px, *image.shape[:2]) if tile_px else image.shape[:2])
        if not fixed and size == image.shape[:2]:
            return decode(self._run(encode(image)[np.newaxis], noise)[0])
        return translate_tiles(
            lambda tile: self._run(tile, noise), image, size, overlap_px,
            blend=not self.card.config.data.target_classes, encode=encode, decode=decode,
        )  # fmt: skip

    def samples(self, image: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
        """`count` translations of one image (H, W, C) by different noise: (count, H, W, C'), functions of the seed."""
        if np.ndim(image) > 3 or count < 1:
            raise UserError(
                f"Samples must be one or more, of one image (H, W, C). Received {count} of an array of shape "
                f"{np.shape(image)}. Take the images of a batch in turn."
            )
        return self(np.stack([np.asarray(image)] * count), noise="on", seed=seed)

    def noise(self, count: int, seed: int) -> np.ndarray:
        """`count` noise vectors of a seed: float32 (count, noise_size), uniform in [0, 1)."""
        if not self.card.noise_size:
            raise UserError(
                "A model must have a noise input if `noise` is on. Received `noise` on for one without it. "
                "Translate with noise off, or export with `--noise on` from a run whose generator has noise."
            )
        return rng.uniform((count, self.card.noise_size), rng.stream(seed, "translate")).numpy()

    def _form(self, images: np.ndarray):
        """(images (N, H, W, C), to float32 in [-1, 1], back to the caller's type, whether it was a single one)."""
        data = self.card.config.data
        given, single = images.shape, images.ndim < 4
        if images.ndim == 2:
            images = images[..., np.newaxis]
        if images.ndim == 3:
            images = images[np.newaxis]
        if images.ndim != 4 or 0 in images.shape:
            raise UserError(
                f"An image must have the shape (H, W, C) or (N, H, W, C), none of them 0. Received {given}. "
                f"Load it with channels last."
            )
        if images.dtype in (np.uint8, np.uint16):
            dtype = np.uint8 if any(data.classes) else images.dtype  # class indices are 8 bits
            if data.input_classes:
                images = np.stack([to_classes(image, data.input_classes, data, "an array") for image in images])
            encode, decode = to_signed, lambda out: from_signed(out, dtype)
        elif images.dtype.kind == "f":
            if not (np.isfinite(images).all() and np.abs(images).max() <= 1.0 + 1e-3):
                raise UserError(
                    f"A float image must be finite and within [-1, 1]. Received values from {images.min():.4g} to "
                    f"{images.max():.4g}. Scale it, or pass uint8."
                )
            encode, decode = lambda part: part.astype(np.float32), lambda out: out.astype(images.dtype)
        else:
            raise UserError(f"An image must be uint8, uint16 or float. Received {images.dtype}. Convert it.")
        return [match_channels(image, data.input_channels) for image in images], encode, decode, single
