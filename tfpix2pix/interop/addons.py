"""Keras models whose layers are tensorflow-addons': HDF5 and .keras files, and Keras 2's SavedModels.

The package itself is not needed (and does not import beside a current TensorFlow). Optimisers' states are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from tfpix2pix.errors import UserError, shortly
from tfpix2pix.foreign import parse_json
from tfpix2pix.interop.found import Found, Unfit, shaped
from tfpix2pix.interop.keras_graph import STAND_INS, flat, modern, read_graph, traits_of
from tfpix2pix.keras_files import check_hdf5, check_layers, load_keras_file
from tfpix2pix.models.precision import in_precision
from tfpix2pix.saved_models import load_saved_model

METADATA = "keras_metadata.pb"


def read(path: Path, statistics: str | None) -> Found:
    """The generator of a file; test mode as its model is called, unless `statistics` says otherwise."""
    if path.is_dir():
        model, graph, notes = _saved_model(path)
        return found(model, statistics, notes, graph)
    model, notes = _file(path)
    return found(model, statistics, notes)


def found(model: Any, statistics: str | None, notes: tuple[str, ...] = (), graph: Callable | None = None) -> Found:
    """What a Keras model is, and its own forward pass for comparison; `graph` as of `Found`."""
    layers = read_graph(model)
    for layer, _ in flat(model):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # of the original's forward pass, which is compared with noise off
    traits = traits_of(layers)
    as_called = traits["inference"]["statistics"]
    if statistics:
        traits["inference"]["statistics"] = statistics
    batch = any(each.norm and each.norm.kind == "batch" for each in layers.convolutions)
    comparable = not batch or statistics in (None, as_called)
    return Found(
        layers.convolutions,
        traits=traits,
        original=Original(model) if comparable else None,
        graph=graph if comparable else None,
        runtime=f"Keras {keras.__version__}" if comparable else f"the model's own graph has {as_called} statistics",
        size_px=model.inputs[0].shape[1],
        notes=notes,
    )


class Original:
    """A Keras model as its layers are called in it: `training=False` would take the place of what they were called
    with. In float32, or in float64 where images are."""

    def __init__(self, model: Any) -> None:
        self._models = {"float32": model}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        dtype = images.dtype.name
        if dtype not in self._models:
            self._models[dtype] = in_precision(self._models["float32"], dtype)
        model = self._models[dtype]
        return np.asarray(model(keras.tree.pack_sequence_as(model.input, [images])))


def _file(path: Path) -> tuple[Any, tuple[str, ...]]:
    try:
        model = _keras_3(path) if path.suffix == ".keras" else _hdf5(path)
    except Unfit:
        raise
    except Exception as error:  # zipfile, Keras and h5py have errors of their own for each damage
        raise unreadable(path, error) from error
    notes = ()
    if path.suffix != ".keras":
        with h5py.File(path) as file:
            notes = ("the optimiser's state was left out",) if "optimizer_weights" in file else ()
    return model, notes


def _keras_3(path: Path) -> Any:
    return load_keras_file(path, custom_objects=STAND_INS)


def _hdf5(path: Path) -> Any:
    check_hdf5(path)
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights without a model")
        configuration = parse_json(file.attrs["model_config"])
    model = model_of(configuration)
    model.load_weights(path)
    return model


def _saved_model(path: Path) -> tuple[Any, Callable, tuple[str, ...]]:
    metadata = path / METADATA
    if not metadata.is_file():
        raise UserError(
            f"A SavedModel to import must be one that Keras wrote, with {METADATA}. Received {path} without. Save the "
            f"model as .h5 where it was made."
        )
    try:
        configuration, trained = _configuration(metadata.read_bytes())
        model = model_of(configuration)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise unreadable(path, error) from error
    loaded = load_saved_model(path, advice="Save the model as .h5 where it was made.")
    try:
        arrays = {variable.name.partition(":")[0]: variable.numpy() for variable in loaded.variables}
        fill(model, arrays)
        signature = loaded.signatures["serving_default"]
        key = next(iter(signature.structured_input_signature[1]))
    except Unfit:
        raise
    except Exception as error:  # what its object graph may hold has no end
        raise unreadable(path, error) from error
    notes = ("the optimiser's state was left out",) if trained else ()

    def graph(images: np.ndarray) -> np.ndarray:
        try:
            return next(iter(signature(**{key: tf.constant(images)}).values())).numpy()
        except Exception as error:
            raise unreadable(path, error) from error

    graph.keep = loaded  # its variables live as long as it does
    return model, graph, notes


def _configuration(data: bytes) -> tuple[dict, bool]:
    """The model's, and whether it was saved with an optimiser."""
    from tensorflow.python.keras.protobuf.saved_metadata_pb2 import SavedMetadata

    message = SavedMetadata()
    try:
        message.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, wherever its version keeps it
        raise ValueError(f"{METADATA} is damaged") from error
    root = parse_json(next(node.metadata for node in message.nodes if node.node_path == "root"))
    return {"class_name": root["class_name"], "config": root["config"]}, "training_config" in root


def model_of(configuration: dict) -> Any:
    """The model of a Keras configuration of any version; its weights are still to be put in."""
    configuration = modern(configuration)
    check_layers(configuration, STAND_INS)
    return keras.models.model_from_json(json.dumps(configuration), custom_objects=STAND_INS)


def fill(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Puts `arrays`, by names as `conv2d_1/kernel`, into a model's layers.

    Raises:
        Unfit: one is missing or has another shape.
    """
    for layer, _ in flat(model):
        for variable in layer.weights:
            name, shape = f"{layer.name}/{variable.name}", tuple(variable.shape)
            # Of a model inside, its name may stand before it.
            key = next((key for key in arrays if key == name or key.endswith(f"/{name}")), name)
            if key not in arrays:
                raise Unfit(key, "is missing", f"a tensor of shape {shape}")
            if tuple(arrays[key].shape) != shape:
                raise Unfit(key, shaped(arrays[key]), shape)
            variable.assign(arrays[key])


def unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"A Keras model must be whole, of Keras's own layers and tensorflow-addons'. Received {path}, which cannot be "
        f"read: {shortly(error)}. Fetch it again, or save it without layers of one's own."
    )
