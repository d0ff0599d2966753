"""Trackers of experiments: what they are told, what a resume continues, and that they never stop a training.

The packages are stand-ins with the signatures of the real ones, which record their calls.
"""

import importlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tfpix2pix as p2p
from tests.conftest import least_config, run_cli, stop_at_call
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.training import TRACKERS, Tracking
from tfpix2pix.training.trackers import Trackers, check_installed

WANDB = """
calls = []
class Settings:
    def __init__(self, *, console="auto", disable_code=False, disable_git=False, host=None, save_code=None,
                 x_disable_machine_info=False, x_disable_meta=False, x_disable_stats=False, x_save_requirements=True):
        self.silent = {name: value for name, value in locals().items() if name != "self"}
class Image:
    def __init__(self, data_or_path):
        self.shape = data_or_path.shape
class Run:
    def __init__(self, id): self.id = id
    def log(self, data, step=None, commit=None): calls.append(("log", data, step))
    def finish(self, exit_code=None, quiet=None): calls.append(("finish", exit_code))
def init(entity=None, project=None, dir=None, id=None, name=None, config=None, reinit=None, resume=None, settings=None):
    calls.append(("init", dict(locals())))
    return Run(id or "w1")
"""
MLFLOW = """
from types import SimpleNamespace
calls, experiments = [], {}
class MlflowClient:
    def __init__(self, tracking_uri=None, registry_uri=None): pass
    def get_experiment_by_name(self, name): return experiments.get(name)
    def create_experiment(self, name, artifact_location=None, tags=None):
        experiments[name] = SimpleNamespace(experiment_id="7")
        return "7"
    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        calls.append(("create", experiment_id, tags, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="m1"))
    def update_run(self, run_id, status=None, name=None): calls.append(("update", run_id, status))
    def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
        assert len(params) <= 100
        calls.append(("params", {p.key: p.value for p in params}) if params else
                     ("log", run_id, {m.key: m.value for m in metrics}, {m.step for m in metrics}))
    def log_image(self, run_id, image, artifact_file=None, key=None, step=None, timestamp=None, synchronous=None):
        calls.append(("image", run_id, image.dtype.name, artifact_file))
    def set_terminated(self, run_id, status=None, end_time=None): calls.append(("end", run_id, status))
"""
ENTITIES = """
class Metric:
    def __init__(self, key, value, timestamp, step): self.key, self.value, self.step = key, value, step
class Param:
    def __init__(self, key, value): self.key, self.value = key, value
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """The stand-ins, installed for a test: `packages("wandb").calls`."""
    files = {"wandb/__init__.py": WANDB, "mlflow/__init__.py": MLFLOW, "mlflow/entities.py": ENTITIES}
    for name, text in files.items():
        path = tmp_path / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("wandb", "mlflow", "mlflow.entities"):
        monkeypatch.setitem(sys.modules, name, None)  # what is imported in the test is dropped after it
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path / "packages")
    for variable in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return importlib.import_module


def use(trackers: Trackers, status: str) -> None:
    trackers.begin("x", {"seed": 3, "training.learning_rate": 2e-4, "recipe": None})
    trackers.log(20, {"g/l1": 0.5})
    trackers.image(20, "samples", np.zeros((8, 9, 3), np.uint8))
    trackers.finish(status)
    trackers.log(40, {"g/l1": 0.25})  # after its end: nothing


def test_wandb_is_told_and_continued_by_its_id(tmp_path, packages):
    for status in ("interrupted", "finished"):
        use(Trackers(["wandb"], tmp_path / "trackers.json"), status)
    calls = packages("wandb").calls
    assert [call[0] for call in calls] == ["init", "log", "log", "finish"] * 2
    first, again = calls[0][1], calls[4][1]
    assert (first["project"], first["name"], first["dir"]) == ("tfpix2pix", "x", str(tmp_path))
    assert first["config"] == {"seed": 3, "training.learning_rate": 2e-4, "recipe": None}
    assert (first["id"], again["id"], again["resume"]) == (None, "w1", "allow")
    assert calls[1] == ("log", {"g/l1": 0.5}, 20)
    assert (calls[2][1]["samples"].shape, calls[2][2]) == ((8, 9, 3), 20)
    assert (calls[3], calls[7]) == (("finish", 255), ("finish", 0))
    assert json.loads((tmp_path / "trackers.json").read_text()) == {"wandb": "w1"}


def test_wandb_sends_nothing_of_the_machine(tmp_path, packages):
    use(Trackers(["wandb"], tmp_path / "trackers.json"), "finished")
    silent = packages("wandb").calls[0][1]["settings"].silent
    assert silent == {
        "console": "off", "host": "", "disable_code": True, "disable_git": True, "save_code": False,
        "x_disable_machine_info": True, "x_disable_meta": True, "x_disable_stats": True, "x_save_requirements": False,
    }  # fmt: skip


def test_mlflow_is_told_and_continued_by_its_id(tmp_path, packages):
    for status in ("interrupted", "finished"):
        use(Trackers(["mlflow"], tmp_path / "trackers.json"), status)
    log, image = ("log", "m1", {"g/l1": 0.5}, {20}), ("image", "m1", "uint8", "samples/step-000020.png")
    assert packages("mlflow").calls == [
        ("create", "7", None, "x"),  # no tags, such as the user's name
        ("params", {"seed": "3", "training.learning_rate": "0.0002", "recipe": "None"}),
        log, image, ("end", "m1", "KILLED"),
        ("update", "m1", "RUNNING"), log, image, ("end", "m1", "FINISHED"),
    ]  # fmt: skip
    assert packages("mlflow").experiments.keys() == {"tfpix2pix"}


def test_many_parameters_go_in_several_calls_and_long_ones_are_cut(tmp_path, packages):
    trackers = Trackers(["mlflow"], tmp_path / "trackers.json")
    trackers.begin("x", {f"key{number}": "v" * 600 for number in range(150)})
    sent = [call[1] for call in packages("mlflow").calls if call[0] == "params"]
    assert [len(values) for values in sent] == [100, 50]
    assert set(sent[0].values()) == {"v" * 500}


def test_the_variables_of_the_packages_name_project_and_experiment(tmp_path, packages, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    use(Trackers(["wandb", "mlflow"], tmp_path / "trackers.json"), "finished")
    assert packages("wandb").calls[0][1]["project"] == "mine"
    assert packages("mlflow").experiments.keys() == {"ours"}


# Failures


class Faulty:
    """A tracker that fails in one of its calls."""

    def __init__(self, call: str) -> None:
        self.call, self.calls = call, []

    def __getattr__(self, name: str):
        def act(*_):
            self.calls.append(name)
            if name == self.call:
                raise ConnectionError("the network is down\nand more")
            return "f1"

        return act


@pytest.mark.parametrize(
    ("call", "before", "ids"),
    [
        ("begin", ["begin"], {}),
        ("log", ["begin", "log"], {"faulty": "f1"}),
        ("image", ["begin", "log", "image"], {"faulty": "f1"}),
        ("finish", ["begin", "log", "image", "finish"], {"faulty": "f1"}),
    ],
)
def test_a_tracker_that_fails_is_named_once_and_switched_off(tmp_path, packages, monkeypatch, call, before, ids):
    faulty, file = Faulty(call), tmp_path / "trackers.json"
    monkeypatch.setitem(TRACKERS, "faulty", Tracking(lambda: faulty))
    with pytest.warns(UserWarning, match="faulty of .* is switched off: the network is down. The training") as warned:
        use(Trackers(["faulty", "wandb"], file), "finished")
    assert len(warned) == 1
    assert faulty.calls == before
    assert [name for name, *_ in packages("wandb").calls] == ["init", "log", "log", "finish"]  # as without the other
    assert json.loads(file.read_text()) == {**ids, "wandb": "w1"}


def test_a_damaged_file_of_ids_begins_anew(tmp_path, packages):
    (tmp_path / "trackers.json").write_text("[1")
    with pytest.warns(UserWarning, match="trackers.json is damaged"):
        use(Trackers(["wandb"], tmp_path / "trackers.json"), "finished")
    assert packages("wandb").calls[0][1]["id"] is None


def test_a_missing_package_is_one_sentence_before_anything_is_written(tmp_path, combined_dir, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = ["train", "smoke", "--run", "run", "--set", "training.trackers=[wandb]"]
    code, _, error = run_cli(*arguments, cwd=tmp_path)
    assert code == 2 and not (tmp_path / "run").exists()
    assert error == (
        "Error: The tracker wandb needs the package wandb. Received no module wandb. Install it with pip install "
        "'tfpix2pix[wandb]', or leave wandb out of `training.trackers`.\n"
    )


def test_a_folder_of_the_package_s_name_is_not_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(origin=None))
    with pytest.raises(UserError, match="no module mlflow"):
        check_installed(["mlflow"])


def test_other_workers_need_no_package(tmp_path, monkeypatch):
    cluster = {"worker": ["127.0.0.1:9998", "127.0.0.1:9999"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plan_training(least_config(training={"trackers": ["wandb"]}), tmp_path / "run")
    assert Trackers().active == {}  # what they report to


def test_unknown_trackers_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"must be one of: wandb, mlflow\. Received 'wadnb'\. Did you mean 'wandb'"):
        least_config(training={"trackers": ["wadnb"]})


def test_a_plan_imports_no_tracker(tmp_path, packages):
    code = """
import sys
from tfpix2pix.runs.plan import plan_training
plan_training("smoke", "run", overrides=["training.trackers=[wandb, mlflow]"])
assert not {"wandb", "mlflow"} & sys.modules.keys()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "packages"), *sys.path])},
    )  # fmt: skip
    assert done.stderr == ""


# Trainings


def test_a_run_is_tracked_and_a_resume_continues_it(combined_dir, tmp_path, packages, quiet, monkeypatch):
    config = least_config(
        data={"dir": str(combined_dir)}, training={"steps": 4, "log_every_steps": 1, "trackers": ["wandb"]}
    )
    with stop_at_call(monkeypatch, 3):
        assert p2p.train(config, run_dir=tmp_path / "run", console=quiet).interrupted
    run = p2p.train(run_dir=tmp_path / "run", resume=True, overrides=("training.steps=5",), console=quiet)
    assert run.card.step == 5
    calls = packages("wandb").calls
    begun, ended = ([call for call in calls if call[0] == name] for name in ("init", "finish"))
    assert [call[1]["id"] for call in begun] == [None, "w1"]
    assert [call[1] for call in ended] == [255, 0]
    assert [call[1]["config"]["training.steps"] for call in begun] == [4, 5]
    assert "data.dir" not in begun[0][1]["config"]
    logged = [call for call in calls if call[0] == "log"]
    known = [json.loads(line) for line in run.directory.metrics_file.read_text().splitlines()]
    for line in known:
        for name in line.keys() & {"g/l1", "val/l1", "learning_rate"}:
            assert ({name: line[name]}, line["step"]) in [
                ({name: values.get(name)}, step) for _, values, step in logged
            ]
    assert {step for _, values, step in logged if "samples" in values} >= {0, 5}
    assert run.directory.trackers.is_file()


def test_a_failure_of_the_run_is_told_and_one_of_the_tracker_stops_nothing(
    combined_dir, tmp_path, packages, quiet, monkeypatch
):
    faulty = Faulty("log")
    monkeypatch.setitem(TRACKERS, "faulty", Tracking(lambda: faulty))
    config = least_config(
        data={"dir": str(combined_dir)}, training={"steps": 2, "trackers": ["faulty", "wandb"], "log_every_steps": 1}
    )

    def crash(*_):
        raise RuntimeError("a disk is gone")

    monkeypatch.setattr("tfpix2pix.runs.session.Session._check_weights", crash)
    with pytest.warns(UserWarning, match="The tracker faulty"), pytest.raises(RuntimeError, match="a disk"):
        p2p.train(config, run_dir=tmp_path / "run", console=quiet)
    assert packages("wandb").calls[-1] == ("finish", 1)
    assert {step for name, _, step in filter(lambda call: call[0] == "log", packages("wandb").calls)} == {0, 1, 2}


def test_fresh_begins_a_run_of_the_tracker_of_its_own(tiny_run, tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.start(tiny_run.card.config, fresh=False)
    directory.trackers.write_text('{"wandb": "w1"}')
    directory.start(tiny_run.card.config, fresh=True)
    assert not directory.trackers.exists()
