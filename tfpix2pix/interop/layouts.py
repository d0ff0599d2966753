"""Recognises a generator or PatchGAN in a list of convolutions, and gives its tensors our names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfpix2pix.interop.weights import Convolution, Norm, Unfit, shaped
from tfpix2pix.models.sizes import GLOBAL_HALVINGS, PATCHGANS, RESNET_HALVINGS
from tfpix2pix.models.unet import MAX_FILTERS_FACTOR

Settings = dict[str, Any]
Arrays = dict[str, np.ndarray]
FEWEST_LEVELS = 2
HALVINGS_OF = {RESNET_HALVINGS: "resnet", GLOBAL_HALVINGS: "global"}


class Layer(NamedTuple):
    """Describes the convolution that a layer of our network needs."""

    name: str
    kernel: tuple[int, ...]
    transposed: bool = False
    normalized: bool = True
    may_be_normalized: bool = False  # implementations differ; `normalized` is False then


def generator(convolutions: Sequence[Convolution]) -> tuple[Settings, Arrays]:
    """Returns the settings of the section `generator`, with channels and levels, and the arrays by our names.

    Raises:
        Unfit: a tensor does not fit a known generator. The text names the first.
    """
    if not convolutions:
        raise Unfit("generator", "has no convolutions", "a U-Net or a residual network")
    first = convolutions[0]
    side = first.kernel.shape[0]
    if first.transposed or side not in PLANS:
        raise Unfit(first.name, shaped(first.kernel), "(4, 4, …) of a U-Net or (7, 7, …) of a residual network")
    settings, layers = PLANS[side](convolutions)
    named = arrays(convolutions, layers)  # before the norms, because errors of shapes say more
    return {**settings, **norms_and_biases(convolutions, layers)}, named


def _unet(convolutions: Sequence[Convolution]) -> tuple[Settings, list[Layer]]:
    kernel = convolutions[0].kernel
    transposed = (index for index, convolution in enumerate(convolutions) if convolution.transposed)
    levels = next(transposed, len(convolutions))
    base, input_channels = kernel.shape[3], kernel.shape[2]
    if levels < FEWEST_LEVELS:
        raise Unfit(convolutions[levels].name, "is of a transposed convolution", "a second convolution of the encoder")
    filters = [base * min(2**level, MAX_FILTERS_FACTOR) for level in range(levels)]
    output_channels = convolutions[-1].kernel.shape[2]
    # With skip connections, the second decoder layer takes two maps.
    skips = levels + 1 >= len(convolutions) or convolutions[levels + 1].kernel.shape[-1] != filters[-2]
    layers, below = [], input_channels
    for level, out in enumerate(filters):
        inner = 0 < level < levels - 1
        layers.append(Layer(f"down{level + 1}", (4, 4, below, out), False, inner, level == levels - 1))
        below = out
    for level in reversed(range(levels)):
        out = filters[level - 1] if level else output_channels
        inputs = filters[level] * (2 if skips and level < levels - 1 else 1)
        layers.append(Layer(f"up{level + 1}", (4, 4, out, inputs), True, level > 0))
    settings = {
        "kind": "unet" if skips else "encoder_decoder",
        "base_filters": base, "levels": levels,
        "bottleneck_norm": levels <= len(convolutions) and convolutions[levels - 1].norm is not None,
    }  # fmt: skip
    return {**settings, "channels": (input_channels, output_channels)}, layers


def _residual(convolutions: Sequence[Convolution]) -> tuple[Settings, list[Layer]]:
    """Plans a residual network of two halvings, or one of pix2pixHD: of four, or with enhancers around it."""
    inner, *enhancers = residual_parts(convolutions)
    halvings = max(RESNET_HALVINGS, sum(convolution.transposed for convolution in inner))
    if halvings not in HALVINGS_OF or (enhancers and halvings != GLOBAL_HALVINGS):
        fitting = " or ".join(map(str, [GLOBAL_HALVINGS] if enhancers else HALVINGS_OF))
        raise Unfit(inner[0].name, f"is of a network of {halvings} halvings", f"one of {fitting}")
    input_channels, coarsest = inner[0].kernel.shape[2:4]
    output_channels, base = convolutions[-1].kernel.shape[3], coarsest >> len(enhancers)
    kind = "local_enhancer" if enhancers else HALVINGS_OF[halvings]
    settings = {"kind": kind, "base_filters": base, "residual_blocks": _blocks_in(inner, halvings)}
    layers = _residual_layers("", input_channels, coarsest, halvings, settings["residual_blocks"])
    name = ""
    if enhancers:
        settings |= {"enhancers": len(enhancers), "enhancer_blocks": _blocks_in(enhancers[0], 1)}
        for number in range(1, len(enhancers) + 1):
            name, filters = f"enhancer{number}_", base << len(enhancers) - number
            layers += _residual_layers(name, input_channels, filters, 1, settings["enhancer_blocks"])
    layers.append(Layer(f"{name}last", (7, 7, base, output_channels), normalized=False))
    return {**settings, "channels": (input_channels, output_channels)}, layers


def residual_parts(convolutions: Sequence[Convolution]) -> list[list[Convolution]]:
    """Splits a residual network, without the last convolution, before each 7×7 one: the innermost network is first, and
    its enhancers follow."""
    starts = [index for index, convolution in enumerate(convolutions) if convolution.kernel.shape[0] == 7 and index]
    ends = starts or [len(convolutions) - 1]
    return [list(convolutions[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _blocks_in(part: Sequence[Convolution], halvings: int) -> int:
    return max(1, (len(part) - 1 - 2 * halvings) // 2)


def _residual_layers(prefix: str, channels: int, filters: int, halvings: int, blocks: int) -> list[Layer]:
    widths = [filters * 2**level for level in range(halvings + 1)]
    steps = [(level, (3, 3, widths[level - 1], widths[level])) for level in range(1, halvings + 1)]
    deepest = (3, 3, widths[-1], widths[-1])
    return [
        Layer(f"{prefix}first", (7, 7, channels, filters)),
        *(Layer(f"{prefix}down{level}", kernel) for level, kernel in steps),
        *(Layer(f"{prefix}block{number}_{half}", deepest) for number in range(1, blocks + 1) for half in "ab"),
        *(Layer(f"{prefix}up{level}", kernel, True) for level, kernel in reversed(steps)),
    ]


PLANS = {4: _unet, 7: _residual}  # by the side of the first kernel


def arrays(convolutions: Sequence[Convolution], layers: Sequence[Layer]) -> Arrays:
    """Returns the arrays by our names. Raises Unfit for the first, in the order of computation, that does not fit."""
    named: Arrays = {}
    for convolution, layer in zip(convolutions, layers, strict=False):
        expected = f"{'a transposed' if layer.transposed else 'a'} kernel of shape {layer.kernel}"
        if convolution.transposed != layer.transposed:
            kind = "transposed convolution" if convolution.transposed else "convolution"
            raise Unfit(convolution.name, f"is of a {kind}", expected)
        if tuple(convolution.kernel.shape) != layer.kernel:
            raise Unfit(convolution.name, shaped(convolution.kernel), expected)
        outputs = layer.kernel[2 if layer.transposed else 3]
        kernel = _skip_last(convolution.kernel) if convolution.skip_first else convolution.kernel
        named[f"{layer.name}/kernel"] = kernel
        bias = np.zeros(outputs, np.float32) if convolution.bias is None else convolution.bias
        named[f"{layer.name}/bias"] = _vector(outputs, bias, f"the bias beside {convolution.name}")
        if convolution.norm:
            named.update(_norm_arrays(f"{layer.name}_norm", outputs, convolution.norm))
    if len(convolutions) < len(layers):
        raise Unfit(f"after {convolutions[-1].name}, {layers[len(convolutions)].name}", "is missing", "it")
    if len(convolutions) > len(layers):
        extra = convolutions[len(layers)]
        raise Unfit(extra.name, shaped(extra.kernel), "no further convolution")
    return named


def _skip_last(kernel: np.ndarray) -> np.ndarray:
    skip, up = np.split(kernel, 2, axis=-1)
    return np.concatenate([up, skip], axis=-1)


def _norm_arrays(layer: str, channels: int, norm: Norm) -> Arrays:
    values = {
        "gamma": (norm.gamma, np.ones), "beta": (norm.beta, np.zeros),
        "moving_mean": (norm.mean, np.zeros), "moving_variance": (norm.variance, np.ones),
    }  # fmt: skip
    if norm.kind != "batch":
        values = {name: values[name] for name in ("gamma", "beta") if norm.kind == "instance"}
    return {
        f"{layer}/{name}": default(channels, np.float32) if array is None else _vector(channels, array, norm.name)
        for name, (array, default) in values.items()
    }


def _vector(channels: int, array: np.ndarray, name: str) -> np.ndarray:
    """Returns `array`. Raises Unfit if it is not a vector with one value for each channel."""
    if array.shape != (channels,):
        raise Unfit(name, shaped(array), f"({channels},)")
    return array


def norms_and_biases(convolutions: Sequence[Convolution], layers: Sequence[Layer]) -> Settings:
    """Returns the settings `norm`, `norm_epsilon` and `bias`. Raises Unfit if layers of a network differ in them."""
    norms = [convolution.norm for convolution in convolutions if convolution.norm]
    kind = norms[0].kind if norms else "none"
    for convolution, layer in zip(convolutions, layers, strict=False):
        norm = convolution.norm
        if norm and not (layer.normalized or layer.may_be_normalized):
            raise Unfit(norm.name, f"is of a norm after {layer.name}", "none")
        if norms and not norm and layer.normalized:
            raise Unfit(f"the norm after {convolution.name}", "is missing", f"a norm as {norms[0].name}")
        if norm and norm.kind != kind:
            raise Unfit(norm.name, f"is of {norm.kind} normalisation", f"{kind} normalisation as {norms[0].name}")
        if norm and norm.epsilon is not None and not np.isclose(norm.epsilon, norms[0].epsilon or norm.epsilon):
            raise Unfit(norm.name, f"has epsilon {norm.epsilon:g}", f"{norms[0].epsilon:g} as {norms[0].name}")
    settings = {"norm": kind, "bias": bias_row(convolutions)}
    epsilon = norms[0].epsilon if norms else None
    return settings if epsilon is None else {**settings, "norm_epsilon": float(epsilon)}


def bias_row(convolutions: Sequence[Convolution]) -> str:
    """Returns the row of `BIASES` that includes every bias of the file. Further biases of that row are 0."""
    with_bias = [convolution for convolution in convolutions[:-1] if convolution.bias is not None]
    if not with_bias:
        return "last"
    return "all" if any(convolution.norm for convolution in with_bias) else "unnormalized"


def discriminator(convolutions: Sequence[Convolution], channels: tuple[int, int]) -> tuple[Settings, Arrays]:
    """Returns the settings of the section `discriminator` and the arrays by our names.

    Args:
        channels: channels of the generator's input and output. They show whether D sees the input.

    Raises:
        Unfit: a tensor does not fit a PatchGAN. The text names the first.
    """
    if not convolutions:
        raise Unfit("discriminator", "has no convolutions", "a PatchGAN")
    first = convolutions[0].kernel
    inputs, base, side = first.shape[2], first.shape[3], first.shape[0]
    conditional = inputs == sum(channels)
    if inputs not in (sum(channels), channels[1]):
        expected = f"{sum(channels)} channels of input and target, or {channels[1]} of the target"
        raise Unfit(convolutions[0].name, shaped(first), expected)
    fields = {len(hidden): px for px, hidden in PATCHGANS.items() if (hidden[0].kernel == 1) == (side == 1)}
    if len(convolutions) - 1 not in fields:
        counts = ", ".join(str(count + 1) for count in fields)
        raise Unfit(convolutions[-1].name, f"is of convolution {len(convolutions)}", f"one of {counts} in all")
    field_px = fields[len(convolutions) - 1]
    layers, below = [], inputs
    for index, (factor, kernel, _) in enumerate(PATCHGANS[field_px]):
        out = base * factor
        layers.append(Layer(f"layer{index + 1}", (kernel, kernel, below, out), normalized=index > 0))
        below = out
    layers.append(Layer("logits", (side, side, below, 1), normalized=False))
    settings = {"receptive_field_px": field_px, "base_filters": base, "conditional": conditional}
    named = arrays(convolutions, layers)
    return {**settings, **norms_and_biases(convolutions, layers)}, named
