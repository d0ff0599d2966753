"""Two folders whose names differ: what is paired, by what, what is left, and the table that a run reads."""

import numpy as np
import pytest
from PIL import Image

from tests import real_pairs
from tests.conftest import run_cli, write_image
from tfpix2pix.data import SOURCES
from tfpix2pix.data import match as matching
from tfpix2pix.data.match import doubt, match, without_affixes, write_table
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError


def make(folder, *names):
    """Files of these names, empty: names and numbers need no reading."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def told(matches):
    return [(pair.input.name, pair.target.name, pair.by) for pair in matches.pairs]


@pytest.mark.parametrize(
    ("inputs", "targets", "by"),
    [
        (["scan_001.tif", "scan_002.tif", "scan_010.tif"], ["001_final.jpg", "002_final.jpg", "010_final.jpg"], "name"),
        (["21_training.tif", "22_training.tif"], ["21_manual1.gif", "22_manual1.gif"], "name"),
        (["1_A.jpg", "2_A.jpg", "10_A.jpg"], ["1_B.jpg", "2_B.jpg", "10_B.jpg"], "name"),
        (["Haus.png", "Baum.png"], ["haus.jpg", "BAUM.JPG"], "name"),
        (["haus photo.png", "baum photo.png"], ["plan-haus.png", "plan-baum.png"], "name"),
        (["img1.png", "img2.png", "img10.png"], ["label_001.png", "label_002.png", "label_010.png"], "number"),
        (["2020 x 1 y.png", "2020 x 2 z.png"], ["y1.png", "y2.png"], "number"),
        (["a/1.png", "a/2.png", "b/1.png"], ["a/1.jpg", "a/2.jpg", "b/1.jpg"], "name"),
        (["cats/img1.png", "dogs/img1.png"], ["cats/lab_1.png", "dogs/lab_1.png"], "number"),
        (["cats/x_rot.png", "dogs/x_blau.png"], ["Cats/rot-y.png", "dogs/blau-y.png"], "name"),
        (["cats/image.png", "dogs/image.png"], ["cats/mask.png", "dogs/mask.png"], "name"),
        (["s1_f2.png", "s2_f1.png", "s1_f1.png"], ["f2_s1.png", "f1_s2.png", "f1_s1.png"], "number"),
        (["s1_f2.png", "s2_f1.png"], ["subject1_frame2.png", "subject2_frame1.png"], "number"),
    ],
)
def test_names_and_numbers(tmp_path, inputs, targets, by):
    make(tmp_path / "in", *inputs)
    make(tmp_path / "out", *targets)
    matches = match(tmp_path / "in", tmp_path / "out")
    pairs = [(*(path.as_posix() for path in (pair.input, pair.target)), pair.by) for pair in matches.pairs]
    expected = [(f"{tmp_path}/in/{a}", f"{tmp_path}/out/{b}", by) for a, b in zip(inputs, targets, strict=True)]
    assert sorted(pairs) == sorted(expected)
    assert matches.inputs == matches.targets == ()


def test_what_is_left_over_is_listed_on_either_side(tmp_path):
    make(tmp_path / "in", "scan_1.png", "scan_2.png", "scan_3.png")
    make(tmp_path / "out", "2.jpg", "3.jpg", "4.jpg")
    matches = match(tmp_path / "in", tmp_path / "out")
    assert told(matches) == [("scan_2.png", "2.jpg", "name"), ("scan_3.png", "3.jpg", "name")]
    assert [path.name for path in (*matches.inputs, *matches.targets)] == ["scan_1.png", "4.jpg"]


def test_files_of_a_sub_folder_that_both_sides_have_go_to_no_other(tmp_path):
    make(tmp_path / "in", "cats/img1.png", "dogs/img2.png", "birds/img3.png")
    make(tmp_path / "out", "dogs/lab_1.png", "cats/lab_2.png", "vögel/lab_3.png")
    assert told(match(tmp_path / "in", tmp_path / "out")) == [("img3.png", "lab_3.png", "number")]


def test_numbers_whose_order_is_not_known_pair_nothing(tmp_path):
    make(tmp_path / "in", "s1_f2.png", "s2_f1.png")
    make(tmp_path / "out", "x1_s2.png", "x2_s1.png")
    assert told(match(tmp_path / "in", tmp_path / "out", "number")) == []


class TestSplits:
    def test_files_outside_of_the_matched_folders_are_left_over(self, tmp_path):
        make(tmp_path / "in", "train/1.png", "val/2.png", "old/3.png", "4.png")
        make(tmp_path / "out", "train/1.png", "test/2.png")
        matches = match(tmp_path / "in", tmp_path / "out")
        assert [(pair.input.name, pair.split) for pair in matches.pairs] == [("1.png", "train")]
        assert [path.name for path in (*matches.inputs, *matches.targets)] == ["4.png", "3.png", "2.png", "2.png"]

    @pytest.mark.parametrize(
        ("targets", "state"),
        [(["1.png"], "not divided"), (["test/1.png"], "divided into test/")],
    )
    def test_two_folders_that_are_divided_otherwise(self, tmp_path, targets, state):
        make(tmp_path / "in", "train/1.png", "val/2.png")
        make(tmp_path / "out", *targets)
        with pytest.raises(
            UserError, match=f"alike. Received .*in, divided into train/, val/ and .*out, {state}. Give"
        ):
            match(tmp_path / "in", tmp_path / "out")

    def test_splits_under_other_names_are_to_be_renamed(self, tmp_path):
        make(tmp_path / "in", "train/1.png", "valid/2.png")
        make(tmp_path / "out", "train/1.png", "valid/2.png")
        with pytest.raises(UserError, match="Rename valid/ to val/"):
            match(tmp_path / "in", tmp_path / "out")


def test_a_number_that_two_files_have_pairs_neither(tmp_path):
    make(tmp_path / "in", "a1.png", "b1.png", "a2.png")
    make(tmp_path / "out", "x1.png", "x2.png")
    assert told(match(tmp_path / "in", tmp_path / "out")) == [("a2.png", "x2.png", "number")]


def test_digits_are_not_taken_off_names():
    assert without_affixes(["scan_001", "scan_002"]) == {"scan_001": "001", "scan_002": "002"}
    assert without_affixes(["10_x", "20_x"]) == {"10_x": "10", "20_x": "20"}
    assert without_affixes(["alone"]) == {}


@pytest.mark.parametrize("pairs", [real_pairs.photographs, real_pairs.drawings])
def test_likeness_pairs_photographs_with_their_edges_and_drawings_with_their_lines(tmp_path, pairs):
    partner, some = {}, list(pairs().values())[:16]
    for number, sides in enumerate(some):
        other = f"{'ponmlkjihgfedcba'[number]}.png"
        partner[f"{'abcdefghijklmnop'[number]}.png"] = other
        for side, name, image in zip(("in", "out"), ("abcdefghijklmnop"[number] + ".png", other), sides, strict=True):
            write_image(tmp_path / side / name, image)
    matches = match(tmp_path / "in", tmp_path / "out", "likeness")
    assert len(matches.pairs) >= 14
    assert all(partner[pair.input.name] == pair.target.name and pair.by == "likeness" for pair in matches.pairs)


def test_a_file_without_a_partner_is_not_paired_by_likeness_if_names_pair_the_others(tmp_path):
    """The last input looks like the last target, as two boots do, and both have lost their partners."""
    (*others, _, _), alone = list(real_pairs.photographs().values())[:6], list(real_pairs.photographs().values())[6]
    for number, sides in enumerate(others):
        for side, image in zip(("in", "out"), sides, strict=True):
            write_image(tmp_path / side / f"shoe {number:03}.png", image)
    for side, name, image in zip(("in", "out"), ("shoe 007.png", "shoe 022.png"), alone, strict=True):
        write_image(tmp_path / side / name, image)
    matches = match(tmp_path / "in", tmp_path / "out")
    assert matches.counts == {"name": 4}
    assert [path.name for path in (*matches.inputs, *matches.targets)] == ["shoe 007.png", "shoe 022.png"]
    assert ("shoe 007.png", "shoe 022.png", "likeness") in told(match(tmp_path / "in", tmp_path / "out", "likeness"))


def test_pairs_by_number_that_look_nothing_like_each_other_are_doubted(tmp_path):
    for number, (a, b) in enumerate(list(real_pairs.photographs().values())[:12]):
        write_image(tmp_path / "in" / f"img_{number}.png", a)
        write_image(tmp_path / "right" / f"x{number:03}.png", b)
        write_image(tmp_path / "wrong" / f"x{(number + 5) % 12:03}.png", b)
    assert doubt(match(tmp_path / "in", tmp_path / "right")) == ""
    assert "look no more alike" in doubt(match(tmp_path / "in", tmp_path / "wrong"))


@pytest.mark.parametrize("name", ["pairs.csv", "tables/pairs.tsv"])
def test_a_run_reads_the_table(tmp_path, name):
    for split, numbers in (("train", (1, 2, 3)), ("val", (4,))):
        for number in numbers:
            image = np.full((40, 40, 3), number, np.uint8)
            write_image(tmp_path / "in, all" / split / f"scan {number}.png", image)
            write_image(tmp_path / "out" / split / f"{number}_fertig ä.png", image + 100)
    matches = match(tmp_path / "in, all", tmp_path / "out")
    write_table(matches, tmp_path / name)
    config = DataConfig(source="table", dir=str(tmp_path / name), image_size_px=32)
    train, val = (SOURCES["table"](config, split, 0) for split in ("train", "val"))
    assert (list(train.names), list(val.names)) == (["scan 1", "scan 2", "scan 3"], ["scan 4"])
    assert (train.read(1)[0] == 2).all() and (train.read(1)[1] == 102).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nowhere", "b", "--out", "p.csv"),
            "INPUTS must be a folder of images. Received nowhere, which does not exist",
        ),
        (("a", "a", "--out", "p.csv"), "must be two folders. Received a for both"),
        (("a", "b", "--out", "p.txt"), "--out must be a .csv or .tsv file. Received p.txt"),
        (("a", "b", "--out", "there.csv"), "must not overwrite a file. Received there.csv"),
        (("a", "empty", "--out", "p.csv"), "must hold images. Received empty without any"),
        (("a", "b", "--out", "p.csv", "--by", "name"), "There must be pairs to write. Received 1 inputs and 1 targets"),
        (("a", "b", "--out", "p.csv", "--by", "numbers"), "Did you mean 'number'?"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(tmp_path, arguments, message):
    make(tmp_path, "a/x.png", "b/y.png", "there.csv", "empty/z.txt")
    code, out, err = run_cli("data", "match", *arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert message in err and "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "empty", "there.csv"]


def test_the_command_shows_pairs_what_is_left_and_what_to_do_next(tmp_path):
    for number in range(20):
        image = Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8))
        for name in (f"scans/scan_{number:03}.png", f"done/{number:03}_final.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            image.save(tmp_path / name)
    make(tmp_path / "scans", "cover.png")
    code, out, err = run_cli("data", "match", "scans", "done", "--out", "pairs.csv", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "8 of 20 pairs (20 by number) are shown" in out and "number 0" in out and "scan_000.png" in out
    assert "Left over in scans, 1: cover.png." in out
    assert "tfpix2pix train --data pairs.csv --run runs/pairs\n" in out
    assert "make what is in done from what is in scans. For the other direction, name done first." in " ".join(
        out.split()
    )
    code, out, _ = run_cli("data", "match", "scans", "done", "--out", "again.csv", "--json", cwd=tmp_path)
    assert code == 0 and '"counts": {"number": 20}' in out and "cover.png" in out
    assert matching.WAYS.keys() == {"name", "number", "likeness"}
