"""Pairs of every source: which file, which half, which split, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import make_combined, write_image
from tfpix2pix.config import DataConfig
from tfpix2pix.data import SOURCES, SPLITS
from tfpix2pix.data.check import check_readable
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
    way_out = ".*input_channels=4.*alpha=drop" if source_kind == "combined" else "`--set data.alpha=drop`"
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
    train, val = (set(source(split, dir=str(tmp_path), held_out_fraction=0.3).names) for split in ("train", "val"))
    assert (len(train), len(val)) == (7, 3)
    assert not train & val
    other = set(source("val", seed=1, dir=str(tmp_path), held_out_fraction=0.3).names)
    assert other != val
    make_combined(tmp_path / "more", count=1)
    assert val == set(source("val", dir=str(tmp_path), held_out_fraction=0.3).names)


def test_photographs_hold_out_the_right_hand_part(tmp_path):
    photograph = np.zeros((64, 160, 3), np.uint8)
    photograph[:, 96:] = 200
    write_image(tmp_path / "photo.png", photograph)
    options = {"source": "photographs", "dir": str(tmp_path), "fit": "crop", "held_out_fraction": 0.4}
    train = source("train", **options, input_channels=1)
    assert train.read(0)[1].shape == (64, 96, 3)
    assert train.read(0)[0].shape == (64, 96, 1)
    assert (train.read(0)[1] == 0).all()
    val = source("val", **options, input_channels=1)
    assert list(val.names) == ["photo-0-0", "photo-0-32", "photo-32-0", "photo-32-32"]
    assert all((val.read(index)[1] == 200).all() for index in range(4))


def test_no_pixel_of_the_held_out_part_reaches_training(tmp_path):
    """Edges are found after the cut: a change beyond it changes nothing before it."""
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (48, 100, 3), np.uint8)
    options = {"source": "photographs", "dir": str(tmp_path), "fit": "crop", "held_out_fraction": 0.4}
    write_image(tmp_path / "photo.png", photograph)
    before = source("train", **options).read(0)
    photograph[:, 60:] = rng.integers(0, 256, (48, 40, 3), np.uint8)
    write_image(tmp_path / "photo.png", photograph)
    after = source("train", **options).read(0)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_photographs_in_split_folders_are_whole(tmp_path):
    for split in ("train", "val"):
        write_image(tmp_path / split / "a.png", np.zeros((40, 50, 3), np.uint8))
    assert source("train", source="photographs", dir=str(tmp_path)).read(0)[1].shape == (40, 50, 3)
    assert source("val", source="photographs", dir=str(tmp_path)).read(0)[1].shape == (40, 50, 3)


def test_sample_photographs_are_at_hand():
    train = source("train", source="sample_photographs", fit="crop", image_size_px=128, held_out_fraction=0.3)
    val = source("val", source="sample_photographs", fit="crop", image_size_px=128, held_out_fraction=0.3)
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


def test_a_crop_needs_room(tmp_path):
    write_image(tmp_path / "photo.png", np.zeros((64, 90, 3), np.uint8))
    options = {"source": "photographs", "dir": str(tmp_path), "fit": "crop"}
    with pytest.raises(UserError, match="at least 32 px .* to cut a crop .* Received 18x64 px"):
        source("val", **options)


def test_the_real_facades(facades):
    train = source(dir=str(facades), input_side="right")
    assert len(train) == 400
    labels, photo = train.read(0)
    assert labels.shape == photo.shape == (256, 256, 3)
    saturation = [np.ptp(image.astype(int), axis=-1).mean() for image in (labels, photo)]
    assert saturation[0] > 3 * saturation[1]  # label colours are vivid, walls are not
