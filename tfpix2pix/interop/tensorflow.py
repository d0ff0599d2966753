"""Reads TensorFlow checkpoints of pix2pix-tensorflow (TensorFlow 1) and of the TensorFlow tutorial."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.files import plain_path
from tfpix2pix.interop.kinds import checkpoint_prefix
from tfpix2pix.interop.weights import Convolution, ForeignWeights, Norm, Tensors, Unfit, shaped

# Names of the layers' variables in different versions.
KERNELS, BIASES = ("kernel", "filter", "_kernel"), ("bias",)
GAMMAS, BETAS = ("gamma", "scale"), ("beta", "offset")
MEANS, VARIANCES = ("moving_mean",), ("moving_variance",)


def load_arrays(path: Path, wanted: str) -> dict[str, np.ndarray]:
    """Reads the floating-point variables with names that match the expression `wanted`, by name.

    Raises:
        UserError: the checkpoint is damaged.
    """
    prefix = checkpoint_prefix(path)
    try:
        with plain_path(prefix) as plain:
            reader = tf.train.load_checkpoint(plain)
            types = reader.get_variable_to_dtype_map()
            names = [name for name in sorted(types, key=natural) if re.search(wanted, name) and types[name].is_floating]
            return {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(
            f"A checkpoint must be whole, .index and .data files together. Received {prefix}, which cannot be read: "
            f"{shortly(error, 160)}. Download its files again."
        ) from error


def natural(name: str) -> list[tuple[int, int, str]]:
    """Returns a sorting key by which `layer-10` comes after `layer-9`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def convolution(tensors: Tensors, name: str, norm: Norm | None, transposed: bool = False) -> Convolution:
    """Takes the convolution with this name."""
    kernel = next((f"{name}/{leaf}" for leaf in KERNELS if f"{name}/{leaf}" in tensors), f"{name}/{KERNELS[0]}")
    return Convolution(kernel, tensors.take(kernel, "a kernel"), _any(tensors, name, BIASES), norm, transposed)


def batch_norm(tensors: Tensors, name: str, epsilon: float) -> Norm | None:
    """Takes the batch norm with this name. Returns None if there is no such norm."""
    arrays = [_any(tensors, name, leaves) for leaves in (GAMMAS, BETAS, MEANS, VARIANCES)]
    return Norm(name, "batch", *arrays, epsilon=epsilon) if any(array is not None for array in arrays) else None


def _any(tensors: Tensors, name: str, leaves: Iterable[str]) -> np.ndarray | None:
    return next((tensors.take(f"{name}/{leaf}") for leaf in leaves if f"{name}/{leaf}" in tensors), None)


TF1_EPSILON = 1e-5
SLOTS = r"(?<!/Adam)(?<!/Adam_1)(?<!/ExponentialMovingAverage)$"  # leaves out the optimisers' variables
TF1_TRAITS = {
    "generator": {
        "leaky_slope": 0.2, "skip_activation": "after", "noise": "dropout", "dropout_rate": 0.5,
        "dropout_layers": [1, 2, 3],
    },
    "discriminator": {"leaky_slope": 0.2},
    "training": {"update_order": "simultaneous"},
}  # fmt: skip


def read_tf1(path: Path, statistics: str | None) -> ForeignWeights:
    """Reads both networks. Test mode is that of its graph: batch statistics and dropout."""
    generator = Tensors(load_arrays(path, rf"^generator/.*{SLOTS}"))
    levels = _last_number(generator, "encoder")
    scopes = [(f"generator/encoder_{level}", False) for level in range(1, max(levels, 1) + 1)]
    scopes += [(f"generator/decoder_{level}", True) for level in range(max(levels, 1), 0, -1)]
    convolutions = [_layer(generator, scope, transposed) for scope, transposed in scopes]
    generator.check_all_taken()
    critic = Tensors(load_arrays(path, rf"^discriminator/layer_.*{SLOTS}"))
    count = _last_number(critic, "layer")
    discriminator = [_layer(critic, f"discriminator/layer_{number}", False) for number in range(1, count + 1)]
    traits = {**TF1_TRAITS, "inference": {"statistics": statistics or "image", "noise": "on"}}
    runtime = "pix2pix-tensorflow needs TensorFlow 1"
    notes = () if count else ("the checkpoint does not hold a discriminator",)
    return ForeignWeights(convolutions, discriminator or None, traits, runtime=runtime, notes=notes)


def _last_number(tensors: Tensors, layer: str) -> int:
    """Returns the largest number N of the names `…/layer_N/…`, or 0."""
    matches = [re.search(rf"/{layer}_(\d+)/", name) for name in tensors.arrays]
    return max((int(match[1]) for match in matches if match), default=0)


def _layer(tensors: Tensors, scope: str, transposed: bool) -> Convolution:
    """Takes the convolution and norm of a scope. Their names depend on the version."""
    if separable := [name for name in tensors.arrays if name.startswith(f"{scope}/") and "depthwise" in name]:
        raise Unfit(separable[0], "is of a separable convolution", "an ordinary one (without --separable_conv)")
    inner = dict.fromkeys(name.split("/")[2] for name in tensors.arrays if name.startswith(f"{scope}/"))
    norms = [name for name in inner if "norm" in name]
    usual = "conv2d_transpose" if transposed else "conv2d"
    plain = [name for name in inner if "norm" not in name]
    norm: Norm | None = batch_norm(tensors, f"{scope}/{norms[0]}", TF1_EPSILON) if norms else None
    return convolution(tensors, f"{scope}/{plain[0] if plain else usual}", norm, transposed)


TUTORIAL_EPSILON = 1e-3  # Keras's own
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
TUTORIAL_TRAITS = {
    "generator": {
        "leaky_slope": 0.3, "skip_activation": "before", "noise": "dropout", "dropout_rate": 0.5,
        "dropout_layers": [1, 2, 3],
    },
    "discriminator": {"leaky_slope": 0.3},
    "objective": {"discriminator_factor": 1.0},
    "training": {"update_order": "simultaneous"},
}  # fmt: skip


def read_tutorial(path: Path, statistics: str | None) -> ForeignWeights:
    """Reads both networks. Test mode is that of the tutorial, which calls its generator with training=True."""
    generator = _layers(path, "generator")
    levels = len(generator) // 2
    convolutions = [replace(layer, transposed=number >= levels) for number, layer in enumerate(generator)]
    if not convolutions:
        raise Unfit("generator", "is missing", "tf.train.Checkpoint(generator=…)")
    discriminator = _layers(path, "discriminator")
    traits = {**TUTORIAL_TRAITS, "inference": {"statistics": statistics or "image", "noise": "on"}}
    notes = () if discriminator else ("the checkpoint does not hold a discriminator",)
    return ForeignWeights(
        convolutions, discriminator or None, traits, runtime="the checkpoint has no graph", notes=notes
    )


def _layers(path: Path, network: str) -> list[Convolution]:
    """Reads the convolutions of a network in the order of their names, each with the norm that follows it."""
    arrays = load_arrays(path, rf"^{network}/(?!.*OPTIMIZER_SLOT).*{re.escape(VALUE)}$")
    tensors = Tensors({name.removesuffix(VALUE): array for name, array in arrays.items()})
    owners = list(dict.fromkeys(name.rpartition("/")[0] for name in sorted(tensors.arrays, key=natural)))
    is_convolution = [any(f"{owner}/{leaf}" in tensors for leaf in KERNELS) for owner in owners]
    convolutions = []
    for number, owner in enumerate(owners):
        if not is_convolution[number]:
            continue
        follows = number + 1 < len(owners) and not is_convolution[number + 1]
        norm = batch_norm(tensors, owners[number + 1], TUTORIAL_EPSILON) if follows else None
        convolutions.append(convolution(tensors, owner, norm))
    convolutions = convolutions or _by_optimizer(path, network, tensors)
    tensors.check_all_taken()
    return convolutions


def _by_optimizer(path: Path, network: str, averages: Tensors) -> list[Convolution]:
    """Reads convolutions from an optimiser's list of variables: a kernel, then possibly its bias, gamma and beta."""
    arrays = load_arrays(path, rf"^{network}_optimizer/_trainable_variables/\d+{re.escape(VALUE)}$")
    means, variances = (
        iter([averages.take(name) for name in sorted(averages.arrays, key=natural) if name.endswith(leaf)])
        for leaf in ("moving_mean", "moving_variance")
    )
    groups: list[list[tuple[str, np.ndarray]]] = []
    for name, array in arrays.items():
        if array.ndim == 4:
            groups.append([])
        if array.ndim not in (1, 4) or not groups:
            raise Unfit(name, shaped(array), "a kernel, or a vector after one")
        groups[-1].append((name.removesuffix(VALUE), array))
    convolutions = []
    for (name, kernel), *vectors in groups:
        norm = None
        if len(vectors) >= 2:
            (first, gamma), (_, beta) = vectors[-2:]
            norm = Norm(first, "batch", gamma, beta, next(means, None), next(variances, None), epsilon=TUTORIAL_EPSILON)
        bias = vectors[0][1] if len(vectors) % 2 else None
        convolutions.append(Convolution(name, kernel, bias, norm))
    return convolutions
