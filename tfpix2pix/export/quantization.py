"""Converts TFLite files to the types of `QUANTIZATIONS`: each function sets a converter and runs it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfpix2pix.models.noise import no_noise

Samples = Sequence[list[np.ndarray]]  # the inputs of the graph, in its order
Converter = tf.lite.TFLiteConverter

# Operations that `int8` computes in 8 bits: sums of products, which take the time, and those that move their results.
# The rest stays in float32: with a norm's mean and variance in 8 bits, a trained U-Net lost 4 dB and half of its speed.
IN_8_BITS = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED",
    "PAD", "PADV2", "DEPTH_TO_SPACE", "STRIDED_SLICE", "SLICE", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip


def unquantized(converter: Converter, samples: Samples) -> bytes:
    """Converts to float32 weights and arithmetic."""
    return converter.convert()


def float16(converter: Converter, samples: Samples) -> bytes:
    """Converts to float16 weights, widened once at loading. Arithmetic is in float32, or in float16 on a GPU."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def dynamic(converter: Converter, samples: Samples) -> bytes:
    """Converts to 8-bit weights. At run time, inputs of convolutions are measured and rounded to 8 bits."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def int8(converter: Converter, samples: Samples) -> bytes:
    """Converts to 8-bit weights and convolutions from 8 bits to 8 bits, by ranges measured on `samples`."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(samples)
    operations = {name for name in vars(BuiltinOperator) if not name.startswith("_")}
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=sorted(operations - IN_8_BITS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about TensorFlow's own interpreter, which the converter uses
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=lambda: iter(samples[:1]), debug_options=options
        )
        return debugger.get_nondebug_quantized_model()


def with_noise(images: Iterable[np.ndarray], noise_size: int) -> Samples:
    """Returns the graph's inputs for calibration images. If the graph takes noise, every second image has noise."""
    rng = np.random.default_rng(0)
    if not noise_size:
        return [[image] for image in images]
    off = no_noise(1, noise_size)
    return [
        [image, rng.random((1, noise_size), np.float32) if index % 2 else off] for index, image in enumerate(images)
    ]
