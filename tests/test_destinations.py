"""A user's files are never deleted nor replaced, whatever lies where results shall go."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

import tfpix2pix as p2p
from tests.conftest import least_config, make_combined
from tfpix2pix.destinations import EVALUATION, RUN, check_new_folder, check_replaces_no_input, check_writable
from tfpix2pix.errors import UserError
from tfpix2pix.evaluation.evaluate import evaluate
from tfpix2pix.evaluation.request import NoiseOptions, Request
from tfpix2pix.inference.files import translate_files
from tfpix2pix.runs.directory import RunDirectory

FEW = {"metrics": ["l1"], "replicates": 50, "shown": 1}


def put(*paths, text="mine"):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
    """A copy of a finished run, evaluated. Read it."""
    run = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(tiny_run.path, run)
    evaluate(Request(run, noise=NoiseOptions(variants=0)), out=run / "evaluation" / "val", **FEW)
    return run


@pytest.fixture
def run(evaluated, tmp_path):
    """A finished run with its evaluation, to change."""
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A run over combined images and their folder, which is not to be changed."""
    folder = make_combined(tmp_path_factory.mktemp("pairs") / "train").parent
    make_combined(folder / "val", count=2)
    from rich.console import Console

    config = least_config(data={"dir": str(folder)}, training={"steps": 1, "validation_images": 1})
    return folder, p2p.train(config, run_dir=folder / "run", console=Console(quiet=True)).path


class TestFresh:
    MINE = (
        "thesis.tex", ".git/HEAD", ".notes.tmp", "samples/favourite.png", "samples/step-by-step.png",
        "checkpoints/step-000004/notes.txt", "checkpoints/step-000004 (1)/generator.safetensors",
        "evaluation/val/notes.txt", "evaluation/mine/metrics.json", "exports/model.tflite", "tensorboard/notes.txt",
    )  # fmt: skip

    def test_all_that_the_run_wrote_is_removed_and_all_else_stays(self, run):
        ours = files_of(run)
        put(*(run / name for name in self.MINE))
        RUN.remove_from(run)
        assert files_of(run) == dict.fromkeys(self.MINE, b"mine")
        assert {"config.yaml", "model_card.json", "evaluation/val/metrics.json"} < ours.keys()

    def test_of_a_run_alone_nothing_is_left_but_its_folder(self, run):
        RUN.remove_from(run)
        assert list(run.iterdir()) == []

    def test_a_run_begins_in_what_is_left(self, run, tiny_run, quiet):
        put(run / "thesis.tex")
        config = least_config(data={"dir": str(tiny_run.path.with_name("pairs"))}, training={"steps": 1})
        p2p.train(config, run_dir=run, fresh=True, console=quiet)
        assert (run / "thesis.tex").read_text() == "mine"
        assert not (run / "evaluation").exists()

    @pytest.mark.parametrize(
        "text", ["theme: dark\n", "- a\n", "data: [", "", "data: {image_size_px: 128}\n", "\udcff"], ids=repr
    )
    def test_another_programs_config_makes_no_run(self, tmp_path, text, quiet):
        put(tmp_path / "site" / "thesis.tex")
        (tmp_path / "site" / "config.yaml").write_bytes(text.encode(errors="surrogateescape"))
        before = files_of(tmp_path)
        with pytest.raises(UserError, match=r"`fresh` must replace a run\. Received .*site with a config\.yaml"):
            p2p.train("smoke", run_dir=tmp_path / "site", fresh=True, console=quiet)
        assert files_of(tmp_path) == before

    def test_a_run_that_died_before_its_first_card_is_one(self, tiny_run, tmp_path):
        put(tmp_path / "config.yaml", text=(tiny_run.path / "config.yaml").read_text())
        assert RUN.is_at(tmp_path)
        RunDirectory(tmp_path).check_free(resume=False, fresh=True)

    def test_a_configuration_that_a_user_wrote_is_none(self, tmp_path):
        put(tmp_path / "config.yaml", text=yaml.safe_dump({"name": "mine", "data": {"dir": "pairs"}}))
        assert not RUN.is_at(tmp_path)

    def test_links_are_followed_and_kept(self, run, tmp_path):
        shutil.move(run / "checkpoints", tmp_path / "large disk")
        (run / "checkpoints").symlink_to(tmp_path / "large disk")
        put(tmp_path / "photo.png")
        (run / "samples" / "step-000009.png").symlink_to(tmp_path / "photo.png")
        RUN.remove_from(run)
        assert (tmp_path / "photo.png").read_text() == "mine"
        assert (run / "samples" / "step-000009.png").is_symlink()
        assert list((tmp_path / "large disk").iterdir()) == []


class TestEvaluations:
    def test_what_is_not_of_it_stays(self, run, tmp_path):
        out = tmp_path / "out"
        evaluate(Request(run, noise=NoiseOptions(variants=0)), out=out, **FEW)
        put(out / "notes.txt", out / "figures" / "thesis.tex")
        evaluate(Request(run, noise=NoiseOptions(variants=0)), out=out, overwrite=True, **{**FEW, "shown": 0})
        assert not (out / "contact_sheet.png").exists()
        assert not (out / "examples.svg").exists() and not (out / "captions.md").exists()
        names = {"metrics.json", "per_image.csv", "bootstrap.npz", "report.html", "methods.md"}
        assert files_of(out).keys() == names | {"notes.txt", "figures/thesis.tex"}

    @pytest.mark.parametrize("record", ["{}", '{"figures": {}}', "[", '"metrics"'])
    def test_another_programs_metrics_make_none(self, run, tmp_path, record):
        put(tmp_path / "out" / "metrics.json", text=record)
        put(tmp_path / "out" / "model.bin")
        before = files_of(tmp_path / "out")
        with pytest.raises(UserError, match="`out` must be a new or empty folder"):
            evaluate(Request(run), out=tmp_path / "out", overwrite=True, **FEW)
        assert files_of(tmp_path / "out") == before

    def test_its_record_is_recognized(self, run):
        assert EVALUATION.is_at(run / "evaluation" / "val")
        assert not EVALUATION.is_at(run)

    @pytest.mark.parametrize("there", [False, True])
    def test_a_link_leads_to_where_it_is_written(self, run, tmp_path, there):
        """Decided before the work: a link is no folder that could be renamed to."""
        if there:
            (tmp_path / "disk").mkdir()
        (tmp_path / "out").symlink_to(tmp_path / "disk")
        evaluate(Request(run, noise=NoiseOptions(variants=0)), out=tmp_path / "out", **FEW)
        assert (tmp_path / "out").is_symlink()
        assert json.loads((tmp_path / "disk" / "metrics.json").read_text())["name"] == "run"


class TestTranslations:
    def test_the_images_of_a_split_are_never_replaced(self, pairs):
        folder, run = pairs
        before = files_of(folder)
        for split, out in (("val", "val"), ("train", "train"), ("train", "val")):
            with pytest.raises(UserError, match="A translation must not replace an input"):
                translate_files(p2p.load(run), out=folder / out, split=split, overwrite=True)
        assert files_of(folder) == before

    @pytest.mark.parametrize("how", ["link to the folder", "hard link", "link to the file"])
    def test_an_input_by_another_name(self, pairs, tmp_path, how):
        photo = make_combined(tmp_path / "photos", count=1) / "0.png"
        before = photo.read_bytes()
        if how == "link to the folder":
            (tmp_path / "out").symlink_to(tmp_path / "photos")
        else:
            (tmp_path / "out").mkdir()
            link = os.link if how == "hard link" else os.symlink
            link(photo, tmp_path / "out" / "0.png")
        with pytest.raises(UserError, match="A translation must not replace an input"):
            translate_files(p2p.load(pairs[1]), [photo], out=tmp_path / "out", overwrite=True)
        assert photo.read_bytes() == before

    def test_what_is_no_input_may_be_replaced_where_a_user_says_so(self, tmp_path):
        put(tmp_path / "in" / "a.png", tmp_path / "out" / "a.png")
        check_replaces_no_input([tmp_path / "out" / "a.png"], [tmp_path / "in" / "a.png", tmp_path / "missing.png"])


class TestNewFolders:
    def test_check_writable_creates_nothing(self, tmp_path):
        check_writable(tmp_path / "a" / "b")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="Received: Not a directory at .*file. Choose another"):
            check_writable(tmp_path / "file" / "b")

    def test_a_link_to_nowhere_is_where_it_leads(self, tmp_path):
        (tmp_path / "out").symlink_to(tmp_path / "file" / "new")
        check_new_folder(tmp_path / "out")
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="Received: Not a directory at .*file"):
            check_new_folder(tmp_path / "out")

    def test_a_name_that_ends_in_tmp_is_the_users(self, tmp_path):
        put(tmp_path / ".notes.tmp")
        with pytest.raises(UserError, match="holds something else"):
            check_new_folder(tmp_path)
