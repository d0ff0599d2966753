"""What makes an input from a photograph: of its size, a function of photograph, seed and name; what it keeps."""

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.filters import gaussian

from tests.conftest import write_image
from tfpix2pix.data import OPERATORS, SOURCES
from tfpix2pix.data.settings import DataConfig

CHANNELS = {"edges": 1, "grayscale": 1, "mask": 4, "downsample": 3, "blur": 3, "posterize": 3}
CONFIG = DataConfig(image_size_px=32)


def blocks(height=6, width=8, side=8):
    """A photograph of random colour squares."""
    colours = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.repeat(np.repeat(colours, side, 0), side, 1)


def apply(name, photograph, seed=0, config=CONFIG):
    return OPERATORS[name].make(photograph, config, np.random.default_rng(seed))


@pytest.mark.parametrize("name", OPERATORS)
def test_the_size_stays_and_the_photograph_is_not_changed(name):
    photograph = blocks()
    before = photograph.copy()
    result = apply(name, photograph)
    assert (result.shape, result.dtype) == ((48, 64, CHANNELS[name]), np.uint8)
    assert result.min() < result.max()
    np.testing.assert_array_equal(photograph, before)
    np.testing.assert_array_equal(result, apply(name, photograph))


def test_edges_lie_where_the_photograph_steps():
    photograph = np.zeros((40, 40, 3), np.uint8)
    photograph[:, 20:] = 255
    columns = np.unique(np.nonzero(apply("edges", photograph)[..., 0] == 0)[1])
    assert len(columns)
    assert set(columns) <= {18, 19, 20, 21}


def test_edges_are_as_thick_as_asked():
    photograph = np.zeros((40, 40, 3), np.uint8)
    photograph[:, 20:] = 255
    dark = [
        (apply("edges", photograph, config=CONFIG.model_copy(update={"edge_thickness_px": px}))[20, :, 0] == 0).sum()
        for px in (1, 3, 5)
    ]
    assert dark[1] == dark[0] + 2
    assert dark[2] == dark[0] + 4


def test_higher_quantiles_leave_fewer_edges():
    photograph = blocks()
    counts = [
        (apply("edges", photograph, config=CONFIG.model_copy(update={"edge_quantiles": quantiles})) == 0).sum()
        for quantiles in ((0.3, 0.6), (0.6, 0.8), (0.9, 0.99))
    ]
    assert counts[0] > counts[1] > counts[2]


def test_posterize_leaves_so_many_levels():
    every = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=-1)
    result = apply("posterize", every, config=CONFIG.model_copy(update={"posterize_levels": 3}))
    assert sorted(set(result.ravel())) == [0, 128, 255]


def test_blur_is_scikit_images():
    photograph = blocks()
    expected = gaussian(photograph, 2.0, channel_axis=-1, preserve_range=True)
    np.testing.assert_allclose(apply("blur", photograph), expected, atol=0.51)


def test_grayscale_keeps_the_lightness():
    photograph = blocks()
    gray = np.repeat(apply("grayscale", photograph), 3, -1)
    np.testing.assert_allclose(rgb2lab(gray)[..., 0], rgb2lab(photograph)[..., 0], atol=0.3)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.6])
def test_holes_take_about_the_share_asked_for(fraction):
    config = DataConfig(image_size_px=64, hole_fraction=fraction)
    holes = apply("mask", blocks(80, 80), config=config)[..., 3] == 0
    assert holes.mean() == pytest.approx(fraction, rel=0.25)


def test_mask_erases_a_quarter_and_keeps_the_rest():
    photograph = blocks(40, 40)
    masked = apply("mask", photograph)
    holes = masked[..., 3] == 0
    assert 0.15 < holes.mean() < 0.35
    np.testing.assert_array_equal(masked[~holes][:, :3], photograph[~holes])
    assert (masked[holes] == 0).all()
    assert (apply("mask", photograph, seed=1) != masked).any()
    for top in range(0, 320 - 32, 32):  # every crop of the training size has some
        assert holes[top : top + 32, :32].any()


def test_the_holes_of_a_photograph_depend_on_seed_and_name(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "train" / name, blocks())
    config = CONFIG.model_copy(
        update={"dir": str(tmp_path), "source": "photographs", "operator": "mask", "input_channels": 4}
    )
    first, again, other = (SOURCES["photographs"](config, "train", seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.read(0)[0], again.read(0)[0])
    assert (first.read(0)[0] != first.read(1)[0]).any()
    assert (first.read(0)[0] != other.read(0)[0]).any()


def test_holes_differ_from_epoch_to_epoch_in_training_alone(tmp_path):
    for split in ("train", "val"):
        write_image(tmp_path / split / "a.png", blocks())
    options = {"dir": str(tmp_path), "source": "photographs", "operator": "mask", "input_channels": 4}
    config = CONFIG.model_copy(update=options)
    train, val = (SOURCES["photographs"](config, split, 0) for split in ("train", "val"))
    assert (train.at_epoch(0, 1)[0] != train.at_epoch(0, 2)[0]).any()
    np.testing.assert_array_equal(train.at_epoch(0, 1)[0], train.at_epoch(0, 1)[0])
    np.testing.assert_array_equal(train.at_epoch(0, 0)[0], train.read(0)[0])
    assert val.at_epoch is None
    edges = config.model_copy(update={"operator": "edges", "input_channels": 1})
    assert SOURCES["photographs"](edges, "train", 0).at_epoch is None


@pytest.mark.parametrize("factor", [2, 4])
def test_downsample_leaves_nothing_finer_than_its_factor(factor):
    config = CONFIG.model_copy(update={"downsample_factor": factor})
    lines = np.zeros((32, 32, 3), np.uint8)
    lines[:, ::2] = 254
    result = apply("downsample", lines, config=config)
    assert np.ptp(result) <= 1  # lines of one pixel are gone
    assert abs(int(result[0, 0, 0]) - 127) <= 1
