"""SavedModels of strangers: what computes is opened, what could do more is not, what is damaged is said in one line."""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry

import tfpix2pix as p2p
from tests.export.helpers import made_saved_model
from tfpix2pix.errors import UserError
from tfpix2pix.metrics.extractors import load_features, load_segmenter
from tfpix2pix.safe_models import ALLOWED, load_saved_model, operations


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of a SavedModel that this package wrote."""
    folder = tmp_path_factory.mktemp("exported") / "1"
    made_saved_model(folder)
    return folder


@pytest.fixture
def copied(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "model"))


def save(folder, function, *, signature=True, **attributes):
    """A SavedModel whose signature is `function` of images."""
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.call = tf.function(function, input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")])
    tf.saved_model.save(module, str(folder), signatures=module.call if signature else None)
    return folder


def steals(path):
    def function(image):
        return image + tf.cast(tf.strings.length(tf.io.read_file(str(path))), tf.float32)

    return function


def writes(path):
    def function(image):
        with tf.control_dependencies([tf.io.write_file(str(path), "owned")]):
            return tf.identity(image)

    return function


def prints(path):
    def function(image):
        with tf.control_dependencies([tf.raw_ops.PrintV2(input="owned", output_stream=f"file://{path}")]):
            return tf.identity(image)

    return function


def saves(path):
    def function(image):
        with tf.control_dependencies(
            [tf.raw_ops.SaveV2(prefix=str(path), tensor_names=["x"], shape_and_slices=[""], tensors=[image])]
        ):
            return tf.identity(image)

    return function


def runs_python(path):
    return lambda image: tf.ensure_shape(tf.py_function(lambda x: x, [image], tf.float32), image.shape)


def in_a_branch(path):
    return lambda image: tf.cond(tf.reduce_sum(image) > 1e9, lambda: writes(path)(image), lambda: image)


def in_a_loop(path):
    return lambda image: tf.while_loop(lambda i, x: i < 1, lambda i, x: (i + 1, writes(path)(x)), [0, image])[1]


def in_a_map(path):
    return lambda image: tf.map_fn(writes(path), image)


@pytest.mark.parametrize(
    ("make", "operation"),
    [(steals, "ReadFile"), (writes, "WriteFile"), (prints, "PrintV2"), (saves, "SaveV2"), (runs_python, "EagerPyFunc"),
     (in_a_branch, "WriteFile"), (in_a_loop, "WriteFile"), (in_a_map, "WriteFile")],
)  # fmt: skip
def test_a_graph_that_can_do_more_than_compute_is_not_loaded(make, operation, tmp_path):
    save(tmp_path / "model", make(tmp_path / "secret"))
    with pytest.raises(UserError, match=rf"Received one with {operation}, in .*model\. Add `trust`"):
        load_saved_model(tmp_path / "model")
    assert not (tmp_path / "secret").exists()
    load_saved_model(tmp_path / "model", trust=True)


def test_code_that_runs_when_it_is_loaded_is_not_run(tmp_path):
    class Table(tf.saved_model.experimental.TrackableResource):
        """A resource whose start-up function writes a file: loading calls it."""

        @tf.function(input_signature=[])
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(), shared_name="v", container="")

        @tf.function(input_signature=[])
        def _initialize(self):
            with tf.control_dependencies([tf.io.write_file(str(tmp_path / "loaded"), "owned")]):
                return tf.constant(0)

    save(tmp_path / "model", lambda image: image, table=Table())
    (tmp_path / "loaded").unlink(missing_ok=True)
    with pytest.raises(UserError, match="Received one with WriteFile"):
        load_saved_model(tmp_path / "model")
    assert not (tmp_path / "loaded").exists()


def test_a_function_that_no_signature_calls_is_looked_at_too(tmp_path):
    hidden = tf.function(writes(tmp_path / "secret"), input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    save(tmp_path / "model", lambda image: image, hidden=hidden)
    with pytest.raises(UserError, match="WriteFile"):
        load_saved_model(tmp_path / "model")


def test_the_functions_that_save_a_model_anew_are_no_cover(exported):
    """A function that both the saver and a signature call is checked."""
    saved = SavedModel()
    saved.ParseFromString((exported / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    assert any(node.op == "SaveV2" for body in graph.graph_def.library.function for node in body.node_def)
    assert set(operations(graph)) <= ALLOWED
    saver = next(body for body in graph.graph_def.library.function if any(n.op == "SaveV2" for n in body.node_def))
    inner = next(
        body for body in graph.graph_def.library.function
        if body.signature.name in graph.object_graph_def.concrete_functions
    )  # fmt: skip
    call = inner.node_def.add()
    call.name, call.op = "cover", "StatefulPartitionedCall"
    call.attr["f"].func.name = saver.signature.name
    assert "SaveV2" in set(operations(graph))


@pytest.mark.parametrize("how", ["twice", "operation", "implements", "hidden"])
def test_no_function_hides_behind_the_saver_or_another_s_name(how, copied):
    path = copied / "saved_model.pb"
    saved = SavedModel()
    saved.ParseFromString(path.read_bytes())
    library = saved.meta_graphs[0].graph_def.library
    saver = next(body for body in library.function if any(node.op == "SaveV2" for node in body.node_def))
    if how == "twice":
        library.function.add().CopyFrom(saver)
    elif how == "operation":
        saver.signature.name = "Identity"
    elif how == "implements":
        saver.attr["api_implements"].s = b"x"
    else:
        node = saver.node_def.add()
        node.name, node.op = "hidden", "ReadFile"
    path.write_bytes(saved.SerializeToString())
    said = "one with ReadFile" if how == "hidden" else "one with functions that can replace each other"
    with pytest.raises(UserError, match=said):
        load_saved_model(copied)


def test_a_second_graph_is_no_cover(copied):
    """TensorFlow loads a folder of two graphs as it does TensorFlow 1's: it runs the saver's nodes."""
    path = copied / "saved_model.pb"
    saved = SavedModel()
    saved.ParseFromString(path.read_bytes())
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match="one of TensorFlow 1"):
        load_saved_model(copied)


def test_a_function_of_an_object_is_looked_at_though_the_list_of_functions_lacks_it(exported):
    saved = SavedModel()
    saved.ParseFromString((exported / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    saver = next(body for body in graph.graph_def.library.function if any(n.op == "SaveV2" for n in body.node_def))
    graph.object_graph_def.nodes.add().function.concrete_functions.append(saver.signature.name)
    assert "SaveV2" in set(operations(graph))


def test_a_model_of_tensorflow_1_is_opened_by_trust_alone(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.compat.v1.placeholder(tf.float32, (None, 8, 8, 3), name="image")
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "model"), {"image": image}, {"out": image * 2.0})
    with pytest.raises(UserError, match="one of TensorFlow 1 or of several graphs, with start-up code that runs"):
        load_saved_model(tmp_path / "model")
    loaded = load_saved_model(tmp_path / "model", trust=True)
    assert loaded.signatures["serving_default"](image=tf.ones((1, 8, 8, 3)))["out"].numpy().max() == 2.0


def test_a_card_inside_proves_nothing(copied):
    """An export of ours into whose graph somebody put a write is refused by everything that opens one."""
    path = copied / "saved_model.pb"
    saved = SavedModel()
    saved.ParseFromString(path.read_bytes())
    function = next(
        body for body in saved.meta_graphs[0].graph_def.library.function if any(n.op == "Tanh" for n in body.node_def)
    )
    node = function.node_def.add()
    node.name, node.op = "owned", "WriteFile"
    path.write_bytes(saved.SerializeToString())
    for opens in (p2p.load, load_features, load_segmenter):
        with pytest.raises(UserError, match="WriteFile"):
            opens(str(copied))


@pytest.mark.parametrize("name", ["MobileNetV3Small", "ConvNeXtTiny"])
def test_networks_of_keras_are_of_operations_of_the_list(name):
    """Each export of ours is opened in tests/test_contract.py."""
    network = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg")
    call = tf.function(lambda image: network(image, training=False), autograph=False)
    graph = call.get_concrete_function(tf.TensorSpec((None, 64, 64, 3), tf.float32)).graph.as_graph_def()
    bodies = (graph.node, *(body.node_def for body in graph.library.function))
    functions = {body.signature.name for body in graph.library.function}
    assert {node.op for body in bodies for node in body} - functions <= ALLOWED


def test_no_operation_of_the_list_is_unknown_or_one_of_those_that_reach_outside():
    for name in ALLOWED:
        assert op_def_registry.get(name) is not None, name
    reaches_outside = {
        "ReadFile", "WriteFile", "MatchingFiles", "SaveV2", "RestoreV2", "PyFunc", "EagerPyFunc", "PyFuncStateless",
        "PrintV2", "Print", "ImmutableConst", "InitializeTableFromTextFileV2", "LoadAndRemapMatrix", "XlaCallModule",
        "ShardDataset", "TFRecordDatasetV2", "SaveDataset", "DebugIdentityV3", "WriteSummary", "RemoteCall",
    }  # fmt: skip
    assert not ALLOWED & reaches_outside
    words = ("File", "Save", "Restore", "Dataset", "PyFunc", "Summary", "Reader", "Remote", "Send", "Recv", "Rpc")
    assert [name for name in ALLOWED if any(word in name for word in words)] == []


@pytest.mark.parametrize("damage", ["empty", "half", "noise", "variables", "missing", "folder", "fingerprint"])
def test_a_damaged_model_is_said_so(damage, copied, caplog):
    path = copied / "saved_model.pb"
    content = path.read_bytes()
    if damage == "variables":
        shutil.rmtree(copied / "variables")
    elif damage == "fingerprint":
        (copied / "fingerprint.pb").write_bytes(b"\xff" * 9)
    else:
        path.unlink()
    if damage == "folder":
        path.mkdir()
    changed = {"empty": b"", "half": content[: len(content) // 2], "noise": bytes(reversed(content))}
    if damage in changed:
        path.write_bytes(changed[damage])
    state = "has no saved_model.pb" if damage == "missing" else "cannot be read: it is damaged"
    with pytest.raises(UserError, match=rf"must be a whole folder .* Received .*model, which {state}"):
        load_saved_model(copied)
    assert not caplog.records


@pytest.mark.parametrize("place", ["variables", "assets"])
def test_a_pipe_among_the_files_is_not_waited_for(place, copied):
    os.mkfifo(copied / place / "more")
    with pytest.raises(UserError, match="it is damaged"):
        load_saved_model(copied)


SIGNATURES = {
    "no output of that name": (lambda image: {"other": image}, r"which fails: there is no 'image'\."),
    "another size": (
        lambda image: {"image": image[:, :4]},
        r"which returns an array of shape \(1, 4, 8, 3\) in place of \(1, 8, 8, 3\)",
    ),
    "another rank": (lambda image: {"image": image[0]}, r"which returns an array of shape \(8, 8, 3\) in place of"),
    "a call that fails": (
        lambda image: {"image": tf.ensure_shape(tf.reshape(image, (1, -1, 8, 3))[:, : tf.size(image)], (1, 9, 8, 3))},
        "which fails: ",
    ),
}


@pytest.mark.parametrize("what", SIGNATURES)
def test_a_graph_that_is_not_what_its_card_says_is_one_sentence(what, exported, tmp_path):
    function, said = SIGNATURES[what]
    module = tf.Module()
    module.call = tf.function(function, input_signature=[tf.TensorSpec((None, None, 8, 3), tf.float32, name="image")])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"translate_float": module.call})
    shutil.copytree(exported / "assets", tmp_path / "model" / "assets", dirs_exist_ok=True)
    translator = p2p.load(tmp_path / "model")
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UserError, match=rf"must translate images as its card describes\. Received '.*', {said}"):
        translator(image, size="own")


def test_a_network_to_look_through_that_fails_is_one_sentence(tmp_path):
    save(tmp_path / "model", lambda image: tf.strings.to_number(tf.strings.as_string(image) + "x"))
    with pytest.raises(UserError, match="Export it"):
        load_features(str(tmp_path / "model"))(np.zeros((8, 8, 3), np.float32))


@pytest.mark.parametrize("name", ["[a] b*?", os.fsdecode(b"caf\xe9")])
def test_a_folder_of_any_name_is_opened(tmp_path, name):
    """TensorFlow expands brackets in the path of the variables, and takes no bytes that are not UTF-8."""
    module = tf.Module()
    module.weight = tf.Variable(3.0)
    tf.saved_model.save(module, str(tmp_path / "plain"))
    (tmp_path / "plain").rename(tmp_path / name)
    assert float(load_saved_model(tmp_path / name, trust=True).weight) == 3.0
