"""Rebuilds a network so that it computes in another type, with the same weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras


def in_precision(network: keras.Model, dtype: str, *, unchanged: Collection[str] = ()) -> keras.Model:
    """Rebuilds a network, weights included, so that it and all networks and layers inside it compute in `dtype`.

    Args:
        network: a functional or sequential model, of this package's layers or others.
        dtype: `float64`, with inputs of float64, or `bfloat16`, with inputs of their present type.
        unchanged: names of layers that keep their type.
    """
    classes = {type(layer).__name__: type(layer) for layer in network._flatten_layers()}
    config = _of_type(network.get_config(), dtype, unchanged)
    rebuilt = type(network).from_config(config, custom_objects=classes)
    rebuilt.set_weights(network.get_weights())
    return rebuilt


def _of_type(value: Any, dtype: str, unchanged: Collection[str]) -> Any:
    """Returns a configuration in which every floating type is `dtype`."""
    if isinstance(value, (list, tuple)):
        return type(value)(_of_type(part, dtype, unchanged) for part in value)
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "InputLayer" and dtype != "float64":
        return value
    if isinstance(value.get("config"), dict) and value["config"].get("name") in unchanged:
        return value
    return {
        key: dtype if key == "dtype" and "float" in str(part) else _of_type(part, dtype, unchanged)
        for key, part in value.items()
    }
