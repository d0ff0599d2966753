"""TensorFlow 1 checkpoints of pix2pix-tensorflow: `generator/encoder_1/conv2d/kernel`, at first `…/conv/filter`."""

from __future__ import annotations

import re
from pathlib import Path

from tfpix2pix.interop.checkpoints import batch_norm, convolution, load_arrays
from tfpix2pix.interop.found import Convolution, Found, Norm, Tensors, Unfit

EPSILON = 1e-5
SLOTS = r"(?<!/Adam)(?<!/Adam_1)(?<!/ExponentialMovingAverage)$"  # the optimisers' own, which end so
TRAITS = {
    "generator": {
        "leaky_slope": 0.2, "skip_activation": "after", "noise": "dropout", "dropout_rate": 0.5,
        "dropout_layers": [1, 2, 3],
    },
    "discriminator": {"leaky_slope": 0.2},
    "training": {"update_order": "simultaneous"},
}  # fmt: skip


def read(path: Path, statistics: str | None) -> Found:
    """Both networks; test mode as in its graph: batch statistics and dropout."""
    generator = Tensors(load_arrays(path, rf"^generator/.*{SLOTS}"))
    levels = _numbers(generator, "encoder")
    places = [(f"generator/encoder_{level}", False) for level in range(1, max(levels, 1) + 1)]
    places += [(f"generator/decoder_{level}", True) for level in range(max(levels, 1), 0, -1)]
    convolutions = [_layer(generator, *place) for place in places]
    generator.check_all_taken()
    critic = Tensors(load_arrays(path, rf"^discriminator/layer_.*{SLOTS}"))
    count = _numbers(critic, "layer")
    discriminator = [_layer(critic, f"discriminator/layer_{number}", False) for number in range(1, count + 1)]
    traits = {**TRAITS, "inference": {"statistics": statistics or "image", "noise": "on"}}
    runtime = "pix2pix-tensorflow needs TensorFlow 1"
    notes = () if count else ("the checkpoint holds no discriminator",)
    return Found(convolutions, discriminator or None, traits, runtime=runtime, notes=notes)


def _numbers(tensors: Tensors, layer: str) -> int:
    found = [re.search(rf"/{layer}_(\d+)/", name) for name in tensors.arrays]
    return max((int(each[1]) for each in found if each), default=0)


def _layer(tensors: Tensors, scope: str, transposed: bool) -> Convolution:
    """The layers of a scope, whichever names its version gave them."""
    if separable := [name for name in tensors.arrays if name.startswith(f"{scope}/") and "depthwise" in name]:
        raise Unfit(separable[0], "is of a separable convolution", "an ordinary one (without --separable_conv)")
    inner = dict.fromkeys(name.split("/")[2] for name in tensors.arrays if name.startswith(f"{scope}/"))
    norms = [each for each in inner if "norm" in each]
    usual = "conv2d_transpose" if transposed else "conv2d"
    plain = [each for each in inner if "norm" not in each]
    norm: Norm | None = batch_norm(tensors, f"{scope}/{norms[0]}", EPSILON) if norms else None
    return convolution(tensors, f"{scope}/{plain[0] if plain else usual}", norm, transposed)
