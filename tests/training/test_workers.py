"""Several devices and several machines (processes over loopback) train as one does with the same batch."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import make_splits, run_process
from tfpix2pix.errors import UserError
from tfpix2pix.training.checkpoints import Checkpoints
from tfpix2pix.training.cluster import this_worker
from tfpix2pix.training.devices import Devices

SETTINGS = {
    "data.image_size_px": 32, "generator.base_filters": 8, "generator.levels": 3, "discriminator.base_filters": 8,
    "discriminator.receptive_field_px": 16, "training.batch_size": 2, "training.precision": "float32",
    "training.log_every_steps": 2, "training.checkpoint_every_steps": 5, "training.validate_every_steps": 10,
    "training.deterministic_ops": "true",
}  # fmt: skip


def arguments(run_dir: Path, data: Path, *, resume: bool = False, **settings) -> list[str]:
    if resume:
        return ["train", "--run", str(run_dir), "--resume"]
    settings = {**SETTINGS, **{f"training.{name}": value for name, value in settings.items()}}
    flags = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
    return ["train", "facades", "--data", str(data), "--run", str(run_dir), *flags]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def start_workers(command: list[str], count: int = 2) -> list[subprocess.Popen]:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tfpix2pix", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})},
        )
        for i in range(count)
    ]  # fmt: skip


def ends(processes) -> list[tuple[int, str]]:
    outputs = [process.communicate(timeout=240) for process in processes]
    return [(process.returncode, out + err) for process, (out, err) in zip(processes, outputs, strict=True)]


def state_of(run_dir: Path):
    return Checkpoints(run_dir / "checkpoints").load()


def check_equal(first: Path, second: Path, atol: float = 0.0) -> None:
    """All weights and moments; moving averages are of a replica's own statistics and not compared."""
    (step, a), (other, b) = state_of(first), state_of(second)
    assert step == other
    for part in a:
        for name, array in a[part].items():
            if "moving_" not in name:
                np.testing.assert_allclose(b[part][name], array, rtol=0, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("pairs"), train=4, val=2)


@pytest.fixture(scope="module")
def alone(pairs, tmp_path_factory):
    """One process that goes through its batches in two parts: what two replicas do side by side."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    code, _, err = run_process(*arguments(run_dir, pairs, steps=80, micro_batches=2))
    assert code == 0, err
    return run_dir


@pytest.mark.slow
def test_two_workers_are_one_process_bit_for_bit_and_survive_the_death_of_one(alone, pairs, tmp_path):
    run_dir = tmp_path / "run"
    command = arguments(run_dir, pairs, steps=80, strategy="multiworker")
    workers = start_workers(command)
    while len(Checkpoints(run_dir / "checkpoints").steps()) < 1 and workers[0].poll() is None:
        time.sleep(0.02)
    workers[1].kill()
    (code, said), (killed, _) = ends(workers)
    assert killed != 0
    assert code == 1, said
    assert "All workers must stay connected" in said and "Start all of them again with --resume" in said
    assert "Traceback" not in said
    assert state_of(run_dir)[0] < 80
    for code, said in ends(start_workers(arguments(run_dir, pairs, resume=True))):
        assert code == 0, said
    check_equal(alone, run_dir)
    logs = [(path / "metrics.jsonl").read_text().splitlines() for path in (alone, run_dir)]
    logs = [[json.loads(line) for line in log] for log in logs]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
    for a, b in zip(*logs, strict=True):
        assert a.keys() == b.keys()
        assert a.get("g/l1", 0) == pytest.approx(b.get("g/l1", 0), rel=1e-6)


@pytest.mark.parametrize("here", [True, False])
def test_a_refusal_on_one_worker_is_one_on_all(here, monkeypatch):
    monkeypatch.setattr(Devices, "agree", lambda self, wish: True)  # either refuses
    devices = Devices(tf.distribute.get_strategy(), workers=2)

    def check():
        with devices.refusing_together():
            if here:
                raise UserError("changed here")

    with pytest.raises(UserError, match="changed here" if here else "Received a refusal from another worker"):
        check()


def test_a_check_that_all_workers_pass_refuses_nothing():
    with Devices(tf.distribute.get_strategy()).refusing_together():
        pass


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all_at_the_same_step(pairs, tmp_path):
    run_dir = tmp_path / "run"
    workers = start_workers(arguments(run_dir, pairs, steps=5000, strategy="multiworker"))
    while not Checkpoints(run_dir / "checkpoints").steps() and workers[0].poll() is None:
        time.sleep(0.02)
    workers[1].terminate()
    results = ends(workers)
    assert [code for code, _ in results] == [0, 0], results
    step = state_of(run_dir)[0]
    assert all(f"Stopped at step {step}, saved." in said for _, said in results)


# TensorFlow is loaded as the package loads it: with oneDNN or without it, the last digits differ.
MIRRORED = """
import sys
from tfpix2pix.quiet import load_tensorflow
load_tensorflow()
import tensorflow as tf
devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv = ["tfpix2pix", *sys.argv[1:]]
from tfpix2pix.cli import main
main()
"""


def mirrored(command: list[str]) -> str:
    done = subprocess.run([sys.executable, "-c", MIRRORED, *command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_two_devices_of_one_machine_are_one_device_bit_for_bit(alone, pairs, tmp_path):
    said = mirrored([*arguments(tmp_path / "run", pairs, steps=80), "--strategy", "mirrored"])
    assert "2 CPUs, a batch of 2 is 2 × 1" in said
    check_equal(alone, tmp_path / "run")


@pytest.mark.slow
def test_with_statistics_of_all_devices_two_are_one_with_the_whole_batch(pairs, tmp_path):
    """But for the order of sums within a batch: 1e-5 after one step, whose Adam update is 2e-4."""
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    code, _, err = run_process(*arguments(whole, pairs, steps=1))
    assert code == 0, err
    mirrored(arguments(shared, pairs, steps=1, strategy="mirrored", synchronized_norm="true"))
    (_, a), (_, b) = state_of(whole), state_of(shared)
    for part in ("generator_optimizer", "discriminator_optimizer"):
        for name, array in a[part].items():
            if "momentum" in name:  # the gradients, halved: Adam's own steps are their signs
                np.testing.assert_allclose(b[part][name], array, rtol=0, atol=1e-4 * np.abs(array).max(), err_msg=name)


def test_a_batch_that_devices_cannot_share_is_refused(pairs, tmp_path):
    command = [*arguments(tmp_path / "run", pairs, steps=1, batch_size=3), "--strategy", "mirrored"]
    done = subprocess.run([sys.executable, "-c", MIRRORED, *command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert "must be a multiple of 2 for 2 devices. Received 3. Use 4, or fewer devices." in done.stderr
    assert not (tmp_path / "run").exists()


WORKERS = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        (WORKERS, ("worker", 0), (0, 2)),
        (WORKERS, ("worker", 1), (1, 2)),
        ({"chief": ["c:1"], **WORKERS}, ("chief", 0), (0, 3)),
        ({"chief": ["c:1"], **WORKERS}, ("worker", 1), (2, 3)),
    ],
)
def test_the_place_among_workers_is_read_from_tf_config(monkeypatch, cluster, task, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": task[0], "index": task[1]}}))
    assert this_worker("multiworker") == this_worker("auto") == expected
    assert this_worker("one") == (0, 1)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"cluster": {"worker": ["a:1"]}}',
     '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
     '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 7}}',
     '{"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}}'],
)  # fmt: skip
def test_a_tf_config_that_does_not_fit_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG must name all workers and say which one this is. Received"):
        this_worker("multiworker")


def test_without_tf_config_one_machine_is_all_there_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert this_worker("auto") == (0, 1)
    code, _, err = run_process("train", "smoke", "--run", "nowhere", "--strategy", "multiworker")
    assert (code, "TF_CONFIG must name all workers" in err) == (2, True)
    code, _, err = run_process("train", "smoke", "--run", "nowhere", "--strategy", "cloud")
    assert (code, "must be one of: auto, one, mirrored, multiworker" in err) == (2, True)


@pytest.mark.slow
def test_ctrl_c_ends_the_wait_for_others_and_nothing_is_written(tmp_path):
    ports = free_ports(2)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    process = subprocess.Popen(
        [sys.executable, "-m", "tfpix2pix", "train", "smoke", "--run", str(tmp_path / "run")],
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})},
    )  # fmt: skip
    assert process.stderr.readline() == "Worker 0 of 2: waiting for the others of TF_CONFIG.\n"
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) != 0
    assert not (tmp_path / "run").exists()
