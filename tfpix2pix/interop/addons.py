"""Reads Keras models with layers of tensorflow-addons: HDF5 and .keras files, and Keras 2's SavedModels.

That package is not needed (it cannot be imported beside a current TensorFlow). Optimisers' states are left out.
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
from tfpix2pix.interop.keras_graph import STAND_INS, flat, modern, read_graph, traits_of
from tfpix2pix.interop.weights import ForeignWeights, Unfit, shaped
from tfpix2pix.models.precision import in_precision
from tfpix2pix.safe_files import parse_json
from tfpix2pix.safe_models import check_hdf5, check_layers, load_keras_file, load_saved_model
from tfpix2pix.size import Size

METADATA = "keras_metadata.pb"


def read(path: Path, statistics: str | None) -> ForeignWeights:
    """Reads the generator of a file. Test mode is that of the model's own calls if `statistics` is not set."""
    if path.is_dir():
        model, graph, notes = _saved_model(path)
        return weights_of(model, statistics, notes, graph)
    model, notes = _file(path)
    return weights_of(model, statistics, notes)


def weights_of(
    model: Any, statistics: str | None, notes: tuple[str, ...] = (), graph: Callable | None = None
) -> ForeignWeights:
    """Reads the weights of a Keras model, with its own forward pass for comparison.

    `graph` and `notes` are those of `ForeignWeights`.
    """
    layers = read_graph(model)
    for layer, _ in flat(model):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # forward passes are compared with noise off
    traits = traits_of(layers)
    as_called = traits["inference"]["statistics"]
    if statistics:
        traits["inference"]["statistics"] = statistics
    batch = any(convolution.norm and convolution.norm.kind == "batch" for convolution in layers.convolutions)
    comparable = not batch or statistics in (None, as_called)
    return ForeignWeights(
        layers.convolutions,
        traits=traits,
        original=Original(model) if comparable else None,
        graph=graph if comparable else None,
        runtime=f"Keras {keras.__version__}" if comparable else f"the model's own graph has {as_called} statistics",
        size_px=Size(*model.inputs[0].shape[1:3]).value,
        notes=notes,
    )


class Original:
    """Runs a Keras model with the `training` that its layers were called with, which `training=False` would replace.

    Computes in the type of the images, float32 or float64.
    """

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
    except (Unfit, UserError):
        raise
    except Exception as error:  # zipfile, Keras and h5py raise errors of many types for damaged files
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
            raise ValueError("it holds weights without the model's configuration")
        configuration = parse_json(file.attrs["model_config"])
    model = model_of(configuration)
    model.load_weights(path)
    return model


def _saved_model(path: Path) -> tuple[Any, Callable, tuple[str, ...]]:
    metadata = path / METADATA
    if not metadata.is_file():
        raise UserError(
            f"A SavedModel to import must be one that Keras wrote, with {METADATA}. Received {path} without it. Save "
            f"the model as .h5 in the program that made it."
        )
    try:
        configuration, trained = _configuration(metadata.read_bytes())
        model = model_of(configuration)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise unreadable(path, error) from error
    loaded = load_saved_model(path, advice="Save the model as .h5 in the program that made it.")
    try:
        arrays = {variable.name.partition(":")[0]: variable.numpy() for variable in loaded.variables}
        fill(model, arrays)
        signature = loaded.signatures["serving_default"]
        key = next(iter(signature.structured_input_signature[1]))
    except Unfit:
        raise
    except Exception as error:  # its object graph may hold anything
        raise unreadable(path, error) from error
    notes = ("the optimiser's state was left out",) if trained else ()

    def graph(images: np.ndarray) -> np.ndarray:
        try:
            return next(iter(signature(**{key: tf.constant(images)}).values())).numpy()
        except Exception as error:
            raise unreadable(path, error) from error

    graph.keep = loaded  # the variables are deleted with it
    return model, graph, notes


def _configuration(data: bytes) -> tuple[dict, bool]:
    """Reads the model's configuration, and whether it was saved with an optimiser."""
    from tensorflow.python.keras.protobuf.saved_metadata_pb2 import SavedMetadata

    message = SavedMetadata()
    try:
        message.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, whose module depends on the version
        raise ValueError(f"{METADATA} is damaged") from error
    root = parse_json(next(node.metadata for node in message.nodes if node.node_path == "root"))
    return {"class_name": root["class_name"], "config": root["config"]}, "training_config" in root


def model_of(configuration: dict) -> Any:
    """Builds the model of a Keras configuration of any version, without its weights."""
    configuration = modern(configuration)
    check_layers(configuration, STAND_INS)
    return keras.models.model_from_json(json.dumps(configuration), custom_objects=STAND_INS)


def fill(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Assigns `arrays`, by names such as `conv2d_1/kernel`, to a model's layers.

    Raises:
        Unfit: one is missing or has another shape.
    """
    for layer, _ in flat(model):
        for variable in layer.weights:
            name, shape = f"{layer.name}/{variable.name}", tuple(variable.shape)
            # For a nested model, the key may begin with that model's name.
            key = next((key for key in arrays if key == name or key.endswith(f"/{name}")), name)
            if key not in arrays:
                raise Unfit(key, "is missing", f"a tensor of shape {shape}")
            if tuple(arrays[key].shape) != shape:
                raise Unfit(key, shaped(arrays[key]), shape)
            variable.assign(arrays[key])


def unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"A Keras model must be whole, of Keras's own layers and tensorflow-addons'. Received {path}, which cannot be "
        f"read: {shortly(error)}. Download it again, or save it without custom layers."
    )
