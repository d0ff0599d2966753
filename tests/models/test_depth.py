"""How deep a U-Net an image size allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpix2pix.models.depth import unet_levels


@pytest.mark.parametrize(("size", "levels"), [(256, 8), (512, 8), (128, 7), (64, 6), (320, 6), (96, 5), (2048, 8)])
def test_automatic_depth(size, levels):
    assert unet_levels(size) == levels


@given(st.integers(4, 4096))
def test_a_depth_fits_or_the_message_names_sizes_that_do(size):
    try:
        assert size % 2 ** unet_levels(size) == 0
    except ValueError as error:
        advised = str(error).split("Use ")[1].split(", or")[0].rstrip(".").split(" or ")
        assert len(advised) == 2
        for other in advised:
            assert unet_levels(int(other)) >= 2


@given(st.integers(4, 2000), st.integers(2, 9))
def test_asked_depths(size, levels):
    if size % 2**levels == 0:
        assert unet_levels(size, levels) == levels
    else:
        with pytest.raises(ValueError, match=f"multiple of {2**levels} .* Received {size}"):
            unet_levels(size, levels)
