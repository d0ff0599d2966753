"""`training.minutes`: a limit on time becomes a number of steps, once; from then on the run is one of so many steps."""

import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import yaml
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import make_combined, tiny_config
from tests.runs.test_train import state, without_times
from tests.training.test_workers import free_ports
from tfpix2pix.errors import UserError
from tfpix2pix.runs import steps
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.dry_run import describe
from tfpix2pix.runs.networks import build_model
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.resuming import to_resume
from tfpix2pix.runs.steps import measure_pace
from tfpix2pix.training import loop
from tfpix2pix.training.checkpoints import Checkpoints, get_state

CALL_S = 0.25  # by the clock below
MINUTES = 5.5 * CALL_S / 60  # five steps


class Clock:
    """Goes on by `CALL_S` whenever it is read: so each call takes that long."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += CALL_S
        return self.now_s


class Timed:
    """The real steps, timed by that clock; counts how often a pace was measured."""

    def __init__(self) -> None:
        self.paces: list[float] = []

    def __call__(self, advance, **options) -> float:
        self.paces.append(measure_pace(advance, clock=Clock(), **options))
        return self.paces[-1]


@pytest.fixture
def timed(monkeypatch) -> Timed:
    """In place of the machine's clock."""
    timed = Timed()
    monkeypatch.setattr(steps, "measure_pace", timed)
    return timed


def console() -> Console:
    return Console(file=io.StringIO(), width=400)


def config(folder, **training):
    training = {"steps": 1000, "minutes": MINUTES, "learning_rate_schedule": "cosine", "ema_decay": 0.9, **training}
    return tiny_config(data={"dir": str(folder)}, generator={"levels": 2}, training=training)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    make_combined(folder / "train")
    make_combined(folder / "val", count=2)
    return folder


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """(run, what it said, how often it measured) of a run of minutes that nothing interrupted."""
    said, timed = console(), Timed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "measure_pace", timed)
        run = p2p.train(config(pairs), run_dir=tmp_path_factory.mktemp("whole") / "run", console=said)
    return run, said.file.getvalue(), timed.paces


def equal(first, second) -> bool:
    (step, a), (other, b) = state(first), state(second)
    return step == other and all(np.array_equal(a[part][name], b[part][name]) for part in a for name in a[part])


def test_minutes_become_steps_and_are_recorded(whole):
    run, said, paces = whole
    assert paces == [CALL_S]
    assert run.card.step == 5 and not run.interrupted
    assert "5 steps of 0.25 s fit in 0.0229167 minutes. Samples, validation and checkpoints take extra time." in said
    written = yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8"))["training"]
    assert (written["steps"], written["minutes"], written["seconds_per_step"]) == (5, MINUTES, CALL_S)
    assert run.card.config.training.steps == 5
    assert [line["learning_rate"] for line in without_times(run) if "g/l1" in line][-1] == 0  # it has fallen


def test_a_run_of_minutes_is_the_run_of_its_steps_bit_for_bit(whole, pairs, tmp_path, timed):
    counted = p2p.train(config(pairs, steps=5, minutes=None), run_dir=tmp_path / "run", console=console())
    assert timed.paces == []  # nothing is measured where nothing asks for it
    assert equal(whole[0], counted)
    assert without_times(whole[0]) == without_times(counted)


def test_what_a_run_has_written_is_a_function_of_nothing_but_itself(whole, tmp_path, timed):
    again = p2p.train(str(whole[0].path / "config.yaml"), run_dir=tmp_path / "again", console=console())
    assert timed.paces == []
    assert again.card.config == whole[0].card.config
    assert equal(whole[0], again)


@pytest.mark.slow
def test_an_interrupted_run_of_minutes_goes_on_to_the_same_step(whole, pairs, tmp_path, timed, monkeypatch):
    @contextmanager
    def stopping():
        calls = iter(range(1, 100))
        yield lambda: next(calls) >= 3

    with monkeypatch.context() as patch:
        patch.setattr(loop, "stop_on_signals", stopping)
        stopped = p2p.train(config(pairs), run_dir=tmp_path / "run", console=console())
    assert stopped.interrupted and stopped.card.step == 3
    resumed = p2p.train(config(pairs), run_dir=tmp_path / "run", resume=True, console=console())  # as it was begun
    assert len(timed.paces) == 1
    assert resumed.card.step == 5
    assert equal(whole[0], resumed)


@pytest.mark.parametrize(
    ("most", "expected", "sentence"),
    [
        (1000, 480, "480 steps of 0.25 s fit in 2 minutes. Samples, validation and checkpoints take extra time."),
        (240, 240, "240 steps of 0.25 s take 1 min 00 s, less than 2 minutes. For more, raise training.steps."),
    ],
)
def test_what_the_minutes_hold_is_said(most, expected, sentence, timed):
    said = []
    spec = tiny_config(training={"steps": most, "minutes": 2, "seconds_per_step": CALL_S})
    known = steps.with_steps_of_minutes(spec, None, None, said.append)  # a pace that is given is not measured
    assert (known.training.steps, said, timed.paces) == (expected, [sentence], [])


@pytest.mark.parametrize(
    ("presentable", "most", "sentence"),
    [
        (481, 1000, "from about 481 steps on. Begin again with training.minutes=3 or more, or on a GPU."),
        (4800, 9000, "from about 4,800 steps on. Begin again with training.minutes=20 or more, or on a GPU."),
        (480, 1000, None),  # as many as fit
        (None, 1000, None),  # not known
        (4800, 240, None),  # the minutes hold more than the steps that are asked for
    ],
)
def test_steps_that_are_too_few_for_the_preset_are_said(presentable, most, sentence):
    said = []
    training = {"steps": most, "minutes": 2, "seconds_per_step": CALL_S, "presentable_steps": presentable}
    steps.with_steps_of_minutes(tiny_config(training=training), None, None, said.append)
    assert said[1:] == ([f"These are few: with this preset, pictures can be shown {sentence}"] if sentence else [])


# What resuming takes over, without a training.

BEFORE = tiny_config(training={"steps": 5, "minutes": MINUTES, "seconds_per_step": CALL_S})


def changed(before=BEFORE, **training):
    return before.model_copy(update={"training": before.training.model_copy(update=training)})


def test_resuming_takes_over_the_pace_and_so_the_steps():
    as_begun = changed(steps=1000, seconds_per_step=None)
    assert to_resume(BEFORE, as_begun) == BEFORE
    assert to_resume(BEFORE, BEFORE) == BEFORE


def test_more_minutes_are_more_steps_at_the_same_pace_where_the_rate_stays():
    longer = to_resume(BEFORE, changed(steps=1000, minutes=3 * MINUTES)).training
    assert (longer.steps, longer.seconds_per_step) == (16, CALL_S)
    assert to_resume(BEFORE, changed(steps=1000, minutes=None)).training.steps == 1000
    falling = changed(learning_rate_schedule="cosine")
    with pytest.raises(UserError, match="training.steps 5 -> 16. Leave them out"):
        to_resume(falling, changed(falling, steps=1000, minutes=3 * MINUTES))


def test_minutes_for_a_run_that_has_begun_without_are_refused():
    before = tiny_config()
    with pytest.raises(
        UserError, match="must be given when a run begins, which then measures its pace. Received 10 for a run of 4"
    ):
        to_resume(before, changed(before, minutes=10))


def test_a_finished_run_of_minutes_says_what_lengthens_it(pairs, tmp_path):
    known = config(pairs, steps=5, seconds_per_step=CALL_S, learning_rate_schedule="constant")
    directory, said = RunDirectory(tmp_path / "run"), console()
    directory.start(known, fresh=False)
    Checkpoints(directory.checkpoints).save(5, get_state(build_model(known)))
    p2p.train(run_dir=directory.path, resume=True, console=said)
    assert "is finished: step 5 of 5. To train on, raise training.steps and training.minutes" in said.file.getvalue()
    with pytest.raises(UserError, match="at least the run's 5. Received 1, with 0.005 minutes of 0.25 s a step. Raise"):
        p2p.train(run_dir=directory.path, resume=True, overrides=("training.minutes=0.005",), console=said)


def test_a_run_that_was_lost_before_its_pace_was_known_is_no_run_yet(pairs, tmp_path, monkeypatch):
    def lost(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "measure_pace", lost)
    with pytest.raises(KeyboardInterrupt):
        p2p.train(config(pairs), run_dir=tmp_path / "run", console=console())
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="To resume, `run_dir` must be a run directory"):
        plan_training(None, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.minutes=0", "`training.minutes` must be greater than 0. Received 0."),
        ("training.minutes=-5", "`training.minutes` must be greater than 0. Received -5."),
        ("training.minutes=ten", "`training.minutes` must be a number. Received 'ten'."),
        ("training.minutes=.inf", "`training.minutes` must be a finite number"),
        ("training.seconds_per_step=0", "`training.seconds_per_step` must be greater than 0. Received 0."),
    ],
)
def test_mistakes_are_one_sentence(override, message):
    with pytest.raises(UserError, match=message) as caught:
        p2p.resolve_config("smoke", [override])
    assert "\n" not in str(caught.value)


def test_a_dry_run_says_the_length(pairs):
    said = console()
    said.print(describe(plan_training(config(pairs), None, dry_run=True)))
    assert "Length: 0.0229167 minutes, and at most 1000 steps (the time of a step is" in said.file.getvalue()
    said.print(describe(plan_training(config(pairs, seconds_per_step=CALL_S), None, dry_run=True)))
    assert "Length: 5 steps." in said.file.getvalue()


WORKER = """
import json, os, sys
from tfpix2pix.runs import steps
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]

def measure(advance, *, agree, **options):
    advance(1)
    assert agree(index == 1)
    return (0.25, 0.01)[index]

steps.measure_pace = measure
from tfpix2pix.cli import main
main()
"""


@pytest.mark.slow
def test_workers_train_as_many_steps_as_the_chief_has_measured(tmp_path):
    data = make_combined(tmp_path / "pairs" / "train", count=4).parent
    settings = yaml.safe_load(
        json.dumps(tiny_config(training={"batch_size": 2, "steps": 1000}).model_dump(mode="json"))
    )
    settings["training"].update(minutes=MINUTES, checkpoint_every_steps=1000)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-c", WORKER, "train", tmp_path / "tiny.yaml", "--data", data, "--run", tmp_path / "run"]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = [
        subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})},
        )
        for i in range(2)
    ]  # fmt: skip
    outputs = [worker.communicate(timeout=240)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert "step 5/5" in outputs[0] or "5 steps of 0.25 s fit" in outputs[0]
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))["training"]
    assert (written["steps"], written["seconds_per_step"]) == (5, CALL_S)
