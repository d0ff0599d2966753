"""Metrics of sets and of scales, against SciPy, TensorFlow and closed forms."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.linalg import sqrtm
from skimage.data import astronaut, chelsea, coffee
from skimage.filters import gaussian

from tfpix2pix.errors import UserError
from tfpix2pix.metrics import METRICS
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.extractors import ForeignModel, load_features, load_segmenter
from tfpix2pix.metrics.features import Moments, Remembered, frechet_distance, squared_discrepancy
from tfpix2pix.metrics.patches import Sample, generator, laplacian, patches, sliced_wasserstein
from tfpix2pix.metrics.scoring import measure

PHOTOGRAPHS = [image.astype(np.float32) / 127.5 - 1 for image in (astronaut(), chelsea(), coffee())]
CROPS = [image[y : y + 64, x : x + 64] for image in PHOTOGRAPHS for y in (0, 100, 200) for x in (0, 100, 200, 300)]


def blur(image):
    return gaussian(image, 2, channel_axis=-1).astype(np.float32)


def noise(image):
    return np.clip(image + np.random.default_rng(0).normal(0, 0.3, image.shape), -1, 1).astype(np.float32)


def shift(image):
    return np.clip(image + np.array([0.4, 0.0, -0.4]), -1, 1).astype(np.float32)


def examples(change=lambda image: image, targets=CROPS):
    return [Example(str(i), change(target).astype(np.float32), None, target) for i, target in enumerate(targets)]


def moments_of_patches(image):
    """Features without a network: means and deviations of colours, and of differences between neighbours."""
    parts = (image, np.diff(image, axis=0), np.diff(image, axis=1))
    return np.concatenate([np.r_[part.mean(axis=(0, 1)), part.std(axis=(0, 1))] for part in parts]) * 10


SETTING = Setting(features=Remembered(moments_of_patches))


class TestMultiscale:
    @pytest.mark.parametrize("change", [blur, noise, shift])
    @pytest.mark.parametrize("photograph", [0, 1, 2])
    def test_equals_tensorflows(self, change, photograph):
        target = PHOTOGRAPHS[photograph][:192, :256]
        ours = measure([Example("", change(target), None, target)], ["ms_ssim"], Setting())["ms_ssim"]
        pair = (tf.constant((image + 1) / 2, tf.float32) for image in (target, change(target)))
        theirs = tf.image.ssim_multiscale(*pair, max_val=1.0, filter_size=11, filter_sigma=1.5)
        assert ours == pytest.approx(float(theirs), abs=2e-4)

    @pytest.mark.parametrize("size", [1, 2, 5, 11, 23, 64])
    def test_small_images_have_fewer_scales(self, size):
        target = PHOTOGRAPHS[0][:size, :size]
        assert measure([Example("", target, None, target)], ["ms_ssim"], Setting())["ms_ssim"] == pytest.approx(1)
        worse = measure([Example("", -target, None, target)], ["ms_ssim"], Setting())["ms_ssim"]
        assert worse < 1


class TestSlicedWasserstein:
    def test_along_one_axis_it_is_scipys(self, rng):
        a, b = rng.normal(0, 1, (500, 1)), rng.normal(0.3, 2, (500, 1))
        assert sliced_wasserstein(a, b, rng, 3) == pytest.approx(stats.wasserstein_distance(a[:, 0], b[:, 0]))

    def test_of_a_shift_it_is_the_mean_projected_shift(self, rng):
        """E|θ·v| over directions of D dimensions is |v| Γ(D/2) / (√π Γ((D+1)/2))."""
        a, size = rng.normal(0, 1, (2000, 9)), 9
        from scipy.special import gamma

        expected = 2.0 * gamma(size / 2) / (np.sqrt(np.pi) * gamma((size + 1) / 2))
        moved = a + 2.0 * np.eye(size)[0]
        assert sliced_wasserstein(a, moved, rng, 4000) == pytest.approx(expected, rel=0.03)

    def test_a_pyramid_adds_up_to_its_image(self):
        from tfpix2pix.metrics.patches import enlarged

        image = PHOTOGRAPHS[0][:45, :64]
        *details, low = laplacian(image, 3)
        for detail in reversed(details):
            low = enlarged(low, detail.shape) + detail
        np.testing.assert_allclose(low, image, atol=1e-5)

    def test_patches_are_where_their_corners_are(self):
        image = PHOTOGRAPHS[1][:32, :40]
        corners = np.array([[0, 0], [5, 20], [25, 33]])
        for patch, (y, x) in zip(patches(image, corners), corners, strict=True):
            np.testing.assert_array_equal(patch, image[y : y + 7, x : x + 7])

    def test_blur_shows_on_the_fine_levels(self):
        worse = measure(examples(blur), ["swd"], Setting())
        assert set(worse) == {"swd", "swd_64", "swd_32", "swd_16"}
        assert worse["swd_64"] > 2 * worse["swd_16"]
        assert worse["swd"] == pytest.approx(np.mean([worse["swd_64"], worse["swd_32"], worse["swd_16"]]))

    def test_colour_shows_on_the_coarsest(self):
        worse = measure(examples(shift), ["swd"], Setting())
        assert worse["swd_16"] > 2 * worse["swd_64"]

    def test_a_sample_is_uniform_and_bounded(self):
        counts = np.zeros(200)
        for seed in range(300):
            sample = Sample(20, generator(seed, ""))
            for start in range(0, 200, 8):
                sample.add(np.arange(start, start + 8, dtype=float)[:, np.newaxis])
            assert sample.kept.shape == (20, 1)
            counts[sample.kept[:, 0].astype(int)] += 1
        assert counts.sum() == 300 * 20
        halves = counts.reshape(10, 20).sum(axis=1) / (300 * 2)
        np.testing.assert_allclose(halves, 1, atol=0.15)

    def test_sizes_may_differ(self):
        mixed = [*examples(targets=CROPS[:4]), *examples(targets=[PHOTOGRAPHS[0][:100, :80]])]
        assert measure(mixed, ["swd"], Setting())["swd"] == 0


class TestFrechet:
    def test_of_gaussians_it_is_the_closed_form(self, rng):
        a, b = rng.normal(0, 1, (2, 5, 5))
        covariance, other = a @ a.T, b @ b.T
        mean, other_mean = rng.normal(0, 1, (2, 5))
        twin = np.sum((mean - other_mean) ** 2) + np.trace(covariance + other - 2 * sqrtm(covariance @ other).real)
        assert frechet_distance(mean, covariance, other_mean, other) == pytest.approx(twin, rel=1e-8)

    def test_of_independent_features_it_is_a_sum(self):
        deviations, others = np.array([1.0, 2.0, 0.0]), np.array([3.0, 2.0, 1.0])
        distance = frechet_distance(np.zeros(3), np.diag(deviations**2), np.ones(3), np.diag(others**2))
        assert distance == pytest.approx(3 + np.sum((deviations - others) ** 2))

    def test_singular_covariances_of_few_images(self, rng):
        few = rng.normal(0, 1, (4, 64))
        covariance = np.cov(few, rowvar=False)
        assert frechet_distance(few.mean(0), covariance, few.mean(0), covariance) == pytest.approx(0, abs=1e-4)

    def test_streaming_moments_are_numpys(self, rng):
        vectors, moments = rng.normal(5, 2, (50, 6)), Moments()
        for vector in vectors:
            moments.add(vector)
        np.testing.assert_allclose(moments.mean, vectors.mean(axis=0))
        np.testing.assert_allclose(moments.covariance, np.cov(vectors, rowvar=False))


class TestKernel:
    def test_equals_a_double_loop(self, rng):
        a, b = rng.normal(0, 1, (2, 9, 4))

        def kernel(x, y):
            return (np.dot(x, y) / 4 + 1) ** 3

        within = [np.mean([kernel(s[i], s[j]) for i in range(9) for j in range(9) if i != j]) for s in (a, b)]
        across = np.mean([kernel(x, y) for x in a for y in b])
        assert squared_discrepancy(a, b) == pytest.approx(sum(within) - 2 * across)

    def test_is_unbiased(self):
        drawn = [squared_discrepancy(*np.random.default_rng(seed).normal(0, 1, (2, 8, 3))) for seed in range(2000)]
        assert abs(np.mean(drawn)) < 4 * np.std(drawn) / np.sqrt(2000)
        assert min(drawn) < 0

    def test_blocks_are_averaged_by_size(self, monkeypatch):
        from tfpix2pix.metrics import features

        monkeypatch.setattr(features, "BLOCK", 8)
        kid = measure(examples(blur, CROPS[:13]), ["kid"], SETTING)["kid"]
        sides = [[moments_of_patches(image) for image in side] for side in (list(map(blur, CROPS[:13])), CROPS[:13])]
        blocks = [squared_discrepancy(*(np.stack(side[part]) for side in sides)) for part in (slice(8), slice(8, 13))]
        assert kid == pytest.approx((8 * blocks[0] + 5 * blocks[1]) / 13)


SETS = {"swd": {blur, noise, shift}, "fid": {blur, noise, shift}, "kid": {blur, noise, shift}}


@pytest.mark.parametrize("name", SETS)
def test_equal_sets_are_at_no_distance_and_worse_ones_further(name):
    same = measure(examples(), [name], SETTING)
    for change in SETS[name]:
        worse = measure(examples(change), [name], SETTING)
        for figure in same:
            assert worse[figure] > same[figure] + 1e-3, (change.__name__, figure)
    if name != "kid":
        assert all(value == pytest.approx(0, abs=1e-6) for value in same.values())
    else:
        assert same["kid"] <= 0  # unbiased: an image is not compared with itself on one side, but with its like


@pytest.mark.parametrize("name", ["fid", "kid"])
def test_they_do_not_see_the_pairing(name):
    given, shuffled = list(map(blur, CROPS)), list(map(blur, CROPS[::-1]))
    figures = [
        measure(
            [Example(str(i), a, None, b) for i, (a, b) in enumerate(zip(fakes, CROPS, strict=True))], [name], SETTING
        )
        for fakes in (given, shuffled)
    ]
    assert figures[0] == pytest.approx(figures[1])


@pytest.mark.parametrize("name", SETS)
def test_of_one_image_they_are_none_or_a_number(name):
    figures = measure(examples(targets=CROPS[:1]), [name], SETTING)
    assert all(np.isfinite(value) for value in figures.values())
    assert bool(figures) == (name == "swd")
    assert METRICS[name].better == "lower"


def test_an_image_is_looked_at_once_for_all_metrics():
    calls = []
    setting = Setting(features=Remembered(lambda image: calls.append(1) or moments_of_patches(image)))
    measure(examples(targets=CROPS[:5]), ["fid", "kid"], setting)
    assert len(calls) == 10


def saved(path, function, spec):
    module = tf.Module()
    module.run = tf.function(function, input_signature=[spec])
    tf.saved_model.save(module, str(path), signatures=module.run)
    return path


IMAGE = tf.TensorSpec((None, None, None, 3), tf.float32)


class TestForeignModels:
    def test_features_are_averaged_over_a_map(self, tmp_path):
        path = saved(tmp_path / "map", lambda x: {"maps": tf.concat([x, 2 * x], -1)}, IMAGE)
        image = CROPS[0]
        expected = np.concatenate([image.mean(axis=(0, 1)), 2 * image.mean(axis=(0, 1))])
        np.testing.assert_allclose(load_features(str(path))(image), expected, atol=1e-5)

    def test_it_gets_its_own_range_size_and_type(self, tmp_path):
        floats = saved(tmp_path / "floats", lambda x: {"y": tf.reduce_max(x, (1, 2))}, IMAGE)
        white = np.ones((8, 8, 3), np.float32)
        np.testing.assert_allclose(ForeignModel(floats)(white), 1)
        np.testing.assert_allclose(ForeignModel(floats, (0, 1))(-white), 0)
        spec = tf.TensorSpec((None, 16, 24, 3), tf.uint8)
        sized = saved(tmp_path / "bytes", lambda x: {"y": tf.cast(x, tf.int32)}, spec)
        given = ForeignModel(sized)(white)
        assert given.shape == (16, 24, 3)
        assert (given == 255).all()

    def test_a_segmenter_of_scores_and_one_of_indices(self, tmp_path):
        scores = saved(tmp_path / "scores", lambda x: {"s": x[:, ::2, ::2]}, IMAGE)
        see, classes = load_segmenter(str(scores))
        image = np.full((8, 8, 3), -1.0, np.float32)
        image[:4, :, 1], image[4:, :, 2] = 1, 1
        assert classes == 3
        np.testing.assert_array_equal(see(image), [[1] * 8] * 4 + [[2] * 8] * 4)
        indices = saved(tmp_path / "indices", lambda x: {"i": tf.argmax(x, -1)}, IMAGE)
        see, classes = load_segmenter(str(indices))
        assert classes is None
        np.testing.assert_array_equal(see(image), [[1] * 8] * 4 + [[2] * 8] * 4)

    @pytest.mark.parametrize(
        ("function", "spec", "message"),
        [
            (lambda x: {"a": x, "b": x}, IMAGE, "one input and one output. Received 1 and 2"),
            (lambda x: {"y": x}, tf.TensorSpec((None, 3), tf.float32), "must have images"),
            (lambda x: {"y": x}, tf.TensorSpec((None, 8, 8, 3), tf.float64), "float32 or uint8. Received float64"),
        ],
    )
    def test_what_does_not_fit_is_said(self, tmp_path, function, spec, message):
        with pytest.raises(UserError, match=message):
            ForeignModel(saved(tmp_path / "model", function, spec))

    def test_what_is_no_saved_model(self, tmp_path):
        with pytest.raises(UserError, match="which does not exist"):
            ForeignModel(tmp_path / "nothing")
        (tmp_path / "empty").mkdir()
        with pytest.raises(UserError, match="which has no saved_model.pb"):
            ForeignModel(tmp_path / "empty")

    def test_outputs_of_another_rank(self, tmp_path):
        path = saved(tmp_path / "vector", lambda x: {"y": tf.reduce_mean(x, (1, 2))}, IMAGE)
        with pytest.raises(UserError, match=r"scores \(N, h, w, classes\) of 2 classes or more, or integer indices"):
            load_segmenter(str(path))

    def test_inception_without_its_weights_is_one_sentence(self, monkeypatch):
        import keras

        def offline(**_):
            raise OSError("no network")

        monkeypatch.setattr(keras.applications, "InceptionV3", offline)
        with pytest.raises(UserError, match="must have its weights. Received an error when downloading them"):
            load_features("inception")
