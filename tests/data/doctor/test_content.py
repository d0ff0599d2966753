"""Pairs that nothing can be learned from."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_image
from tests.data.doctor.helpers import combine, examined, make_set, scene, told


@pytest.mark.parametrize(("side", "name"), [(0, "input"), (1, "target")])
@pytest.mark.parametrize("noise", [0, 1])
def test_a_side_of_one_colour(tmp_path, side, name, noise):
    sides = list(scene(3))
    blank = np.full_like(sides[side], 200) + np.random.default_rng(0).integers(
        0, 1 + noise, sides[side].shape, np.uint8
    )
    sides[side] = blank
    write_image(make_set(tmp_path) / "train" / "3.png", combine(*sides))
    result = examined(tmp_path)
    assert told(result) == [("constant", "train", ("3",))]
    assert f"Its {name} is {'nearly ' * noise}one colour" in result.findings[0].message


def test_a_jpeg_that_bleeds_from_the_other_half_is_one_colour(tmp_path):
    photo, _ = scene(3)
    for path in sorted((make_set(tmp_path) / "train").iterdir()):
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    blank = np.full_like(photo, (0, 0, 170))
    Image.fromarray(combine(photo, blank)).save(tmp_path / "train" / "3.jpg")
    assert told(examined(tmp_path)) == [("constant", "train", ("3",))]


def test_one_thin_line_is_a_drawing(tmp_path):
    photo, _ = scene(3)
    line = np.full_like(photo, 255)
    line[20] = 0
    write_image(make_set(tmp_path) / "train" / "3.png", combine(photo, line))
    assert told(examined(tmp_path)) == []


def test_masks_of_0_and_1_are_told_with_the_range_that_mends_them(tmp_path):
    for seed in range(6):
        photo, drawing = scene(seed)
        write_image(tmp_path / "input" / f"{seed}.png", photo)
        write_image(tmp_path / "target" / f"{seed}.png", (drawing[..., :1] > 100).astype(np.uint8))
    data = {"source": "folders", "target_channels": 1}
    result = examined(tmp_path, **data)
    assert result.kinds == {"constant": 6}
    assert "`data.target_range`" in result.findings[0].advice
    assert examined(tmp_path, **data, target_range=(0, 1)).kinds == {}
    assert examined(tmp_path, **data, target_classes=2).kinds == {}


def test_a_label_map_may_be_of_one_class(tmp_path):
    for seed in range(6):
        photo, drawing = scene(seed)
        write_image(tmp_path / "input" / f"{seed}.png", photo)
        write_image(tmp_path / "target" / f"{seed}.png", (drawing[..., :1] > 100).astype(np.uint8) * (seed > 0))
    assert examined(tmp_path, source="folders", target_classes=2).kinds == {}


@pytest.mark.parametrize("noise", [0, 1])
def test_input_and_target_are_one_picture(tmp_path, noise):
    photo, _ = scene(3)
    again = np.clip(photo.astype(int) + np.random.default_rng(0).integers(-noise, noise + 1, photo.shape), 0, 255)
    write_image(make_set(tmp_path) / "train" / "3.png", combine(photo, again.astype(np.uint8)))
    result = examined(tmp_path)
    assert told(result) == [("identical", "train", ("3",))]
    assert f"differ by {'0.6' if noise else '0.00'}" in result.findings[0].message


@pytest.mark.parametrize("operator", ["edges", "grayscale", "downsample", "blur", "posterize", "mask"])
def test_inputs_made_from_photographs_are_no_fault(tmp_path, operator):
    for seed in range(8):
        write_image(tmp_path / f"{seed}.png", scene(seed)[0])
    channels = {"input_channels": 4} if operator == "mask" else {}
    result = examined(tmp_path, source="photographs", operator=operator, **channels)
    assert result.findings == () and result.notes == ()


def test_copies_of_photographs_are_found_whatever_is_made_of_them(tmp_path):
    for seed in range(8):
        write_image(tmp_path / "train" / f"{seed}.png", scene(seed)[0])
    write_image(tmp_path / "val" / "copy.png", scene(3)[0])
    result = examined(tmp_path, source="photographs", operator="mask", input_channels=4)
    assert told(result) == [("leak", "", ("train/3", "val/copy"))]


def test_flat_parts_of_one_photograph_are_no_fault(tmp_path):
    """Held-out photographs are measured tile by tile; the sky in some of them is blank."""
    photo, _ = scene(1, size_px=96)
    photo[:64] = 230
    write_image(tmp_path / "val" / "a.png", photo)
    for seed in range(3):
        write_image(tmp_path / "train" / f"{seed}.png", scene(seed)[0])
    result = examined(tmp_path, source="photographs", fit="crop", jitter_ratio=1.0)
    assert result.pairs["val"] == 9
    assert result.findings == ()
