"""Files in batches: every item once, in order, no batch of two sizes or beyond the memory it may take."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpix2pix import batching
from tfpix2pix.batching import batched
from tfpix2pix.errors import UserError

SIZES = {"small": (8, 8, 3), "wide": (8, 24, 3), "large": (600, 1000, 3)}


def go(kinds, fails=lambda items: False):
    """What comes out for items of these kinds, and the groups that were translated."""
    groups = []

    def read(item):
        if item[1] == "bad":
            raise UserError(f"{item[0]} is no image")
        return np.zeros(SIZES[item[1]], np.uint8)

    def together(items, images):
        if fails(items):
            raise UserError(f"{items[0][0]} cannot be translated")
        groups.append([item[1] for item in items])
        assert len({image.shape for image in images}) == 1
        return [item[0] * 10 for item in items]

    results = list(batched(list(enumerate(kinds)), read, together, lambda item, made: (item[0], made)))
    return results, groups


@given(kinds=st.lists(st.sampled_from([*SIZES, "bad"]), max_size=30))
@settings(max_examples=40, deadline=None)
def test_every_item_once_in_order_and_every_group_of_one_size(kinds):
    results, groups = go(kinds)
    assert len(results) == len(kinds)
    for index, (kind, result) in enumerate(zip(kinds, results, strict=True)):
        assert str(result) == f"{index} is no image" if kind == "bad" else result == (index, 10 * index)
    for group in groups:
        height, width, _ = SIZES[group[0]]
        assert len(set(group)) == 1 and (len(group) == 1 or len(group) * height * width <= batching.BATCH_PX)


def test_images_of_256_px_go_eight_at_a_time(monkeypatch):
    monkeypatch.setitem(SIZES, "small", (256, 256, 3))
    assert [len(group) for group in go(["small"] * 20)[1]] == [8, 8, 4]


def test_where_one_of_a_group_fails_the_others_are_translated():
    results, _ = go(["small"] * 4, fails=lambda items: any(item[0] == 2 for item in items))
    assert [str(result) for result in results] == ["(0, 0)", "(1, 10)", "2 cannot be translated", "(3, 30)"]


def test_other_errors_come_through():
    def write(item, made):
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        list(batched([1, 2], lambda item: np.zeros((4, 4, 3)), lambda items, images: images, write))


def test_who_stops_early_leaves_nothing_running():
    results = batched(range(100), lambda i: np.zeros((4, 4, 3)), lambda items, images: images, lambda i, made: i)
    assert next(results) == 0
    results.close()
