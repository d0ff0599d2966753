"""Checkpoints of the TensorFlow tutorial: `tf.train.Checkpoint(generator=…, discriminator=…)`, of Keras 2 and Keras 3.

Their names are places in the object graph (`generator/layer_with_weights-3/layer_with_weights-0/kernel/…` or
`generator/_operations/4/…`), in the order in which the tutorial makes its layers: eight down, eight up. Of Keras 3 the
shortest way to what is trained is by the optimiser (`generator_optimizer/_trainable_variables/0/…`): there the shapes
tell kernels from what belongs to them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfpix2pix.interop.checkpoints import KERNELS, batch_norm, convolution, load_arrays, natural
from tfpix2pix.interop.found import Convolution, Found, Norm, Tensors, Unfit, shaped

EPSILON = 1e-3  # Keras's own
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
TRAITS = {
    "generator": {
        "leaky_slope": 0.3, "skip_activation": "before", "noise": "dropout", "dropout_rate": 0.5,
        "dropout_layers": [1, 2, 3],
    },
    "discriminator": {"leaky_slope": 0.3},
    "objective": {"discriminator_factor": 1.0},
    "training": {"update_order": "simultaneous"},
}  # fmt: skip


def read(path: Path, statistics: str | None) -> Found:
    """Both networks; test mode as in the tutorial, which calls its generator with training=True."""
    generator = _layers(path, "generator")
    levels = len(generator) // 2
    convolutions = [replace(layer, transposed=number >= levels) for number, layer in enumerate(generator)]
    if not convolutions:
        raise Unfit("generator", "is missing", "tf.train.Checkpoint(generator=…)")
    discriminator = _layers(path, "discriminator")
    traits = {**TRAITS, "inference": {"statistics": statistics or "image", "noise": "on"}}
    notes = () if discriminator else ("the checkpoint holds no discriminator",)
    return Found(convolutions, discriminator or None, traits, runtime="the checkpoint has no graph", notes=notes)


def _layers(path: Path, network: str) -> list[Convolution]:
    """The convolutions of a network in the order of their places, each with the norm that follows it."""
    arrays = load_arrays(path, rf"^{network}/(?!.*OPTIMIZER_SLOT).*{re.escape(VALUE)}$")
    tensors = Tensors({name.removesuffix(VALUE): array for name, array in arrays.items()})
    owners = list(dict.fromkeys(name.rpartition("/")[0] for name in sorted(tensors.arrays, key=natural)))
    is_convolution = [any(f"{owner}/{leaf}" in tensors for leaf in KERNELS) for owner in owners]
    found = []
    for number, owner in enumerate(owners):
        if not is_convolution[number]:
            continue
        follows = number + 1 < len(owners) and not is_convolution[number + 1]
        norm = batch_norm(tensors, owners[number + 1], EPSILON) if follows else None
        found.append(convolution(tensors, owner, norm))
    found = found or _by_optimizer(path, network, tensors)
    tensors.check_all_taken()
    return found


def _by_optimizer(path: Path, network: str, averages: Tensors) -> list[Convolution]:
    """The same, of variables as an optimiser has them in order: a kernel, its bias or none, gamma and beta."""
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
    found = []
    for (name, kernel), *vectors in groups:
        norm = None
        if len(vectors) >= 2:
            (first, gamma), (_, beta) = vectors[-2:]
            norm = Norm(first, "batch", gamma, beta, next(means, None), next(variances, None), epsilon=EPSILON)
        bias = vectors[0][1] if len(vectors) % 2 else None
        found.append(Convolution(name, kernel, bias, norm))
    return found
