"""What a folder looks like when nobody says."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import make_combined, run_cli, tiny_config, write_image
from tests.volume_files import write_nifti, write_series
from tfpix2pix.data.guess import check_split_names, direction_note, guess_source, keys_of
from tfpix2pix.errors import UserError
from tfpix2pix.runs.plan import plan_training


@pytest.mark.parametrize(
    ("files", "path", "settings"),
    [
        (["train", "val"], ".", {}),
        (["A", "B"], ".", {"source": "folders", "input_folder": "A", "target_folder": "B"}),
        (["A"], ".", {}),
        (
            ["train/input", "train/target"],
            ".",
            {"source": "folders", "input_folder": "input", "target_folder": "target"},
        ),
        (["a/val", "b/val"], ".", {"source": "folders", "input_folder": "a", "target_folder": "b"}),
        ([], "pairs.CSV", {"source": "table"}),
        ([], "pairs.tsv", {"source": "table"}),
        ([], "nowhere", {}),
    ],
)
def test_a_folder_says_how_its_pairs_lie(tmp_path, files, path, settings):
    for name in files:
        (tmp_path / name).mkdir(parents=True)
    assert guess_source(tmp_path / path) == settings


@pytest.mark.parametrize("layout", ["{name}", "train/{name}"])
def test_several_folders_of_equal_names_must_be_told_apart(layout, tmp_path):
    """They were read as combined images, whose halves are no pairs, label maps and weights among them."""
    for name in ("brightfield", "cells", "fluorescence", "valid"):
        for number in range(3):
            write_image(tmp_path / layout.format(name=name) / f"{number}.png", np.zeros((8, 8, 3), np.uint8))
    for command in (("data", "check", tmp_path), ("train", "--data", tmp_path, "--run", tmp_path / "run")):
        code, _, err = run_cli(*command)
        assert code == 2 and "Folders of files with equal names must be told apart. Received" in err
        assert "brightfield/, cells/, fluorescence/, valid/" in " ".join(err.split())
    assert not (tmp_path / "run").exists()


def test_a_picture_that_lies_beside_two_sides_does_not_hide_them(tmp_path):
    """All files were read as combined images, whose halves are no pairs, because of one sketch."""
    for name in ("outlines", "photographs"):
        for number in range(3):
            write_image(tmp_path / name / f"{number}.png", np.zeros((8, 8, 3), np.uint8))
    write_image(tmp_path / "sketch.png", np.zeros((8, 16, 3), np.uint8))
    sides = {"source": "folders", "input_folder": "outlines", "target_folder": "photographs"}
    assert guess_source(tmp_path) == sides
    for number in range(3):  # as many beside them as in them: these may be the pairs
        write_image(tmp_path / f"{number}.png", np.zeros((8, 16, 3), np.uint8))
    assert guess_source(tmp_path) == {}


def test_files_without_partners_are_left_out_by_the_command_that_the_check_prints(tmp_path):
    for name, count in (("input", 4), ("target", 5)):
        for number in range(count):
            write_image(tmp_path / name / f"{number}.png", np.full((8, 8, 3), 40 * number, np.uint8))
    code, out, _ = run_cli("data", "check", tmp_path)
    assert code == 3 and "Train without them: tfpix2pix train --data" in " ".join(out.split())
    assert " ".join(out.split()).endswith("--set data.on_error=skip")
    code, out, _ = run_cli("data", "check", tmp_path, "--set", "data.on_error=skip")
    assert "Train: tfpix2pix train" in " ".join(out.split())


def test_combined_images_in_folders_of_their_kind_are_no_sides(tmp_path):
    for name in ("cats", "dogs", "birds"):
        make_combined(tmp_path / name)
    code, out, _ = run_cli("data", "check", tmp_path)
    assert "9 pairs" in out
    assert code == 3  # the three folders have the same pictures


def test_shards_are_known_by_their_manifest(tmp_path):
    (tmp_path / "shards.json").touch()
    assert guess_source(tmp_path) == {"source": "shards"}


GRAY = {"input_channels": 1, "target_channels": 1, "input_percentiles": [0.5, 99.5], "target_percentiles": [0, 100]}
SIDES = [("input", "target"), ("mr", "syn"), ("train/A", "train/B"), ("trainA", "trainB")]


class TestVolumes:
    @staticmethod
    def make(folder, *sides, names=("p1.nii.gz", "p2.nii.gz"), shape=(12, 10, 5)):
        rng = np.random.default_rng(0)
        for side in sides:
            for name in names:
                write_nifti(folder / side / name, rng.integers(-500, 3000, shape).astype(np.int16))
        return folder

    @pytest.mark.parametrize("sides", SIDES)
    def test_they_have_one_channel_and_ranges_by_percentiles(self, tmp_path, sides):
        keys = guess_source(self.make(tmp_path, *sides))
        assert {key: keys[key] for key in GRAY} == GRAY
        assert keys["source"] == "folders" and len(keys) == 7

    def test_a_ct_is_made_from_an_mr(self, tmp_path):
        keys = guess_source(self.make(tmp_path, "mr", "ct"))
        assert (keys["input_folder"], keys["target_folder"], direction_note(keys)) == ("mr", "ct", "")

    def test_folders_of_series_are_known_too(self, tmp_path, rng):
        for side in ("mr", "syn"):
            write_series(tmp_path / side / "p1", rng.integers(0, 4096, (4, 12, 10)))
        assert guess_source(tmp_path) == {
            "source": "folders", "input_folder": "mr", "target_folder": "syn", **GRAY,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("override", "left"),
        [
            ("data.target_range=[-1000,2000]", {"input_channels", "target_channels", "input_percentiles"}),
            ("data.target_classes=3", {"input_channels", "input_percentiles"}),
            ("data.neighbour_slices=1", {"target_channels", "input_percentiles", "target_percentiles"}),
            ("data.input_range=[0,1]", {"input_channels", "target_channels", "target_percentiles"}),
            ("training.steps=3", {*GRAY}),
        ],
    )
    def test_what_the_user_says_is_not_guessed(self, tmp_path, override, left):
        keys = guess_source(self.make(tmp_path, "A", "B"), keys_of([override]))
        assert {*keys} - {"source", "input_folder", "target_folder"} == left

    def test_the_check_reads_them_and_its_command_trains(self, tmp_path):
        folder = self.make(tmp_path / "data", "mr", "syn", names=[f"p{n}.nii" for n in range(4)], shape=(64, 64, 2))
        code, out, error = run_cli("data", "check", folder)
        said = " ".join(out.split())
        assert code in (0, 3) and not error, error
        (command,) = re.findall(r"Train: tfpix2pix (train .+)", said)
        assert command == f"train --data {folder} --run runs/data"  # which guesses the same
        config = ["--dry-run", "--set", "generator.base_filters=4"]
        code, _, error = run_cli(*shlex.split(command), *config)
        assert code == 0, error


class TestDirection:
    """Two folders of any names are the sides of pairs if their files are equal. Their names may say the direction."""

    def make(self, folder, *sides):
        for side in sides:
            for name in ("1", "2"):
                write_image(folder / side / f"{name}.png", np.zeros((64, 64, 3), np.uint8))
        return folder

    @pytest.mark.parametrize(
        ("inputs", "targets"),
        [
            ("before", "after"), ("src", "dst"), ("LR", "HR"), ("noisy", "clean"), ("low", "high"), ("raw", "edited"),
            ("sketches", "photos"), ("sketch", "photo"), ("edges", "photos"), ("images", "ground_truth"), ("x", "y"),
            ("in", "out"), ("Images", "Masks"), ("scans", "finished"), ("drawings", "coloured"),
            ("before pics", "after pics"), ("train/noisy", "train/clean"),
        ],
    )  # fmt: skip
    def test_names_say_it_in_any_case_and_number(self, tmp_path, inputs, targets):
        guess = guess_source(self.make(tmp_path, inputs, targets))
        assert [guess["input_folder"], guess["target_folder"]] == [Path(inputs).name, Path(targets).name]
        assert direction_note(guess) == ""

    def test_if_they_do_not_it_is_alphabetical_and_said(self, tmp_path):
        guess = guess_source(self.make(tmp_path / "pairs", "night", "day"))
        assert [guess["input_folder"], guess["target_folder"]] == ["day", "night"]
        other = "--set data.input_folder=night --set data.target_folder=day"
        note = f"That day holds the inputs and night the targets is guessed. For the other direction: `{other}`."
        assert direction_note(guess) == note
        check = ("data", "check", tmp_path / "pairs", "--json")
        assert note in json.loads(run_cli(*check)[1])["notes"]
        assert note not in json.loads(run_cli(*check, *other.split())[1])["notes"]
        code, _, err = run_cli("train", "facades", "--data", tmp_path / "pairs", "--dry-run")
        assert code == 2 and "which of the two are the inputs is guessed: exchange them for the other" in err


class TestSplitsUnderOtherNames:
    """Train/ and Val/ are no splits: their pairs would be divided anew, and those of Val/ be trained on."""

    @pytest.mark.parametrize(
        ("folders", "sides", "renamed"),
        [
            (["Train", "Val"], (), "Train/ to train/ and Val/ to val/"),
            (["training", "Validation", "other"], (), "Validation/ to val/ and training/ to train/"),
            (["TRAIN", "Testing"], (), "TRAIN/ to train/ and Testing/ to test/"),
            (["train", "valid"], (), "valid/ to val/"),
            (["Train", "val"], (), "Train/ to train/"),
            (["Train/A", "Train/B", "Dev/A", "Dev/B"], "AB", "Dev/A/ to val/A/ and Train/A/ to train/A/"),
            (["A/Train", "B/Train", "A/Val", "B/Val"], "AB", "A/Train/ to A/train/ and A/Val/ to A/val/"),
            (["trainA", "trainB", "validA", "validB"], "AB", "validA/ to valA/"),
        ],
    )
    def test_they_are_refused_and_to_be_renamed(self, tmp_path, folders, sides, renamed):
        for name in folders:
            (tmp_path / name).mkdir(parents=True)
        with pytest.raises(UserError) as error:
            check_split_names(tmp_path, tuple(sides))
        assert str(error.value).startswith("Folders of splits must be named train, val and test. Received ")
        assert str(error.value).endswith(f"would not be read as them. Rename {renamed}.")

    @pytest.mark.parametrize(
        ("folders", "sides"),
        [
            (["train", "val", "test"], ()),
            (["train", "val", "Test", "dev"], ()),
            (["train", "testing"], ()),
            (["Train", "cats"], ()),
            (["A", "B", "Train", "Val"], "AB"),
            (["trainA", "trainB", "testA", "testB"], "AB"),
        ],
    )
    def test_others_are_read_as_they_are(self, tmp_path, folders, sides):
        for name in folders:
            (tmp_path / name).mkdir()
        check_split_names(tmp_path, tuple(sides))
        check_split_names(tmp_path / "nowhere")

    def test_whoever_reads_them_anew_refuses_them_and_an_earlier_run_keeps_its_pairs(self, tmp_path):
        pairs, run = tmp_path / "pairs", tmp_path / "run"
        make_combined(pairs / "Train", 5)
        make_combined(pairs / "Val", 3)
        for command in (
            ("data", "check", pairs),
            ("data", "shard", pairs, "--out", tmp_path / "shards"),
            ("data", "pairs", pairs, "--operator", "blur", "--out", tmp_path / "written"),
            ("train", "facades", "--data", pairs, "--dry-run"),
        ):
            code, _, err = run_cli(*command)
            assert (code, "Rename Train/ to train/ and Val/ to val/." in err) == (2, True), err
        run.mkdir()
        (run / "config.yaml").write_text(json.dumps(tiny_config(data={"dir": str(pairs)}).model_dump(mode="json")))
        sources = plan_training(None, run, resume=True).sources
        assert len(sources["train"]) + len(sources["val"]) == 8
