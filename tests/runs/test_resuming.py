"""A run goes on with what it began with: whatever has changed is named, and accepted by `accept_changes` alone."""

import json
import os
import shutil

import numpy as np
import pytest
import yaml

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined, run_cli, tiny_config, write_image
from tests.runs.test_train import tree
from tfpix2pix.config.card import ModelCard
from tfpix2pix.errors import UserError
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.resuming import DataRecord, changeable_keys, to_resume


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quiet):
    """A folder with `data` of four pairs and `run`, trained on them for two steps."""
    folder = tmp_path_factory.mktemp("trained")
    make_combined(folder / "data" / "train", count=4)
    make_combined(folder / "data" / "val", count=1)
    config = least_config(data={"dir": str(folder / "data")}, training={"steps": 2})
    p2p.train(config, run_dir=folder / "run", console=quiet)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, whose run knows its data where they are now."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy" / "run"


def resumed(run, quiet, *, steps=3, **more):
    return p2p.train(
        run_dir=run, data=run.parent / "data", resume=True, overrides=(f"training.steps={steps}",), console=quiet,
        **more,
    )  # fmt: skip


def test_the_same_data_elsewhere_are_the_same(run, quiet):
    assert [period.from_step for period in resumed(run, quiet).card.data_periods] == [0]


def remove(data):
    (data / "train" / "1.png").unlink()


def add(data):
    shutil.copy(data / "train" / "1.png", data / "train" / "more.png")


def replace(data):
    write_image(data / "train" / "1.png", np.full((40, 80, 3), 7, np.uint8))


def replace_held_out(data):
    write_image(data / "val" / "0.png", np.full((40, 80, 3), 7, np.uint8))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove, r"train lacks 1 pair \('1'\)"),
        (add, r"train has 1 pair more \('more'\)"),
        (replace, r"train holds other images in 1 pair \('1'\)"),
        (replace_held_out, r"val holds other images in 1 pair \('0'\)"),
    ],
)
def test_changed_data_are_named_and_refused(run, quiet, change, said):
    change(run.parent / "data")
    before = tree(run)
    with pytest.raises(UserError, match=rf"Received others: {said}\. Put them back, or add `accept_changes`\."):
        resumed(run, quiet)
    assert tree(run) == before


def test_accepted_data_are_recorded_with_the_step(run, quiet):
    remove(run.parent / "data")
    card = resumed(run, quiet, accept_changes=True).card
    assert [(period.from_step, period.pairs) for period in card.data_periods] == [
        (0, {"train": 4, "val": 1}), (2, {"train": 3, "val": 1}),
    ]  # fmt: skip
    assert len({period.digest for period in card.data_periods}) == 2
    again = resumed(run, quiet, steps=4).card  # these are its data now
    assert again.data_periods == card.data_periods
    assert json.loads((run / "model_card.json").read_text())["data_periods"][1]["from_step"] == 2


def test_an_edited_configuration_is_named_and_refused(run, quiet):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.0002", "learning_rate: 0.001"))
    with pytest.raises(UserError, match=r"config\.yaml was edited: training\.learning_rate 0\.0002 -> 0\.001\. Undo"):
        resumed(run, quiet)
    card = resumed(run, quiet, accept_changes=True).card
    assert card.config.training.learning_rate == 0.001
    assert resumed(run, quiet, steps=4).card.step == 4  # it is the run's own now


def test_a_configuration_object_does_not_cover_an_edited_file(run, quiet):
    edited = run / "config.yaml"
    before = RunDirectory(run).config()
    edited.write_text(edited.read_text().replace("learning_rate: 0.0002", "learning_rate: 0.001"))
    with pytest.raises(UserError, match=r"config\.yaml was edited: training\.learning_rate 0\.0002 -> 0\.001"):
        p2p.train(before, run_dir=run, resume=True, console=quiet)


def test_the_keys_that_may_change():
    assert sorted(changeable_keys()) == [
        "data.cache_files_mb", "data.cache_mb", "data.dir", "data.max_megapixels", "recipe",
        "training.checkpoint_every_minutes", "training.checkpoint_every_steps", "training.epochs", "training.health",
        "training.keep_every_steps", "training.keep_last", "training.minutes", "training.on_non_finite",
        "training.presentable_steps", "training.profile_steps", "training.steps", "training.steps_per_execution",
        "training.stop_after_worse", "training.strategy", "training.trackers",
    ]  # fmt: skip


def test_a_key_that_disappears_is_a_change():
    """Such as a name of the palette."""
    both, one = (
        tiny_config(data={"input_palette": palette}) for palette in ({"a": "#000000", "b": "#ffffff"}, {"a": "#000000"})
    )
    with pytest.raises(UserError, match=r"Received other values: data\.input_palette\.b .* -> None"):
        to_resume(both, one)
    assert to_resume(both, one, accept_changes=True) == one


def test_before_the_first_checkpoint_nothing_is_compared(run, quiet):
    """A run that was stopped before it saved anything has seen no data."""
    shutil.rmtree(run / "checkpoints")
    card = json.loads((run / "model_card.json").read_text())
    (run / "model_card.json").write_text(json.dumps({**card, "step": 0, "data_periods": []}))
    remove(run.parent / "data")
    assert [period.pairs for period in resumed(run, quiet).card.data_periods] == [{"train": 3, "val": 1}]


def test_what_a_step_does_not_depend_on_may_be_edited(run, quiet):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("keep_last: ", "keep_last: 1"))
    assert resumed(run, quiet).card.step == 3


def test_a_configuration_that_the_weights_do_not_fit_is_refused_whatever_is_accepted(run, quiet):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("base_filters: 8", "base_filters: 16"))
    with pytest.raises(UserError, match="A checkpoint must fit the configured generator"):
        resumed(run, quiet, accept_changes=True)


def test_a_run_of_an_older_version_has_no_record_and_goes_on(run, quiet):
    (run / "data.json").unlink()
    remove(run.parent / "data")
    assert [period.from_step for period in resumed(run, quiet).card.data_periods] == [2]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"periods": [{"from_step": "x"}]}'])
def test_a_damaged_record_is_said_so(run, quiet, content):
    (run / "data.json").write_bytes(content)
    with pytest.raises(UserError, match=r"data\.json must be whole\. .* Remove it to continue"):
        resumed(run, quiet)


def test_a_record_of_a_newer_version_is_not_called_damaged(run, quiet):
    (run / "data.json").write_text('{"format_version": 2, "periods": []}')
    with pytest.raises(UserError, match=r"must be of format version 1\. Received .*data\.json of version 2\."):
        resumed(run, quiet)


def test_on_the_command_line(run):
    remove(run.parent / "data")
    command = ("train", "--run", run, "--resume", "--data", run.parent / "data", "--set", "training.steps=3")
    code, _, err = run_cli(*command)
    assert code == 2 and "train lacks 1 pair ('1')" in err
    assert run_cli(*command, "--accept-changes")[0] == 0
    code, _, err = run_cli("train", "smoke", "--run", run.parent / "new", "--accept-changes")
    assert code == 2 and "--accept-changes must go with --resume" in err


def test_a_run_of_an_earlier_version_keeps_the_pairs_that_it_held_out(tmp_path):
    """Its configuration does not name the rule of the split, which was by rank."""
    settings = tiny_config(data={"split_rule": "rank"}).model_dump(mode="json")
    del settings["data"]["split_rule"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    before = RunDirectory(tmp_path).config()
    assert before.data.split_rule == "rank"
    card = json.loads(ModelCard.of(before, 0).to_json())
    del card["config"]["data"]["split_rule"]
    assert ModelCard.from_json(json.dumps(card), "a card").config == before
    assert to_resume(before, tiny_config()).data.split_rule == "rank"
    with pytest.raises(UserError, match="data.split_rule 'rank' -> 'hash'"):
        to_resume(before, tiny_config(data={"split_rule": "hash"}))


def test_names_that_are_not_utf_8_are_known_again(tmp_path):
    splits = {"train": {os.fsdecode(b"caf\xe9"): "1234", "ق": ""}}
    directory = RunDirectory(tmp_path)
    directory.write_data_record(DataRecord().resumed(0, splits).to_json())
    record = DataRecord.of(directory)
    assert record.periods[-1].splits == splits
    record.check_unchanged(splits)
