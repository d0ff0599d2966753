"""Translates images: any size, uint8 or float, one image or many."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from tfpix2pix.data.images import match_channels
from tfpix2pix.data.labels import to_classes
from tfpix2pix.data.ranges import from_signed, full_range, of_depth, to_signed
from tfpix2pix.data.scale import OWN
from tfpix2pix.data.stacks import check_stack, stacked_by_name
from tfpix2pix.errors import UserError, shortly, unknown_name
from tfpix2pix.inference import ALONE, TILE_AS, WHOLE
from tfpix2pix.inference.batching import ImageTranslator, drawn_noise, names_of, vectors_of
from tfpix2pix.inference.between import FRAMES, Between
from tfpix2pix.inference.job import Origin
from tfpix2pix.inference.scaling import Scaling
from tfpix2pix.inference.seams import WholeTiler
from tfpix2pix.inference.tiling import Readable, fitting_tile, joined, tile_bands
from tfpix2pix.inference.uncertainty import SAMPLES, Uncertainty, check_uncertainty, uncertainty_of
from tfpix2pix.inference.view import Engine
from tfpix2pix.memory import memory_errors

Images = np.ndarray | Mapping[str, np.ndarray | float]  # or the parts of one image by name
SIGNED = (-1.0, 1.0)  # the values of an engine


class Values(NamedTuple):
    """Converts values of images to those of an engine, float32 in [-1, 1], and those of translations back."""

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    dtype: np.dtype  # of translations
    scaling: Scaling | None = None  # None: images are translated at their own scale


class Translator(ImageTranslator):
    """Translates images by one trained generator: a run or any export.

    `translator(image)` takes (H, W, C), (N, H, W, C) or, for gray, (H, W): uint8, uint16, or float in [-1, 1].
    It returns the same rank and dtype with the target's channels. Label maps are class indices, uint8 or uint16 in and
    uint8 out, or of the images' type beside images (`data.targets`). If an input lies in several files (`data.inputs`),
    `image` is a mapping of the parts' names to arrays as their files hold them, and numbers for scalars, or their
    stack. A result does not depend on its batch neighbours.

    Args:
        engine: runs the network.
        tiler: makes a tiler by the same network, or returns None if it cannot; None: there is no such function.
        tile_as: `whole`: tiles equal their places in the translation of the whole image. `alone`: each tile is
            translated as an image of its own. None: whole if there is a tiler.
        style_of: finds the style of an image, as `inference/style.py`; None: the model has no encoder of styles.

    Raises:
        UserError: `tile_as` is unknown, or it is `whole` without a tiler.
    """

    def __init__(
        self,
        engine: Engine,
        tiler: Callable[[], WholeTiler | None] | None = None,
        tile_as: str | None = None,
        style_of: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.engine, self.card, self.tile_as, self._style_of = engine, engine.card, tile_as, style_of
        self.origin: Origin | None = None  # that `load` knows
        if tile_as not in (None, *TILE_AS):
            raise UserError(unknown_name("`tile_as`", tile_as, TILE_AS))
        if tile_as == WHOLE and tiler is None:
            raise self._no_tiler(f"a model of {self.card.static_size_px} px" if self.card.static_size_px else "another")
        self._tiler = None if tiler is None or tile_as == ALONE else lru_cache(1)(tiler)

    def __repr__(self) -> str:
        return f"Translator({self.card.name!r}, step {self.card.step}, by {type(self.engine).__name__})"

    def __call__(
        self,
        images: Images,
        *,
        noise: str | None = None,
        seed: int = 0,
        like: np.ndarray | None = None,
        size: str | int | None = None,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> np.ndarray:
        """Translates one image or a batch.

        Args:
            size: scale at which images are translated, as for `translate_files`. Translations have the images' size.
            noise: `on` feeds a noise vector drawn from `seed`, `off` none; None: as in the card.
            seed: seed of the noise. The i-th image of a call gets the i-th vector of the seed.
            like: an image (H, W, C) like the targets, whose style all translations get, in place of noise.
            tile_px: side of overlapping tiles, for images larger than memory allows.
            overlap_px: least overlap of tiles, which is blended; None: a quarter of the side, or an eighth if tiles are
                translated alone.

        Raises:
            UserError: the array is not an image or does not fit the model, noise is on for a model without it, `like`
                is given for a model without an encoder, or tiles overlap by more than half.
        """
        batch, values, is_single = self._batch(images, OWN if tile_px else size)
        if noise not in (None, "on", "off"):
            raise UserError(unknown_name("`noise`", noise, ("on", "off")))
        vectors = None if like is None else np.repeat(self.style_of(like), len(batch), axis=0)
        if like is None and (noise or self.card.noise) == "on":
            vectors = self.noise(len(batch), seed)
        results = self._each(batch, vectors, values, tile_px, overlap_px)
        return results[0] if is_single else np.stack(results)

    def translate_many(
        self,
        images: Sequence[np.ndarray],
        noise: np.ndarray | None = None,
        where: Sequence[object] = (),
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> list[np.ndarray]:
        """Translates images (H, W, C) of any sizes, each in its own range, into (H, W, C') as files hold them.

        Images of one shape and type go through the engine in one batch if it takes any size. All keep their own scale.
        The arguments are those of `ImageTranslator`.

        Raises:
            UserError: an image or the noise does not fit the model, or tiles overlap by more than half.
        """
        data, values = self.card.config.data, self._values_of_files()
        names = names_of(where, len(images))
        images = [match_channels(image, data.input_channels, name) for image, name in zip(images, names, strict=True)]
        vectors = vectors_of(noise, len(images), self.card.noise_size)
        alike = len({(image.shape, image.dtype) for image in images}) == 1
        if not alike or tile_px or self.card.static_size_px:
            return self._each(images, vectors, values, tile_px, overlap_px)
        return [values.decode(result) for result in self._run(values.encode(np.stack(images)), vectors)]

    def translate_bands(
        self,
        image: Readable,
        noise: np.ndarray | None = None,
        where: object = "an image",
        *,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Translates one image (H, W, C) as `translate` does, and yields its rows from the top as they are finished.

        Neither the image nor its translation needs to fit in memory. The arguments are those of `ImageTranslator`.
        """
        data, values = self.card.config.data, self._values_of_files()
        vector = vectors_of(noise, 1, self.card.noise_size)

        def encode(tile: np.ndarray) -> np.ndarray:
            return values.encode(match_channels(tile, data.input_channels, where))

        return self._bands(image, vector, values._replace(encode=encode), tile_px, overlap_px)

    def samples(self, image: Images, count: int, *, seed: int = 0, size: str | int | None = None) -> np.ndarray:
        """Returns `count` translations of one image (H, W, C) by different noise of a seed: (count, H, W, C')."""
        image = self._array(image)
        if image.ndim > 3 or count < 1:
            raise UserError(
                f"Samples must be one or more, of one image (H, W, C). Received {count} of an array of shape "
                f"{image.shape}. Take the images of a batch in turn."
            )
        return self(np.stack([image] * count), noise="on", seed=seed, size=size)

    def between(
        self,
        image: Images,
        seed_a: int,
        seed_b: int,
        frames: int = FRAMES,
        *,
        size: str | int | None = None,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> np.ndarray:
        """Returns the translations of one image on a path from the noise of one seed to that of another.

        The noise of each is as likely as any draw, which that of a straight line is not. The normals of `gaussian` and
        `modulation` turn at an even pace from those of `seed_a` to those of `seed_b`. The masks of `dropout` change a
        few units at a time.

        Args:
            image: (H, W, C) or, for gray, (H, W), as for a call.
            seed_a: seed of the first translation, which is that of a call with noise on.
            seed_b: seed of the last.
            frames: number of translations, the first and the last included.
            size: as for a call, as `tile_px` and `overlap_px`.

        Returns:
            (frames, H, W, C') of the image's type.

        Raises:
            UserError: the model has no noise, the seeds are equal or out of range, `frames` is less than 2, or it is
                not one image.
        """
        path = Between.of((seed_a, seed_b), frames)
        image = self._array(image)
        self._check_is_one(image, "Translations between seeds")
        batch, values, _ = self._batch(image, OWN if tile_px else size)
        vectors = path.vectors(self)
        return np.stack(self._each(batch * frames, vectors, values, tile_px, overlap_px))

    def uncertainty(
        self,
        image: Images,
        samples: int = SAMPLES,
        *,
        seed: int = 0,
        size: str | int | None = None,
        tile_px: int | None = None,
        overlap_px: int | None = None,
    ) -> Uncertainty:
        """Returns the mean of the translations of one image by different noise, and their standard deviation.

        Args:
            image: (H, W, C) or, for gray, (H, W), as for a call.
            samples: number of translations. Memory does not grow with it.
            seed: seed of the noise. The translations are those of `samples`.
            size: as for a call, as `tile_px` and `overlap_px`.

        Returns:
            (mean, deviation), each (H, W, C'). The mean has the image's type, rounded for integers. The deviation is
            float32 in the same units: for uint8 of 255, for floats of [-1, 1]. It divides by `samples` - 1.

        Raises:
            UserError: the model has no noise or gives label maps, `samples` is less than 2, or it is not one image.
        """
        check_uncertainty(self.card, samples)
        image = self._array(image)
        self._check_is_one(image, "The uncertainty")
        batch, values, _ = self._batch(image, OWN if tile_px else size)
        signed = values._replace(decode=lambda result: result)
        vectors = np.split(self.noise(samples, seed), samples)
        translations = (self._translation(batch[0], vector, signed, tile_px, overlap_px) for vector in vectors)
        to_range = full_range(values.dtype) if values.dtype.kind == "u" else SIGNED
        return uncertainty_of(translations, SIGNED, values.dtype, to_range)

    def noise(self, count: int, seed: int) -> np.ndarray:
        """Returns `count` noise vectors of a seed: float32 (count, noise_size) in [0, 1), uniform or, if an encoder
        found styles in the training targets, among these."""
        return drawn_noise(self.card, count, seed)

    def style_of(self, image: np.ndarray) -> np.ndarray:
        if self._style_of is None:
            return super().style_of(image)
        self._check_is_one(image, "A style")
        return self._style_of(image[..., np.newaxis] if image.ndim == 2 else image)

    @staticmethod
    def _check_is_one(image: np.ndarray, noun: str) -> None:
        if np.ndim(image) > 3:
            raise UserError(
                f"{noun} must be of one image (H, W, C). Received an array of shape {np.shape(image)}. Take the images "
                f"of a batch in turn."
            )

    def _each(
        self,
        images: Sequence[np.ndarray],
        vectors: np.ndarray | None,
        values: Values,
        tile_px: int | None,
        overlap_px: int | None,
    ) -> list[np.ndarray]:
        """Translates images one at a time, so that batches change nothing in the results."""
        own = [None if vectors is None else vectors[at : at + 1] for at in range(len(images))]
        return [self._translation(*each, values, tile_px, overlap_px) for each in zip(images, own, strict=True)]

    def _translation(
        self, image: np.ndarray, vector: np.ndarray | None, values: Values, tile_px: int | None, overlap_px: int | None
    ) -> np.ndarray:
        """Translates (H, W, C) into (H, W, C'), in tiles if the engine's size is fixed or `tile_px` is less."""
        scaled = values.scaling.brought(image) if values.scaling else image
        translation = joined(self._bands(scaled, vector, values, tile_px, overlap_px), scaled.shape[0])
        return values.scaling.back(translation, image.shape[:2]) if values.scaling else translation

    def _bands(
        self, image: Readable, vector: np.ndarray | None, values: Values, tile_px: int | None, overlap_px: int | None
    ) -> Iterator[np.ndarray]:
        """Yields the translation of (H, W, C) in bands (h, W, C')."""
        fixed = self.card.static_size_px
        size = fixed or (fitting_tile(tile_px, *image.shape[:2]) if tile_px else image.shape[:2])
        if not fixed and size == image.shape[:2]:
            yield values.decode(self._run(values.encode(image[:, :])[np.newaxis], vector)[0])
            return
        options = {"blend": [not is_number for is_number in self.card.config.data.numbers[1]]}
        options |= {"encode": values.encode, "decode": values.decode}
        tiler = None if fixed else self._whole_tiler()
        if tiler is None:
            yield from tile_bands(lambda tile: self._run(tile, vector), image, size, overlap_px, **options)
            return
        with memory_errors():
            yield from tiler.bands(image, vector, tile_px, overlap_px, **options)

    def _values_of_files(self) -> Values:
        """Returns the conversion of the values of files."""
        (input_range, target_range), dtype = self.card.config.data.ranges, np.dtype(self.card.target_dtype)
        return Values(
            lambda image: to_signed(image, input_range), lambda image: from_signed(image, dtype, target_range), dtype
        )

    def _whole_tiler(self) -> WholeTiler | None:
        if self._tiler is None:
            return None
        tiler = self._tiler()
        if tiler is None and self.tile_as == WHOLE:
            raise self._no_tiler("one with a graph that its card does not describe")
        return tiler

    def _no_tiler(self, received: str) -> UserError:
        return UserError(
            f"`tile_as` whole must go with a run directory, or a SavedModel of any size. Received it for "
            f"{self.card.name!r}, {received}. Leave it out: each tile is then translated as an image of its own."
        )

    def _run(self, images: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
        """Runs the engine on float32 (N, H, W, C) in [-1, 1].

        Raises:
            MemoryError: the images do not fit.
            UserError: the network does not match its card.
        """
        try:
            with memory_errors():
                results = np.asarray(self.engine(images, vectors))
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # each runtime has its own errors for a network that does not match its card
            raise self._unfit(f"which fails: {shortly(error)}") from error
        expected = (*images.shape[:3], self.card.config.data.target_channels)
        if results.shape != expected:
            raise self._unfit(f"which returns an array of shape {results.shape} in place of {expected}")
        return results

    def _unfit(self, reason: str) -> UserError:
        return UserError(
            f"A model must translate images as its card describes. Received {self.card.name!r}, {reason}. "
            f"Download or export it again."
        )

    def _array(self, images: Images) -> np.ndarray:
        """Returns images as an array: a mapping of parts as their stack, uint8 or float in [-1, 1]."""
        data = self.card.config.data
        if isinstance(images, Mapping):
            return stacked_by_name(images, data)
        images = np.asarray(images)
        if data.inputs:
            check_stack(images, data)
        return images

    def _batch(self, images: Images, size: str | int | None) -> tuple[list[np.ndarray], Values, bool]:
        """Returns an array's images (H, W, C), the conversion of their values, and whether it was a single image.

        `size` is the scale to translate at, as for a call.
        """
        data, images = self.card.config.data, self._array(images)
        shape, is_single = images.shape, images.ndim < 4
        if images.ndim == 2:
            images = images[..., np.newaxis]
        if images.ndim == 3:
            images = images[np.newaxis]
        if images.ndim != 4 or 0 in images.shape:
            raise UserError(
                f"An image must have the shape (H, W, C) or (N, H, W, C), none of them 0. Received {shape}. "
                f"Load it with channels last."
            )
        if images.dtype in (np.uint8, np.uint16):
            is_8_bits = data.input_classes or all(data.numbers[1])  # class indices are
            dtype = np.dtype(np.uint8) if is_8_bits else images.dtype
            if data.input_classes:
                values = data.input_class_values if images.max() >= data.input_classes else "indices"
                images = np.stack([to_classes(image, data.input_classes, data, "an array", values) for image in images])
            values = Values(to_signed, partial(of_depth, dtype=dtype, numbers=data.numbers[1]), dtype)
        elif images.dtype.kind == "f":
            if not (np.isfinite(images).all() and np.abs(images).max() <= 1.0 + 1e-3):
                raise UserError(
                    f"A float image must be finite and within [-1, 1]. Received values from {images.min():.4g} to "
                    f"{images.max():.4g}. Scale it, or pass uint8."
                )
            dtype = images.dtype
            values = Values(lambda part: part.astype(np.float32), lambda result: result.astype(dtype), dtype)
        else:
            raise UserError(f"An image must be uint8, uint16 or float. Received {images.dtype}. Convert it.")
        values = values._replace(scaling=Scaling(self.card, size))
        if changed := values.scaling.sentence(*images.shape[1:3]):
            warnings.warn(changed, stacklevel=3)
        return [match_channels(image, data.input_channels) for image in images], values, is_single
