"""Builds the coarse-to-fine generator of pix2pixHD (Wang et al., CVPR 2018, §3.1): enhancers around a global generator.

The global generator sees the image at half the size. Its last map, before it becomes colours, is added to the map of an
enhancer that sees the image at full size. With more enhancers, that is the inside of the next, at twice the size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers

from tfpix2pix.models import NOISES
from tfpix2pix.models.blocks import NORM_EPSILON, Blocks
from tfpix2pix.models.noise import DIMENSIONS
from tfpix2pix.models.padding import PadToMultiple, crop_back, pad
from tfpix2pix.models.pyramid import Halve
from tfpix2pix.models.resnet import ResidualParts, build_global, dropped_shapes
from tfpix2pix.models.scalars import Scalars
from tfpix2pix.models.sizes import ENHANCERS, GLOBAL_HALVINGS, enhancer_multiple_px, input_sides, padded_size
from tfpix2pix.size import Size, SizePx
from tfpix2pix.tables import row

PREFIX = "enhancer"  # beginning of the names of the layers that are not of the global generator


def build_local_enhancer(
    image_size_px: SizePx = 512,
    *,
    enhancers: int | None = None,
    enhancer_blocks: int = 3,
    residual_blocks: int = 9,
    input_channels: int = 3,
    output_channels: int = 3,
    base_filters: int = 32,
    norm: str = "batch",
    norm_epsilon: float = NORM_EPSILON,
    bias: str = "last",
    upsampling: str = "transposed",
    noise: str = "dropout",
    dropout_rate: float = 0.5,
    noise_dimensions: int = DIMENSIONS,
    noise_input: bool = True,
    scalar_channels: Sequence[int] = (),
    statistics: str = "image",
    input_size_px: SizePx | Literal["any"] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Builds a global generator at 1/2^enhancers of the size, and enhancers around it, each at twice the size.

    An enhancer is c7s1-32, d64, + the map inside it, residual blocks R64, u32. The outermost ends with c7s1-3 and tanh.
    Layers of the global generator have the names of `build_global`, and those of enhancers begin with `enhancer1_`, the
    innermost. Noise is as in `build_resnet`, in the blocks of enhancers too. With 36 input channels,
    `norm="instance_non_affine"` and `bias="all"` it has 182,857,059 trainable parameters.

    Args:
        enhancers: number of enhancers; None: 1.
        enhancer_blocks: number of residual blocks of each enhancer.
        residual_blocks: number of residual blocks of the global generator.
        base_filters: filters of the outermost enhancer. Each network inside it has twice as many.

    Returns:
        A model with inputs and output as those of `build_unet`.

    Raises:
        ValueError: the image is too small for so many enhancers.
    """
    multiple_px = enhancer_multiple_px(image_size_px, None, enhancers)
    enhancers = ENHANCERS if enhancers is None else enhancers
    image = layers.Input((*input_sides(input_size_px, image_size_px), input_channels), name="image")  # (B, H, W, C)
    padded = padded_size(Size.of(image_size_px), multiple_px)
    coarsest, deepest = base_filters * 2**enhancers, base_filters * 2 ** (enhancers + GLOBAL_HALVINGS)
    sizes = [padded.map(lambda side, halvings=n: side >> halvings) for n in range(enhancers + GLOBAL_HALVINGS + 1)]
    shapes = dropped_shapes(sizes[-1], deepest, residual_blocks)
    for scale in reversed(range(enhancers)):  # of the enhancer's input, 0 the full size
        shapes += dropped_shapes(sizes[scale + 1], base_filters * 2 ** (scale + 1), enhancer_blocks)
    z = row(NOISES, "`noise`", noise).build(
        dropout_rate, shapes, padded, has_input=noise_input, dimensions=noise_dimensions, seed=seed
    )
    scalars = Scalars(scalar_channels, seed)
    blocks = Blocks(seed, norm, epsilon=norm_epsilon, statistics=statistics, bias=bias, after_norm=scalars.after(z))

    images: list[Any] = [z.beside(scalars.taken_from(pad(image, multiple_px)))]
    for number in range(1, enhancers + 1):
        images.append(Halve(name=f"halved{number}")(images[-1]))
    network = ResidualParts(blocks, z, upsampling)
    x = network.halved(images[enhancers], coarsest, GLOBAL_HALVINGS)  # (B, H/32, W/32, 1024)
    x = network.doubled(network.changed(x, deepest, residual_blocks), coarsest, GLOBAL_HALVINGS)  # (B, H/2, W/2, 64)
    for number in range(1, enhancers + 1):
        scale = enhancers - number
        filters = base_filters * 2**scale
        network = ResidualParts(blocks, z, upsampling, prefix=f"{PREFIX}{number}_")
        finer = network.halved(images[scale], filters, 1)
        x = layers.Add(name=f"{PREFIX}{number}_add")([finer, x])  # (B, H/2, W/2, 64)
        x = network.doubled(network.changed(x, 2 * filters, enhancer_blocks), filters, 1)  # (B, H, W, 32)
    x = crop_back(network.last(x, output_channels), image, multiple_px)
    x = layers.Activation("tanh", dtype="float32", name="translation")(x)  # (B, H, W, output_channels)
    return keras.Model(z.inputs(image), x, name="generator")


def build_coarse(
    image_size_px: SizePx = 512,
    *,
    enhancers: int | None = None,
    enhancer_blocks: int = 3,
    base_filters: int = 32,
    **options: Any,
) -> keras.Model:
    """Builds the global generator inside `build_local_enhancer`, for the stage in which it is trained alone.

    It takes and gives images of full size: it halves them as the enhancers do, and enlarges its translation. Its layers
    have the names and shapes of those inside; `last`, which makes the translation, is left behind after the stage.
    `enhancer_blocks` is ignored. Other arguments are those of `build_local_enhancer`.
    """
    enhancer_multiple_px(image_size_px, None, enhancers)
    scales = ENHANCERS if enhancers is None else enhancers
    return build_global(image_size_px, scales_left_out=scales, base_filters=base_filters * 2**scales, **options)


def at_own_size(coarse: keras.Model) -> keras.Model:
    """Returns a model of the layers of `build_coarse` between its halvings and its enlargements. It translates halved
    images, as `shrinking` makes them, at their own size."""
    halved = [layer for layer in coarse.layers if isinstance(layer, Halve)][-1].output
    translation = layers.Activation("tanh", dtype="float32", name="small_translation")(coarse.get_layer("last").output)
    return keras.Model([halved, *coarse.inputs[1:]], translation, name="generator")


def shrinking(coarse: keras.Model) -> Callable[[tf.Tensor | None], tf.Tensor | None]:
    """Returns a function that pads and halves images or targets, float32 (N, H, W, C), as the network of `build_coarse`
    does its input. None stays None."""
    steps: list[layers.Layer] = []
    for layer in coarse.layers:
        if isinstance(layer, PadToMultiple):
            steps.append(PadToMultiple(layer.multiple_px, dtype="float32"))
        elif isinstance(layer, Halve):
            steps.append(Halve(dtype="float32"))

    def shrink(images: tf.Tensor | None) -> tf.Tensor | None:
        for step in steps if images is not None else ():
            images = step(images)
        return images

    return shrink


def fix_global(generator: keras.Model) -> None:
    """Makes the global generator inside a `build_local_enhancer` network constant: neither its weights nor its moving
    statistics change in training."""
    for layer in generator.layers:
        layer.trainable = layer.name.startswith(PREFIX)
