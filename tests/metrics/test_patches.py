"""The sliced Wasserstein distance: its core against SciPy, its pyramid by level, its memory and its seeds."""

import numpy as np
import pytest
from scipy import stats
from skimage.data import astronaut, chelsea, coffee
from skimage.filters import gaussian

from tfpix2pix.metrics import patches
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.patches import SlicedWasserstein, distance, generator, laplacian, sliced_wasserstein

PHOTOGRAPHS = [image.astype(np.float32) / 127.5 - 1 for image in (astronaut(), chelsea(), coffee())]
CROPS = [image[y : y + 64, x : x + 64] for image in PHOTOGRAPHS for y in (0, 100, 200) for x in (0, 100, 200, 300)]
ONE = np.ones(1)


def swd(translations, targets, seed=0, names=None):
    metric = SlicedWasserstein(Setting(seed=seed))
    for i, (given, wanted) in enumerate(zip(translations, targets, strict=True)):
        name = names[i] if names else str(i)
        assert metric.update(Example(name, given.astype(np.float32), None, wanted), ONE) == {}
    return {name: values.item() for name, values in metric.result().items()}  # .item(): shape (1,), no replicates


def test_it_is_the_mean_of_scipys_distances_along_each_direction():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (200, 6)), rng.gamma(2, 1, (200, 6))
    directions = np.random.default_rng(7).normal(size=(6, 20))
    directions /= np.sqrt((directions**2).sum(axis=0))
    twin = np.mean([stats.wasserstein_distance(a @ direction, b @ direction) for direction in directions.T])
    assert sliced_wasserstein(a, b, np.random.default_rng(7), 20) == pytest.approx(twin, rel=1e-12)


def test_of_gaussians_of_two_widths_it_is_the_closed_form():
    """Of N(0, s²I) and N(0, t²I) every projection is one-dimensional: |s - t| E|z| = |s - t| √(2/π)."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (40_000, 5)), rng.normal(0, 1.5, (40_000, 5))
    assert sliced_wasserstein(a, b, rng, 50) == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=0.02)


def test_it_is_0_of_equal_sets_in_any_order_and_symmetric():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (2, 100, 4))
    assert sliced_wasserstein(a, rng.permutation(a), np.random.default_rng(1)) == pytest.approx(0, abs=1e-15)
    one, other = (sliced_wasserstein(*pair, np.random.default_rng(1)) for pair in ((a, b), (b, a)))
    assert one == other > 0


def test_equal_images_are_at_exactly_0():
    assert set(swd(CROPS, CROPS).values()) == {0.0}


def test_patches_are_normalised_by_the_targets():
    """A translation of half the contrast is seen; normalised by its own statistics, as in the paper, it would not."""
    half = [image * 0.5 for image in CROPS]
    rng = np.random.default_rng(0)
    wanted = rng.normal(3, 2, (500, 7, 7, 2))
    scaled, moved = wanted * [1, 10] + [5, -5], (wanted / 2) * [1, 10] + [5, -5]
    assert distance(moved, scaled) == pytest.approx(distance(wanted / 2, wanted), rel=1e-9)  # units do not count
    assert all(value > 50 for value in swd(half, CROPS).values())


def test_a_channel_that_is_constant_does_not_drown_the_others():
    """Opaque alpha has no deviation to be divided by: an error of an eighth of a grey level must stay small."""
    opaque = [np.concatenate([image, np.ones_like(image[..., :1])], axis=-1) for image in CROPS]
    nearly = [image - np.float32([0, 0, 0, 1e-3]) for image in opaque]
    assert swd(nearly, opaque)["swd"] < 0.2 * swd([gaussian(i, 2, channel_axis=-1) for i in opaque], opaque)["swd"]


@pytest.mark.parametrize(
    ("shape", "levels"),
    [
        ((64, 64), [64, 32, 16]),
        ((256, 128), [128, 64, 32, 16]),
        ((45, 64), [45, 23]),  # as large as the level is: a halving keeps the middle row
        ((31, 31), [31, 16]),
        ((16, 16), [16]),
        ((9, 12), [9]),
    ],
)
def test_levels_are_named_by_their_shorter_side(shape, levels):
    image = np.resize(PHOTOGRAPHS[0][: shape[0], : shape[1]], (*shape, 3))
    figures = swd([image], [image])
    assert list(figures) == ["swd", *(f"swd_{level}" for level in levels)]
    assert [min(part.shape[:2]) for part in laplacian(image, len(levels))] == levels


def test_images_without_room_for_a_patch_are_left_out():
    tiny, usual = PHOTOGRAPHS[0][:6, :6], CROPS[0]
    assert swd([tiny], [tiny]) == {}
    blurred = gaussian(usual, 2, channel_axis=-1)
    assert swd([blurred, -tiny], [usual, tiny]) == swd([blurred], [usual])
    assert swd([PHOTOGRAPHS[0][:1, :3]], [PHOTOGRAPHS[0][:1, :3]]) == {}


def test_the_sample_is_bounded_and_of_all_images(monkeypatch):
    monkeypatch.setattr(patches, "MOST", 300)
    metric = SlicedWasserstein(Setting())
    for i in range(60):  # 60 x 128 patches of one grey an image
        image = np.full((16, 16, 1), i / 60, np.float32)
        metric.update(Example(str(i), image, None, image), ONE)
    (sample,) = metric.samples
    assert sample.kept.shape == (300, 2, 7, 7, 1)
    assert sample.kept.dtype == np.float32
    counts = np.bincount(np.rint(sample.kept[:, 0, 0, 0, 0] * 60).astype(int), minlength=60)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert (counts[:6].sum() > 0) and (counts[-6:].sum() > 0)


def test_it_depends_on_the_seed_and_the_names_alone():
    blurred = [gaussian(image, 1, channel_axis=-1) for image in CROPS]
    first = swd(blurred, CROPS)
    assert swd(blurred, CROPS) == first
    assert swd(blurred, CROPS, seed=1) != first
    order = np.random.default_rng(0).permutation(len(CROPS))
    moved = swd([blurred[i] for i in order], [CROPS[i] for i in order], names=[str(i) for i in order])
    assert moved == pytest.approx(first, rel=1e-9)  # nothing was left out: the order does not count


def test_streams_of_a_seed_are_apart():
    drawn = {generator(seed, what).integers(2**60) for seed in (0, 1) for what in ("a", "b", "projections")}
    assert len(drawn) == 6
