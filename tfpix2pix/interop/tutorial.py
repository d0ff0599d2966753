"""Checkpoints of the TensorFlow tutorial: `tf.train.Checkpoint(generator=…, discriminator=…)`, of Keras 2 and Keras 3.

Their names are places in the object graph (`generator/layer_with_weights-3/layer_with_weights-0/kernel/.ATTRIBUTES/…`
or `generator/_functional/_layers/4/…`), in the order in which the tutorial makes its layers: eight down, eight up.
"""

from __future__ import annotations

from pathlib import Path

from tfpix2pix.interop.checkpoints import KERNELS, batch_norm, convolution, load_arrays, natural
from tfpix2pix.interop.found import Convolution, Found, Tensors, Unfit

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
    convolutions = [_as_transposed(layer, number >= levels) for number, layer in enumerate(generator)]
    if not convolutions:
        raise Unfit("generator", "is missing", "tf.train.Checkpoint(generator=…)")
    discriminator = _layers(path, "discriminator")
    traits = {**TRAITS, "inference": {"statistics": statistics or "image", "noise": "on"}}
    notes = () if discriminator else ("the checkpoint holds no discriminator",)
    return Found(convolutions, discriminator or None, traits, runtime="the checkpoint has no graph", notes=notes)


def _as_transposed(layer: Convolution, transposed: bool) -> Convolution:
    return Convolution(layer.name, layer.kernel, layer.bias, layer.norm, transposed)


def _layers(path: Path, network: str) -> list[Convolution]:
    """The convolutions of a network in the order of their places, each with the norm that follows it."""
    arrays = load_arrays(path, rf"^{network}/(?!.*OPTIMIZER_SLOT).*{VALUE.replace('.', '[.]')}$")
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
    tensors.check_all_taken()
    return found
