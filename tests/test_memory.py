"""A lack of memory, whichever library raises it, is answered in a sentence with what helps, and loses no run."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli, write_image
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.inference.view import KerasEngine
from tfpix2pix.memory import fitting_in_memory, lacks_memory, memory_errors
from tfpix2pix.training.checkpoints import Checkpoints
from tfpix2pix.training.execution import Execution

SHORT = {
    "python": MemoryError("Unable to allocate 3.00 GiB for an array"),
    "tensorflow": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[1,64,128,128]"),
    "onednn": tf.errors.AbortedError(None, None, "Operation received an exception: could not create a memory object"),
    "cudnn": tf.errors.InternalError(None, None, "Failed to call DoConvolve: CUDNN_STATUS_ALLOC_FAILED"),
    "cuda": tf.errors.UnknownError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
}
OTHERS = {
    "disk": tf.errors.ResourceExhaustedError(None, None, "events.out.tfevents; No space left on device"),
    "shape": tf.errors.InvalidArgumentError(None, None, "Incompatible shapes: [4] vs. [5]"),
    "lost": tf.errors.UnavailableError(None, None, "Connection reset by peer"),
    "user": UserError("`size` must be 1 or more."),
    "value": ValueError("out of memory is a word here"),
}
RULE = "Error: A training step must fit in the memory of the machine and of its GPUs. Received one that did not. Lower "
KEYS = (
    "training.batch_size", "data.image_size_px", "generator.base_filters", "training.precision",
    "training.recompute_levels", "training.micro_batches",
)  # fmt: skip


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize("name", SHORT)
def test_a_lack_of_memory_is_known_whoever_raises_it(name):
    assert lacks_memory(SHORT[name])
    with pytest.raises(MemoryError, match=str(SHORT[name])[:20]), memory_errors():
        raise SHORT[name]
    with (
        pytest.raises(UserError, match="fit in memory. Received a, which did not. Do this."),
        fitting_in_memory("a", "Do this."),
    ):
        raise SHORT[name]


@pytest.mark.parametrize("name", OTHERS)
def test_other_errors_stay_what_they_are(name):
    assert not lacks_memory(OTHERS[name])
    for context in (memory_errors(), fitting_in_memory("a", "Do this.")):
        with pytest.raises(type(OTHERS[name])) as caught, context:
            raise OTHERS[name]
        assert caught.value is OTHERS[name]


@pytest.fixture
def started(combined_dir, tmp_path):
    """Options of a run of 4 steps, a checkpoint each."""
    config = least_config(data={"dir": str(combined_dir)}, training={"checkpoint_every_steps": 1, "batch_size": 2})
    file = tmp_path / "mine.yaml"
    file.write_text(p2p.config.resolve.to_yaml(config))
    return ["train", file, "--run", tmp_path / "run"]


@pytest.mark.parametrize("name", SHORT)
def test_a_training_without_memory_ends_in_a_sentence_and_goes_on(name, started, tmp_path, monkeypatch):
    steps, call = iter(range(1, 9)), Execution.__call__

    def third_fails(self, count):
        if next(steps) == 3:
            raise SHORT[name]
        return call(self, count)

    with monkeypatch.context() as patch:
        patch.setattr(Execution, "__call__", third_fails)
        code, _, err = run_cli(*started)
    (said,) = (line for line in err.splitlines() if line.startswith("Error"))
    assert code == 1
    assert said.startswith(RULE)
    assert "Traceback" not in err
    assert all(f"`{key}`" in said for key in KEYS)
    assert said.endswith(
        "The run is saved as of step 2: continue it with --resume, and with --accept-changes in a smaller batch or in "
        "parts."
    )
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [1, 2]
    changes = ["--accept-changes", "--set", "training.batch_size=1"]
    assert run_cli("train", "--run", tmp_path / "run", "--resume", *changes)[0] == 0
    assert Checkpoints(tmp_path / "run" / "checkpoints").load()[0] == 4


def test_a_training_that_saved_nothing_begins_again(started, monkeypatch):
    monkeypatch.setattr(Execution, "__call__", raising(SHORT["tensorflow"]))
    code, _, err = run_cli(*started)
    assert code == 1
    assert err.splitlines()[-1].startswith(RULE)
    assert err.splitlines()[-1].endswith("Then begin again with --fresh.")


def test_networks_beyond_memory_are_answered_before_anything_is_written(started, tmp_path, monkeypatch):
    monkeypatch.setattr("tfpix2pix.runs.train.build_on", raising(SHORT["python"]))
    code, _, err = run_cli(*started)
    assert code == 1
    assert err.splitlines()[-1].endswith("about half. Then begin again.")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_no_lack_of_memory(started, monkeypatch):
    monkeypatch.setattr(Execution, "__call__", raising(OTHERS["disk"]))
    with pytest.raises(tf.errors.ResourceExhaustedError, match="No space left"):
        run_cli(*started)


@pytest.mark.parametrize("name", SHORT)
def test_translation_names_the_tiles(name, tiny_run, tmp_path, monkeypatch):
    write_image(tmp_path / "big.png", np.zeros((32, 32, 3), np.uint8))
    monkeypatch.setattr(KerasEngine, "__call__", raising(SHORT[name]))
    code, _, err = run_cli("translate", tiny_run.path, tmp_path / "big.png", "--out", tmp_path / "out")
    assert code == 2
    assert "must fit in memory. Received big, which did not." in err
    assert "Translate it in tiles: set --tile to 512, and --format to tiff." in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", SHORT)
def test_evaluation_names_the_image_and_the_size(name, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(KerasEngine, "__call__", raising(SHORT[name]))
    code, _, err = run_cli("evaluate", tiny_run.path, "--split", "val", "--out", tmp_path / "out")
    assert code == 2
    assert "must fit in memory. Received 0, which did not. Set --size to a smaller one, or lower --variants." in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_any_other_command_answers_too(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("tfpix2pix.cli.export.export_run", raising(SHORT["tensorflow"]), raising=False)
    monkeypatch.setattr("tfpix2pix.runs.export.export_run", raising(SHORT["tensorflow"]))
    code, _, err = run_cli("export", tiny_run.path, "--out", tmp_path / "out")
    assert code == 1
    assert err.strip().startswith("Error: The work must fit in the memory of the machine")
    assert len(err.strip().splitlines()) == 1


def test_python_gets_the_same_sentence(combined_dir, tmp_path, quiet, monkeypatch):
    monkeypatch.setattr(Execution, "__call__", raising(SHORT["cuda"]))
    with pytest.raises(RunError, match="must fit in the memory .* with `fresh`"):
        p2p.train(least_config(data={"dir": str(combined_dir)}), run_dir=tmp_path / "run", console=quiet)
    shutil.rmtree(tmp_path / "run")
