"""Any image size has a generator: how deep, how much padded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpix2pix.models.sizes import padded_px, resnet_multiple_px, unet_levels, unet_multiple_px


@pytest.mark.parametrize(
    ("size", "levels"),
    [(256, 8), (512, 8), (128, 7), (64, 6), (320, 6), (96, 5), (2048, 8), (286, 6), (300, 6), (4, 2), (5, 2)],
)
def test_automatic_depth(size, levels):
    assert unet_levels(size) == levels


@given(st.integers(4, 8192))
def test_every_size_has_a_depth_that_pads_it_by_less_than_half(size):
    levels = unet_levels(size)
    padded = padded_px(size, 2**levels)
    assert size <= padded < 1.5 * size + 2
    assert 2 <= levels <= 8
    assert 2**levels <= size


@given(st.integers(4, 2000), st.integers(2, 12))
def test_asked_depths(size, levels):
    if 2**levels <= size:
        assert unet_levels(size, levels) == levels
        assert unet_multiple_px(size, levels) == 2**levels
    else:
        with pytest.raises(ValueError, match=f"`image_size_px` = {size}. Received {levels}. Use .*{2**levels} px"):
            unet_levels(size, levels)


@given(st.integers(1, 1000), st.integers(1, 300))
def test_padding_is_to_the_next_multiple(size, multiple):
    padded = padded_px(size, multiple)
    assert padded % multiple == 0
    assert size <= padded < size + multiple


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match="at least 4 for a U-Net. Received 3"):
        unet_levels(3)
    with pytest.raises(ValueError, match="at least 8 for a resnet. Received 7"):
        resnet_multiple_px(7, None)
