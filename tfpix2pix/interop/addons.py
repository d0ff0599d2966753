"""Keras models whose layers are tensorflow-addons': HDF5 and .keras files, and Keras 2's SavedModels.

The package itself is not needed (and does not import beside a current TensorFlow). Optimisers' states are passed over.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.errors import UserError
from tfpix2pix.interop.checkpoints import load_arrays
from tfpix2pix.interop.found import Found, Unfit, shaped
from tfpix2pix.interop.keras_graph import STAND_INS, AddonsSpectralNormalization, read_graph, traits_of

METADATA = "keras_metadata.pb"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def read(path: Path, statistics: str | None) -> Found:
    """The generator of a file; test mode as its model is called, unless `statistics` says otherwise."""
    model, original, notes = _saved_model(path) if path.is_dir() else _file(path)
    return found(model, original, statistics, notes)


def found(model: Any, original: Callable, statistics: str | None, notes: tuple[str, ...] = ()) -> Found:
    """What a Keras model is, and its own forward pass for comparison."""
    graph = read_graph(model)
    traits = traits_of(graph)
    as_called = traits["inference"]["statistics"]
    if statistics:
        traits["inference"]["statistics"] = statistics
    batch = any(each.norm and each.norm.kind == "batch" for each in graph.convolutions)
    if batch and statistics not in (None, as_called):
        return Found(
            graph.convolutions, traits=traits, notes=notes, runtime=f"the model's own graph has {as_called} statistics"
        )
    return Found(
        graph.convolutions, traits=traits, original=original, runtime=f"Keras {keras.__version__}", notes=notes
    )


def _file(path: Path) -> tuple[Any, Callable, tuple[str, ...]]:
    try:
        model = keras.models.load_model(path, custom_objects=STAND_INS, compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error
    notes = ()
    if path.suffix != ".keras":
        with h5py.File(path) as file:
            notes = ("the optimiser's state was left out",) if "optimizer_weights" in file else ()
    return model, lambda images: np.asarray(model(images, training=False)), notes


def _saved_model(path: Path) -> tuple[Any, Callable, tuple[str, ...]]:
    metadata = path / METADATA
    if not metadata.is_file():
        raise UserError(
            f"A SavedModel to import must be one that Keras wrote, with {METADATA}. Received {path} without. Save the "
            f"model as .h5 where it was made."
        )
    try:
        model = model_of(_configuration(metadata.read_bytes()))
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, tf.errors.OpError) as error:
        raise unreadable(path, error) from error
    arrays = load_arrays(path / "variables" / "variables", VALUE.replace(".", "[.]") + "$")
    for place, layer in places(model):
        fill(layer, lambda name, place=place: (f"{place}/{name}{VALUE}", arrays.get(f"{place}/{name}{VALUE}")))
    notes = ("the optimiser's state was left out",) if any("optimizer" in name.lower() for name in arrays) else ()
    signature = loaded.signatures["serving_default"]
    key = next(iter(signature.structured_input_signature[1]))

    def original(images: np.ndarray) -> np.ndarray:
        return next(iter(signature(**{key: tf.constant(images)}).values())).numpy()

    original.keep = loaded  # its variables live as long as it does
    return model, original, notes


def _configuration(data: bytes) -> dict:
    from tensorflow.python.keras.protobuf.saved_metadata_pb2 import SavedMetadata

    message = SavedMetadata()
    try:
        message.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, wherever its version keeps it
        raise ValueError(f"{METADATA} is damaged") from error
    root = json.loads(next(node.metadata for node in message.nodes if node.node_path == "root"))
    return {"class_name": root["class_name"], "config": root["config"]}


def model_of(configuration: dict) -> Any:
    """The model of a Keras configuration of any version; its weights are still to be put in."""
    return keras.models.model_from_json(json.dumps(configuration), custom_objects=STAND_INS)


def places(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`layer_with_weights-3/layer_with_weights-0`, layer) of every layer with weights, as Keras 2 counted them."""
    weighted = [layer for layer in model.layers if layer.weights]
    for number, layer in enumerate(weighted):
        place = f"{prefix}layer_with_weights-{number}"
        if isinstance(layer, keras.Model):
            yield from places(layer, f"{place}/")
        else:
            yield (f"{place}/layer", layer.layer) if isinstance(layer, AddonsSpectralNormalization) else (place, layer)


def fill(layer: Any, find: Callable[[str], tuple[str, np.ndarray | None]]) -> None:
    """Puts into a layer's variables what `find(variable's name)` gives, with the name it has there.

    Raises:
        Unfit: a variable is missing or has another shape.
    """
    for variable in layer.weights:
        name, array = find(variable.name)
        if array is None:
            raise Unfit(name, "is missing", f"a tensor of shape {tuple(variable.shape)}")
        if tuple(array.shape) != tuple(variable.shape):
            raise Unfit(name, shaped(array), tuple(variable.shape))
        variable.assign(array)


def unreadable(path: Path, error: Exception) -> UserError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return UserError(
        f"A Keras model must be whole, of Keras's own layers and tensorflow-addons'. Received {path}, which cannot be "
        f"read: {first.rstrip('.')}. Fetch it again, or save it without layers of one's own."
    )
