"""Keras models with layers of tensorflow-addons, and checkpoints of TensorFlow 1 and of the tutorial as Keras 2 wrote
them: by the real packages, in an environment of their own."""

import json
import shutil

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.interop import originals
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.import_weights import TOLERANCE, import_weights
from tfpix2pix.runs.networks import build_discriminator
from tfpix2pix.training.checkpoints import Checkpoints, assign

pytestmark = [pytest.mark.timeout(1500), pytest.mark.slow]


@pytest.fixture(scope="module")
def written(shared_folder):
    """A folder of what the originals wrote."""
    try:
        return shared_folder("originals", originals.make)
    except LookupError as error:
        pytest.skip(str(error))


def difference(translator, written, name, size_px) -> float:
    images, expected = np.load(written / f"photographs-{size_px}.npy"), np.load(written / f"{name}.npy")
    assert expected.std() > 0.05
    return float(np.abs(translator(images[: len(expected)], noise="off") - expected).max())


def judged(run, image) -> np.ndarray:
    directory = RunDirectory(run)
    critic = build_discriminator(directory.config(), seed=None)
    state = Checkpoints(directory.checkpoints).load(["discriminator"])[1]["discriminator"]
    assign({v.path: v for v in critic.variables}, state, "discriminator")
    return np.asarray(critic([image, -image], training=True))


@pytest.mark.parametrize("ending", [".h5", ""])
@pytest.mark.parametrize("name", ["after", "before", "spectral"])
def test_generators_of_tensorflow_addons(name, ending, written, tmp_path):
    report = import_weights(written / f"{name}{ending}", out=tmp_path / "run")
    assert report.kind == "addons"
    assert report.max_abs_error < TOLERANCE
    assert report.notes == ("the optimiser's state was left out",)
    translator = p2p.load(tmp_path / "run")
    assert difference(translator, written, name, 32) < TOLERANCE
    spec = translator.card.config.generator
    assert (spec.norm, spec.norm_epsilon, spec.leaky_slope) == ("instance", 1e-3, 0.2)
    assert spec.skip_activation == ("before" if name == "before" else "after")
    assert list(spec.dropout_layers) == [1, 2]


@pytest.fixture(scope="module")
def imported(written, tmp_path_factory):
    """The run that was imported from a generator of tensorflow-addons."""
    run = tmp_path_factory.mktemp("imported") / "run"
    import_weights(written / "after.h5", out=run)
    return run


@pytest.mark.parametrize("kind", ["saved_model", "tflite", "keras", "onnx"])
def test_what_was_imported_is_exported(kind, imported, written, tmp_path):
    report = p2p.export_run(imported, kind, tmp_path / "exports")
    assert difference(p2p.load(report.path), written, "after", 32) < TOLERANCE


def test_a_checkpoint_of_the_tutorial_by_keras_2(written, tmp_path):
    report = import_weights(written / "tutorial", out=tmp_path / "run")
    assert (report.kind, report.receptive_field_px) == ("tutorial", 70)
    translator = p2p.load(tmp_path / "run")
    assert difference(translator, written, "tutorial", 256) < TOLERANCE
    assert translator.card.noise == "on"
    image = np.load(written / "photographs-256.npy")[:1]
    assert np.abs(judged(tmp_path / "run", image) - np.load(written / "tutorial-d.npy")).max() < 1e-3
    for kind in ("saved_model", "tflite"):
        exported = p2p.export_run(tmp_path / "run", kind, tmp_path / "exports")
        assert difference(p2p.load(exported.path), written, "tutorial", 256) < TOLERANCE


@pytest.mark.parametrize("path", ["", "model-200", "model-200.index", "model-200.meta"])
def test_a_checkpoint_of_tensorflow_1(path, written, tmp_path):
    report = import_weights(written / "tf1" / path, out=tmp_path / "run")
    assert (report.kind, report.receptive_field_px, report.statistics) == ("tf1", 70, "image")
    translator = p2p.load(tmp_path / "run")
    assert difference(translator, written, "tf1", 256) < TOLERANCE
    image = np.load(written / "photographs-256.npy")[:1]
    assert np.abs(judged(tmp_path / "run", image) - np.load(written / "tf1-d.npy")).max() < 1e-3


def test_tensorflow_1_is_exported(written, tmp_path):
    import_weights(written / "tf1", out=tmp_path / "run")
    for kind in ("saved_model", "tflite"):
        exported = p2p.export_run(tmp_path / "run", kind, tmp_path / "exports")
        assert difference(p2p.load(exported.path), written, "tf1", 256) < TOLERANCE


def test_a_topology_that_keras_2_wrote(written, tmp_path):
    """As the TensorFlow.js converter packs it."""
    from tests.interop.tfjs_writer import write_layers_model

    topology, arrays = json.loads((written / "topology.json").read_text()), dict(np.load(written / "topology.npz"))
    write_layers_model(tmp_path / "web", topology, arrays)
    report = import_weights(tmp_path / "web", out=tmp_path / "run")
    assert (report.kind, report.statistics) == ("tfjs", "image")
    assert difference(p2p.load(tmp_path / "run"), written, "topology", 32) < TOLERANCE


def test_damaged_files_are_said_so(written, tmp_path):
    cut = tmp_path / "cut.h5"
    cut.write_bytes((written / "after.h5").read_bytes()[:5000])
    shutil.copytree(written / "after", tmp_path / "saved")
    (tmp_path / "saved" / "keras_metadata.pb").write_bytes(b"\x0a\xff\xff")
    shutil.copytree(written / "tf1", tmp_path / "tf1")
    data = next((tmp_path / "tf1").glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:1000])
    for path in (cut, tmp_path / "saved", tmp_path / "tf1"):
        with pytest.raises(UserError, match="must be whole"):
            import_weights(path, out=tmp_path / "run")
    (tmp_path / "saved" / "keras_metadata.pb").unlink()
    with pytest.raises(UserError, match="one that Keras wrote"):
        import_weights(tmp_path / "saved", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
