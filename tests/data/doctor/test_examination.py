"""The examination as a whole: what is read, in which order, what is kept, what comes out."""

import json
import pickle
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import tfpix2pix.data.doctor as doctor
from tests.conftest import make_combined, write_image
from tests.data.doctor.helpers import combine, config_of, examined, make_set, moved, scene, told
from tfpix2pix.data.doctor import CHECKS, NOTES, examination, examine, write_html
from tfpix2pix.data.doctor.examination import open_all
from tfpix2pix.data.doctor.findings import ADVICE
from tfpix2pix.data.doctor.survey import Survey, looker
from tfpix2pix.errors import UserError
from tfpix2pix.parallel import in_order


@pytest.fixture
def spoilt(tmp_path):
    """A set with several things wrong."""
    train = make_set(tmp_path / "pairs", train=16) / "train"
    write_image(train / "1.png", combine(*scene(1)[::-1]))
    write_image(train / "2.png", combine(scene(2)[0], moved(scene(2)[1], 7, 0)))
    (train / "3.png").write_bytes(b"")
    shutil.copy(train / "4.png", train / "a.png")
    shutil.copy(train / "5.png", tmp_path / "pairs" / "val" / "b.png")
    write_image(train / "6.png", combine(scene(6)[0], np.full((64, 64, 3), 9, np.uint8)))
    return tmp_path / "pairs"


WRONG = [
    ("unreadable", "train", ("3",)),
    ("constant", "train", ("6",)),
    ("swapped", "train", ("1",)),
    ("misaligned", "train", ("2",)),
    ("duplicate", "train", ("4", "a")),
    ("leak", "", ("train/5", "val/b")),
]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_findings_are_the_same_at_any_number_of_threads(spoilt, monkeypatch, threads):
    monkeypatch.setattr(examination, "in_order", partial(in_order, threads=threads))
    result = examined(spoilt)
    assert told(result) == WRONG
    monkeypatch.undo()
    assert result == examined(spoilt)


def test_as_json(spoilt):
    result = examined(spoilt)
    back = json.loads(json.dumps(result.as_dict()))
    assert back == result.as_dict()
    assert set(back) == {
        "read_as", "pairs", "examined", "findings", "notes", "kinds", "sizes", "channels", "shifts", "exit_code",
        "groups",
    }  # fmt: skip
    assert all(set(finding) == {"kind", "split", "names", "files", "message", "advice"} for finding in back["findings"])
    assert back["exit_code"] == 3 and back["pairs"] == {"train": 17, "val": 5, "test": 0} and back["examined"] == 22
    assert list(back["kinds"]) == [kind for kind in ADVICE if kind in back["kinds"]]
    assert back["kinds"]["duplicate"] == 1
    assert result.verdict == "22 pairs, 6 findings of 6 kinds"


def test_files_of_findings_are_on_disk(spoilt):
    for finding in examined(spoilt).findings:
        assert finding.files and all((spoilt / path).is_file() for path in finding.files)


def test_every_finding_says_what_to_do(spoilt):
    for finding in examined(spoilt).findings:
        assert finding.advice == ADVICE[finding.kind]
        assert finding.message.endswith(".") and finding.advice.endswith(".")


def test_at_most_so_many_pairs_are_read_of_all_splits(tmp_path):
    make_set(tmp_path, train=12, val=6)
    seen = []
    result = examine(config_of(tmp_path).data, at_most=6, track=lambda items, total: seen.append(total) or items)
    assert seen == [6] and result.examined == 6
    assert result.pairs == {"train": 12, "val": 6, "test": 0}
    assert result.verdict == "6 of 18 pairs, no faults found"
    assert result.sizes == {"image": {"128x64 px": 6}}


def test_track_gets_every_pair(tmp_path):
    make_set(tmp_path)
    seen = []

    def track(items, total):
        for item in items:
            seen.append(total)
            yield item

    examine(config_of(tmp_path).data, track=track)
    assert seen == [12] * 12


def test_a_look_is_small(tmp_path):
    """Memory grows by under 2 KB a pair, however large its pictures are."""
    for seed in range(2):
        write_image(tmp_path / f"{seed}.png", combine(*(side.repeat(9, 0).repeat(9, 1) for side in scene(seed))))
    config = config_of(tmp_path)
    survey = Survey(config.data, open_all(config.data, 0))
    look, _ = looker(survey)(("train", 0))
    assert look.traits is not None
    assert len(pickle.dumps(look)) < 2000


def test_random_pictures_are_no_fault(tmp_path):
    """What other tests train on."""
    make_combined(tmp_path / "train", count=6)
    make_combined(tmp_path / "more", count=1)
    assert examined(tmp_path).findings == ()


def test_a_check_of_ones_own(tmp_path, monkeypatch):
    def too_few(survey):
        looks = survey.looks[:1]
        return [doctor.Finding("few", "", ("a",), "There are few.", "Add some.", **survey.of(*looks))]

    monkeypatch.setitem(CHECKS, "few", too_few)
    monkeypatch.setitem(NOTES, "own", lambda survey: ["Noted."])
    result = examined(make_set(tmp_path))
    assert told(result) == [("few", "", ("a",))] and "Noted." in result.notes
    assert result.exit_code == 3 and result.kinds == {"few": 1}


@pytest.mark.parametrize("module", ["", ".examination", ".report", ".page", ".survey"])
def test_no_tensorflow(module):
    code = f"import sys, tfpix2pix.data.doctor{module}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_none_while_examining(tmp_path):
    code = (
        "import sys; from tfpix2pix.config import Config\n"
        "from tfpix2pix.data.doctor import examine\n"
        f"config = Config.model_validate({{'data': {{'dir': {str(make_set(tmp_path))!r}, 'image_size_px': 64}}}})\n"
        "examine(config.data); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestNotes:
    """How the folder was read, and what is worth a word and no fault."""

    def test_how_pairs_were_taken_to_lie_is_said(self, tmp_path):
        result = examined(make_set(tmp_path), input_side="right")
        assert result.read_as == "combined images, the right half the input"
        assert result.as_dict()["read_as"] == result.read_as

    def test_folders_that_no_run_sees_and_nothing_held_out(self, tmp_path):
        make_set(tmp_path, train=8, val=4)
        (tmp_path / "val").rename(tmp_path / "validation")
        notes = " ".join(examined(tmp_path).notes)
        assert "4 files are not read: 4 images in validation/. Splits are train/, val/ and test/." in notes
        assert "on new images. Add val/ with pairs." in notes

    @pytest.mark.parametrize(
        ("pairs", "fraction", "advice"),
        [(1, 0.2, "Add more pairs: one alone is trained on."), (2, 0.0, "Add val/ with pairs, or raise `data.held_")],
    )
    def test_the_way_to_held_out_pairs_is_one_that_helps(self, tmp_path, pairs, fraction, advice):
        make_set(tmp_path, train=pairs, val=0)
        notes = examined(tmp_path / "train", held_out_fraction=fraction).notes
        assert any(f"on new images. {advice}" in note for note in notes)

    @pytest.mark.parametrize(
        ("size", "advice"), [((128, 64), "data.input_side=top"), ((64, 64), "data.source=photographs"), ((64, 128), "")]
    )
    def test_images_that_do_not_look_like_two_halves(self, tmp_path, size, advice):
        rng = np.random.default_rng(0)
        for index in range(6):
            write_image(tmp_path / f"{index}.png", rng.integers(0, 256, (*size, 3), np.uint8))
        notes = " ".join(examined(tmp_path).notes)
        assert advice in notes and bool(advice) == bool(notes)


def test_a_page_replaces_nothing_but_a_page(tmp_path):
    config = config_of(make_set(tmp_path / "pairs"))
    result = examine(config.data)
    for _ in range(2):
        write_html(result, config.data, 0, tmp_path / "check.html")
    (tmp_path / "pairs.csv").write_text("input,target")
    with pytest.raises(UserError, match="must not overwrite a file. Received .*pairs.csv"):
        write_html(result, config.data, 0, tmp_path / "pairs.csv")
    assert (tmp_path / "pairs.csv").read_text() == "input,target"


@pytest.mark.parametrize(
    ("sizes", "fit", "notes"),
    [
        ([(64, 64)] * 4, "resize", []),
        ([(200, 200)] * 4, "resize", ["Most images are about 200 px, 6.2 times `data.image_size_px`"]),
        ([(16, 16)] * 4, "resize", ["Most images are about 16 px and are enlarged to 32 px"]),
        ([(22, 22)] * 4, "resize", []),
        ([(16, 16)] * 4, "crop", []),
        ([(200, 200)] * 4, "crop", []),
        ([(40, 64), (64, 40)] * 3, "resize", ["Images are 0.62 to 1.6 times as wide as high"]),
        ([(40, 64), (64, 40)] * 3, "pad", []),
    ],
)
def test_images_of_another_scale_or_shape_than_in_training_are_noted(tmp_path, sizes, fit, notes):
    for index, (width, height) in enumerate(sizes):
        side = scene(index, 200)[0][:height, :width]
        write_image(tmp_path / "train" / f"{index}.png", combine(side, 255 - side))
    found = [
        note
        for note in examined(tmp_path, fit=fit, jitter_ratio=1.0).notes
        if "image_size_px" in note or "wide" in note
    ]
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))
