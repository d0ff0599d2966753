"""Apache Beam: the bytes of one process by several workers, also past a kill, and its options."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import tfpix2pix as p2p
from tests.conftest import make_splits, run_cli
from tests.inference.test_job import content, pictures, times
from tfpix2pix.errors import RunError
from tfpix2pix.inference import job
from tfpix2pix.inference.batching import GROUP
from tfpix2pix.inference.files import translate_files

DIRECT = ("--engine", "beam", "--engine-option", "runner=DirectRunner")
SMALL = ("--set", "data.image_size_px=32")
PROCESSES = (
    "--engine-option", "direct_running_mode=multi_processing", "--engine-option", "direct_num_workers=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def beam():
    """The module, where Apache Beam is installed."""
    pytest.importorskip("apache_beam", reason="it needs tfpix2pix[beam]")
    from tfpix2pix import beam

    return beam


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("images"), GROUP + 3)


def test_the_command_writes_the_bytes_of_one_process(beam, tiny_run, images, tmp_path):
    (images / "004.png").write_text("no image")
    here, there = (
        run_cli("translate", tiny_run.path, images, "--out", tmp_path / name, *options)
        for name, options in (("here", ()), ("there", DIRECT))
    )
    assert here[0] == there[0] == 2
    assert there[2].replace("there", "here") == here[2] and "004.png" in here[2] and f"other {GROUP + 2} of" in here[2]
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert len(content(tmp_path / "here")) == GROUP + 2
    assert sorted(path.name for path in (tmp_path / "there" / job.FOLDER).iterdir()) == ["inputs.jsonl", "job.json"]


def test_every_part_is_answered_once_in_order(beam, tmp_path):
    assert beam.run(_squares, range(20), ["direct_num_workers=2"], tmp_path) == [n * n for n in range(20)]
    assert list(tmp_path.iterdir()) == []


def test_answers_of_a_killed_pipeline_are_left_out(beam, tmp_path):
    (tmp_path / "answers-00000-of-00002").write_text(json.dumps({"part": 1, "answer": 7}) + "\n")
    (tmp_path / "beam-temp-answers-x").mkdir()
    assert beam.run(_squares, [1, 2], [], tmp_path) == [1, 4]
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_that_fails_is_one_sentence(beam, tmp_path):
    with pytest.raises(RunError, match=r"must run to its end\. Received: .*by zero\. Look at the workers' l"):
        beam.run(_failing, [0, 1], [], tmp_path)
    with pytest.raises(RunError, match="must run to its end. Received: .*runner"):
        beam.run(_squares, [1], ["runner=NoSuchRunner"], tmp_path)


def _squares():
    return lambda number: number * number


def _failing():
    return lambda number: 1 // number


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("direct_num_worker=2", "Received 'direct_num_worker'. Did you mean 'direct_num_workers'?"),
        ("direct_num_workers=two", "Received argument --direct_num_workers: invalid int value: 'two'"),
        ("--runner=DirectRunner", "must be KEY=VALUE. Received '--runner=DirectRunner'"),
        ("direct_running_mode=processes", "Received argument --direct_running_mode: invalid choice: 'processes'"),
    ],
)
def test_options_that_beam_does_not_have(beam, tiny_run, images, tmp_path, option, message):
    code, _, err = run_cli(
        "translate", tiny_run.path, images, "--out", tmp_path / "out", *DIRECT, "--engine-option", option
    )
    assert code == 2 and message in err and "--engine-option" in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_options_of_a_job_server_are_passed_on(beam):
    options = beam.options_of(["runner=FlinkRunner", "flink_master=host:8081", "parallelism=4", "of_the_server=1"])
    values = options.get_all_options(retain_unknown_options=True)
    expected = {"runner": "FlinkRunner", "flink_master": "host:8081", "parallelism": 4, "of_the_server": "1"}
    assert {key: values[key] for key in expected} == expected
    assert not values["allow_unsafe_triggers"]


def test_the_direct_runner_stays_in_python(beam):
    """With a pipeline that Prism could run, Beam would download it."""
    assert beam.options_of([]).get_all_options()["allow_unsafe_triggers"]
    assert beam.options_of(["runner=DirectRunner"]).get_all_options()["allow_unsafe_triggers"]


def test_a_missing_extra_is_one_sentence(tiny_run, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "tfpix2pix.beam", raising=False)
    code, _, err = run_cli("translate", tiny_run.path, images, "--out", tmp_path / "out", *DIRECT)
    assert code == 2
    assert "--engine beam needs Apache Beam" in err and "pip install 'tfpix2pix[beam]'" in err


def test_a_server_is_refused(beam, images, tmp_path):
    code, _, err = run_cli("translate", "name", images, "--out", tmp_path / "out", "--server", "localhost:1", *DIRECT)
    assert code == 2
    assert "--engine beam must go with a model on this machine. Received it with --server" in err


def test_shards_are_those_of_one_process(beam, tmp_path):
    make_splits(tmp_path / "pairs", train=3, val=2)
    for name, options in (("here", ()), ("there", DIRECT)):
        code, out, err = run_cli("data", "shard", tmp_path / "pairs", "--out", tmp_path / name, *SMALL, *options)
        assert code == 0 and "3 pairs in train, 2 pairs in val" in out, err
    assert content(tmp_path / "there") == content(tmp_path / "here") and len(content(tmp_path / "here")) == 3


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on_by_other_workers(beam, tiny_run, tmp_path):
    """Two processes, killed with their driver when a part of the images is there; then the same command again."""
    images = pictures(tmp_path / "images", 20 * GROUP + 5)
    here, there = tmp_path / "here", tmp_path / "there"
    translate_files(p2p.load(tiny_run.path), [images], out=here)
    command = [sys.executable, "-m", "tfpix2pix", "translate", tiny_run.path, images, "--out", there]
    command = [*map(str, command), *DIRECT, *PROCESSES]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    while len(times(there)) < 2 * GROUP and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.1)
    done = times(there)
    assert 2 * GROUP <= len(done) < 20 * GROUP
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(done)} of {20 * GROUP + 5} images were translated before by the same job" in again.stderr
    after = times(there)
    assert {name: after[name] for name in done} == done
    assert content(there) == content(here) and len(after) == 20 * GROUP + 5
    once_more = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{20 * GROUP + 5} translated into {there}" in once_more.stdout and times(there) == after
