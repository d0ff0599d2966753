"""Pairs of every source: which file, which half, which split, and what is refused."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

import tfpix2pix as p2p
from tests import real_pairs
from tests.conftest import make_combined, tiny_config, write_image
from tfpix2pix.config import Config
from tfpix2pix.config.card import ModelCard
from tfpix2pix.config.resolve import to_yaml
from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.fingerprints import digest_of, fingerprints
from tfpix2pix.data.opening import check_readable, open_sources
from tfpix2pix.data.pipeline import training_batches
from tfpix2pix.data.settings import DataConfig
from tfpix2pix.errors import UserError

SMALL = {"image_size_px": 32}


def source(split="train", seed=0, **config):
    config = DataConfig.model_validate({**SMALL, **config})
    return SOURCES[config.source](config, split, seed)


def test_either_half_is_the_input(combined_dir):
    left = source(dir=str(combined_dir)).read(0)
    right = source(dir=str(combined_dir), input_side="right").read(0)
    np.testing.assert_array_equal(left[0], right[1])
    np.testing.assert_array_equal(left[0], 255 - left[1])
    assert left[0].shape == (40, 40, 3)


@pytest.mark.parametrize("source_kind", ["combined", "photographs"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_refused_or_dropped_never_lost_silently(tmp_path, source_kind, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80, channels), np.uint8)
    (tmp_path / "train").mkdir()
    Image.fromarray(pixels).save(tmp_path / "train" / "a.png")
    options = {"dir": str(tmp_path), "source": source_kind}
    way_out = f".*input_channels={channels}.*alpha=drop" if source_kind == "combined" else "`--set data.alpha=drop`"
    with pytest.raises(UserError, match=f"Received (RGBA|gray with alpha) in .*a.png. Add {way_out}"):
        source(**options).read(0)
    assert source(**options, alpha="drop").read(0)[1].shape[-1] == 3
    if source_kind == "combined":
        both = source(**options, input_channels=4, target_channels=4).read(0)
        assert [half.shape for half in both] == [(40, 40, 4)] * 2


def test_folders_divide_the_splits(combined_dir):
    assert [len(source(split, dir=str(combined_dir))) for split in SPLITS] == [3, 2, 0]
    assert check_readable(source(dir=str(combined_dir))) == 3


def test_a_flat_folder_is_split_by_seed_and_name(tmp_path):
    make_combined(tmp_path, count=10)
    train, val = (set(source(split, dir=str(tmp_path), held_out_fraction=0.35).names) for split in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    assert not train & val
    other = set(source("val", seed=1, dir=str(tmp_path), held_out_fraction=0.35).names)
    assert other != val
    make_combined(tmp_path / "more", count=1)
    assert val == set(source("val", dir=str(tmp_path), held_out_fraction=0.35).names)


def sample_part(monkeypatch, folder, split, **options):
    """`sample_photographs` over the photographs of a folder."""
    monkeypatch.setattr("skimage.data.__file__", str(folder / "__init__.py"))
    monkeypatch.setattr("tfpix2pix.data.photographs.SAMPLE_PHOTOGRAPHS", ("photo.png",))
    return source(split, source="sample_photographs", fit="crop", held_out_fraction=0.4, **options)


def test_sample_photographs_hold_out_the_right_hand_part(tmp_path, monkeypatch):
    photograph = np.zeros((64, 160, 3), np.uint8)
    photograph[:, 96:] = 200
    write_image(tmp_path / "photo.png", photograph)
    train = sample_part(monkeypatch, tmp_path, "train", input_channels=1)
    assert train.read(0)[1].shape == (64, 96, 3)
    assert train.read(0)[0].shape == (64, 96, 1)
    assert (train.read(0)[1] == 0).all()
    val = sample_part(monkeypatch, tmp_path, "val", input_channels=1)
    assert list(val.names) == ["photo-0-0", "photo-0-32", "photo-32-0", "photo-32-32"]
    assert all((val.read(index)[1] == 200).all() for index in range(4))


def test_no_pixel_of_the_held_out_part_reaches_training(tmp_path, monkeypatch):
    """Edges are found after the cut: a change beyond it changes nothing before it."""
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (48, 100, 3), np.uint8)
    write_image(tmp_path / "photo.png", photograph)
    before = sample_part(monkeypatch, tmp_path, "train").read(0)
    photograph[:, 60:] = rng.integers(0, 256, (48, 40, 3), np.uint8)
    write_image(tmp_path / "photo.png", photograph)
    after = sample_part(monkeypatch, tmp_path, "train").read(0)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_photograph_is_in_two_splits(tmp_path):
    for index in range(10):
        write_image(tmp_path / f"{index}.png", np.zeros((40, 50, 3), np.uint8))
    options = {"source": "photographs", "dir": str(tmp_path), "held_out_fraction": 0.35}
    train, val = source("train", **options), source("val", **options)
    assert (len(train), len(val)) == (8, 2)
    assert not set(train.names) & set(val.names)
    assert val.names == source("val", **options).names != source("val", seed=1, **options).names


@pytest.mark.parametrize(("side", "whole"), [("top", (80, 40)), ("bottom", (80, 40))])
def test_halves_may_lie_above_each_other(tmp_path, side, whole):
    image = np.random.default_rng(0).integers(0, 256, (*whole, 3), np.uint8)
    write_image(tmp_path / "train" / "a.png", image)
    pair = source(dir=str(tmp_path), input_side=side).read(0)
    top, bottom = np.split(image, 2, axis=0)
    np.testing.assert_array_equal(pair[0], top if side == "top" else bottom)
    np.testing.assert_array_equal(pair[1], bottom if side == "top" else top)


def picture(path, value=0, size=(40, 40)):
    return write_image(path, np.full((*size, 3), value, np.uint8))


class TestFolders:
    @pytest.mark.parametrize("layout", ["{split}/{name}", "{name}/{split}"])
    def test_files_pair_up_by_name_in_either_layout(self, tmp_path, layout):
        for split, count in (("train", 3), ("val", 1)):
            for index in range(count):
                picture(tmp_path / layout.format(split=split, name="input") / f"ä {index}.png", index)
                picture(tmp_path / layout.format(split=split, name="target") / f"ä {index}.bmp", 100 + index, (80, 60))
        splits = [source(split, source="folders", dir=str(tmp_path)) for split in SPLITS]
        assert [len(split) for split in splits] == [3, 1, 0]
        assert list(splits[0].names) == ["ä 0", "ä 1", "ä 2"]
        image, target = splits[0].read(1)
        assert (image == 1).all() and (target == 101).all()
        assert target.shape == (80, 60, 3)

    def test_names_pair_up_however_their_accents_are_written(self, tmp_path):
        for form in ("NFC", "NFD"):
            name = unicodedata.normalize(form, "Brücke é")
            picture(tmp_path / ("input" if form == "NFC" else "target") / f"{name}.png")
        assert len(source(source="folders", dir=str(tmp_path), held_out_fraction=0)) == 1
        listed = tmp_path / "pairs.csv"
        listed.write_text(unicodedata.normalize("NFD", "input,target\ninput/Brücke é.png,target/Brücke é.png\n"))
        assert len(source(source="table", dir=str(listed), held_out_fraction=0)) == 1

    def test_other_names_and_a_seeded_split(self, tmp_path):
        for index in range(10):
            picture(tmp_path / "A" / f"{index}.png", index)
            picture(tmp_path / "B" / f"{index}.png", index)
        options = {"source": "folders", "dir": str(tmp_path), "input_folder": "A", "target_folder": "B"}
        train, val = (source(split, **options) for split in ("train", "val"))
        assert (len(train), len(val)) == (9, 1)
        assert not set(train.names) & set(val.names)

    def test_missing_partners_are_named(self, tmp_path):
        for name in ("a", "b", "c", "d", "e"):
            picture(tmp_path / "input" / f"{name}.png")
        picture(tmp_path / "target" / "a.png")
        with pytest.raises(UserError, match="Received 'b' without one in .*target.* 3 more do not pair up"):
            source(source="folders", dir=str(tmp_path))
        for name in ("b", "c", "d", "e", "f"):
            picture(tmp_path / "target" / f"{name}.png")
        with pytest.raises(UserError, match="Received 'f' without one in .*input"):
            source(source="folders", dir=str(tmp_path))
        (tmp_path / "input" / "b.png").unlink()
        kept = source(source="folders", dir=str(tmp_path), on_error="skip", held_out_fraction=0)
        assert list(kept.names) == ["a", "c", "d", "e"]
        assert {(fault.kind, Path(fault.where).name) for fault in kept.skipped} == {
            ("partner", "b.png"),
            ("partner", "f.png"),
        }

    def test_two_files_of_one_name_are_refused(self, tmp_path):
        for name in ("a.png", "a.bmp"):
            picture(tmp_path / "input" / name)
        picture(tmp_path / "target" / "a.png")
        with pytest.raises(UserError, match="one file of each name. Received several of 'a' in .*input"):
            source(source="folders", dir=str(tmp_path))

    def test_other_folders_are_asked_for(self, tmp_path):
        picture(tmp_path / "A" / "a.png")
        with pytest.raises(UserError, match="input/ and target/.* Set `data.input_folder`"):
            source(source="folders", dir=str(tmp_path))

    @pytest.mark.parametrize("fit", ["crop", "resize_crop"])
    def test_sizes_may_differ_only_where_both_are_resized(self, tmp_path, fit):
        picture(tmp_path / "input" / "a.png", size=(40, 40))
        picture(tmp_path / "target" / "a.png", size=(40, 44))
        options = {"source": "folders", "dir": str(tmp_path), "held_out_fraction": 0}
        assert source(**options).read(0)[1].shape == (40, 44, 3)
        with pytest.raises(UserError, match="Received 40x40 px in .*input/a.png and 44x40 px in .*target/a.png"):
            source(**options, fit=fit).read(0)

    @pytest.mark.parametrize(
        ("sizes", "fits"),
        [
            (((48, 48), (96, 48)), False),
            (((96, 48), (48, 96)), False),
            (((48, 48), (96, 96)), True),
            (((100, 67), (200, 133)), True),  # one shape, to the pixel
        ],
    )
    def test_shapes_may_not_differ_where_both_are_padded(self, tmp_path, sizes, fits):
        """Other parts of the two would be reflected, so that they no longer lie on each other."""
        for side, size in zip(("input", "target"), sizes, strict=True):
            picture(tmp_path / side / "1.png", size=size)
        pairs = source(source="folders", dir=str(tmp_path), held_out_fraction=0, image_size_px=32, fit="pad")
        if fits:
            assert len(pairs.read(0)) == 2
        else:
            with pytest.raises(UserError, match=r"fit: pad` .* must be of one shape\. Received .*`data.fit: resize`"):
                pairs.read(0)


class TestTable:
    def write(self, folder, text, name="pairs.csv", encoding="utf-8"):
        path = folder / name
        path.write_text(text, encoding=encoding)
        return path

    @pytest.mark.parametrize(("name", "comma"), [("pairs.csv", ","), ("pairs.tsv", "\t")])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_paths_are_relative_to_the_table(self, tmp_path, name, comma, encoding):
        picture(tmp_path / "scans" / "blatt ä, 1.png", 1)
        picture(tmp_path / "scans" / "zwei.png", 2)
        picture(tmp_path / "done.png", 9)
        lines = ["input,target,split", '"scans/blatt ä, 1.png",done.png,train', "scans/zwei.png,done.png,val", ""]
        text = "\n".join(lines) if comma == "," else "\n".join(lines).replace(",", comma).replace(f"ä{comma} ", "ä, ")
        table = self.write(tmp_path, text, name, encoding)
        train, val = (source(split, source="table", dir=str(table)) for split in ("train", "val"))
        assert (list(train.names), list(val.names)) == (["blatt ä, 1"], ["zwei"])
        assert (train.read(0)[0] == 1).all() and (train.read(0)[1] == 9).all()

    def test_without_a_split_column_a_seeded_share_is_held_out(self, tmp_path):
        rows = []
        for index in range(10):
            picture(tmp_path / str(index) / "image.png", index)
            rows.append(f"{index}/image.png,{index}/image.png")
        table = self.write(tmp_path, "\n".join(["input,target", *rows]))
        train, val = (source(split, source="table", dir=str(table)) for split in ("train", "val"))
        assert (len(train), len(val)) == (8, 2)
        assert len({*train.names, *val.names}) == 10  # the same stems are told apart by their folders

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a,b\n1,2", "columns input and target in its first line. Received a, b .* Add input and target"),
            ("", "Received none in"),
            ("input,target\nx.png,y.png", "Received 'x.png' as input, which is not a file, in line 2"),
            ("\ninput,target\n\n\nx.png,y.png", "Received 'x.png' as input, which is not a file, in line 5"),
            (
                "sep=;\ninput;target\na.png;a.png\nx.png;y.png",
                "Received 'x.png' as input, which is not a file",
            ),
            ("input,target,split\na.png,a.png,trian", "Received the split 'trian' in line 2"),
            ("input,target\na.png", "Received 1 values for 2 columns in line 2"),
            ("input,target,split\na.png,a.png", "Received 2 values for 3 columns in line 2"),
            ("input,target\na.png,a.png,b.png", "Received 3 values for 2 columns in line 2"),
            ("input,target\n", "There must be pairs to train on. Received none"),
        ],
    )
    def test_what_is_no_table_of_pairs(self, tmp_path, text, message):
        picture(tmp_path / "a.png")
        with pytest.raises(UserError, match=message):
            source(source="table", dir=str(self.write(tmp_path, text)))

    @pytest.mark.parametrize(
        ("name", "header"),
        [
            ("a.csv", "Input;Target"),
            ("b.csv", "input\ttarget"),
            ("c.tsv", "input\ttarget"),
            ("d.csv", "sep=|\ninput|target"),
        ],
    )
    def test_spreadsheets_write_other_separators_and_capitals(self, tmp_path, name, header):
        picture(tmp_path / "x.png")
        table = self.write(tmp_path, f"{header}\nx.png{header.lower().split('input')[1][0]}x.png\n", name)
        assert len(source(source="table", dir=str(table), held_out_fraction=0)) == 1

    @pytest.mark.parametrize("name", ["pairs.txt", "/nowhere/pairs.csv"])
    def test_a_table_that_is_gone_is_a_file(self, name):
        with pytest.raises(UserError, match=f"`data.dir` must be an existing file. Received {name}"):
            source(source="table", dir=name)

    def test_a_table_of_another_ending_is_read_if_the_source_says_so(self, tmp_path):
        picture(tmp_path / "a.png")
        table = self.write(tmp_path, "input,target\na.png,a.png", "pairs.txt")
        assert len(source(source="table", dir=str(table), held_out_fraction=0)) == 1
        with pytest.raises(UserError, match="must be a folder, or a table with `--set data.source=table`. Received"):
            source(dir=str(table))

    def test_a_folder_is_no_table(self, tmp_path):
        with pytest.raises(UserError, match="must be a .csv or .tsv file. Received .*, a folder"):
            source(source="table", dir=str(tmp_path))


def test_photographs_in_split_folders_are_whole(tmp_path):
    for split in ("train", "val"):
        write_image(tmp_path / split / "a.png", np.zeros((40, 50, 3), np.uint8))
    assert source("train", source="photographs", dir=str(tmp_path)).read(0)[1].shape == (40, 50, 3)
    assert source("val", source="photographs", dir=str(tmp_path)).read(0)[1].shape == (40, 50, 3)


def test_sample_photographs_are_at_hand():
    train = source("train", source="sample_photographs", fit="crop", image_size_px=128, held_out_fraction=0.35)
    val = source("val", source="sample_photographs", fit="crop", image_size_px=128, held_out_fraction=0.35)
    assert "chelsea" in train.names
    assert {name.split("-")[0] for name in val.names} == set(train.names)


def test_sample_photographs_take_no_folder_and_have_no_test_split(tmp_path):
    with pytest.raises(UserError, match="must be left out for the sample photographs.*data.source=photographs"):
        source(source="sample_photographs", dir=str(tmp_path))
    assert len(source("test", source="sample_photographs", fit="crop")) == 0


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda d: None, "`data.dir` must be an existing folder. Received .*pairs"),
        (lambda d: d.mkdir(), r"must hold images .* to train on. Received none"),
        (lambda d: (d / "val").mkdir(parents=True), "train must hold images"),
        (lambda d: write_image(d / "odd.png", np.zeros((40, 81, 3), np.uint8)), "even number of pixels wide.*81 px"),
        (lambda d: write_image(d / "small.png", np.zeros((6, 12, 3), np.uint8)), "at least 8 px .* Received 6x6 px"),
    ],
)
def test_unfit_folders_are_refused(tmp_path, prepare, message):
    prepare(tmp_path / "pairs")
    with pytest.raises(UserError, match=message):
        check_readable(source(dir=str(tmp_path / "pairs")))


def test_a_crop_needs_room(tmp_path, monkeypatch):
    write_image(tmp_path / "photo.png", np.zeros((64, 70, 3), np.uint8))
    with pytest.raises(UserError, match="Received 28x64 px .* its part of a `data.held_out_fraction`"):
        sample_part(monkeypatch, tmp_path, "val")
    write_image(tmp_path / "train" / "small.png", np.zeros((64, 30, 3), np.uint8))
    small = source(source="photographs", dir=str(tmp_path), fit="crop")
    with pytest.raises(UserError, match="to cut a crop from it. Received 30x64 px from .*small.png. Use larger"):
        small.read(0)


def test_real_pairs_as_the_archives_hold_them(tmp_path):
    """JPEG files with the target on the left and the input on the right."""
    folder = real_pairs.write(tmp_path, real_pairs.drawings(), held_out=11)
    train, val = (source(split, dir=str(folder), input_side="right") for split in ("train", "val"))
    assert (len(train), len(val)) == (24, 11)
    for name, (lines, colors) in zip(train.names, (train.read(index) for index in range(3)), strict=False):
        assert lines.shape == colors.shape == (real_pairs.SIZE_PX, real_pairs.SIZE_PX, 3)
        for image, drawn in zip((colors, lines), real_pairs.drawings()[name], strict=True):
            assert np.abs(image.astype(int) - drawn).mean() < 2  # levels that JPEG costs


class TestOnError:
    def config(self, folder, on_error):
        return tiny_config(data={"dir": str(folder), "on_error": on_error, "held_out_fraction": 0.0})

    def folder(self, tmp_path, bad=("1.png",)):
        make_combined(tmp_path / "pairs", count=4)
        for name in bad:
            (tmp_path / "pairs" / name).write_text("no image")
        return tmp_path / "pairs"

    def test_an_unreadable_file_stops_or_is_left_out_and_named(self, tmp_path):
        folder = self.folder(tmp_path)
        whole = open_sources(self.config(folder, "stop").data, 0)["train"]
        assert len(whole) == 4
        with pytest.raises(UserError, match="1.png, which is not in a supported format"):
            check_readable(whole)
        kept = open_sources(self.config(folder, "skip").data, 0)["train"]
        assert list(kept.names) == ["0", "2", "3"]
        assert len(kept.skipped) == 1 and "1.png" in kept.skipped[0].message
        assert check_readable(kept) == 3
        np.testing.assert_array_equal(kept.read(1)[0], whole.read(2)[0])

    def test_where_none_is_readable_the_run_stops(self, tmp_path):
        folder = self.folder(tmp_path, bad=[f"{index}.png" for index in range(4)])
        with pytest.raises(UserError, match="must be readable. Received 4 that are not. The first: .*0.png"):
            open_sources(self.config(folder, "skip").data, 0)

    @pytest.mark.parametrize("on_error", ["stop", "skip"])
    def test_a_file_that_vanishes_while_training(self, tmp_path, on_error):
        folder = self.folder(tmp_path, bad=())
        config = self.config(folder, on_error)
        pairs = open_sources(config.data, config.seed)["train"]
        data = config.data.model_copy(update={"cache_mb": 0})
        batches = training_batches(pairs, data, batch_size=1, seed=0, first_step=0, total_steps=12)
        (folder / "2.png").unlink()
        if on_error == "stop":
            with pytest.raises(UserError, match="2.png"):
                list(batches)
        else:
            assert len(list(batches)) == 12

    def test_a_run_says_what_it_skipped(self, tmp_path, capsys):
        config = self.config(self.folder(tmp_path), "skip")
        p2p.train(config, run_dir=tmp_path / "run", console=Console(width=200))
        out = capsys.readouterr().out
        assert "3 training and 0 held-out pairs" in out
        assert "1 pairs skipped. The first: Every image must be readable" in out


def test_a_table_that_windows_wrote_names_the_same_files(tmp_path):
    for side in ("input", "target"):
        picture(tmp_path / side / "a.png")
    (tmp_path / "pairs.csv").write_text("input,target\ninput\\a.png,target\\a.png\n")
    pairs = source(source="table", dir=str(tmp_path / "pairs.csv"))
    assert list(pairs.names) == ["a"]
    assert pairs.files(0) == (tmp_path / "input" / "a.png", tmp_path / "target" / "a.png")


def test_a_relative_folder_that_is_not_here_names_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"Received data/facades, which is not in {tmp_path}. Go to the folder"):
        source(dir="data/facades")


@pytest.mark.parametrize("kind", ["combined", "folders", "table", "photographs", "shards"])
def test_an_empty_path_is_none(kind):
    with pytest.raises(UserError, match="must be given. Received none. Add `data`, or set `data.dir`"):
        source(source=kind, dir="")


def test_pairs_of_every_name_are_read_from_every_source(tmp_path):
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"x" * 251, b"[a] b*?", b"a\nb", b"-dash", b"a#2", b"100%d")]
    root = tmp_path / os.fsdecode(b"[d] \xe9")
    pictures = {name: np.full((8, 16, 3), index, np.uint8) for index, name in enumerate(sorted(names))}
    for name, picture in pictures.items():
        write_image(root / "combined" / f"{name}.png", picture)
        for side in ("input", "target"):
            write_image(root / "folders" / side / f"{name}.png", picture[:, :8])
    for kind, operator in (("combined", "edges"), ("folders", "edges"), ("photographs", "mask")):
        folder = root / ("combined" if kind == "photographs" else kind)
        channels = {"input_channels": 4} if operator == "mask" else {}
        data = {"source": kind, "dir": str(folder), "operator": operator, "image_size_px": 8, **channels}
        config = DataConfig(**data, held_out_fraction=0)
        source = SOURCES[kind](config, "train", 0)
        assert sorted(source.names) == sorted(names)
        for index, name in enumerate(source.names):
            assert (source.read(index)[1] == pictures[name].flat[0]).all()
        if source.at_epoch:
            source.at_epoch(0, 1)
        assert len(digest_of({"train": fingerprints(source)})) == 16
        whole = tiny_config(data={"dir": str(folder), "source": "combined"})
        assert ModelCard.from_json(ModelCard.of(whole, 0).to_json(), "a card").config == whole
        assert Config.model_validate(yaml.safe_load(to_yaml(whole))) == whole
