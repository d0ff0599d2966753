"""Which generator a list of convolutions is, and where each of its tensors goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfpix2pix.interop.found import Convolution, Norm, Unfit, shaped
from tfpix2pix.models.unet import MAX_FILTERS_FACTOR

Settings = dict[str, Any]
Arrays = dict[str, np.ndarray]
FEWEST_LEVELS = 2


class Place(NamedTuple):
    """Where a convolution goes and what it must be there."""

    layer: str  # its name in our network
    kernel: tuple[int, ...]
    transposed: bool = False
    normalized: bool = True
    may_be_normalized: bool = False  # where `normalized` is False: both forms are known


def generator(convolutions: Sequence[Convolution]) -> tuple[Settings, Arrays]:
    """The settings of section `generator`, with channels and levels, and its arrays by our names.

    Raises:
        Unfit: naming the first tensor that is not as in any of them.
    """
    if not convolutions:
        raise Unfit("generator", "has no convolutions", "a U-Net or a residual network")
    first = convolutions[0]
    side = first.kernel.shape[0]
    if first.transposed or side not in PLANS:
        raise Unfit(first.name, shaped(first.kernel), "(4, 4, …) of a U-Net or (7, 7, …) of a residual network")
    settings, places = PLANS[side](convolutions)
    found = arrays(convolutions, places)  # first: what has another shape is named before what it has besides
    return {**settings, **norms_and_biases(convolutions, places)}, found


def _unet(convolutions: Sequence[Convolution]) -> tuple[Settings, list[Place]]:
    kernel = convolutions[0].kernel
    levels = next((index for index, each in enumerate(convolutions) if each.transposed), len(convolutions))
    base, input_channels = kernel.shape[3], kernel.shape[2]
    if levels < FEWEST_LEVELS:
        raise Unfit(convolutions[levels].name, "is of a transposed convolution", "a second convolution of the encoder")
    filters = [base * min(2**level, MAX_FILTERS_FACTOR) for level in range(levels)]
    output_channels = convolutions[-1].kernel.shape[2]
    # Of the second decoder layer's kernel: with a skip connection it takes two maps.
    skips = levels + 1 >= len(convolutions) or convolutions[levels + 1].kernel.shape[-1] != filters[-2]
    places, below = [], input_channels
    for level, out in enumerate(filters):
        inner = 0 < level < levels - 1
        places.append(Place(f"down{level + 1}", (4, 4, below, out), False, inner, level == levels - 1))
        below = out
    for level in reversed(range(levels)):
        out = filters[level - 1] if level else output_channels
        takes = filters[level] * (2 if skips and level < levels - 1 else 1)
        places.append(Place(f"up{level + 1}", (4, 4, out, takes), True, level > 0))
    settings = {
        "kind": "unet" if skips else "encoder_decoder",
        "base_filters": base, "levels": levels,
        "bottleneck_norm": levels <= len(convolutions) and convolutions[levels - 1].norm is not None,
    }  # fmt: skip
    return {**settings, "channels": (input_channels, output_channels)}, places


def _resnet(convolutions: Sequence[Convolution]) -> tuple[Settings, list[Place]]:
    base, input_channels = convolutions[0].kernel.shape[3], convolutions[0].kernel.shape[2]
    output_channels = convolutions[-1].kernel.shape[3]
    blocks = max(1, (len(convolutions) - 6) // 2)
    deepest = 4 * base
    inner = [
        Place(f"block{number}_{half}", (3, 3, deepest, deepest)) for number in range(1, blocks + 1) for half in "ab"
    ]
    places = [
        Place("first", (7, 7, input_channels, base)),
        Place("down1", (3, 3, base, 2 * base)), Place("down2", (3, 3, 2 * base, deepest)),
        *inner,
        Place("up2", (3, 3, 2 * base, deepest), True), Place("up1", (3, 3, base, 2 * base), True),
        Place("last", (7, 7, base, output_channels), normalized=False),
    ]  # fmt: skip
    settings = {"kind": "resnet", "base_filters": base, "residual_blocks": blocks}
    return {**settings, "channels": (input_channels, output_channels)}, places


PLANS = {4: _unet, 7: _resnet}  # by the side of the first kernel


def arrays(convolutions: Sequence[Convolution], places: Sequence[Place]) -> Arrays:
    """Arrays by our names, checked one by one in the order of computation."""
    found: Arrays = {}
    for convolution, place in zip(convolutions, places, strict=False):
        expected = f"{'a transposed' if place.transposed else 'a'} kernel of shape {place.kernel}"
        if convolution.transposed != place.transposed:
            kind = "transposed convolution" if convolution.transposed else "convolution"
            raise Unfit(convolution.name, f"is of a {kind}", expected)
        if tuple(convolution.kernel.shape) != place.kernel:
            raise Unfit(convolution.name, shaped(convolution.kernel), expected)
        outputs = place.kernel[2 if place.transposed else 3]
        found[f"{place.layer}/kernel"] = (
            _skip_last(convolution.kernel) if convolution.skip_first else convolution.kernel
        )
        bias = np.zeros(outputs, np.float32) if convolution.bias is None else convolution.bias
        found[f"{place.layer}/bias"] = _of(outputs, bias, f"the bias beside {convolution.name}")
        if convolution.norm:
            found.update(_norm_arrays(f"{place.layer}_norm", outputs, convolution.norm))
    if len(convolutions) < len(places):
        raise Unfit(f"after {convolutions[-1].name}, {places[len(convolutions)].layer}", "is missing", "it")
    if len(convolutions) > len(places):
        extra = convolutions[len(places)]
        raise Unfit(extra.name, shaped(extra.kernel), "no further convolution")
    return found


def _skip_last(kernel: np.ndarray) -> np.ndarray:
    skip, up = np.split(kernel, 2, axis=-1)
    return np.concatenate([up, skip], axis=-1)


def _norm_arrays(layer: str, channels: int, norm: Norm) -> Arrays:
    values = {
        "gamma": (norm.gamma, np.ones), "beta": (norm.beta, np.zeros),
        "moving_mean": (norm.mean, np.zeros), "moving_variance": (norm.variance, np.ones),
    }  # fmt: skip
    if norm.kind == "instance":
        values = {name: values[name] for name in ("gamma", "beta")}
    return {
        f"{layer}/{name}": begin(channels, np.float32) if array is None else _of(channels, array, norm.name)
        for name, (array, begin) in values.items()
    }


def _of(channels: int, array: np.ndarray, name: str) -> np.ndarray:
    if array.shape != (channels,):
        raise Unfit(name, shaped(array), f"({channels},)")
    return array


def norms_and_biases(convolutions: Sequence[Convolution], places: Sequence[Place]) -> Settings:
    """The settings `norm`, `norm_epsilon` and `bias`, which must be one for the whole network."""
    norms = [each.norm for each in convolutions if each.norm]
    kind = norms[0].kind if norms else "none"
    for convolution, place in zip(convolutions, places, strict=False):
        norm = convolution.norm
        if norm and not (place.normalized or place.may_be_normalized):
            raise Unfit(norm.name, f"is of a norm after {place.layer}", "none")
        if norms and not norm and place.normalized:
            raise Unfit(f"the norm after {convolution.name}", "is missing", f"a norm as {norms[0].name}")
        if norm and norm.kind != kind:
            raise Unfit(norm.name, f"is of {norm.kind} normalisation", f"{kind} normalisation as {norms[0].name}")
        if norm and norm.epsilon is not None and not np.isclose(norm.epsilon, norms[0].epsilon or norm.epsilon):
            raise Unfit(norm.name, f"has epsilon {norm.epsilon:g}", f"{norms[0].epsilon:g} as {norms[0].name}")
    settings = {"norm": kind, "bias": bias_row(convolutions)}
    epsilon = norms[0].epsilon if norms else None
    return settings if epsilon is None else {**settings, "norm_epsilon": float(epsilon)}


def bias_row(convolutions: Sequence[Convolution]) -> str:
    """The row of `BIASES` that has every bias that is there; what it has besides is 0."""
    with_bias = [each for each in convolutions[:-1] if each.bias is not None]
    if not with_bias:
        return "last"
    return "all" if any(each.norm for each in with_bias) else "unnormalized"
