"""Makes the signatures of a SavedModel, which programs and servers call.

| signature | inputs | output |
|---|---|---|
| `serving_default` | `translate_float`, or `translate_uint8` if exported so | |
| `translate_float` | `image` float32 (N, H, W, C) in [-1, 1] | `image` float32 (N, H, W, C') |
| `translate_uint8` | `image` uint8 (N, H, W, C) | `image` uint8 |
| `translate_parts` | each part of `data.inputs` by its name (below) | `image` float32, or that of each target |
| `translate_bytes` | `image_bytes` string (N,): PNG or JPEG files, each of its own size | `image_bytes`: PNG files |
| `sample`, `sample_parts`, `sample_bytes` | the same and `noise` float32 (N, noise_size) uniform in [0, 1) | the same |
| `model_card` | `query_bytes` string (N,), ignored | `card_bytes`: the card's JSON |

A label map or an instance map is int32 (N, H, W, 1), an image or a distance float32 (N, H, W, C) in [-1, 1], a scalar
float32 (N,) in its own unit. With `data.targets`, `translate_parts` and `sample_parts` answer with each part by its
name, float32 (N, H, W, C') in [-1, 1], or int32 (N, H, W, 1) of a label map. They take `image` if the model has no
`data.inputs`.

H and W are any, because the generator pads and crops. TF Serving's REST interface uses base64 for names that end in
`_bytes`. No request changes a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfpix2pix.config.card import ModelCard
from tfpix2pix.data.encodings import HALF_RANGE
from tfpix2pix.data.parts import LARGEST_ID, InputPart
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.target_parts import label_parts, split_targets
from tfpix2pix.export.files_in_graph import can_be_files, only_if, read_file, write_file
from tfpix2pix.inference.view import InferenceView

Tensors = dict[str, tf.Tensor]


def signatures(view: InferenceView, card: ModelCard) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Returns the model's signatures: `sample` if it has noise, `_bytes` if PNG can hold inputs and translations."""
    data = card.config.data
    channels = data.input_channels
    image = tf.TensorSpec((None, None, None, channels), tf.float32, name="image")
    image_uint8 = tf.TensorSpec((None, None, None, channels), tf.uint8, name="image")
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")
    noise = tf.TensorSpec((None, card.noise_size), tf.float32, name="noise")
    translate = view.function(channels)

    def translate_float(image: tf.Tensor) -> Tensors:
        return {"image": translate(checked(image, channels))}

    def translate_uint8(image: tf.Tensor) -> Tensors:
        return {"image": to_uint8(translate(from_uint8(checked(image, channels))))}

    def sample(image: tf.Tensor, noise: tf.Tensor) -> Tensors:
        return {"image": translate(checked(image, channels), checked_noise(noise, card.noise_size))}

    def translate_bytes(image_bytes: tf.Tensor) -> Tensors:
        return {"image_bytes": _one_by_one(lambda content: _file(translate, card, content), image_bytes)}

    def sample_bytes(image_bytes: tf.Tensor, noise: tf.Tensor) -> Tensors:
        pairs = (image_bytes, checked_noise(noise, card.noise_size))
        return {"image_bytes": _one_by_one(lambda pair: _file(translate, card, *pair), pairs)}

    def model_card(query_bytes: tf.Tensor) -> Tensors:
        return {"card_bytes": tf.fill(tf.shape(query_bytes), card.to_json())}

    table: dict[str, tuple[Callable[..., Tensors], list[tf.TensorSpec]]] = {
        "translate_float": (translate_float, [image]),
        "translate_uint8": (translate_uint8, [image_uint8]),
        "model_card": (model_card, [tf.TensorSpec((None,), tf.string, name="query_bytes")]),
    }
    if card.noise_size:
        table["sample"] = (sample, [image, noise])
    if data.inputs or data.targets:
        parts = [
            tf.TensorSpec(
                (None, None, None, part.stacked_channels) if part.row.in_files else (None,), part.row.tensor, part.name
            )
            for part in data.inputs or ()
        ]
        parts = parts or [image]

        def of_parts(images: Sequence[tf.Tensor], *noise: tf.Tensor) -> Tensors:
            stack = stack_of(images, data) if data.inputs else checked(images[0], channels)
            translation = translate(stack, *noise)
            return answers_of(translation, data) if data.targets else {"image": translation}

        def translate_parts(*images: tf.Tensor) -> Tensors:
            return of_parts(images)

        def sample_parts(*images_and_noise: tf.Tensor) -> Tensors:
            *images, noise = images_and_noise
            return of_parts(images, checked_noise(noise, card.noise_size))

        table["translate_parts"] = (translate_parts, parts)
        if card.noise_size:
            table["sample_parts"] = (sample_parts, [*parts, noise])
    if can_be_files(card):
        table["translate_bytes"] = (translate_bytes, [files])
        if card.noise_size:
            table["sample_bytes"] = (sample_bytes, [files, noise])
    table["serving_default"] = table["translate_uint8" if card.image_dtype == "uint8" else "translate_float"]
    return {
        name: tf.function(function, autograph=False).get_concrete_function(*specs)
        for name, (function, specs) in table.items()
    }


def stack_of(images: Sequence[tf.Tensor], data: DataConfig) -> tf.Tensor:
    """Stacks the parts of inputs, as `translate_parts` takes them: float32 (N, H, W, C).

    Class indices become index / 127.5 - 1. Instance ids keep their last 24 bits, which float32 holds, because only the
    boundaries count. Scalars are scaled by their ranges and become channels.
    """
    stacked = {}
    for image, part in zip(images, data.inputs, strict=True):
        if part.row.in_files:
            image = checked(image, part.stacked_channels)
            values = tf.cast(image % LARGEST_ID if part.kind == "instances" else image, tf.float32)
            stacked[part.name] = values * (2.0 / 255.0) - 1.0 if part.classes else values
    like = tf.zeros_like(next(iter(stacked.values()))[..., :1])
    for values, part in zip(images, data.inputs, strict=True):
        if not part.row.in_files:
            channel = checked_scalar(values, tf.shape(like)[0], part, clip=data.clips[0])
            stacked[part.name] = like + channel[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.concat([stacked[part.name] for part in data.inputs], axis=-1)


def answers_of(translation: tf.Tensor, data: DataConfig) -> Tensors:
    """Returns the parts of a stack (N, H, W, C) in [-1, 1] by their names: class indices of label maps, int32."""
    answers = split_targets(translation, data)
    for part in label_parts(data):
        answers[part.name] = tf.cast(tf.round((answers[part.name] + 1.0) * HALF_RANGE), tf.int32)
    return answers


def checked_scalar(values: tf.Tensor, count: tf.Tensor, part: InputPart, *, clip: bool) -> tf.Tensor:
    """Returns scalars (N,) of `count` images in [-1, 1], after the graph has checked that they lie in the range."""
    low, high = part.range
    values, shape = _of_unknown_shape(values)
    fits = (tf.size(shape) == 1) & (tf.reduce_prod(shape) == count)
    values = tf.reshape(
        only_if(fits, values, "There must be a scalar for each image. Received the shape:", shape), [-1]
    )
    inside = tf.reduce_all(tf.math.is_finite(values) if clip else (values >= low) & (values <= high))
    message = f"The scalar {part.name} must be a number from {low:g} to {high:g}. Received:"
    values = tf.clip_by_value(only_if(inside, values, message, values), low, high)
    return (values - low) * (2.0 / (high - low)) - 1.0


def checked(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns `image`, after the graph has checked its rank and channels.

    Runtimes check the types of requests, but not their shapes: a convolution of 3 channels takes 6 as two groups of 3,
    and an image of three dimensions ends the server's process.
    """
    image, shape = _of_unknown_shape(image)
    fits = (tf.size(shape) == 4) & tf.reduce_all(shape > 0) & (tf.reduce_sum(shape[-1:]) == channels)
    message = f"An image must be of shape (N, H, W, {channels}), none of them 0. Received the shape:"
    return tf.ensure_shape(only_if(fits, image, message, shape), (None, None, None, channels))


def checked_noise(noise: tf.Tensor, size: int) -> tf.Tensor:
    """Returns `noise`, after the graph has checked the length of its vectors."""
    noise, shape = _of_unknown_shape(noise)
    fits = (tf.size(shape) == 2) & (tf.reduce_sum(shape[-1:]) == size)
    message = f"Noise must be of shape (N, {size}). Received the shape:"
    return tf.ensure_shape(only_if(fits, noise, message, shape), (None, size))


def _of_unknown_shape(tensor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a tensor and its shape, unknown to the optimiser.

    The optimiser would otherwise take the shape from the signature and remove the check.
    """
    tensor = tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=None)
    return tensor, tf.shape(tensor)


def from_uint8(image: tf.Tensor) -> tf.Tensor:
    """Returns pixels from 0 to 255 as float32 in [-1, 1]."""
    return tf.cast(image, tf.float32) * (2.0 / 255.0) - 1.0


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Returns float32 in [-1, 1] as pixels from 0 to 255, rounded to nearest."""
    return tf.cast(tf.clip_by_value(tf.round((image + 1.0) * 127.5), 0.0, 255.0), tf.uint8)


def _one_by_one(function: Callable[..., tf.Tensor], elements: object) -> tf.Tensor:
    """Maps elements one after the other, so that a large batch needs no more memory than one image."""
    return tf.map_fn(function, elements, fn_output_signature=tf.TensorSpec((), tf.string), parallel_iterations=1)


def _file(
    translate: Callable[..., tf.Tensor], card: ModelCard, content: tf.Tensor, noise: tf.Tensor | None = None
) -> tf.Tensor:
    image = read_file(content, card)[tf.newaxis]
    return write_file(translate(image, None if noise is None else noise[tf.newaxis])[0], card)
