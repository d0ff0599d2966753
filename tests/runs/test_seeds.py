"""`train --seeds`: runs of several seeds in turn, on the same held-out pairs, stopped and continued as one."""

import json
import os
import signal

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined, run_cli, stop_at_call
from tests.runs.test_train import state, without_times
from tfpix2pix.config.resolve import make_config, resolve_config
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import Run, RunDirectory
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.seeds import plan_seeds, run_seeds


@pytest.fixture
def pairs(tmp_path):
    """Twelve pairs without folders of splits: the seed says which are held out."""
    return make_combined(tmp_path / "pairs", count=12)


def settings(pairs, **changes):
    config = least_config(data={"dir": str(pairs)}, training={"steps": 2, "validation_images": 2})
    return {**config.model_dump(mode="json", exclude={"name"}), **changes}


def write(tmp_path, pairs, **changes):
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(settings(pairs, **changes)))
    return path


def held_out(plan):
    return plan.sources["val"].names


# Plans


def test_seeds_count_up_and_all_hold_out_what_the_first_does(tmp_path, pairs):
    plans = plan_seeds(make_config(settings(pairs, seed=5)), tmp_path / "x", 3)
    assert [plan.directory.path.name for plan in plans] == ["x-seed0", "x-seed1", "x-seed2"]
    assert [plan.config.seed for plan in plans] == [5, 6, 7]
    assert {plan.config.data.split_seed for plan in plans} == {5}
    assert [plan.config.name for plan in plans] == ["x-seed0", "x-seed1", "x-seed2"]
    alone = plan_training(make_config(settings(pairs, seed=5)), tmp_path / "alone")
    assert {tuple(held_out(plan)) for plan in plans} == {tuple(held_out(alone))}
    other = plan_training(make_config(settings(pairs, seed=6)), tmp_path / "alone")
    assert held_out(other) != held_out(alone)  # without the fixed seed of the split


def test_a_split_seed_and_a_name_of_the_user_stay(tmp_path, pairs):
    config = settings(pairs, name="mine", data={**settings(pairs)["data"], "split_seed": 9})
    plans = plan_seeds(make_config(config), tmp_path / "x", 2)
    assert [(plan.config.name, plan.config.data.split_seed) for plan in plans] == [("mine-seed0", 9), ("mine-seed1", 9)]
    long = plan_seeds(make_config({**config, "name": "n" * 100}), tmp_path / "x", 1)[0].config
    make_config(long.model_dump(mode="json"))  # still a name


def test_everything_is_checked_before_the_first_begins(tmp_path, pairs):
    directory = RunDirectory(tmp_path / "x-seed2")
    directory.start(make_config(settings(pairs)), fresh=False)
    code, _, error = run_cli("train", write(tmp_path, pairs), "--run", tmp_path / "x", "--seeds", 3)
    assert (code, error.count("\n")) == (2, 1)
    assert f"A run must not overwrite another. Received {directory.path}, which holds a run at step 0 of 2" in error
    assert not (tmp_path / "x-seed0").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--run", "x", "--seeds", 0), "--seeds must be a number of runs from 1. Received 0. Choose another"),
        (("--seeds", 2), "A run directory must be given. Received none. Add --run"),
        (("--run", "..", "--seeds", 2), "--run must end in a name"),
        (("--run", "x", "--seeds", 2, "--resume"), "To resume, --run must be a run directory. Received x-seed0."),
        (("--run", "x", "--seeds", 2, "--set", "seed=2147483647"), "--seeds must end below seed 2147483648"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(tmp_path, arguments, message):
    code, out, error = run_cli("train", "smoke", *arguments, cwd=tmp_path)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_config_takes_no_overrides_and_there_must_be_one(tmp_path):
    with pytest.raises(UserError, match="must go with a preset or a file"):
        plan_seeds(least_config(), tmp_path / "x", 2, overrides=["seed=1"])
    with pytest.raises(UserError, match="A preset or a .yaml file, or `data` for your own pairs, must be given"):
        plan_seeds(None, tmp_path / "x", 2)


def test_several_workers_train_seeds_one_by_one(tmp_path, monkeypatch):
    cluster = {"worker": ["127.0.0.1:9998", "127.0.0.1:9999"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    with pytest.raises(UserError, match="must be trained by one worker. Received 2 workers"):
        plan_seeds("smoke", tmp_path / "x", 2)


def test_a_dry_run_shows_the_names(tmp_path):
    code, out, _ = run_cli("train", "smoke", "--run", "runs/x", "--seeds", 2, "--dry-run", cwd=tmp_path)
    assert code == 0 and list(tmp_path.iterdir()) == []
    assert out.endswith("Runs: 2, of seeds 0, 1, in runs/x-seed0, runs/x-seed1.\n")
    assert "seeds 0, 1.\n" in run_cli("train", "smoke", "--seeds", 2, "--dry-run", cwd=tmp_path)[1]


# Trainings


def test_a_group_is_stopped_continued_and_gives_what_single_runs_do(tmp_path, pairs, quiet, monkeypatch):
    command = ("train", write(tmp_path, pairs), "--run", tmp_path / "x", "--seeds", 2)
    with stop_at_call(monkeypatch, 1):
        code, out, _ = run_cli(*command)
    again = f"tfpix2pix train --run {tmp_path / 'x'} --seeds 2 --resume"
    assert code == 0 and f"x-seed0 at step 1, saved. Continue: {again}\n" in out
    assert not (tmp_path / "x-seed1").exists()
    code, out, error = run_cli(*again.split()[1:])
    assert code == 0, error
    evaluate = [f"tfpix2pix evaluate {tmp_path / f'x-seed{index}'}" for index in (0, 1)]
    compare = f"tfpix2pix compare x={tmp_path / 'x-seed0'} x={tmp_path / 'x-seed1'}"
    assert out.endswith(f"Evaluate and compare: {' && '.join([*evaluate, compare])}\n")
    alone = p2p.train(
        resolve_config(str(command[1]), ["seed=1", "data.split_seed=0"]), run_dir=tmp_path / "alone", console=quiet
    )
    directory = RunDirectory(tmp_path / "x-seed1")
    second = Run(directory, directory.card())
    assert without_times(second) == without_times(alone)
    (_, ours), (_, expected) = state(second), state(alone)
    assert all(np.array_equal(ours[part][name], expected[part][name]) for part in ours for name in ours[part])

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "x-seed0").rglob("*")}
    longer = [*again.split()[1:5], "3", "--resume"]
    code, out, _ = run_cli(*longer)  # a third seed, later
    assert code == 0 and RunDirectory(tmp_path / "x-seed2").config().seed == 2
    assert RunDirectory(tmp_path / "x-seed2").config().name == "x-seed2"
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "x-seed0").rglob("*")}
    for config in ((), command[1:2]):  # its own, or the same file
        code, _, error = run_cli("train", *config, *longer[1:])
        assert (code, error) == (0, "")
    code, _, error = run_cli(*longer, "--set", "data.held_out_fraction=0.5")
    assert code == 2 and "A run must be resumed with its own configuration" in error


def with_stub(monkeypatch, act):
    """`run_seeds` calls `act(plan)` in place of a training."""

    def run(plan, _):
        act(plan)
        return Run(plan.directory, CardOf(plan.config))

    monkeypatch.setattr("tfpix2pix.runs.train.run", run)


class CardOf:
    def __init__(self, config):
        self.config, self.step = config, config.training.steps


def test_sigterm_between_two_trainings_stops_all_and_says_how_to_go_on(tmp_path, pairs, monkeypatch):
    before, begun = signal.getsignal(signal.SIGTERM), []

    def act(plan):
        if begun:
            os.kill(os.getpid(), signal.SIGTERM)
        begun.append(plan)
        plan.directory.start(plan.config, fresh=False)

    with_stub(monkeypatch, act)
    code, out, error = run_cli("train", write(tmp_path, pairs), "--run", tmp_path / "x", "--seeds", 3)
    assert (code, error) == (130, "Interrupted.\n")
    assert out.endswith(f"Stopped. Continue: tfpix2pix train --run {tmp_path / 'x'} --seeds 3 --resume\n")
    assert len(begun) == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_runs_of_minutes_take_the_pace_of_the_first(tmp_path, pairs, monkeypatch):
    training = {**settings(pairs)["training"], "minutes": 1, "steps": 1000}
    plans = plan_seeds(make_config(settings(pairs, training=training)), tmp_path / "x", 3)
    paces = []
    monkeypatch.setattr("tfpix2pix.runs.train.run", lambda plan, _: measured(plan, paces))
    assert len(list(run_seeds(plans))) == 3
    assert paces == [None, 0.25, 0.25]


def measured(plan, paces):
    spec = plan.config.training
    paces.append(spec.seconds_per_step)
    spec = spec.model_copy(update={"seconds_per_step": spec.seconds_per_step or 0.25})
    return Run(plan.directory, CardOf(plan.config.model_copy(update={"training": spec})))


def test_a_folder_that_has_been_filled_meanwhile_is_not_overwritten(tmp_path, pairs, monkeypatch):
    plans = plan_seeds(make_config(settings(pairs)), tmp_path / "x", 2)
    with_stub(monkeypatch, lambda plan: make_combined(tmp_path / "x-seed1"))
    runs = run_seeds(plans)
    next(runs)
    with pytest.raises(UserError, match="A run directory must be new or empty. Received .*x-seed1"):
        next(runs)


def test_pairs_of_a_run_are_released_after_it(tmp_path, pairs, monkeypatch):
    plans = plan_seeds(make_config(settings(pairs)), tmp_path / "x", 2)
    with_stub(monkeypatch, lambda plan: None)
    left = [len(plans) for _ in run_seeds(plans)]
    assert left == [1, 0]
