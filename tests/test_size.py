"""A size is read from a side, from height and width, and from a text."""

import pytest
from pydantic import BaseModel

from tfpix2pix.config.resolve import make_config, to_yaml, with_overrides
from tfpix2pix.errors import UserError
from tfpix2pix.section import size_between
from tfpix2pix.size import Size

RULE = (
    r"`data\.image_size_px` must be one number for a square or \[height, width\] for a rectangle, each a whole number"
)


def config_with(value, *overrides):
    base = {"discriminator": {"receptive_field_px": 16}}
    return make_config(with_overrides(base, [f"data.image_size_px={value}", *overrides]))


@pytest.mark.parametrize(
    ("held", "size", "text"), [(256, (256, 256), "256"), ((64, 128), (64, 128), "64x128"), ([8, 8], (8, 8), "8")]
)
def test_a_side_and_a_pair_are_one_type(held, size, text):
    assert Size.of(held) == size
    assert str(Size.of(held)) == text
    assert Size.of(Size.of(held).value) == Size.parse(text) == size


@pytest.mark.parametrize("text", ["", "x", "64x", "x64", "1x2x3", "-3", "6.5", "64 x 32", "²", "own", "9" * 20])
def test_other_texts_are_no_sizes(text):
    assert Size.parse(text) is None


@pytest.mark.parametrize("value", ["64", "[64, 64]", "64x64"])
def test_a_square_is_written_as_one_number(value):
    config = config_with(value)
    assert config.data.image_size_px == 64
    assert "  image_size_px: 64\n" in to_yaml(config)


@pytest.mark.parametrize("value", ["[64,128]", "64x128"])
def test_a_rectangle_is_written_as_height_and_width(value):
    config = config_with(value, "data.jitter_ratio=1.125")
    assert config.data.image_size_px == (64, 128)
    assert config.data.jitter_size_px == (72, 144)
    assert config.size_multiple_px == 64  # six halvings of the shorter side
    assert config.model_dump(mode="json")["data"]["image_size_px"] == [64, 128]
    assert make_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    "value", ["0", "[0, 64]", "[64]", "[1, 2, 3]", "64.5", "[64, 64.5]", "[64, 9000]", "wide", "{}"]
)
def test_what_is_no_size_is_said(value):
    with pytest.raises(UserError, match=RULE):
        config_with(value)


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        (("generator.levels=7",), "6 times at most for `data.image_size_px` = 64x128. Received 7"),
        (("discriminator.receptive_field_px=286",), "`data.image_size_px` = 64x128 here. Received 286. Use 1, 16"),
        (("data.rotate=true",), "`data.rotate: true`, whose right angles need squares. Received [64, 128]"),
        (("data.source=openmoji",), "`data.source: openmoji`, which draws squares. Received [64, 128]"),
        (("data.source=colored_shapes",), "`data.source: colored_shapes`, which draws squares. Received [64, 128]"),
    ],
)
def test_what_does_not_go_with_a_rectangle_is_said(overrides, rule):
    with pytest.raises(UserError) as error:
        config_with("[64, 128]", *overrides)
    assert rule in str(error.value)


def test_a_field_may_also_be_empty():
    class Card(BaseModel):
        size: size_between(1, 10) | None = None

    assert (Card().size, Card(size=None).size, Card(size=[3, 4]).size) == (None, None, (3, 4))
