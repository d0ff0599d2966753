"""TensorFlow checkpoints of either generation: `name.index` beside `name.data-…`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.interop.found import Convolution, Norm, Tensors
from tfpix2pix.interop.recognize import checkpoint_prefix

# What the layers' variables were called over the years.
KERNELS, BIASES = ("kernel", "filter", "_kernel"), ("bias",)
GAMMAS, BETAS = ("gamma", "scale"), ("beta", "offset")
MEANS, VARIANCES = ("moving_mean",), ("moving_variance",)


def load_arrays(path: Path, wanted: str) -> dict[str, np.ndarray]:
    """Name -> array of the floating-point variables whose names match the expression `wanted`.

    Raises:
        UserError: the checkpoint is damaged.
    """
    prefix = checkpoint_prefix(path)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        types = reader.get_variable_to_dtype_map()
        names = [name for name in sorted(types, key=natural) if re.search(wanted, name) and types[name].is_floating]
        return {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(
            f"A checkpoint must be whole, .index and .data files together. Received {prefix}, which cannot be read: "
            f"{shortly(error, 160)}. Fetch its files again."
        ) from error


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which `layer-10` comes after `layer-9`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def convolution(tensors: Tensors, name: str, norm: Norm | None, transposed: bool = False) -> Convolution:
    kernel = next((f"{name}/{each}" for each in KERNELS if f"{name}/{each}" in tensors), f"{name}/{KERNELS[0]}")
    return Convolution(kernel, tensors.take(kernel, "a kernel"), _any(tensors, name, BIASES), norm, transposed)


def batch_norm(tensors: Tensors, name: str, epsilon: float) -> Norm | None:
    arrays = [_any(tensors, name, each) for each in (GAMMAS, BETAS, MEANS, VARIANCES)]
    return Norm(name, "batch", *arrays, epsilon=epsilon) if any(each is not None for each in arrays) else None


def _any(tensors: Tensors, name: str, leaves: Iterable[str]) -> np.ndarray | None:
    return next((tensors.take(f"{name}/{leaf}") for leaf in leaves if f"{name}/{leaf}" in tensors), None)
