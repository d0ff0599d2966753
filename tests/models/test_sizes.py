"""Any image size has a generator: how deep, how much padded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpix2pix.models.patchgan import build_patchgan
from tfpix2pix.models.pyramid import build_pyramid
from tfpix2pix.models.resnet import build_resnet
from tfpix2pix.models.sizes import logits_px, padded_px, resnet_multiple_px, unet_levels, unet_multiple_px
from tfpix2pix.models.unet import build_unet


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


@pytest.mark.parametrize(
    ("size", "levels"), [((512, 1024), 8), ((1024, 512), 8), ((64, 128), 6), ((300, 600), 7), ((16, 400), 4)]
)
def test_the_shorter_side_of_a_rectangle_limits_the_depth(size, levels):
    assert unet_levels(size) == levels
    with pytest.raises(ValueError, match=rf"{min(size).bit_length() - 1} times at most for `image_size_px` = \d+x\d+"):
        unet_levels(size, min(size).bit_length())


def test_a_rectangle_that_is_too_small_is_said():
    with pytest.raises(ValueError, match="at least 4 for a U-Net. Received 3x64"):
        unet_levels((3, 64))
    with pytest.raises(ValueError, match="at least 8 for a resnet. Received 64x7"):
        resnet_multiple_px((64, 7), None)


@pytest.mark.parametrize("noise", ["dropout", "gaussian", "modulation"])
@pytest.mark.parametrize("size", [(16, 32), (20, 11)])
@pytest.mark.parametrize("build", [build_unet, build_resnet])
def test_generators_take_and_give_rectangles(build, size, noise):
    options = {"residual_blocks": 1} if build is build_resnet else {}
    model = build(size, base_filters=4, noise=noise, **options)
    assert model.inputs[0].shape == model.output.shape == (None, *size, 3)


def test_discriminators_judge_the_patches_of_a_rectangle():
    def build(size, seed):
        return build_patchgan(16, image_size_px=size, base_filters=4, seed=seed)

    fine, coarse = build_pyramid(build, 2, image_size_px=(32, 50)).outputs
    assert fine.shape == (None, logits_px(32, 16), logits_px(50, 16), 1)
    assert coarse.shape == (None, logits_px(16, 16), logits_px(25, 16), 1)
