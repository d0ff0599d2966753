"""Loads feature networks and segmenters for metrics: Keras's InceptionV3, or a SavedModel of any origin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpix2pix.data.images import match_channels
from tfpix2pix.errors import UserError, shortly
from tfpix2pix.safe_models import load_saved_model

SIGNED = (-1.0, 1.0)
BYTES = (0.0, 255.0)
INCEPTION, INCEPTION_PX = "inception", 299
Network = Callable[[np.ndarray], np.ndarray]


class ForeignModel:
    """Runs a SavedModel of any program that takes one image.

    Its signature `serving_default`, or its only one, takes a tensor (N, H, W, C), float32 or uint8, and returns one
    tensor. Images are resized to H and W if these are fixed (bilinear, antialiased).

    Args:
        value_range: values for black and white that it takes; None: 0 and 255 for uint8, else -1 and 1.
        trust: that of `load_saved_model`.

    Raises:
        UserError: there is no SavedModel, or its input or output is something else. A call raises it if the model needs
            other channels than the image has, or fails with the image's size.
    """

    def __init__(
        self, path: str | Path, value_range: tuple[float, float] | None = None, *, trust: bool = False
    ) -> None:
        self.path = path = Path(path).expanduser()
        self._loaded = load_saved_model(path, trust=trust)  # kept, because the variables are deleted with it
        try:
            self._take(dict(self._loaded.signatures), value_range)
        except UserError:
            raise
        except Exception as error:  # signatures of other programs may hold anything
            raise self._unfit(f"signatures of tensors. Received others: {shortly(error)}") from error

    def _take(self, signatures: dict[str, Callable], value_range: tuple[float, float] | None) -> None:
        self._run = signatures.get("serving_default", next(iter(signatures.values()), None))
        if self._run is None or (len(signatures) > 1 and "serving_default" not in signatures):
            names = ", ".join(signatures) or "none"
            raise self._unfit(f"a signature named serving_default, or one alone. Received {names}")
        inputs, outputs = self._run.structured_input_signature[1], self._run.structured_outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise self._unfit(f"one input and one output. Received {len(inputs)} and {len(outputs)}")
        (self._input, spec), (self._output, _) = next(iter(inputs.items())), next(iter(outputs.items()))
        if spec.shape.rank != 4 or spec.dtype not in (tf.float32, tf.uint8):
            raise self._unfit(f"images (N, H, W, C), float32 or uint8. Received {spec.dtype.name} {spec.shape}")
        self._dtype, (self._height, self._width, self.channels) = spec.dtype, spec.shape[1:]
        self._range = value_range or (BYTES if spec.dtype == tf.uint8 else SIGNED)

    def _unfit(self, requirement: str) -> UserError:
        return UserError(
            f"A feature network or segmenter must have {requirement}, in {self.path}. Export it with such a signature."
        )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns the output for an image (H, W, C) in [-1, 1], without the batch axis."""
        try:
            image = match_channels(image, self.channels or image.shape[-1])
        except UserError as error:
            have = f"{self.channels} for images of {image.shape[-1]}"
            raise self._unfit(f"1 or 3 channels, or those of the images. Received {have}") from error
        batch = tf.convert_to_tensor(image[np.newaxis], tf.float32)
        if self._height and self._width:
            batch = tf.image.resize(batch, (self._height, self._width), antialias=True)
        low, high = self._range
        batch = (batch + 1.0) * ((high - low) / 2.0) + low
        if self._dtype == tf.uint8:
            batch = tf.cast(tf.round(tf.clip_by_value(batch, 0.0, 255.0)), tf.uint8)
        try:
            return np.asarray(self._run(**{self._input: batch})[self._output].numpy()[0])
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                f"A feature network or segmenter must take images of any size, or have a fixed size in its signature. "
                f"Received {self.path}, which fails with {batch.shape[1]}x{batch.shape[2]} px. Export it with its "
                f"height and width."
            ) from error
        except Exception as error:  # graphs of other programs may fail in any way
            raise self._unfit(f"an array for each image. Received one that fails: {shortly(error)}") from error


def load_features(name: str, value_range: tuple[float, float] | None = None, *, trust: bool = False) -> Network:
    """Loads a feature network: a function from (H, W, C) in [-1, 1] to features float (D,).

    Feature maps (h, w, D) are averaged over h and w. The name `inception` is Keras's InceptionV3 with its ImageNet
    weights, at 299 px. These are not the weights of the first FID program, so its distances can only be compared with
    each other. Any other name is the path of a SavedModel.

    Raises:
        UserError: the weights cannot be downloaded, or there is no such SavedModel. A call raises it if the features
            are not a vector or not finite.
    """
    network = _inception() if name == INCEPTION else ForeignModel(name, value_range, trust=trust)

    def features(image: np.ndarray) -> np.ndarray:
        output = network(image)
        if output.ndim not in (1, 3):
            raise UserError(
                f"A feature network must return a vector or a map of vectors for each image. Received an array of "
                f"shape {output.shape} from {name}. Export an earlier layer."
            )
        output = np.asarray(output, np.float64)
        if not np.isfinite(output).all():
            raise UserError(
                f"Features must be finite. Received NaN or infinity from {name}. Check the range of values that it "
                f"takes."
            )
        return output if output.ndim == 1 else output.mean(axis=(0, 1))

    return features


def _inception() -> Network:
    import keras

    try:
        network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights="imagenet")
    except Exception as error:  # the library that downloads them raises errors of many types
        raise UserError(
            f"`inception` must have its weights. Received an error when downloading them ({shortly(error)}). "
            f"Connect to the internet, set `features` to a SavedModel, or leave fid and kid out."
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
    """Loads a SavedModel as a function from (H, W, C) in [-1, 1] to class indices int (H, W).

    Also returns the number of classes, or None if the model's output does not show it. Its output is scores
    (N, h, w, classes) of 2 classes or more, of which the largest counts, or integer indices (N, h, w). Smaller maps are
    enlarged by the nearest pixel.

    Raises:
        UserError: there is no such SavedModel, or its output is something else.
    """
    network = ForeignModel(path, value_range, trust=trust)
    trial = network(np.zeros((64, 64, network.channels or 3), np.float32))
    scores = trial.ndim == 3 and trial.shape[-1] > 1  # with one class, the largest score means nothing
    if not scores and not (trial.ndim == 2 and trial.dtype.kind in "biu"):
        raise UserError(
            f"A segmenter must return scores (N, h, w, classes) of 2 classes or more, or integer indices (N, h, w). "
            f"Received {trial.dtype} {trial.shape} for an image from {path}. Export it with such an output."
        )

    def segment(image: np.ndarray) -> np.ndarray:
        output = network(image)
        output = output.argmax(axis=-1) if scores else output
        rows, columns = (
            (np.arange(side) + 0.5) * have / side for side, have in zip(image.shape[:2], output.shape, strict=True)
        )
        return output[rows.astype(int)[:, np.newaxis], columns.astype(int)].astype(int)

    return segment, trial.shape[-1] if scores else None
