"""A run starts from the weights of an earlier run: what fits is taken, what does not is named."""

import shutil

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import make_combined, run_cli, tiny_config
from tests.runs.test_train import tree
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.networks import build_model
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.start_from import identity_of, start_from, with_start
from tfpix2pix.training.checkpoints import Checkpoints, get_state

SCHEDULE = {"ema_decay": 0.5, "steps": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quiet):
    """A folder with `data` of four pairs and `run`, trained on them for two steps with an average."""
    folder = tmp_path_factory.mktemp("trained")
    make_combined(folder / "data" / "train", count=4)
    make_combined(folder / "data" / "val", count=1)
    p2p.train(config(folder), run_dir=folder / "run", console=quiet)
    return folder


def config(folder, *, generator=None, data=None, **training):
    return tiny_config(
        data={"dir": str(folder / "data"), **(data or {})}, generator=generator or {}, training={**SCHEDULE, **training}
    )


def from_run(folder, **changes):
    return config(folder, start_from=str(folder / "run"), **changes)


@pytest.fixture(scope="module")
def started(trained, tmp_path_factory, quiet):
    """A run of two steps that started from that run's weights. Read it."""
    path = tmp_path_factory.mktemp("started") / "run"
    return p2p.train(from_run(trained, steps=2), run_dir=path, console=quiet)


def state_of(run):
    return Checkpoints(RunDirectory(run).checkpoints).load()[1]


def equal(these, those):
    assert these.keys() == those.keys()
    return all(np.array_equal(these[name], those[name]) for name in these)


class TestWeights:
    def test_both_networks_start_with_the_runs_weights_and_optimisers_start_anew(self, trained):
        model, before = build_model(config(trained, steps=9)), state_of(trained / "run")
        fresh = get_state(model)
        said = start_from(model, RunDirectory(trained / "run"))
        now = get_state(model)
        assert equal(now["generator"], before["average"])  # what the run translates with
        assert equal(now["average"], before["average"])
        assert not equal(before["average"], before["generator"])
        assert equal(now["discriminator"], before["discriminator"])
        for part in ("generator_optimizer", "discriminator_optimizer", "training"):
            assert equal(now[part], fresh[part])
        assert said == (
            f"The generator starts with all {len(now['generator'])} arrays of run, step 2.",
            f"The discriminator starts with all {len(now['discriminator'])} arrays of run, step 2.",
        )

    def test_a_run_of_twice_the_size_takes_all_if_its_levels_are_the_same(self, trained):
        model = build_model(config(trained, data={"image_size_px": 64}, generator={"levels": 3}))
        said = start_from(model, RunDirectory(trained / "run"))
        assert "starts with all" in said[0]
        assert equal(get_state(model)["generator"], state_of(trained / "run")["average"])

    def test_another_level_is_new_and_is_named(self, trained):
        wider = config(trained, data={"image_size_px": 64}, generator={"levels": 4})  # in place of 3
        model = build_model(wider)
        fresh, before = get_state(model)["generator"], state_of(trained / "run")["average"]
        said = start_from(model, RunDirectory(trained / "run"))[0]
        now = get_state(model)["generator"]
        taken = [name for name in now if name in before and now[name].shape == before[name].shape]
        assert all(np.array_equal(now[name], before[name]) for name in taken)
        assert all(np.array_equal(now[name], fresh[name]) for name in now.keys() - taken)
        assert f"starts with {len(taken)} of {len(now)} arrays of run, step 2; new here: " in said
        assert "up4" in said

    def test_an_import_has_no_discriminator_and_needs_none(self, trained, tmp_path):
        run = tmp_path / "run"
        shutil.copytree(trained / "run", run)
        step = RunDirectory(run).checkpoints / "step-000002"
        state = {"average": state_of(run)["average"]}
        shutil.rmtree(step)
        Checkpoints(RunDirectory(run).checkpoints).save(2, state)
        model = build_model(config(trained))
        fresh = get_state(model)["discriminator"]
        said = start_from(model, RunDirectory(run))
        assert said[1] == "The discriminator is new: run, step 2 has none that fits."
        assert equal(get_state(model)["discriminator"], fresh)

    def test_another_width_is_refused_in_one_sentence_and_nothing_is_written(self, trained, tmp_path, quiet):
        run = tmp_path / "wide"
        with pytest.raises(UserError, match=r"which fits \d+ of these \d+ arrays: \S+ has shape .* there and .* here"):
            p2p.train(from_run(trained, generator={"base_filters": 16}), run_dir=run, console=quiet)
        assert not run.exists()


class TestRuns:
    def test_the_configuration_records_the_weights_and_the_first_sample_is_theirs(self, trained, started):
        identity = identity_of(RunDirectory(trained / "run"))
        assert started.card.config.training.started_from == identity
        assert identity.startswith("run, step 2, sha256 ")
        earlier = RunDirectory(trained / "run").card().metrics["trained"]
        assert started.card.metrics["untrained"] == pytest.approx(earlier, rel=1e-5)

    def test_it_resumes_to_the_bit_without_the_earlier_run(self, trained, tmp_path, quiet):
        shutil.copytree(trained / "run", tmp_path / "coarse")
        spec = config(trained, start_from=str(tmp_path / "coarse"), steps=4)
        whole = p2p.train(spec, run_dir=tmp_path / "whole", console=quiet)
        shutil.copytree(whole.path, tmp_path / "half")
        half = RunDirectory(tmp_path / "half")
        shutil.rmtree(half.checkpoints / "step-000004")
        half.write_card(whole.card.model_copy(update={"step": 2}))
        shutil.rmtree(tmp_path / "coarse")
        p2p.train(run_dir=half.path, resume=True, console=quiet)
        ours, theirs = state_of(half.path), state_of(whole.path)
        assert all(equal(ours[part], theirs[part]) for part in theirs)

    def test_a_run_without_a_checkpoint_starts_from_the_same_weights_again(self, started, tmp_path, quiet):
        first = state_of(started.path)
        run = RunDirectory(shutil.copytree(started.path, tmp_path / "run"))
        shutil.rmtree(run.checkpoints)
        run.write_card(started.card.model_copy(update={"step": 0}))
        p2p.train(run_dir=run.path, resume=True, console=quiet)
        again = state_of(run.path)
        assert all(equal(again[part], first[part]) for part in first)

    def test_other_weights_than_the_recorded_ones_are_refused(self, trained):
        spec = from_run(trained, started_from="pix2pix, step 1, sha256 0123456789abcdef")
        with pytest.raises(UserError, match="must start from the weights that its configuration records"):
            with_start(spec)

    def test_an_export_has_the_identity_and_no_path(self, started, tmp_path):
        path = p2p.export_run(started.path, format="keras", out=tmp_path / "out").path
        training = p2p.load(path).card.config.training
        assert (training.start_from, training.started_from) == (None, started.card.config.training.started_from)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "`training.start_from` must be a run directory. Received .*nowhere. Give a run that was"),
        (lambda path: path.write_text("x"), "`training.start_from` must be a run directory"),
        (lambda path: RunDirectory(path).start(tiny_config(), fresh=False), "must hold a checkpoint. Received none"),
    ],
    ids=["missing", "a file", "untrained"],
)
def test_what_is_no_trained_run_is_refused_before_tensorflow_and_nothing_is_written(trained, tmp_path, make, message):
    path = tmp_path / "nowhere"
    make(path)
    before = tree(tmp_path)
    with pytest.raises(UserError, match=message):
        plan_training(config(trained, start_from=str(path)), tmp_path / "run")
    assert tree(tmp_path) == before


def test_the_command_refuses_in_the_same_words(trained, tmp_path):
    code, _, error = run_cli(
        "train", "smoke", "--data", trained / "data", "--run", tmp_path / "run",
        "--set", f"training.start_from={tmp_path / 'x'}",
    )  # fmt: skip
    assert code == 2
    assert "`training.start_from` must be a run directory" in error
