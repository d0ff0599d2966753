"""Copies of training targets: distances and shares against twins in loops, and what is no copy."""

import math

import numpy as np
import pytest

from tfpix2pix.metrics.example import Example, Setting
from tfpix2pix.metrics.nearest import TrainingTargets, distance, small
from tfpix2pix.metrics.scoring import measure
from tfpix2pix.training.samples import picture

NAMES = ["nearest", "copied"]


def photographs(count, seed=0, side=64):
    """Images of smooth colours, uint8 levels in [-1, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3))
    return np.kron(coarse, np.ones((1, side // 8, side // 8, 1))) / 127.5 - 1


def training_of(images):
    return TrainingTargets([small(picture, image) for image in images], picture)


def twin_small(image, weight):
    """The means over fields of 2x3 px of a picture of 64x96 px, level by level: rounded along rows, then columns."""
    fields = []
    for row in range(32):
        for column in range(32):
            for channel in range(3):
                rows = []
                for y in range(2 * row, 2 * row + 2):
                    total = 0
                    for x in range(3 * column, 3 * column + 3):
                        level = round((image[y, x, channel] + 1) * 127.5)
                        total += level if weight is None else round(level * weight[y, x, 0])
                    rows.append(math.floor(total / 3 + 0.5))
                fields.append(math.floor(sum(rows) / 2 + 0.5) / 127.5 - 1)
    return fields


@pytest.mark.parametrize("weighted", [False, True])
def test_a_small_picture_is_the_means_over_fields(weighted, rng):
    image = rng.integers(0, 256, (64, 96, 3)) / 127.5 - 1
    weight = rng.integers(0, 2, (64, 96, 1)) * 1.0 if weighted else None
    np.testing.assert_allclose(small(picture, image, weight), twin_small(image, weight), atol=1e-6)


def test_images_of_any_size_and_channels_have_small_pictures_of_one_length(rng):
    for shape in ((7, 5, 1), (32, 32, 3), (40, 100, 4)):
        assert small(picture, rng.uniform(-1, 1, shape)).shape == (3 * 32 * 32,)


def test_the_distance_is_the_root_of_the_mean_squared_difference():
    black, white = np.full(12, -1.0), np.full(12, 1.0)
    assert distance(black, white) == 2
    assert distance(black, black) == 0
    assert distance(np.zeros(4), np.array([1.0, 0, 0, 0])) == pytest.approx(0.5)


def twin(examples, targets):
    """The four values, by loops over examples and training targets."""
    smalls, values = [small(picture, target).astype(float) for target in targets], {}
    for which, role in (("", "translation"), ("_real", "target")):
        nearest, copies = [], 0
        for example in examples:
            mine, distances = small(picture, getattr(example, role)).astype(float), []
            for other in smalls:
                total = 0.0
                for a, b in zip(mine, other, strict=True):
                    total += (a - b) ** 2
                distances.append(math.sqrt(total / len(mine)))
            distances.sort()
            around = distances[:50]
            nearest.append(distances[0])
            copies += distances[0] < sum(around) / len(around) / 2
        values[f"nearest_training{which}"] = sum(nearest) / len(nearest)
        values[f"copied{which}"] = copies / len(examples)
    return values


def test_values_equal_their_twin_in_loops():
    targets, held_out = photographs(55), photographs(3, seed=1)
    near = np.clip(targets[4] + np.random.default_rng(2).normal(0, 0.05, targets[4].shape), -1, 1)
    outputs = [near, held_out[1], targets.mean(axis=0)]
    examples = [
        Example(str(number), output, target=target)
        for number, (output, target) in enumerate(zip(outputs, held_out, strict=True))
    ]
    measured = measure(examples, NAMES, Setting(training=training_of(targets)))
    assert measured == pytest.approx(twin(examples, targets), abs=1e-6)
    assert measured["copied"] == pytest.approx(1 / 3)


def test_copies_are_found_and_true_or_blurry_translations_are_none():
    targets, held_out = photographs(60), photographs(8, seed=1)
    setting = Setting(training=training_of(targets))

    def of(outputs):
        pairs = enumerate(zip(outputs, held_out, strict=True))
        return measure([Example(str(n), output, target=target) for n, (output, target) in pairs], NAMES, setting)

    copies, true, blurry = of(targets[:8]), of(held_out), of([targets.mean(axis=0)] * 8)
    assert (copies["nearest_training"], copies["copied"]) == (0, 1)
    assert true["nearest_training"] == true["nearest_training_real"] > 0.3
    assert blurry["nearest_training"] < 0.8 * true["nearest_training"]  # nearer to everything
    assert true["copied"] == blurry["copied"] == copies["copied_real"] == 0


def test_a_dataset_of_near_duplicates_says_so():
    targets = photographs(60)
    held_out = np.clip(targets[:5] + 0.02, -1, 1)  # neighbours, such as frames of a film
    examples = [Example(str(n), image, target=image) for n, image in enumerate(held_out)]
    measured = measure(examples, NAMES, Setting(training=training_of(targets)))
    assert measured["copied"] == measured["copied_real"] == 1


def test_the_first_of_equal_targets_is_named_and_one_target_alone_shows_no_copy():
    image = photographs(2)
    twice = training_of([image[1], image[0], image[0]])
    assert twice.nearest(image[0])[:2] == (1, 0.0)
    assert training_of([image[0]]).nearest(image[0]).copied is False
