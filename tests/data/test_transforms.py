"""Input and target always move together; every operation is the same eagerly and inside tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from tfpix2pix import rng
from tfpix2pix.data import transforms
from tfpix2pix.data.pairs import Source
from tfpix2pix.data.scale import Scale, stretch_of
from tfpix2pix.data.settings import DataConfig


def run_both(function, *tensors, atol=0.0):
    """The result of a function eagerly, after checking that tf.data gives the same."""
    eager = function(*tensors)
    in_graph = next(iter(tf.data.Dataset.from_tensors(tensors).map(function)))
    for a, b in zip(tf.nest.flatten(eager), tf.nest.flatten(in_graph), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)
    return eager


def coordinates(height, width):
    """An image that says in each pixel where it came from."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([rows, columns], axis=-1).astype(np.float32)


@pytest.mark.parametrize("index", range(20))
def test_crop_and_mirror_move_both_halves_to_the_pixel(index):
    image = coordinates(40, 50)
    key = rng.at(rng.stream(0, "augmentation"), index)

    def both(x, y):
        return transforms.random_mirror(transforms.random_crop((x, y), 32, rng.at(key, 0)), rng.at(key, 1))

    a, b = run_both(both, image, image)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (32, 32, 2)
    rows, columns = a[..., 0].numpy(), a[..., 1].numpy()
    assert (np.diff(rows, axis=0) == 1).all()
    assert (np.abs(np.diff(columns, axis=1)) == 1).all()


def test_every_place_and_both_orientations_occur():
    image = coordinates(34, 34)
    corners, mirrored = set(), set()
    for index in range(200):
        key = rng.at(rng.stream(1, "x"), index)
        a, _ = transforms.random_crop((image, image), 32, rng.at(key, 0))
        corners.add((int(a[0, 0, 0]), int(a[0, 0, 1])))
        m, _ = transforms.random_mirror((image, image), rng.at(key, 1))
        mirrored.add(float(m[0, 0, 1]))
    assert corners == {(y, x) for y in range(3) for x in range(3)}
    assert mirrored == {0.0, 33.0}


def test_jitter_enlarges_before_it_crops():
    config = DataConfig(image_size_px=32, jitter_ratio=2, mirror=False)
    image = coordinates(32, 32)
    a, b = run_both(lambda x, y: transforms.for_training((x, y), config, rng.stream(0, "x")), image, image)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (32, 32, 2)
    assert np.diff(a[4:-4, 16, 0]).mean() == pytest.approx(0.5, abs=0.02)  # twice as large


def test_resize_is_the_antialiased_mean_where_it_halves():
    image = np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    (a, b) = run_both(lambda x, y: transforms.resize((x, y), 16), image, image)
    np.testing.assert_array_equal(a, b)
    assert np.std(a) < 0.5 * np.std(image)  # no aliasing: noise averages out
    assert np.mean(a) == pytest.approx(np.mean(image), abs=0.02)


def test_evaluation_is_not_random():
    config = DataConfig(image_size_px=32, fit="crop")
    a, _ = run_both(lambda x, y: transforms.for_evaluation((x, y), config), coordinates(40, 50), coordinates(40, 50))
    np.testing.assert_array_equal(a, coordinates(40, 50)[4:36, 9:41])


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (33, 33), (20, 90)])
@pytest.mark.parametrize("fit", ["resize", "resize_crop", "pad"])
def test_every_fit_gives_the_square_and_keeps_the_pair_together(fit, size):
    config = DataConfig(image_size_px=32, fit=fit, jitter_ratio=1.25, vertical_flip=True, rotate=True)
    image = coordinates(*size)

    def train(x, y):
        return transforms.for_training((x, y), config, rng.stream(3, "x"))

    for function in (train, lambda x, y: transforms.for_evaluation((x, y), config)):
        a, b = run_both(function, image, image)
        assert a.shape == (32, 32, 2)
        np.testing.assert_array_equal(a, b)


def test_the_aspect_ratio_is_kept_by_crop_and_pad():
    """Steps of one pixel stay equal in both directions."""
    image = coordinates(64, 128)
    for fit, step in (("resize_crop", 2), ("pad", 4)):
        out, _ = transforms.for_evaluation((image, image), DataConfig(image_size_px=32, fit=fit))
        middle = out[12:20, 12:20].numpy()
        np.testing.assert_allclose(np.diff(middle[..., 0], axis=0), step, atol=1e-3)
        np.testing.assert_allclose(np.diff(middle[..., 1], axis=1), step, atol=1e-3)


def test_pad_reflects_what_is_missing():
    image = coordinates(16, 32)
    out, _ = transforms.for_evaluation((image, image), DataConfig(image_size_px=32, fit="pad"))
    np.testing.assert_array_equal(out[8:24], image)
    np.testing.assert_array_equal(out[:8], image[8:0:-1])


def test_flips_and_turns_occur_all_and_move_both():
    image = coordinates(8, 8)
    seen = set()
    for index in range(100):
        key = rng.at(rng.stream(0, "augmentation"), index)
        pair = transforms.random_vertical_flip((image, image), rng.at(key, 2))
        a, b = transforms.random_rotation(pair, rng.at(key, 3))
        np.testing.assert_array_equal(a, b)
        seen.add(a.numpy().tobytes())
    squares = [np.rot90(flipped, k) for flipped in (image, image[::-1]) for k in range(4)]
    assert seen == {np.ascontiguousarray(square).tobytes() for square in squares}


def test_a_mirrored_pair_is_as_often_flipped_as_another():
    config = DataConfig(image_size_px=8, jitter_ratio=1.0, mirror=True, vertical_flip=True)
    image = coordinates(8, 8)
    image = np.concatenate([image, image[..., :1]], axis=-1)[..., :3]
    seen = {
        transforms.for_training((image, image), config, rng.at(rng.stream(0, "augmentation"), index))[0]
        .numpy()
        .tobytes()
        for index in range(40)
    }
    assert seen == {
        np.ascontiguousarray(each).tobytes() for each in (image, image[::-1], image[:, ::-1], image[::-1, ::-1])
    }


@pytest.mark.parametrize("side", ["input", "target"])
def test_colour_jitter_changes_one_side_alone(side):
    config = DataConfig(image_size_px=16, mirror=False, color_jitter=0.4, color_jitter_side=side)
    image = np.random.default_rng(0).uniform(-1, 1, (16, 16, 3)).astype(np.float32)
    train = lambda x, y: transforms.for_training((x, y), config, rng.stream(0, "x"))  # noqa: E731
    pair = run_both(train, image, image, atol=1e-6)  # graphs may sum in another order
    changed, kept = pair if side == "input" else pair[::-1]
    np.testing.assert_allclose(kept, image, atol=1e-6)
    assert np.abs(changed - image).max() > 0.02
    assert np.abs(changed).max() <= 1


def test_colour_jitter_of_strength_zero_changes_nothing():
    image = tf.random.uniform((4, 4, 3), -1, 1, seed=0)
    np.testing.assert_allclose(transforms.color_jitter(image, 0.0, rng.stream(0, "x")), image, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (64, 48), (20, 100)])
def test_a_photograph_is_resized_as_by_the_antialiasing_kernel_whichever_way(height, width):
    image = np.random.default_rng(0).uniform(-1, 1, (height, width, 3)).astype(np.float32)
    out, _ = run_both(lambda x, y: transforms.resize((x, y), 48), image, image)
    np.testing.assert_allclose(out, tf.image.resize(image, (48, 48), antialias=True), atol=1e-5)


WIDE = {"image_size_px": (24, 48), "jitter_ratio": 1.25, "mirror": False}


class TestRectangles:
    """The transforms of a rectangle, computed a second time in NumPy."""

    @staticmethod
    def resized(image, size):
        """Antialiased, bilinear: the weights of a pixel are a tent over two of its own, or of the image's pixels."""
        for axis, length in enumerate(size):
            scale = image.shape[axis] / length
            centers = (np.arange(length) + 0.5) * scale
            distances = np.abs(np.arange(image.shape[axis]) + 0.5 - centers[:, np.newaxis]) / max(scale, 1)
            weights = np.maximum(1 - distances, 0)
            weights /= weights.sum(axis=1, keepdims=True)
            image = np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)
        return image

    @classmethod
    def fitted(cls, image, size, fit):
        """An image brought to a size as `data.fit` says, from which the size is then cropped."""
        height, width = image.shape[:2]
        if fit == "crop":
            return image
        if fit == "resize":
            return cls.resized(image, size)
        factor = (max if fit == "resize_crop" else min)(size[0] / height, size[1] / width)
        image = cls.resized(image, (round(height * factor), round(width * factor)))
        missing = [max(side - length, 0) for side, length in zip(size, image.shape[:2], strict=True)]
        return np.pad(image, [*((more // 2, more - more // 2) for more in missing), (0, 0)], "reflect")

    @pytest.mark.parametrize("shape", [(60, 90), (40, 100), (37, 61)])
    @pytest.mark.parametrize("fit", ["resize", "resize_crop", "pad", "crop"])
    def test_as_in_numpy(self, fit, shape):
        config = DataConfig(**WIDE | ({"jitter_ratio": 1.0} if fit == "crop" else {}), fit=fit)
        image, key = np.random.default_rng(0).uniform(-1, 1, (*shape, 3)).astype(np.float32), rng.stream(3, "x")
        trained = run_both(lambda x, y: transforms.for_training((x, y), config, key), image, image)
        evaluated = run_both(lambda x, y: transforms.for_evaluation((x, y), config), image, image)

        larger = self.fitted(image, config.jitter_size_px, fit)
        room = np.array(larger.shape[:2]) - config.size_px + 1
        corner = np.floor(rng.uniform((2,), rng.at(key, 0)).numpy() * room).astype(int)
        exact = self.fitted(image, config.size_px, fit)
        middle = (np.array(exact.shape[:2]) - config.size_px) // 2
        for pair, source, (top, left) in ((trained, larger, corner), (evaluated, exact, middle)):
            np.testing.assert_allclose(pair[0], source[top : top + 24, left : left + 48], atol=1e-5)
            np.testing.assert_array_equal(pair[0], pair[1])

    @pytest.mark.parametrize("shape", [(60, 90), (40, 100)])
    @pytest.mark.parametrize("fit", ["resize", "resize_crop", "pad"])
    def test_translate_at_the_size_of_training_scales_as_training_does(self, fit, shape):
        config = DataConfig(**WIDE, fit=fit)
        image = np.zeros((*shape, 3), np.uint8)
        source = Source(["a"], lambda index: (image, image))
        scaled = Scale.of(config, "training", stretch_of(source, config)).resized(image).shape[:2]
        expected = {"resize": (24, 48), "resize_crop": {(60, 90): (32, 48), (40, 100): (24, 60)}[shape]}
        assert scaled == expected.get(fit, {(60, 90): (24, 36), (40, 100): (19, 48)}[shape])
