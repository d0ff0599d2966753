"""Files of a folder: which are read, what their pairs are called, and what is said of the others."""

import json

import pytest
from PIL import Image

from tests.conftest import tiny_config, write_image
from tests.data.doctor.helpers import combine, config_of, examined, make_set, scene
from tfpix2pix.config.card import ModelCard
from tfpix2pix.data import SOURCES
from tfpix2pix.data.doctor import examine, quick_lines
from tfpix2pix.data.guess import guess_source
from tfpix2pix.data.images import counted, list_images, unread
from tfpix2pix.data.opening import open_sources
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.data.writing import write_pairs
from tfpix2pix.errors import UserError
from tfpix2pix.files import safe_path
from tfpix2pix.runs.directory import RunDirectory
from tfpix2pix.runs.resuming import to_resume

MIXED = ["a.jpg", "b.png", "c.jfif", "d.JPE", "inner/e.jpg", "inner/a.png", "inner/deep/g.JPEG", "h.jpg"]


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="PNG" if path.suffix == ".png" else "JPEG")


def names(folder, split="train", **data):
    config = DataConfig(dir=str(folder), held_out_fraction=0.0, **data)
    return list(SOURCES[config.source](config, split, 0).names)


class TestListing:
    def test_every_image_is_read_whatever_its_ending_and_its_folder(self, tmp_path):
        for seed, name in enumerate(MIXED):
            save(tmp_path / name, combine(*scene(seed)))
        assert names(tmp_path) == ["a", "b", "c", "d", "h", "inner/a", "inner/deep/g", "inner/e"]
        result = examined(tmp_path, held_out_fraction=0.0)
        assert result.findings == () and result.pairs["train"] == result.examined == 8

    def test_hidden_files_and_those_of_systems_are_not(self, tmp_path):
        touch(tmp_path, "a.png", "._a.png", ".b.png", ".cache/c.png", ".DS_Store", "Thumbs.db", "__MACOSX/._d.png")
        touch(
            tmp_path, "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "inner/@eaDir/e.png", "#recycle/f.png", "lost+found/g.png"
        )
        assert [path.name for path in list_images(tmp_path)] == ["a.png"]
        assert unread(tmp_path, list_images(tmp_path)) == {}

    def test_folders_of_splits_and_of_this_package_are_not(self, tmp_path):
        touch(tmp_path, "a.png", "inner/val/b.png", "runs/x/samples/c.png", "runs/x/evaluation/val/d.png", "old/e.png")
        config = {key: {} for key in ("data", "generator", "discriminator", "objective", "training", "inference")}
        (tmp_path / "runs" / "x" / "config.yaml").write_text(json.dumps(config))
        assert [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)] == ["a.png", "old/e.png"]

    def test_a_folder_is_read_once_although_links_lead_to_it_again(self, tmp_path):
        touch(tmp_path, "inner/a.png")
        (tmp_path / "inner" / "circle").symlink_to(tmp_path)
        assert len(list_images(tmp_path)) == 1

    def test_names_that_differ_in_their_endings_alone_keep_them(self, tmp_path):
        touch(tmp_path, "a.png", "inner/b.png", "inner/b.jpg")
        assert names(tmp_path) == ["a", "inner/b.jpg", "inner/b.png"]

    @pytest.mark.parametrize("layout", ["input/{}", "train/input/{}", "input/train/{}", "train_input/{}"])
    def test_two_folders_have_sub_folders_and_any_layout(self, tmp_path, layout):
        for side in ("input", "target"):
            touch(tmp_path, *(layout.replace("input", side).format(name) for name in ("1.png", "inner/2.jfif")))
        folders = {f"{side}_folder": f"_{side}" if "_" in layout else side for side in ("input", "target")}
        assert names(tmp_path, source="folders", **folders) == ["1", "inner/2"]

    def test_pairs_of_sub_folders_are_written_into_sub_folders(self, tmp_path):
        for name in ("a_b", "a/b"):
            write_image(tmp_path / "photos" / f"{name}.png", scene(0)[0])
        data = DataConfig(source="photographs", operator="blur", dir=str(tmp_path / "photos"), image_size_px=32)
        write_pairs(data, tmp_path / "out")
        written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
        assert len(written) == 4 and "input/a/b.png" in {path.partition("/")[2] for path in written}

    @pytest.mark.parametrize(
        ("name", "path"), [("a", "a"), ("inner/a", "inner/a"), ("../../a", "__/__/a"), ("/etc/a", "_/etc/a"), ("", "_")]
    )
    def test_the_path_for_a_name_leads_nowhere_else(self, name, path):
        assert safe_path(name) == path


class TestLeftUnread:
    def test_it_is_counted_and_said_by_a_check_and_by_a_run_that_starts(self, tmp_path):
        make_set(tmp_path)
        touch(tmp_path, "train/a.heic", "train/b.HEIC", "validation/c.png", "d.png", "README.md", "train/._e.png")
        (note,) = [note for note in examined(tmp_path).notes if "not read" in note]
        assert note == (
            "4 files are not read: 2 .heic, 1 image in the folder itself, 1 image in validation/. "
            "Splits are train/, val/ and test/."
        )
        assert any("4 files are not read" in line for line in quick_lines(examine(config_of(tmp_path).data)))

    def test_faulty_files_are_findings_and_not_unread(self, tmp_path):
        touch(tmp_path, "input/a.png", "target/b.png")
        assert not [note for note in examined(tmp_path, source="folders").notes if "not read" in note]

    def test_many_kinds_are_cut_short(self):
        assert counted({f".{letter}": 2 for letter in "abcdefgh"}, most=2) == "2 .a, 2 .b and 12 others"


class TestFirstVersions:
    """Runs that were made before sub-folders were read go on with the pairs that they had."""

    def test_their_files_are_those_of_the_folder_itself(self, tmp_path):
        touch(tmp_path, *MIXED, ".x.png", "._y.png")
        assert names(tmp_path, files="top") == [".x", "a", "b", "h"]

    def test_a_run_without_the_key_is_one_of_them(self, tmp_path):
        settings = tiny_config().model_dump(mode="json")
        del settings["data"]["files"]
        (tmp_path / "config.yaml").write_text(json.dumps(settings))
        before = RunDirectory(tmp_path).config()
        assert (before.data.files, tiny_config().data.files) == ("top", "all")
        card = json.loads(ModelCard.of(tiny_config(), 3).to_json())
        assert ModelCard.from_json(json.dumps(card), "a card").config.data.files == "all"
        del card["config"]["data"]["files"]
        assert ModelCard.from_json(json.dumps(card), "a card").config.data.files == "top"

    def test_it_is_resumed_with_a_preset_or_file_that_does_not_name_the_key(self):
        before = tiny_config(data={"files": "top"})
        assert to_resume(before, tiny_config()).data.files == "top"
        with pytest.raises(UserError, match="data.files 'top' -> 'all'"):
            to_resume(before, tiny_config(data={"files": "all"}))


class TestHeldOutAlone:
    @pytest.mark.parametrize("source", ["combined", "photographs", "folders", "table"])
    def test_a_folder_with_val_alone_can_be_read_and_not_trained_on(self, tmp_path, source):
        places = [f"val/{side}/" for side in ("input", "target")] if source == "folders" else ["val/"]
        for place in places:
            for seed in range(2):
                write_image(tmp_path / place / f"{seed}.png", combine(*scene(seed)))
        path = tmp_path
        if source == "table":
            path = tmp_path / "pairs.csv"
            path.write_text("input,target,split\nval/0.png,val/0.png,val\nval/1.png,val/1.png,val\n")
        result = examined(path, source=source)
        assert result.pairs == {"train": 0, "val": 2, "test": 0} and result.examined == 2
        assert any("There are no pairs to train on. `tfpix2pix translate RUN --split val" in n for n in result.notes)
        with pytest.raises(UserError, match="There must be pairs to train on. Received .*, which holds held-out pairs"):
            open_sources(config_of(path, source=source).data, 0)


class TestTwoFoldersForPairs:
    """Two folders are not read as combined images if no key says so. The error names the way out."""

    @pytest.mark.parametrize(
        ("sides", "keys"),
        [
            (("train/image", "train/label"), {"input_folder": "image", "target_folder": "label"}),
            (("trainA", "trainB"), {"input_folder": "A", "target_folder": "B"}),
            (("images", "masks"), {"input_folder": "images", "target_folder": "masks"}),
            (("lines", "photos"), {"input_folder": "lines", "target_folder": "photos"}),
            (("val/lines", "val/photos"), {"input_folder": "lines", "target_folder": "photos"}),
            (("train_x", "train_y"), {"input_folder": "_x", "target_folder": "_y"}),
        ],
    )
    def test_common_layouts_are_recognised(self, tmp_path, sides, keys):
        for seed in range(3):
            for side, image in zip(sides, scene(seed), strict=True):
                write_image(tmp_path / side / f"{seed}.png", image)
        assert guess_source(tmp_path) == {"source": "folders", **keys}
        settings = " ".join(f"--set data.{key}={value}" for key, value in keys.items())
        split = "val" if "val" in sides[0] else "train"
        with pytest.raises(UserError, match=f"--set data.source=folders {settings}"):
            names(tmp_path, split)
        assert len(names(tmp_path, split, source="folders", **keys)) == 3

    def test_folders_of_other_names_are_to_be_matched(self, tmp_path):
        for seed in range(3):
            for side, name, image in zip(("one", "other"), ("scan_{}", "{}_final"), scene(seed), strict=True):
                write_image(tmp_path / side / f"{name.format(seed)}.png", image)
        command = f"`tfpix2pix data match {tmp_path / 'one'} {tmp_path / 'other'} --out pairs.csv`"
        for source in ("combined", "folders"):
            with pytest.raises(UserError) as error:
                names(tmp_path, source=source)
            assert command in str(error.value)
        with pytest.raises(UserError) as error:
            names(tmp_path, source="folders", input_folder="one", target_folder="other")
        assert command in str(error.value)

    @pytest.mark.parametrize("hidden", ["", ".hidden/"])
    def test_two_folders_of_combined_images_are_combined_images(self, tmp_path, hidden):
        for folder, seed in (("cats", 0), ("dogs", 1)):
            write_image(tmp_path / hidden / folder / "1.png", combine(*scene(seed)))
        assert guess_source(tmp_path / hidden) == {}
        assert names(tmp_path / hidden) == ["cats/1", "dogs/1"]

    def test_folders_beside_splits_are_no_sides(self, tmp_path):
        for folder in ("train", "old", "older"):
            write_image(tmp_path / folder / "1.png", scene(0)[0])
        assert guess_source(tmp_path) == {}
