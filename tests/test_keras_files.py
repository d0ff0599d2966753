"""`.keras` and HDF5 files of strangers: layers that run code, data that lie elsewhere, sizes that are a lie."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tfpix2pix.safe_models import UnsafeLayer, check_expansion, check_hdf5, load_keras_file


def save(path, *layers):
    image = x = keras.Input((8, 8, 3))
    for layer in layers:
        x = layer(x)
    keras.Model(image, x).save(path)
    return path


def with_member(path, name, content, compression=zipfile.ZIP_STORED):
    """The archive with one of its members replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, old in {**members, name: content}.items():
            archive.writestr(member, content if member == name else old)
    return path


def with_layer(path, module, class_name):
    """The archive with its convolution called a layer of another class."""
    with zipfile.ZipFile(path) as archive:
        configuration = json.loads(archive.read("config.json"))
    layer = next(layer for layer in configuration["config"]["layers"] if layer["class_name"] == "Conv2D")
    layer.update({"module": module, "class_name": class_name, "registered_name": None})
    return with_member(path, "config.json", json.dumps(configuration))


def test_a_network_is_loaded(tmp_path):
    path = save(tmp_path / "a.keras", keras.layers.Conv2D(2, 3), keras.layers.LeakyReLU(0.2))
    assert load_keras_file(path)(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 6, 6, 2)


@pytest.mark.parametrize(
    ("module", "name"),
    [("keras.layers", "Lambda"), ("keras.layers", "TFSMLayer"), ("keras.layers", "StringLookup"), ("os", "system"),
     ("subprocess", "Popen"), ("keras_hub.layers", "Anything"), ("keras", "layers.Lambda"),
     ("keras", "layers.TFSMLayer"),
     ("keras.src.layers.preprocessing.index_lookup", "IndexLookup"), ("keras.src.ops.core", "Switch"),
     ("keras.src.ops.core", "Map"), ("anything", "Functional"), ("keras.utils", "get_file")],
)  # fmt: skip
def test_a_layer_that_does_more_than_compute_is_not_loaded(module, name, tmp_path):
    path = with_layer(save(tmp_path / "a.keras", keras.layers.Conv2D(2, 3)), module, name)
    with pytest.raises(UnsafeLayer, match=f"it has {name} of {module}, which is not among the layers that are opened"):
        load_keras_file(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [("builtins", "exec"), ("keras.layers", "TFSMLayer"), ("keras.utils", "get_file"), ("os", "relu")],
)
def test_a_function_that_is_no_activation_is_not_loaded(module, name, tmp_path):
    path = save(tmp_path / "a.keras", keras.layers.Conv2D(2, 3, activation="relu"))
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json").decode()
    function = {"class_name": "function", "module": module, "config": name, "registered_name": name}
    with_member(path, "config.json", text.replace('"activation": "relu"', f'"activation": {json.dumps(function)}'))
    with pytest.raises(UnsafeLayer, match=f"it has the function '{name}'"):
        load_keras_file(path)


def test_weights_that_could_hold_code_are_not_read(tmp_path):
    path = save(tmp_path / "a.keras", keras.layers.Conv2D(2, 3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.weights.npz", b"")
    with pytest.raises(UnsafeLayer, match="it has the file 'model.weights.npz'"):
        load_keras_file(path)


def test_a_lambda_is_loaded_by_trust_alone(tmp_path):
    path = save(tmp_path / "a.keras", keras.layers.Lambda(lambda x: x * 2.0, output_shape=(8, 8, 3)))
    with pytest.raises(UnsafeLayer, match="it has Lambda"):
        load_keras_file(path)
    loaded = load_keras_file(path, trust=True)
    assert np.asarray(loaded(np.ones((1, 8, 8, 3), np.float32))).max() == 2.0


def test_a_member_that_unpacks_to_far_more_than_it_is_is_not_unpacked(tmp_path):
    path = save(tmp_path / "a.keras", keras.layers.Conv2D(2, 3))
    with_member(path, "model.weights.h5", bytes(2**28), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match="its part 'model.weights.h5' claims 268 MB"):
        load_keras_file(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file, other: file.create_dataset("kernel", (2**20, 2**10), "float32"), "claims 4295 MB"),
        (lambda file, other: file.__setitem__("kernel", h5py.ExternalLink(other, "/secret")), "lies elsewhere"),
        (lambda file, other: file.__setitem__("kernel", h5py.SoftLink("/gone")), "lies elsewhere"),
        (
            lambda file, other: file.create_dataset("kernel", (4,), "u1", external=[(str(other), 0, 4)]),
            "lies elsewhere",
        ),
    ],
    ids=["claims", "external link", "soft link", "external data"],
)
def test_hdf5_whose_data_are_not_in_it_is_not_read(make, message, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file, other)
    with pytest.raises(ValueError, match=message):
        check_hdf5(tmp_path / "a.h5")


def test_hdf5_of_weights_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/conv/kernel"] = np.zeros((256, 256, 16), np.float32)
        file["layers/conv/packed"] = np.ones(4)
        file["layers/again"] = file["layers/conv"]  # a group may stand twice
    check_hdf5(tmp_path / "a.h5")


def test_what_a_part_may_unpack_to():
    check_expansion("weights", 2**20 + 100, 1)
    with pytest.raises(ValueError, match="its part 'weights' claims 1 MB and holds 1 bytes"):
        check_expansion("weights", 2**20 + 101, 1)
