"""A state comes back bit for bit; a damaged or foreign one is noticed."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_config
from tests.training.test_pix2pix import data
from tfpix2pix.errors import RunError, UserError
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training.checkpoints import Checkpoints, assign, get_state, holding, set_state, state_variables


def trained(steps=2, **changes):
    model = build_model(tiny_config(**changes))
    step = tf.function(model.train_step, autograph=False)
    for _ in range(steps):
        step(data())
    return model


def equal(a, b):
    return all(np.array_equal(a[part][name], b[part][name]) for part in a for name in a[part])


def test_everything_that_trains_is_state():
    """Nothing that a step changes is missing: a restored model takes the same next steps, bit for bit."""
    first = trained(2)
    second = build_model(tiny_config(seed=5))
    second.noise_key = first.noise_key  # the seed is configuration, not state
    set_state(second, get_state(first))
    for model in (first, second):
        step = tf.function(model.train_step, autograph=False)
        for _ in range(3):
            step(data())
    assert equal(get_state(first), get_state(second))


def test_a_model_holds_another_state_for_a_while_and_then_its_own_bit_for_bit():
    model, other = trained(1), build_model(tiny_config(seed=5))
    before, kept = get_state(model), get_state(other, ("generator", "discriminator"))

    def stopped_inside():
        with holding(model, get_state(other, tuple(kept))):
            assert equal(kept, get_state(model))
            assert int(model.step) == 1  # of the parts that are not named nothing changes
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped_inside()
    assert equal(before, get_state(model))


def test_save_and_load(tmp_path):
    model, checkpoints = trained(), Checkpoints(tmp_path / "checkpoints")
    path = checkpoints.save(2, get_state(model))
    assert path.name == "step-000002"
    step, state = checkpoints.load()
    assert step == 2
    assert equal(state, get_state(model))
    assert {variable.dtype for part in state.values() for variable in part.values()} <= {
        np.dtype(t) for t in ("float32", "int64", "int32")
    }
    assert set(checkpoints.load(["generator"])[1]) == {"generator"}


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    for step in (10, 20, 100):
        checkpoints.save(step, {"a": {"x": np.zeros(1)}})
    assert checkpoints.steps() == [20, 100]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000020", "step-000100"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"a": {"x": np.full(100, step, np.float32)}})
    file = tmp_path / "step-000002" / "a.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.unlink() if damage == "delete" else file.write_bytes(content[:-9] if damage == "truncate" else content)
    with pytest.warns(UserWarning, match="step-000002 is damaged"):
        step, state = checkpoints.load()
    assert step == 1
    assert (state["a"]["x"] == 1).all()


@pytest.mark.parametrize("name", ["../other/a.safetensors", "/elsewhere/a.safetensors"])
def test_a_checkpoint_that_names_files_elsewhere_is_damaged(tmp_path, name):
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.save(1, {"a": {"x": np.zeros(1)}})
    manifest = path / "checkpoint.json"
    manifest.write_text(manifest.read_text().replace("a.safetensors", name))
    with pytest.warns(UserWarning, match="names files elsewhere"), pytest.raises(RunError, match="damaged"):
        checkpoints.load()


def test_none_and_only_damaged_ones_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="must hold a checkpoint. Received none"):
        Checkpoints(tmp_path / "nothing").load()
    Checkpoints(tmp_path).save(1, {"a": {"x": np.zeros(1)}})
    (tmp_path / "step-000001" / "a.safetensors").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="It is the earliest one"),
        pytest.raises(RunError, match="Every checkpoint .* is damaged"),
    ):
        Checkpoints(tmp_path).load()


def test_a_full_disk_leaves_the_earlier_checkpoint_and_is_one_sentence(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from tfpix2pix.training import checkpoints as module

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": {"x": np.zeros(1)}})

    def full(arrays, path):
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(RunError, match="step-000002 must be written whole. Received: No space left on device"):
        checkpoints.save(2, {"a": {"x": np.zeros(1)}})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    Checkpoints(tmp_path).save(1, {"a": {"x": np.zeros(1)}})
    (tmp_path / ".step-000002.123.tmp").mkdir()
    (tmp_path / "step-000003").mkdir()
    assert Checkpoints(tmp_path).steps() == [1]


def test_a_foreign_checkpoint_is_refused_by_its_first_difference():
    model, wider = trained(0), trained(0, generator={"base_filters": 16})
    variables = state_variables(model)["generator"]
    with pytest.raises(UserError, match=r"down1/kernel has shape \(4, 4, 3, 8\) here and \(4, 4, 3, 16\) in the"):
        assign(variables, get_state(wider)["generator"], "generator")
    with pytest.raises(UserError, match="has shape None here"):
        assign(variables, {**get_state(model)["generator"], "zzz": np.zeros(1)}, "generator")
