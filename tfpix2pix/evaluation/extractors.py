"""Networks that metrics look through: Keras's InceptionV3, or a SavedModel of any origin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpix2pix.data.images import match_channels
from tfpix2pix.errors import UserError, shortly
from tfpix2pix.saved_models import load_saved_model

SIGNED = (-1.0, 1.0)
BYTES = (0.0, 255.0)
INCEPTION, INCEPTION_PX = "inception", 299
Network = Callable[[np.ndarray], np.ndarray]


class ForeignModel:
    """A SavedModel that takes one image, from a program of any kind.

    Its signature `serving_default`, or its only one, takes a tensor (N, H, W, C), float32 or uint8, and gives one
    tensor. Images are resized to H and W where these are fixed (bilinear, antialiased).

    Args:
        value_range: what it takes as black and white; None: 0 and 255 of uint8, else -1 and 1.
        trust: as in `load_saved_model`.

    Raises:
        UserError: there is no SavedModel, or it takes or gives something else; when called, that it has other channels
            than the image or fails with its size.
    """

    def __init__(
        self, path: str | Path, value_range: tuple[float, float] | None = None, *, trust: bool = False
    ) -> None:
        self.path = path = Path(path).expanduser()
        self._loaded = load_saved_model(path, trust=trust)  # kept: its variables live as long
        try:
            self._take(dict(self._loaded.signatures), value_range)
        except UserError:
            raise
        except Exception as error:  # what a stranger's signatures may hold has no end
            raise self._unfit(f"signatures of tensors. Received others: {shortly(error)}") from error

    def _take(self, signatures: dict[str, Callable], value_range: tuple[float, float] | None) -> None:
        self._run = signatures.get("serving_default", next(iter(signatures.values()), None))
        if self._run is None or (len(signatures) > 1 and "serving_default" not in signatures):
            names = ", ".join(signatures) or "none"
            raise self._unfit(f"a signature named serving_default, or one alone. Received {names}")
        takes, gives = self._run.structured_input_signature[1], self._run.structured_outputs
        if len(takes) != 1 or len(gives) != 1:
            raise self._unfit(f"one input and one output. Received {len(takes)} and {len(gives)}")
        (self._input, spec), (self._output, _) = next(iter(takes.items())), next(iter(gives.items()))
        if spec.shape.rank != 4 or spec.dtype not in (tf.float32, tf.uint8):
            raise self._unfit(f"images (N, H, W, C), float32 or uint8. Received {spec.dtype.name} {spec.shape}")
        self._dtype, (self._height, self._width, self.channels) = spec.dtype, spec.shape[1:]
        self._range = value_range or (BYTES if spec.dtype == tf.uint8 else SIGNED)

    def _unfit(self, what: str) -> UserError:
        return UserError(f"A network to look through must have {what}, in {self.path}. Export it so.")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, C) in [-1, 1] -> what it gives for it, without the axis of the batch."""
        try:
            image = match_channels(image, self.channels or image.shape[-1])
        except UserError as error:
            have = f"{self.channels} for images of {image.shape[-1]}"
            raise self._unfit(f"1 or 3 channels, or those of the images. Received {have}") from error
        given = tf.convert_to_tensor(image[np.newaxis], tf.float32)
        if self._height and self._width:
            given = tf.image.resize(given, (self._height, self._width), antialias=True)
        low, high = self._range
        given = (given + 1.0) * ((high - low) / 2.0) + low
        if self._dtype == tf.uint8:
            given = tf.cast(tf.round(tf.clip_by_value(given, 0.0, 255.0)), tf.uint8)
        try:
            return np.asarray(self._run(**{self._input: given})[self._output].numpy()[0])
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                f"A network to look through must take images of any size, or say which. Received {self.path}, which "
                f"fails with {given.shape[1]}x{given.shape[2]} px. Export it with its height and width."
            ) from error
        except Exception as error:  # a stranger's graph may fail in any way
            raise self._unfit(f"an array for each image. Received one that fails: {shortly(error)}") from error


def load_features(name: str, value_range: tuple[float, float] | None = None, *, trust: bool = False) -> Network:
    """`inception`, or the path of a SavedModel -> (H, W, C) in [-1, 1] to features float (D,).

    Feature maps (h, w, D) are averaged over h and w. `inception` is Keras's InceptionV3 with its ImageNet weights, at
    299 px: not the weights of the first FID program, so its figures compare with each other alone.

    Raises:
        UserError: the weights cannot be had, or there is no such SavedModel; when called, that features are no
            vector or not finite.
    """
    network = _inception() if name == INCEPTION else ForeignModel(name, value_range, trust=trust)

    def features(image: np.ndarray) -> np.ndarray:
        given = network(image)
        if given.ndim not in (1, 3):
            raise UserError(
                f"A feature network must give a vector or a map of vectors an image. Received an array of shape "
                f"{given.shape} from {name}. Export a layer before it."
            )
        given = np.asarray(given, np.float64)
        if not np.isfinite(given).all():
            raise UserError(
                f"Features must be finite. Received NaN or infinity from {name}. Check the range of values that it "
                f"takes."
            )
        return given if given.ndim == 1 else given.mean(axis=(0, 1))

    return features


def _inception() -> Network:
    import keras

    try:
        network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights="imagenet")
    except Exception as error:  # of whatever library fetches them
        raise UserError(
            f"`inception` must have its weights. Received an error when fetching them ({shortly(error)}). "
            f"Connect to the internet, give a SavedModel by --features, or leave fid and kid out."
        ) from error
    run = tf.function(lambda image: network(image, training=False), autograph=False)

    def features(image: np.ndarray) -> np.ndarray:
        image = match_channels(image, 3, "an image for inception")
        size = (INCEPTION_PX, INCEPTION_PX)
        return run(tf.image.resize(image[np.newaxis], size, antialias=True)).numpy()[0]

    return features


def load_segmenter(
    path: str | Path, value_range: tuple[float, float] | None = None, *, trust: bool = False
) -> tuple[Network, int | None]:
    """A SavedModel -> (H, W, C) in [-1, 1] to class indices int (H, W); and the number of classes, where it says so.

    It gives scores (N, h, w, classes) of 2 classes or more, of which the largest counts, or integer indices (N, h, w).
    Smaller maps are enlarged by the nearest pixel.

    Raises:
        UserError: there is no such SavedModel, or it gives something else.
    """
    network = ForeignModel(path, value_range, trust=trust)
    trial = network(np.zeros((64, 64, network.channels or 3), np.float32))
    scores = trial.ndim == 3 and trial.shape[-1] > 1  # of one class the largest says nothing
    if not scores and not (trial.ndim == 2 and trial.dtype.kind in "biu"):
        raise UserError(
            f"A segmenter must give scores (N, h, w, classes) or indices (N, h, w): of 2 classes or more, or integers. "
            f"Received {trial.dtype} {trial.shape} an image from {path}. Export it so."
        )

    def see(image: np.ndarray) -> np.ndarray:
        given = network(image)
        given = given.argmax(axis=-1) if scores else given
        rows, columns = (
            (np.arange(side) + 0.5) * have / side for side, have in zip(image.shape[:2], given.shape, strict=True)
        )
        return given[rows.astype(int)[:, np.newaxis], columns.astype(int)].astype(int)

    return see, trial.shape[-1] if scores else None
