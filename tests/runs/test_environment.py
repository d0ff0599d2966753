"""The record of what a run was computed with: what a methods section needs, and nothing that names the machine."""

import json
import platform
import socket
from importlib.metadata import version

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import least_config
from tfpix2pix.errors import UserError
from tfpix2pix.runs import environment
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.environment import EnvironmentRecord
from tfpix2pix.runs.networks import build_generator


def test_a_run_records_versions_system_devices_and_sizes(tmp_path, combined_dir, quiet):
    config = least_config(data={"dir": str(combined_dir)}, training={"steps": 1})
    run = p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    text = (run.path / "environment.json").read_text(encoding="utf-8")
    record = json.loads(text)
    (period,) = record["periods"]
    assert period["from_step"] == 0
    assert {name: period["versions"][name] for name in ("tensorflow", "keras", "numpy", "tfpix2pix")} == {
        **{name: version(name) for name in ("keras", "numpy")}, "tfpix2pix": p2p.__version__,
        "tensorflow": environment.tf.__version__,
    }  # fmt: skip
    assert period["versions"]["python"] == platform.python_version()
    assert period["system"].startswith(platform.system()) and period["cpu"] and period["replicas"] == 1
    assert str(tmp_path) not in text and str(combined_dir) not in text
    assert platform.node() not in [*text.split('"'), *text.split()] and socket.getfqdn() not in text.split('"')
    generator = build_generator(config, seed=None)
    assert record["networks"]["generator"] == {
        "trainable_parameters": sum(np.ones(v.shape).size for v in generator.trainable_variables), "levels": 2,
    }  # fmt: skip
    assert record["networks"]["discriminator"]["trainable_parameters"] > 0
    before = text
    p2p.train(run_dir=run.path, resume=True, overrides=("training.steps=2",), console=quiet)
    assert (run.path / "environment.json").read_text(encoding="utf-8") == before


SIZES = {"generator": {"trainable_parameters": 7, "levels": 2}}


def test_another_environment_adds_a_period_and_the_same_one_none(monkeypatch):
    first = EnvironmentRecord().resumed(0, SIZES, 1)
    assert first.resumed(5, SIZES, 1) == first
    monkeypatch.setattr(environment, "cpu_name", lambda: "another CPU")
    second = first.resumed(5, SIZES, 1)
    assert [(period.from_step, period.cpu == "another CPU") for period in second.periods] == [(0, False), (5, True)]
    assert len(second.resumed(9, SIZES, 2).periods) == 3
    again = second.resumed(3, SIZES, 1)  # from a checkpoint before the second period
    assert [period.from_step for period in again.periods] == [0, 3]
    assert [period.from_step for period in second.resumed(0, SIZES, 1).periods] == [0]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format_version": 2}', b'{"periods": [{"from_step": "x"}]}'])
def test_a_damaged_record_is_said_so(tmp_path, content):
    directory = RunDirectory(tmp_path)
    directory.environment.write_bytes(content)
    with pytest.raises(UserError, match=r"environment\.json must be a whole record .* Move it away to continue"):
        EnvironmentRecord.of(directory)


def test_an_older_run_has_none(tmp_path):
    assert EnvironmentRecord.of(RunDirectory(tmp_path)) == EnvironmentRecord()
