"""How a TFLite file stores and computes: the rows of `QUANTIZERS` turn a converter into the file's bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

Samples = Sequence[list[np.ndarray]]  # inputs of the graph, in its order
Converter = tf.lite.TFLiteConverter

# What `int8` computes in 8 bits: the sums of products, where the time goes, and what moves their results about. The
# rest stays in float32: with a norm's mean and variance in 8 bits, a trained U-Net lost 4 dB and half of its speed.
IN_8_BITS = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED",
    "PAD", "PADV2", "DEPTH_TO_SPACE", "STRIDED_SLICE", "SLICE", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip


def as_it_is(converter: Converter, samples: Samples) -> bytes:
    """float32 weights and arithmetic."""
    return converter.convert()


def float16(converter: Converter, samples: Samples) -> bytes:
    """float16 weights, widened once when the file is loaded; arithmetic in float32, or float16 on a GPU."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def dynamic(converter: Converter, samples: Samples) -> bytes:
    """8-bit weights; the inputs of every convolution are measured and rounded to 8 bits while it runs."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def int8(converter: Converter, samples: Samples) -> bytes:
    """8-bit weights, and convolutions from 8 bits to 8 bits by ranges measured on `samples` beforehand."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(samples)
    operations = {name for name in vars(BuiltinOperator) if not name.startswith("_")}
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=sorted(operations - IN_8_BITS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TensorFlow's own interpreter will go: the converter's business
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=lambda: iter(samples[:1]), debug_options=options
        )
        return debugger.get_nondebug_quantized_model()


QUANTIZERS: dict[str, Callable[[Converter, Samples], bytes]] = {
    "none": as_it_is,
    "float16": float16,
    "dynamic": dynamic,
    "int8": int8,
}


def with_noise(images: Iterable[np.ndarray], noise_size: int, off: float) -> Samples:
    """The graph's inputs of calibration images: with noise, every other one has it on."""
    rng = np.random.default_rng(0)
    if not noise_size:
        return [[image] for image in images]
    drawn = lambda: rng.random((1, noise_size), np.float32)  # noqa: E731
    silent = np.full((1, noise_size), off, np.float32)
    return [[image, drawn() if index % 2 else silent] for index, image in enumerate(images)]
