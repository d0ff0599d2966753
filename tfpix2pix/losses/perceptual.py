"""Opens networks whose feature maps the term `perceptual` compares: Keras's VGG-19, or a SavedModel of any origin.

Each becomes a function from images, float32 (N, H, W, C) in [-1, 1], to a list of maps, each times its weight, which
can be differentiated. Its variables are constants, which optimisers and checkpoints do not know.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.safe_models import load_saved_model
from tfpix2pix.size import Size

KEY = "`objective.perceptual_network`"
# After the ReLU of the first convolution of each block, with the weights of pix2pixHD's code.
VGG19_WEIGHTS = {
    "block1_conv1": 1 / 32, "block2_conv1": 1 / 16, "block3_conv1": 1 / 8, "block4_conv1": 1 / 4, "block5_conv1": 1.0,
}  # fmt: skip
VGG19_MEAN = (103.939, 116.779, 123.68)  # of ImageNet's pixels in blue, green and red, from 0 to 255
HALF_RANGE = 127.5  # of 8 bits
WEIGHTS_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"

Maps = Callable[[tf.Tensor], list[tf.Tensor]]


def vgg19() -> Maps:
    """Returns Keras's VGG-19 up to `block5_conv1`, with its ImageNet weights, as a function from RGB images to maps.

    The weights are those of Caffe. So images are converted to what these were trained with: blue, green, red from 0 to
    255, minus the mean. pix2pixHD gives [-1, 1] as it is to PyTorch's network, which was trained with standardised
    values. Maps are divided by 127.5, because they are proportional to the range of the image, but for the biases.
    Source: Simonyan and Zisserman, ICLR 2015; maps and weights: Wang et al., CVPR 2018 (pix2pixHD), the authors' code.

    Raises:
        UserError: the weights are neither in Keras's cache nor can they be downloaded.
    """
    import keras

    try:
        network = keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # the library that downloads them raises errors of many types
        raise UserError(
            f"`vgg19` must have its weights. Received an error when downloading them ({shortly(error)}). Connect to "
            f"the internet, put {WEIGHTS_FILE} into Keras's cache (~/.keras/models), or set {KEY} to a SavedModel."
        ) from error
    layers = [network.get_layer(name).output for name in VGG19_WEIGHTS]
    network = keras.Model(network.input, layers)
    network.trainable = False

    def maps(images: tf.Tensor) -> list[tf.Tensor]:
        pixels = (images[..., ::-1] + 1.0) * HALF_RANGE - tf.constant(VGG19_MEAN)
        outputs = network(pixels, training=False)
        return [output * (weight / HALF_RANGE) for output, weight in zip(outputs, VGG19_WEIGHTS.values(), strict=True)]

    return maps


def saved_network(path: Path, channels: int, size: Size) -> Maps:
    """Opens a SavedModel of any program that takes images and returns tensors of floats, as a function to its maps.

    Its signature `serving_default`, or its only one, takes float32 (N, H, W, C) in [-1, 1].

    Args:
        channels: number of channels of the images that are compared.
        size: height and width of the images, px.

    Raises:
        UserError: it is not a SavedModel, can do more than compute, or does not suit the images.
    """
    loaded = load_saved_model(path, advice="Use a network of those alone.")
    try:
        signatures = dict(loaded.signatures)
        run = signatures.get("serving_default", next(iter(signatures.values()), None))
        if run is None or (len(signatures) > 1 and "serving_default" not in signatures):
            names = ", ".join(signatures) or "none"
            raise unfit(path, f"have a signature named serving_default, or one alone. Received {names}")
        inputs = run.structured_input_signature[1]
        (name, spec), *others = inputs.items()
        shape = spec.shape
        if others or shape.rank != 4 or shape[0] is not None or spec.dtype != tf.float32:
            received = ", ".join(f"{spec.dtype.name} {spec.shape}" for spec in inputs.values())
            raise unfit(path, f"take images (N, H, W, C) in float32, of any N, and nothing else. Received {received}")
    except UserError:
        raise
    except Exception as error:  # signatures of other programs may hold anything
        raise unfit(path, f"have signatures of tensors. Received others: {shortly(error)}") from error
    if any(fixed not in (None, side) for fixed, side in zip(shape[1:3], size, strict=True)):
        raise unfit(path, f"take images of {size} px, or of any size. Received one for {shape[1]}x{shape[2]} px")

    def maps(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = run(**{name: images})
        return [outputs[key] for key in sorted(outputs) if loaded]  # which is kept, because its variables go with it

    return suiting(maps, path, shape[3], channels, size)


def suiting(maps: Callable[[tf.Tensor], Any], path: Path, takes: int | None, channels: int, size: Size) -> Maps:
    """Returns a network as a function from images of these channels, after a trial on one image.

    Each of n maps has the weight 1/n, so that the term is the mean over the maps.

    Args:
        takes: number of channels that the network takes; None: not known. If it is 3, the channel of gray images is
            repeated.

    Raises:
        UserError: the network takes other channels, fails on the image, or has maps that are not finite floats or do
            not depend on the image in a differentiable way.
    """
    if takes not in (None, channels) and (takes, channels) != (3, 1):
        raise unfit(path, f"take the {channels} channels of the targets. Received one for {takes}")
    network = in_color(maps) if (takes, channels) == (3, 1) else maps
    image = tf.reshape(tf.linspace(-1.0, 1.0, size.height * size.width * channels), (1, *size, channels))
    try:
        with tf.GradientTape() as tape:
            tape.watch(image)
            outputs = tf.nest.flatten(network(image))
            floats = bool(outputs) and all(output.dtype.is_floating for output in outputs)
            total = sum(tf.reduce_sum(tf.cast(output, tf.float32)) for output in outputs)
        gradient = tape.gradient(total, image) if floats else None
    except Exception as error:  # graphs of other programs may fail in any way
        raise unfit(path, f"work for images of {size} px. Received one that fails: {shortly(error)}") from error
    if not floats:
        received = ", ".join(output.dtype.name for output in outputs) or "nothing"
        raise unfit(path, f"return maps of floats. Received {received}")
    if gradient is None:
        raise unfit(path, "be differentiable. Received one whose maps have no gradient, like that of a label map")
    if not bool(tf.reduce_all(tf.math.is_finite(total)) & tf.reduce_all(tf.math.is_finite(gradient))):
        raise unfit(path, "return finite maps with finite gradients. Received NaN or infinity")

    def weighted(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = tf.nest.flatten(network(images))
        return [output / len(outputs) for output in outputs] if len(outputs) > 1 else outputs

    return weighted


def in_color(maps: Callable[[tf.Tensor], Any]) -> Maps:
    """Returns a network of RGB images as one of gray images, whose channel is repeated."""
    return lambda images: maps(tf.tile(images, (1, 1, 1, 3)))


def unfit(path: Path, requirement: str) -> UserError:
    """Returns the error of a network that does not suit. `requirement`: what it must do, and what was received."""
    return UserError(f"{KEY} must {requirement}, in {path}. Name another network, or export it again to suit.")
