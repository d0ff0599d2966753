"""Killed, damaged, out of disk: a run that goes on ends as one that never was. More: benchmarks/faults.py."""

import os
import random
import re
import shutil
import subprocess
import sys

import pytest
from rich.console import Console

import tfpix2pix as p2p
from benchmarks.faults import SETTINGS, command, differences, finish, kill_at_random
from tests.conftest import make_combined, run_cli, run_process, stop_at_call, tiny_config
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.training.checkpoints import Checkpoints

pytestmark = pytest.mark.slow

SMALL = (*SETTINGS, "generator.base_filters=8", "discriminator.base_filters=8")


def test_killed_at_random_moments_a_run_ends_as_one_that_never_was(tmp_path):
    whole, killed, rng = tmp_path / "whole", tmp_path / "killed", random.Random(1)
    code, _, err = run_cli(*command(whole, 400, SMALL)[3:])
    assert code == 0, err
    moments = [kill_at_random(killed, 400, SMALL, rng) for _ in range(3)]
    assert "finished" not in moments[:2]
    finish(killed, 400, SMALL)
    assert differences(whole, killed) == []
    assert not [path for path in (killed / "checkpoints").iterdir() if path.name.startswith(".")]


def config_of(folder, steps=6, **training):
    return tiny_config(data={"dir": str(folder)}, training={"steps": steps, "ema_decay": 0.9, **training})


DAMAGES = {
    "flipped": lambda file: file.write_bytes(file.read_bytes()[:-9] + b"\0\1\2\3\4\5\6\7\10"),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "deleted": lambda file: file.unlink(),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, quiet_once):
    """A run of 4 steps and one of 6, of the same configuration."""
    folder = tmp_path_factory.mktemp("made")
    make_combined(folder / "pairs" / "train")
    make_combined(folder / "pairs" / "val", count=2)
    for steps in (4, 6):
        p2p.train(config_of(folder / "pairs", steps=steps), run_dir=folder / str(steps), console=quiet_once)
    return folder


@pytest.fixture(scope="module")
def quiet_once():
    return Console(file=open(os.devnull, "w"))


def resumed_copy(runs, tmp_path, console, harm):
    """The run of 4 steps, harmed, resumed to 6."""
    run_dir = tmp_path / "run"
    shutil.copytree(runs / "4", run_dir)
    harm(run_dir / "checkpoints" / "step-000004")
    p2p.train(config_of(runs / "pairs"), run_dir=run_dir, resume=True, console=console)
    return run_dir


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        *((damage, "generator.safetensors") for damage in DAMAGES),
        *((damage, "checkpoint.json") for damage in DAMAGES),
        ("flipped", "notes.json"),
        ("deleted", "training.safetensors"),
    ],
)
def test_a_damaged_newest_checkpoint_costs_one_interval(runs, tmp_path, quiet, damage, file):
    with pytest.warns(UserWarning, match="step-000004 is damaged .*The one before it is tried"):
        run_dir = resumed_copy(runs, tmp_path, quiet, lambda checkpoint: DAMAGES[damage](checkpoint / file))
    assert differences(runs / "6", run_dir) == []
    assert (run_dir / "checkpoints" / "damaged-step-000004").is_dir()  # put aside, for who wants to look
    assert Checkpoints(run_dir / "checkpoints").steps() == [4, 6]


def test_a_deleted_newest_checkpoint_costs_one_interval(runs, tmp_path, quiet):
    assert differences(runs / "6", resumed_copy(runs, tmp_path, quiet, shutil.rmtree)) == []


@pytest.fixture(scope="module")
def logged(tmp_path_factory, quiet_once):
    """A run that logs at steps 4 and 6 and validates at 3 and 6."""
    folder = tmp_path_factory.mktemp("logged")
    make_combined(folder / "pairs" / "train")
    make_combined(folder / "pairs" / "val", count=2)
    config = config_of(folder / "pairs", log_every_steps=4, validate_every_steps=3)
    return p2p.train(config, run_dir=folder / "whole", console=quiet_once)


@pytest.mark.parametrize("stop_at", [3, 5])
def test_an_interruption_between_two_logs_leaves_no_trace_in_the_log(logged, tmp_path, quiet, monkeypatch, stop_at):
    with stop_at_call(monkeypatch, stop_at):
        assert p2p.train(logged.card.config, run_dir=tmp_path / "run", console=quiet).card.step == stop_at
    p2p.train(run_dir=tmp_path / "run", resume=True, console=quiet)
    assert differences(logged.path, tmp_path / "run") == []


def test_how_many_steps_a_call_changes_nothing(combined_dir, tmp_path, quiet):
    for count in (1, 4):
        config = config_of(combined_dir, steps=9, steps_per_execution=count, log_every_steps=3)
        p2p.train(config, run_dir=tmp_path / str(count), console=quiet)
    assert differences(tmp_path / "1", tmp_path / "4") == []


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew_unasked(runs, tmp_path, quiet):
    shutil.copytree(runs / "4", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(p2p.UserError, match="at step 4 and has lost all. Start again with `fresh`"):
        p2p.train(config_of(runs / "pairs"), run_dir=tmp_path / "run", resume=True, console=quiet)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (runs / "4" / "metrics.jsonl").read_text()


def test_without_a_model_card_it_is_said_what_is_missing(runs, tmp_path):
    shutil.copytree(runs / "4", tmp_path / "run")
    (tmp_path / "run" / "model_card.json").unlink()
    with pytest.raises(p2p.UserError, match="must have its model_card.json"):
        p2p.load(tmp_path / "run")
    with pytest.raises(p2p.UserError, match="which has no model_card.json"):
        p2p.export_run(tmp_path / "run", "tflite", tmp_path / "out")


def test_what_killed_processes_left_is_removed(runs, tmp_path, quiet):
    directory = RunDirectory(shutil.copytree(runs / "4", tmp_path / "run"))
    (directory.checkpoints / ".step-000006.123.tfpix2pix-tmp").mkdir()
    p2p.train(config_of(runs / "pairs"), run_dir=directory.path, resume=True, console=quiet)
    assert sorted(path.name for path in directory.checkpoints.iterdir())[0] == "best-000006"


def test_a_run_is_trained_by_one_process_at_a_time(runs, tmp_path, quiet):
    directory = RunDirectory(shutil.copytree(runs / "4", tmp_path / "run"))
    with directory.in_use(), pytest.raises(p2p.UserError, match="by one process.*another process is training"):
        p2p.train(config_of(runs / "pairs"), run_dir=directory.path, resume=True, console=quiet)
    with RunDirectory(directory.path).in_use():
        pass


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 5 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)]
    if os.name != "posix" or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (mount -t tmpfs needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_the_earlier_checkpoints_whole(combined_dir, small_disk, tmp_path, quiet):
    run_dir = small_disk / "run"
    settings = ("training.keep_last=100", "training.checkpoint_every_steps=3", "training.steps=30")
    flags = [flag for setting in (*settings, "training.validation_images=0") for flag in ("--set", setting)]
    code, _, err = run_process("train", "smoke", "--run", run_dir, *flags)
    assert code == 1
    (error,) = re.findall(r"^Error: .*$", err, re.MULTILINE)
    assert "must be written whole. Received: " in error and "No space left on device" in error
    assert "Free space or choose another place, then try again." in error
    assert "Traceback" not in err
    steps = Checkpoints(run_dir / "checkpoints").steps()
    assert steps == list(range(3, 3 * len(steps) + 1, 3)) and steps
    assert {path.name for path in (run_dir / "checkpoints").iterdir()} == {f"step-{step:06d}" for step in steps}
    # With room again the run goes on, to where one that never lacked any comes.
    subprocess.run(["mount", "-o", "remount,size=90m", str(small_disk)], check=True)
    code, _, err = run_process("train", "--run", run_dir, "--resume")
    assert code == 0, err
    code, _, err = run_cli("train", "smoke", "--run", tmp_path / "whole", *flags)
    assert code == 0, err
    assert differences(tmp_path / "whole", run_dir) == []


def test_a_thread_or_two_make_no_difference(tmp_path):
    """Another parallelism, the same run, to the last bit: of a small network, with `deterministic_ops`."""
    for threads in ("1", "2"):
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads,
                       "OMP_NUM_THREADS": threads}  # fmt: skip
        train = [sys.executable, "-m", "tfpix2pix", "train", "smoke", "--run", str(tmp_path / threads)]
        train += ["--set", "training.deterministic_ops=true"]
        subprocess.run(train, check=True, env=environment, capture_output=True)
    assert differences(tmp_path / "1", tmp_path / "2") == []
