"""Advice on gray files, and on files of 16 bits whose values are small."""

import numpy as np
import pytest

from tests.conftest import run_cli, write_image
from tfpix2pix.config import Config
from tfpix2pix.data.doctor import examine


def make(folder, *, dtype=np.uint16, most=8813, channels=1):
    rng = np.random.default_rng(0)
    for number in range(4):
        for side, high in (("input", 60_000 if dtype == np.uint16 else 255), ("target", most)):
            image = rng.integers(200 if high > 255 else 0, high, (24, 24, channels)).astype(dtype)
            image[0, 0] = high  # the largest value occurs
            write_image(folder / side / f"{number}.png", image[..., 0] if channels == 1 else image)
    return folder


def advised(folder, **data):
    data = {"source": "folders", "image_size_px": 24, "held_out_fraction": 0.0, **data}
    return examine(Config(data={"dir": str(folder), **data}).data).overrides


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, ("data.input_channels=1", "data.target_channels=1", "data.target_range=[0,9000]")),
        ({"input_channels": 1}, ("data.target_channels=1", "data.target_range=[0,9000]")),
        ({"input_channels": 1, "target_channels": 1, "target_range": [0, 9000]}, ()),
        ({"input_channels": 1, "target_channels": 1, "target_percentiles": [0, 100]}, ()),
    ],
)
def test_keys_that_suit_the_values_are_advised(data, expected, tmp_path):
    assert advised(make(tmp_path), **data) == expected


@pytest.mark.parametrize(("most", "is_dark"), [(16_383, True), (16_384, False), (65_535, False)])
def test_a_quarter_of_the_range_is_enough(most, is_dark, tmp_path):
    gray = {"input_channels": 1, "target_channels": 1}
    assert any("target_range" in override for override in advised(make(tmp_path, most=most), **gray)) == is_dark


def test_pictures_of_8_bits_and_colours_need_nothing(tmp_path):
    assert advised(make(tmp_path, dtype=np.uint8, most=20, channels=3)) == ()


def test_it_is_said_and_stands_in_the_command_to_train(tmp_path):
    _, out, _ = run_cli("data", "check", make(tmp_path / "mine"), "--set", "data.image_size_px=24")
    text = " ".join(out.split())
    assert "All files of the inputs and targets are gray, and a run learns three channels of them." in text
    assert "The values of the targets are" in text and "8,813 of 65,535" in text
    train = text[text.index("Train:") :]
    assert all(
        key in train for key in ("data.input_channels=1", "data.target_channels=1", "data.target_range=[0,9000]")
    )
