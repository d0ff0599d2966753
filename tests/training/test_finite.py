"""Numbers that are not finite stop a run, or take it back to its last good state."""

import json

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import others_slow, tiny_config
from tfpix2pix.errors import RunError
from tfpix2pix.runs.networks import build_model
from tfpix2pix.training import execution
from tfpix2pix.training.checkpoints import Checkpoints
from tfpix2pix.training.health import NotFinite, check_losses, check_weights


def lines(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_losses_are_named_with_the_steps_they_went_wrong_in():
    check_losses(7, {"g/l1": np.array([0.1, 0.2])})
    with pytest.raises(NotFinite, match=r"Received g/gan nan, d/real inf in steps 6 to 8\.") as caught:
        check_losses(
            8,
            {"g/l1": np.ones(4), "g/gan": np.array([0, 0, np.nan, np.nan]), "d/real": np.array([1, np.inf, 1, 1])},
        )
    assert caught.value.step == 8
    with pytest.raises(NotFinite, match=r"g/l1 -inf in step 3\."):
        check_losses(3, {"g/l1": np.array([-np.inf])})


@pytest.mark.parametrize(("network", "value"), [("generator", np.nan), ("discriminator", -np.inf)])
def test_weights_are_looked_at_too(network, value):
    model = build_model(tiny_config())
    check_weights(model, 5)
    kernel = getattr(model, network).trainable_variables[0]
    broken = kernel.numpy()
    broken.flat[3] = value
    kernel.assign(broken)
    with pytest.raises(NotFinite, match=f"Received others in the {network} after step 5"):
        check_weights(model, 5)


@pytest.fixture
def poison(monkeypatch):
    """`poison(step, times)`: a weight is nan when that step begins, so many times."""

    def plant(step, times=1):
        left, plain = [times], execution.Execution.__call__

        def call(self, count):
            model = self.step.__self__
            if left[0] and int(model.step) <= step - 1 < int(model.step) + count:
                left[0] -= 1
                weight = model.generator.trainable_variables[0]
                weight.assign(np.full(weight.shape, np.nan, np.float32))
            return plain(self, count)

        monkeypatch.setattr(execution.Execution, "__call__", call)

    return plant


def config_of(folder, **training):
    return tiny_config(data={"dir": str(folder)}, training={"steps": 8, **training})


def test_a_run_stops_and_says_which_losses_and_where_it_is_back(combined_dir, tmp_path, quiet, poison, tiny_run):
    poison(step=3)
    config = config_of(combined_dir, steps=4, batch_size=2, checkpoint_every_steps=1)
    with pytest.raises(
        RunError, match=r"Received g/total nan.* in step 3\. The run is saved as of step 2\. To continue at half"
    ):
        p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [1, 2]
    assert lines(tmp_path / "run")[-1]["finding"] == "not_finite"
    # The fault was in this process alone: from its last good state the run ends as one without it.
    resumed = p2p.train(run_dir=tmp_path / "run", resume=True, console=quiet)
    states = [Checkpoints(run.directory.checkpoints).load()[1] for run in (resumed, tiny_run)]
    assert resumed.card.step == tiny_run.card.step
    for part, arrays in states[0].items():
        assert all(np.array_equal(array, states[1][part][name]) for name, array in arrays.items())
    assert "not_finite" not in {line.get("finding") for line in lines(tmp_path / "run")}


@pytest.mark.parametrize(("step", "back_at"), others_slow([(5, 4), (2, 0)], (2, 0)))
def test_a_run_goes_on_at_half_the_rate_where_it_may(combined_dir, tmp_path, quiet, poison, step, back_at):
    poison(step)
    config = config_of(combined_dir, on_non_finite="halve_learning_rate")
    run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert run.card.step == 8
    (finding,) = [line for line in lines(run.path) if "finding" in line]
    assert (finding["step"], finding["finding"]) == (back_at, "not_finite")
    assert f"Restored step {back_at}, and continues at 0.5 times the learning rate" in finding["text"]
    rates = {line["step"]: line["learning_rate"] for line in lines(run.path) if "learning_rate" in line}
    assert rates == {s: (1e-4 if s > back_at else 2e-4) for s in (2, 4, 6, 8)}
    steps = [line["step"] for line in lines(run.path) if "g/l1" in line]
    assert steps == [2, 4, 6, 8]
    assert len([line for line in lines(run.path) if line["step"] == 0 and "val/l1" in line]) == 1
    state = Checkpoints(run.directory.checkpoints).load()[1]
    assert float(state["training"]["learning_rate_factor"]) == 0.5
    assert all(np.isfinite(array).all() for part in state.values() for array in part.values())


@pytest.mark.slow
def test_what_does_not_get_better_ends(combined_dir, tmp_path, quiet, poison):
    poison(step=5, times=100)
    with pytest.raises(RunError, match="Halving the learning rate did not help: lower training"):
        p2p.train(config_of(combined_dir, on_non_finite="halve_learning_rate"), run_dir=tmp_path / "run", console=quiet)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [2, 4]


def test_weights_that_are_not_finite_are_never_saved(combined_dir, tmp_path, quiet, monkeypatch):
    """Broken by the very step after which a checkpoint is due, when losses are still fine."""
    plain = execution.Execution.__call__

    def call(self, count):
        losses = plain(self, count)
        model = self.step.__self__
        if int(model.step) == 4:
            weight = model.discriminator.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.inf, np.float32))
        return losses

    monkeypatch.setattr(execution.Execution, "__call__", call)
    with pytest.raises(RunError, match=r"others in the discriminator after step 4\. The run is saved as of step 2"):
        p2p.train(config_of(combined_dir), run_dir=tmp_path / "run", console=quiet)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [2]
