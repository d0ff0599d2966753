"""A plan decides everything about a training that needs no TensorFlow, once; `run` takes it from there."""

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import tensorflow as tf
from rich.console import Console

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined, tiny_config
from tests.runs.test_train import tree
from tfpix2pix.errors import UserError
from tfpix2pix.losses import terms
from tfpix2pix.runs.dry_run import describe
from tfpix2pix.runs.plan import plan_training
from tfpix2pix.runs.train import run

LIGHT = """
import sys
from tfpix2pix.runs.plan import plan_training
plan = plan_training("smoke", "run")
assert not {"tensorflow", "keras"} & sys.modules.keys()
print(len(plan.sources["train"]), plan.worker, plan.resume)
"""


def text_of(plan) -> str:
    console = Console(width=400, file=io.StringIO())
    console.print(describe(plan))
    return console.file.getvalue()


def test_a_plan_needs_no_tensorflow_and_writes_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("6 Worker(index=0, count=1) False\n", "")
    assert tree(tmp_path) == []


def test_a_plan_is_run_and_resumed(combined_dir, tmp_path, quiet):
    config = least_config(data={"dir": str(combined_dir)}, training={"steps": 2})
    plan = plan_training(config, tmp_path / "run")
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.resume = True
    assert plan.card is None and plan.record.periods == ()
    assert run(plan, quiet).card.step == 2
    longer = plan_training(None, tmp_path / "run", overrides=["training.steps=3"], resume=True)
    assert (longer.config.training.steps, longer.card.step, len(longer.record.periods)) == (3, 2, 1)
    assert f"Would resume {tmp_path / 'run'} from step 2. Nothing was written." in text_of(longer)
    assert run(longer, quiet).card.step == 3
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(UserError, match=r"must have a checkpoint\. Received .*run, which was at step 3 and has lost"):
        plan_training(None, tmp_path / "run", resume=True)


def test_the_pairs_of_a_plan_are_those_that_are_trained_on(combined_dir, tmp_path, quiet, monkeypatch):
    plan = plan_training(least_config(data={"dir": str(combined_dir)}, training={"steps": 1}), tmp_path / "run")
    monkeypatch.setattr("tfpix2pix.runs.train.opened", None)  # not opened again
    assert run(plan, quiet).card.step == 1


@pytest.mark.parametrize("index", [0, 1])
def test_several_workers_open_the_pairs_after_they_have_joined(tmp_path, monkeypatch, index):
    cluster = {"worker": ["127.0.0.1:9998", "127.0.0.1:9999"]}
    task = {"type": "worker", "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    config = tiny_config(data={"dir": str(tmp_path / "nowhere")})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(json.dumps(config.model_dump(mode="json")))  # the chief has begun it
    if index == 0:
        with pytest.raises(UserError, match="A run must not overwrite another"):
            plan_training(config, tmp_path / "run")
    else:
        plan = plan_training(config, tmp_path / "run")
        assert (plan.worker, plan.sources) == ((1, 2), None)


def test_a_dry_run_needs_no_data_but_names_what_is_wrong_with_them(tmp_path):
    plan = plan_training("facades", None, overrides=["data.image_size_px=32", "generator.base_filters=4",
        "discriminator.receptive_field_px=16"], dry_run=True)  # fmt: skip
    assert plan.sources is None
    assert "No data given: set data.dir to check them.\nNothing was written." in text_of(plan)
    make_combined(tmp_path / "small", size_px=2)
    with pytest.raises(UserError, match="Received 2x2 px"):
        plan_training("facades", None, data_dir=tmp_path / "small", dry_run=True)


def test_a_run_needs_a_directory():
    with pytest.raises(UserError, match=r"must be given\. Received none\. Add `run_dir`, or `dry_run` to look first\."):
        plan_training("smoke", None)
    with pytest.raises(UserError, match="To resume, `run_dir` must be a run directory. Received none"):
        plan_training(None, None, resume=True, dry_run=True)


@pytest.mark.parametrize("config", ["smoke", tiny_config(), None], ids=["preset", "Config", "none"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accept_changes": True}, r"^`accept_changes` must go with `resume`\. Received it alone\."),
        ({"resume": True, "fresh": True}, r"^`resume` and `fresh` must not be given together\. Received both\."),
    ],
)  # fmt: skip
def test_arguments_that_contradict_each_other_are_refused_for_every_configuration(tmp_path, config, arguments, message):
    with pytest.raises(UserError, match=message):
        plan_training(config, tmp_path / "run", **arguments)
    assert tree(tmp_path) == []


def test_few_calls_lead_from_a_plan_to_the_loss(combined_dir, tmp_path, quiet, monkeypatch):
    class LossError(Exception):
        pass

    def l1(*_):
        raise LossError

    plan = plan_training(tiny_config(data={"dir": str(combined_dir)}), tmp_path / "run")
    monkeypatch.setattr(terms, "l1", l1)
    tf.config.run_functions_eagerly(True)
    try:
        with pytest.raises(LossError) as caught:
            run(plan, quiet)
    finally:
        tf.config.run_functions_eagerly(False)
    package = Path(p2p.__file__).parent
    calls = [frame.name for frame in traceback.extract_tb(caught.tb) if package in Path(frame.filename).parents]
    assert calls[0] == "run" and len(calls) <= 10, calls


@pytest.mark.parametrize(
    ("folder", "preset", "overrides", "name"),
    [
        ("my shoes (2)", "smoke", (), "my-shoes-2"),
        ("run", "smoke", ("name=sandals",), "sandals"),
        ("run", "named.yaml", (), "mine"),
        ("Übung", "nameless.yaml", (), "bung"),
        ("写真", "smoke", (), "smoke"),
    ],
)
def test_a_run_is_named_by_its_folder_unless_the_user_names_it(tmp_path, monkeypatch, folder, preset, overrides, name):
    monkeypatch.chdir(tmp_path)
    for file, text in (("named.yaml", "name: mine\n"), ("nameless.yaml", "")):
        Path(file).write_text(text + "data: {source: sample_photographs}\n", encoding="utf-8")
    config = plan_training(preset, tmp_path / folder, overrides=overrides).config
    assert config.name == name
