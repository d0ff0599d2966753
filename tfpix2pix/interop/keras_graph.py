"""Reads Keras models of any version layer by layer: their convolutions in order, and the layers between them.

tensorflow-addons is not needed: classes here with the same names replace its layers and compute the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import layers

from tfpix2pix.interop.weights import Convolution, Norm, Unfit

IGNORED = (layers.InputLayer, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ZeroPadding2D, layers.Rescaling)


class AddonsInstanceNormalization(layers.GroupNormalization):
    """Replaces tensorflow-addons' layer, which has a default epsilon of 1e-3."""

    def __init__(self, groups: int = -1, **kwargs: Any) -> None:
        super().__init__(groups=-1, **kwargs)


class AddonsSpectralNormalization(layers.Wrapper):
    """Replaces tensorflow-addons' wrapper at inference: its kernel was divided during training."""

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)

    def build(self, input_shape: tuple) -> None:
        super().build(input_shape)
        self.sn_u = self.add_weight(shape=(1, self.layer.kernel.shape[-1]), name="sn_u", trainable=False)

    def call(self, x: Any) -> Any:
        return self.layer(x)


STAND_INS = {
    "Addons>InstanceNormalization": AddonsInstanceNormalization,
    "Addons>GroupNormalization": layers.GroupNormalization,
    "Addons>SpectralNormalization": AddonsSpectralNormalization,
    "InstanceNormalization": AddonsInstanceNormalization,
    "SpectralNormalization": AddonsSpectralNormalization,
    "Model": keras.Model,
    "Functional": keras.Model,
}


def modern(configuration: Any) -> Any:
    """Converts a configuration of Keras 2 to the form of Keras 3."""
    if isinstance(configuration, list):
        return [modern(part) for part in configuration]
    if not isinstance(configuration, dict):
        return configuration
    if configuration.get("class_name") == "__tuple__":
        return [modern(part) for part in configuration["items"]]
    changed = {key: modern(value) for key, value in configuration.items()}
    config = changed.get("config")
    if changed.get("class_name") == "BatchNormalization" and isinstance(config.get("axis"), list):
        config["axis"] = config["axis"][0]
    if changed.get("class_name") == "Conv2DTranspose":
        config.pop("groups", None)  # always 1
    if "SpectralNormalization" in str(changed.get("class_name")):
        config["layer"].setdefault("module", "keras.layers")  # else Keras looks for it among custom classes
    return changed


@dataclass
class Graph:
    """Holds the result of `read_graph`."""

    convolutions: list[Convolution] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    rates: dict[int, float] = field(default_factory=dict)  # number of a convolution -> dropout rate after it
    dropped_at_test: bool = False
    own_statistics: bool = False  # batch norms were called as in training
    activated_before_skip: bool | None = None


def read_graph(model: keras.Model) -> Graph:
    """Reads the layers of a functional or sequential model, those of nested models included.

    Raises:
        Unfit: a layer is not one of a pix2pix generator. The text names it.
    """
    graph, activated = Graph(), False
    for layer, training in flat(model):
        name, number = layer.name, len(graph.convolutions) - 1
        inner = layer.layer if isinstance(layer, (AddonsSpectralNormalization, layers.SpectralNormalization)) else layer
        if type(inner) in (layers.Conv2D, layers.Conv2DTranspose):
            graph.convolutions.append(_convolution(inner, name))
            activated = False
        elif isinstance(inner, (layers.BatchNormalization, layers.GroupNormalization)):
            if number < 0 or graph.convolutions[number].norm:
                raise Unfit(f"layer {name}", "is a norm", "a convolution before it")
            graph.convolutions[number] = replace(graph.convolutions[number], norm=_norm(inner, name))
            graph.own_statistics |= bool(training) and isinstance(inner, layers.BatchNormalization)
        elif isinstance(inner, layers.Dropout):
            if inner.rate:
                graph.rates[number] = float(inner.rate)
                graph.dropped_at_test |= bool(training)
        elif isinstance(inner, layers.Concatenate):
            if graph.activated_before_skip is None:
                graph.activated_before_skip = activated
        elif isinstance(inner, IGNORED):
            if isinstance(inner, layers.LeakyReLU):
                graph.slopes.append(in_digits(inner.negative_slope))
            activated |= isinstance(inner, (layers.LeakyReLU, layers.ReLU)) or _is_relu(inner)
        else:
            raise Unfit(f"layer {name}", f"is a {type(inner).__name__}", "a layer of a pix2pix generator")
    return graph


def in_digits(value: float) -> float:
    """Rounds a float32 to six digits, so that the float32 of 0.2 becomes 0.2."""
    return float(f"{value:.6g}")


def flat(model: keras.Model) -> Iterator[tuple[Any, bool | None]]:
    """Yields (layer, the `training` it was called with, or None) in the order of computation."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat(layer)
        else:
            nodes = getattr(layer, "_inbound_nodes", [])
            yield layer, nodes[-1].arguments.kwargs.get("training") if nodes else None


def traits_of(graph: Graph) -> dict[str, dict[str, Any]]:
    """Returns the settings of a generator by section of the configuration."""
    transposed = (index for index, convolution in enumerate(graph.convolutions) if convolution.transposed)
    levels = next(transposed, len(graph.convolutions))
    dropped = sorted(number - levels + 1 for number in graph.rates if number >= levels)
    settings: dict[str, Any] = {"noise": "none"}
    if dropped and graph.convolutions[0].kernel.shape[0] == 4:
        settings = {
            "noise": "dropout", "dropout_rate": next(iter(graph.rates.values())), "dropout_layers": dropped,
        }  # fmt: skip
    if graph.slopes:
        settings["leaky_slope"] = graph.slopes[0]
    settings["skip_activation"] = "before" if graph.activated_before_skip else "after"
    return {
        "generator": settings,
        "inference": {
            "statistics": "image" if graph.own_statistics else "moving",
            "noise": "on" if dropped and graph.dropped_at_test else "off",
        },
    }


def _convolution(layer: Any, name: str) -> Convolution:
    kernel = np.asarray(layer.kernel, np.float32)
    side, transposed = kernel.shape[0], isinstance(layer, layers.Conv2DTranspose)
    if kernel.shape[1] != side or layer.dilation_rate not in (1, (1, 1)) or getattr(layer, "groups", 1) != 1:
        raise Unfit(f"layer {name}", "is dilated, grouped or not square", "an ordinary convolution")
    if side == 4 and (tuple(layer.strides), layer.padding) != ((2, 2), "same"):
        raise Unfit(f"layer {name}", f"has strides {tuple(layer.strides)} and {layer.padding} padding", "2 and same")
    bias = np.asarray(layer.bias, np.float32) if layer.use_bias else None
    return Convolution(f"{name}/kernel", kernel, bias, transposed=transposed)


def _norm(layer: Any, name: str) -> Norm:
    get = lambda key: None if getattr(layer, key, None) is None else np.asarray(getattr(layer, key), np.float32)  # noqa: E731
    batch = isinstance(layer, layers.BatchNormalization)
    channels = int(layer.gamma.shape[0]) if layer.gamma is not None else None
    if not batch and layer.groups not in (-1, channels):
        raise Unfit(f"layer {name}", f"has {layer.groups} groups", "one for each channel")
    kind = "batch" if batch else "instance"
    return Norm(
        f"{name}/gamma", kind, get("gamma"), get("beta"), get("moving_mean"), get("moving_variance"),
        in_digits(layer.epsilon),
    )  # fmt: skip


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu
