"""Distance fields: the networks see how far each pixel is from the boundary of a mask."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import write_image
from tests.data.test_parts import SIDE, scene
from tfpix2pix.config.resolve import make_config
from tfpix2pix.data import SOURCES
from tfpix2pix.data.distances import signed_distances
from tfpix2pix.data.encodings import encoded_parts
from tfpix2pix.data.labels import pictures_of
from tfpix2pix.data.pairs import signed
from tfpix2pix.data.stacks import stacked, stacked_by_name
from tfpix2pix.errors import UserError

COAST = {"name": "coast", "kind": "distance", "range": [-6, 10]}


def data_of(folder, *inputs):
    inputs = list(inputs or [COAST])
    return make_config({"data": {"source": "folders", "dir": str(folder), "inputs": inputs, "image_size_px": 32}}).data


def by_loops(inside):
    """The distance to the nearest centre of the other kind, less the half pixel between it and the boundary."""
    distances, places = np.zeros(inside.shape), np.argwhere(np.ones_like(inside))
    for y, x in places:
        others = np.argwhere(inside != inside[y, x])
        nearest = np.sqrt(((others - (y, x)) ** 2).sum(axis=1)).min() - 0.5
        distances[y, x] = nearest if inside[y, x] else -nearest
    return distances


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_a_twin_in_loops(seed):
    inside = np.random.default_rng(seed).random((9, 13)) < 0.3
    np.testing.assert_allclose(signed_distances(inside), by_loops(inside), atol=1e-9)


def test_a_straight_coast_has_the_distances_of_rows(tmp_path):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:] = 255
    stack = stacked_by_name({"coast": mask}, data_of(tmp_path))
    rows = np.clip(np.arange(SIDE) - 19.5, -6, 10)
    np.testing.assert_allclose(stack[..., 0], np.repeat((2 * (rows + 6) / 16 - 1)[:, np.newaxis], SIDE, 1), atol=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(0, -1.0), (1, 1.0)])
def test_a_mask_without_a_boundary_is_as_far_as_the_range_goes(tmp_path, value, expected):
    stack = stacked_by_name({"coast": np.full((8, 8), value, np.uint8)}, data_of(tmp_path))
    np.testing.assert_array_equal(stack, np.full((8, 8, 1), expected, np.float32))


def test_masks_and_label_maps_of_any_depth_are_read_alike(tmp_path):
    labels = scene()["labels"]
    expected = stacked([labels], data_of(tmp_path), ["m"])
    inside = labels > 0
    for image in (inside, inside * np.uint8(255), np.dstack([inside * np.uint8(255)] * 3), labels * np.uint16(900),
                  inside.astype(np.float32)):  # fmt: skip
        np.testing.assert_array_equal(stacked([image], data_of(tmp_path), ["m"]), expected)


def test_networks_and_pictures_show_the_field(tmp_path):
    for name, image in {"coast": scene()["labels"], "target": scene()["target"]}.items():
        write_image(tmp_path / "train" / name / "a.png", image)
    data = data_of(tmp_path)
    stack = signed(SOURCES["folders"](data, "train", 0).read(0), data)[0]
    field = np.clip(by_loops(scene()["labels"] > 0), -6, 10)
    np.testing.assert_allclose(stack[..., 0], (field + 6) / 8 - 1, atol=1e-6)
    np.testing.assert_array_equal(encoded_parts(tf.constant(stack), data.inputs), stack)
    assert data.numbers[0] == (False,) and data.network_channels == (1, 3)
    np.testing.assert_allclose(pictures_of(data)[0](stack)[..., 0], (field + 6) / 16 * 255, atol=0.51)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (scene()["target"], r"one channel of numbers, 0 outside. Received 3 channels in a.png \(coast\)"),
        (np.full((4, 4), np.nan, np.float32), "Received NaN or infinity in a.png"),
    ],
)
def test_other_images_are_refused(tmp_path, image, message):
    with pytest.raises(UserError, match=message):
        stacked([image], data_of(tmp_path), ["a.png"])


def test_a_range_is_needed(tmp_path):
    with pytest.raises(UserError, match=r"the range of a distance. Received 'coast' without it. .* range: \[-20, 20\]"):
        data_of(tmp_path, {"name": "coast", "kind": "distance"})
