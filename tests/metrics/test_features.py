"""FID and KID by hand and by simulation, what foreign networks must give, and what every metric of sets must see."""

import numpy as np
import pytest
import tensorflow as tf
from skimage.data import astronaut, chelsea, coffee
from skimage.filters import gaussian

from tfpix2pix.errors import UserError
from tfpix2pix.metrics import METRICS, features
from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.extractors import ForeignModel, load_features, load_segmenter
from tfpix2pix.metrics.features import FID, KID, Remembered, frechet_distance, squared_discrepancy

PHOTOGRAPHS = [image.astype(np.float32) / 127.5 - 1 for image in (astronaut(), chelsea(), coffee())]
CROPS = [image[y : y + 64, x : x + 64] for image in PHOTOGRAPHS for y in (0, 100, 200) for x in (0, 100, 200, 300)]
ANY = tf.TensorSpec((None, None, None, 3), tf.float32)


def statistics(image):
    """Features without a network: means and deviations of colours, and deviations of neighbours' differences."""
    parts = (image.mean((0, 1)), image.std((0, 1)), np.diff(image, axis=0).std((0, 1)))
    return np.concatenate(parts) * 5


def score(name, translations, targets=CROPS, look=statistics):
    metric = METRICS[name].make(Setting(features=Remembered(look)))
    for i, (given, wanted) in enumerate(zip(translations, targets, strict=True)):
        metric.update(Example(str(i), np.asarray(given, np.float32), None, wanted), np.ones(1))
    assert all(values.shape == (1,) or name == "ms_ssim" for values in metric.result().values())
    return {figure: float(values[0]) for figure, values in metric.result().items()}


class TestFrechet:
    def test_of_two_dimensions_it_is_the_formula_for_the_root(self):
        """Of 2×2 matrices tr √A = √(tr A + 2 √det A), which needs no eigenvalues (Cayley and Hamilton)."""
        covariance, other = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
        product = covariance @ other
        root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
        expected = 3.0**2 + 4.0**2 + np.trace(covariance) + np.trace(other) - 2 * root
        distance = frechet_distance(np.zeros(2), covariance, np.array([3.0, 4.0]), other)
        assert distance == pytest.approx(expected, rel=1e-12)

    def test_it_is_symmetric(self):
        rng = np.random.default_rng(0)
        (a, b), (mean, other) = rng.normal(0, 1, (2, 6, 6)), rng.normal(0, 1, (2, 6))
        there = frechet_distance(mean, a @ a.T, other, b @ b.T)
        assert frechet_distance(other, b @ b.T, mean, a @ a.T) == pytest.approx(there, rel=1e-9)

    def test_of_fewer_images_than_features_it_is_that_of_the_space_that_they_span(self):
        """Zeros appended to the features change nothing, however singular the covariance is."""
        few, others = np.random.default_rng(0).normal(0, 1, (2, 5, 8))
        distances = []
        for more in (0, 300):
            a, b = (np.pad(side, ((0, 0), (0, more))) for side in (few, others))
            distances.append(frechet_distance(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T)))
        assert distances[1] == pytest.approx(distances[0], rel=1e-5)

    def test_of_means_that_differ_alone_it_is_their_squared_distance(self):
        wanted = np.random.default_rng(0).normal(0, 1, (40, 3))
        vectors = iter(np.stack([wanted + 2.0, wanted], axis=1).reshape(80, 3))  # translation, target, translation, …
        metric = FID(Setting(features=lambda image: next(vectors)))
        for i in range(40):
            metric.update(Example(str(i), CROPS[0], None, CROPS[0]), np.ones(1))
        assert metric.result()["fid"] == pytest.approx(3 * 2.0**2, rel=1e-6)


class TestKernel:
    def test_by_hand(self):
        """D = 1: kernels of 0 and 1 are 1 or 8, of 1 and 2 are 27; every sum written out."""
        a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
        assert squared_discrepancy(a, b) == 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4

    def test_features_of_float32_are_summed_in_float64(self):
        a, b = np.random.default_rng(0).normal(30, 1, (2, 40, 4)).astype(np.float32)
        assert squared_discrepancy(a, b) == squared_discrepancy(a.astype(np.float64), b.astype(np.float64))

    def test_a_last_block_of_one_image_is_left_out(self, monkeypatch):
        monkeypatch.setattr(features, "BLOCK", 4)
        blurred = [gaussian(image, 2, channel_axis=-1) for image in CROPS]
        assert score("kid", blurred[:9], CROPS[:9]) == score("kid", blurred[:8], CROPS[:8])
        assert score("kid", blurred[:10], CROPS[:10]) != score("kid", blurred[:8], CROPS[:8])

    def test_memory_does_not_grow(self, monkeypatch):
        monkeypatch.setattr(features, "BLOCK", 4)
        metric = KID(Setting(features=statistics))
        for i, image in enumerate(CROPS):
            metric.update(Example(str(i), image, None, image), np.ones(1))
            assert len(metric.block) < 4


def test_an_image_of_equal_values_but_another_identity_is_looked_at_again():
    calls = []
    look = Remembered(lambda image: calls.append(1) or statistics(image))
    image = CROPS[0].copy()
    np.testing.assert_array_equal(look(image), look(image))
    assert len(calls) == 1
    image_again = image.copy()
    look(image_again)
    assert len(calls) == 2
    assert look(image).dtype == np.float64


def test_none_of_one_image():
    for metric in (FID(Setting(features=statistics)), KID(Setting(features=statistics))):
        assert metric.result() == {}
        metric.update(Example("a", CROPS[0], None, CROPS[1]), np.ones(1))
        assert metric.result() == {}


def blur(image):
    return gaussian(image, 2, channel_axis=-1)


def noise(image):
    return np.clip(image + np.random.default_rng(0).normal(0, 0.3, image.shape), -1, 1)


def shift(image):
    return np.clip(image + np.array([0.4, 0.0, -0.4]), -1, 1)


WORSE = {"blur": blur, "noise": noise, "colour shift": shift}
LEAST_MOVE = {
    "ms_ssim": 0.01,
    "swd": 5.0,
    "fid": 0.3,
    "kid": 0.3,
}  # of any change, where equal sets have the best figure
SAMPLING = {"fid": 1e-9, "kid": 1e-9, "swd": 0.05}  # what another pairing may change, relative: patches lie elsewhere


@pytest.mark.parametrize("name", LEAST_MOVE)
@pytest.mark.parametrize("change", WORSE)
def test_worse_is_worse(name, change):
    good, bad = score(name, CROPS)[name], score(name, map(WORSE[change], CROPS))[name]
    assert (good - bad if METRICS[name].better == "higher" else bad - good) > LEAST_MOVE[name]


@pytest.mark.parametrize("name", LEAST_MOVE)
def test_equal_sets_are_perfect(name):
    value = score(name, CROPS)[name]
    expected = {"ms_ssim": 1, "swd": 0, "fid": 0}
    if name == "kid":  # unbiased, so at or below 0: each image is compared with its equal across, but not within
        assert value <= 0
    else:
        assert value == pytest.approx(expected[name], abs=1e-6)


@pytest.mark.parametrize("name", LEAST_MOVE)
def test_only_what_compares_pairs_sees_the_pairing(name):
    blurred = list(map(blur, CROPS))
    paired, shuffled = score(name, blurred)[name], score(name, blurred[7:] + blurred[:7])[name]
    if name in SAMPLING:
        assert shuffled == pytest.approx(paired, rel=SAMPLING[name])
    else:
        assert shuffled < paired - 0.3


def saved(path, function, spec=ANY, names=None):
    module = tf.Module()
    module.run = tf.function(function, input_signature=[spec])
    tf.saved_model.save(module, str(path), signatures=dict.fromkeys(names, module.run) if names else module.run)
    return path


class TestForeignModels:
    def test_the_default_is_taken_of_several_signatures(self, tmp_path):
        path = saved(tmp_path / "one", lambda x: {"y": x}, names=("serving_default", "other"))
        assert ForeignModel(path)(CROPS[0]).shape == (64, 64, 3)
        path = saved(tmp_path / "two", lambda x: {"y": x}, names=("encode", "decode"))
        with pytest.raises(UserError, match="or one alone. Received (encode, decode|decode, encode)"):
            ForeignModel(path)

    def test_channels_are_matched(self, tmp_path):
        gray = tf.TensorSpec((None, None, None, 1), tf.float32)
        path = saved(tmp_path / "gray", lambda x: {"y": x}, gray)
        expected = CROPS[0] @ np.array([0.299, 0.587, 0.114])
        np.testing.assert_allclose(ForeignModel(path)(CROPS[0])[..., 0], expected, atol=1e-5)
        path = saved(tmp_path / "rgb", lambda x: {"y": x})
        np.testing.assert_allclose(ForeignModel(path)(CROPS[0][..., :1])[..., 2], CROPS[0][..., 0], atol=1e-6)

    def test_channels_without_a_way_are_the_networks_trouble(self, tmp_path):
        bands = tf.TensorSpec((None, None, None, 13), tf.float32)
        path = saved(tmp_path / "bands", lambda x: {"y": x}, bands)
        with pytest.raises(UserError, match="Received 13 for images of 3") as caught:
            ForeignModel(path)(CROPS[0])
        assert "data.input_channels" not in str(caught.value)
        see, classes = load_segmenter(path)  # of images of 13 channels it is one
        assert classes == 13
        assert see(np.zeros((8, 8, 13), np.float32)).shape == (8, 8)

    def test_a_fixed_size_is_reached_with_antialiasing(self, tmp_path):
        path = saved(tmp_path / "small", lambda x: {"y": x}, tf.TensorSpec((None, 4, 4, 3), tf.float32))
        stripes = np.tile(np.float32([1, -1]), (32, 16))[..., None].repeat(3, -1)
        assert np.abs(ForeignModel(path)(stripes)).max() < 0.1  # plain sampling would see one colour of the two

    def test_a_network_that_fails_with_a_size_is_said_without_a_traceback(self, tmp_path):
        path = saved(tmp_path / "fails", lambda x: {"y": tf.reshape(x, (-1, 50, 50, 3))})
        with pytest.raises(UserError, match="which fails with 64x64 px. Export it with its height and width"):
            ForeignModel(path)(CROPS[0])

    def test_a_home_folder_is_found(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        saved(tmp_path / "network", lambda x: {"y": tf.reduce_mean(x, (1, 2))})
        np.testing.assert_allclose(load_features("~/network")(CROPS[0]), CROPS[0].mean((0, 1)), atol=1e-5)

    def test_features_must_be_finite(self, tmp_path):
        path = saved(tmp_path / "nan", lambda x: {"y": tf.math.log(tf.reduce_mean(x, (1, 2)) - 5)})
        with pytest.raises(UserError, match="Features must be finite. Received NaN or infinity"):
            load_features(str(path))(CROPS[0])

    def test_half_precision_is_averaged_in_float64(self, tmp_path):
        path = saved(tmp_path / "half", lambda x: {"y": tf.cast(x, tf.float16)})
        given = load_features(str(path))(CROPS[0])
        assert given.dtype == np.float64
        np.testing.assert_allclose(given, CROPS[0].astype(np.float16).astype(np.float64).mean((0, 1)), atol=1e-9)

    @pytest.mark.parametrize(
        "output",
        [
            lambda x: tf.sigmoid(x[..., :1]),  # of one class the largest is always the first
            lambda x: tf.sigmoid(x[..., 0]),  # rounded down, always the first too
            lambda x: tf.reduce_mean(x, (1, 2)),
        ],
    )
    def test_what_would_be_one_class_everywhere_is_no_segmenter(self, tmp_path, output):
        path = saved(tmp_path / "one", lambda x: {"y": output(x)})
        with pytest.raises(UserError, match=r"of 2 classes or more, or integer indices \(N, h, w\)\. Received float32"):
            load_segmenter(path)

    def test_why_inception_has_no_weights_is_said(self, monkeypatch):
        import keras

        def offline(**_):
            raise RuntimeError("name not known\nand much more")

        monkeypatch.setattr(keras.applications, "InceptionV3", offline)
        with pytest.raises(UserError, match=r"downloading them \(name not known\). Connect") as caught:
            load_features("inception")
        assert "leave fid and kid out" in str(caught.value)
