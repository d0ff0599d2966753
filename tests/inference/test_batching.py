"""Files in batches: every item once, in order, no batch of two sizes or beyond the memory it may take."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpix2pix.errors import UserError
from tfpix2pix.inference import batching
from tfpix2pix.inference.batching import ImageTranslator, in_batches, one_by_one, vectors_of
from tfpix2pix.inference.remote.client import RemoteModel
from tfpix2pix.inference.translator import Translator

SIZES = {"small": (8, 8, 3), "wide": (8, 24, 3), "large": (600, 1000, 3)}


def read(item):
    if item[1] == "bad":
        raise UserError(f"{item[0]} is no image")
    return np.zeros(SIZES[item[1]], np.uint8)


def go(kinds, fails=lambda items: False):
    """Returns the outcomes of items of these kinds, and the batches that were translated."""
    batches = []

    def translate(items, images):
        if fails(items):
            raise UserError(f"{items[0][0]} cannot be translated")
        batches.append([item[1] for item in items])
        assert len({image.shape for image in images}) == 1
        return [item[0] * 10 for item in items]

    items = list(enumerate(kinds))
    outcomes = list(in_batches(items, read, translate, lambda item, translation: (item[0], translation)))
    assert [outcome.item for outcome in outcomes] == items
    return [outcome.error or outcome.result for outcome in outcomes], batches


@given(kinds=st.lists(st.sampled_from([*SIZES, "bad"]), max_size=30))
@settings(max_examples=40)
def test_every_item_once_in_order_and_every_batch_of_one_size(kinds):
    results, batches = go(kinds)
    assert len(results) == len(kinds)
    for index, (kind, result) in enumerate(zip(kinds, results, strict=True)):
        assert str(result) == f"{index} is no image" if kind == "bad" else result == (index, 10 * index)
    for batch in batches:
        height, width, _ = SIZES[batch[0]]
        assert len(set(batch)) == 1 and (len(batch) == 1 or len(batch) * height * width <= batching.BATCH_PX)


def test_images_of_256_px_go_eight_at_a_time(monkeypatch):
    monkeypatch.setitem(SIZES, "small", (256, 256, 3))
    assert [len(batch) for batch in go(["small"] * 20)[1]] == [8, 8, 4]


def test_if_one_of_a_batch_fails_the_others_are_translated():
    results, _ = go(["small"] * 4, fails=lambda items: any(item[0] == 2 for item in items))
    assert [str(result) for result in results] == ["(0, 0)", "(1, 10)", "2 cannot be translated", "(3, 30)"]


def full_disk(item, translation=None):
    raise OSError("No space left on device")


@pytest.mark.parametrize("stage", ["read", "translate", "write"])
def test_other_errors_come_through(stage):
    steps = {"read": lambda item: np.zeros((4, 4, 3)), "translate": lambda items, images: images}
    steps |= {"write": lambda item, translation: None, stage: full_disk}
    with pytest.raises(OSError, match="No space"):
        list(in_batches([1, 2], *steps.values()))
    for threads in (1, 2):
        with pytest.raises(OSError, match="No space"):
            list(one_by_one([1, 2], *steps.values(), threads))


def test_who_stops_early_leaves_nothing_running():
    results = in_batches(range(100), lambda i: np.zeros((4, 4, 3)), lambda items, images: images, lambda i, image: i)
    assert next(results).result == 0
    results.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_images_go_one_by_one_in_order_past_those_that_fail(threads):
    kinds = ["small", "bad", "wide", "small"]
    results = one_by_one(list(enumerate(kinds)), read, lambda item, image: image.shape, lambda *done: done, threads)
    assert [str(outcome.error or outcome.result[1]) for outcome in results] == [
        "(8, 8, 3)", "1 is no image", "(8, 24, 3)", "(8, 8, 3)",
    ]  # fmt: skip


def test_one_vector_is_for_all_images_and_several_are_for_each_its_own():
    assert vectors_of(None, 3, 2) is None
    np.testing.assert_array_equal(vectors_of(np.array([0.5, 0.25]), 2, 2), [[0.5, 0.25]] * 2)
    np.testing.assert_array_equal(vectors_of(np.array([[0.5], [0.25]]), 2, 1), [[0.5], [0.25]])


@pytest.mark.parametrize("shape", [(9,), (1, 7), (3, 8), (0, 8), (1, 1, 8)])
def test_noise_of_another_shape_is_refused(shape):
    with pytest.raises(UserError, match="one vector of 8 values, or one for each image, 2 here. Received .* shape"):
        vectors_of(np.zeros(shape), 2, 8)


@pytest.mark.parametrize("kind", [Translator, RemoteModel])
@pytest.mark.parametrize("name", ["noise", "translate", "translate_many"])
def test_there_is_one_way_in_here_and_on_a_server(kind, name):
    assert ImageTranslator in kind.__mro__
    assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(ImageTranslator, name))


def test_no_batch_holds_images_of_two_groups():
    """So whoever is given whole groups makes the batches of one who is given all images."""
    kinds = (["small"] * 11 + ["wide"] * 3) * 7
    whole = go(kinds)[1]
    parts = [batch for start in range(0, len(kinds), batching.GROUP) for batch in go(kinds[start : start + 32])[1]]
    assert batching.GROUP == 32 and whole == parts
    assert [len(batch) for batch in go(["small"] * 70)[1]] == [32, 32, 6]
