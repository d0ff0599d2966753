"""Items in threads: in their order, with their errors, and never far ahead of whoever takes the results."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpix2pix.parallel import READ_AHEAD, evenly_spread, in_order, outcomes


def test_results_come_in_the_order_of_the_items_even_if_the_first_is_the_slowest():
    others_are_done = threading.Barrier(2)

    def work(item: int) -> int:
        if item in (0, 3):
            others_are_done.wait(60)  # the first ends with the fourth
        return item * item

    assert list(in_order(work, range(10), threads=4)) == [item * item for item in range(10)]


def test_an_error_comes_with_its_item_and_stops_no_other():
    results = list(outcomes(lambda number: 1 // number, range(4), threads=4))
    assert [outcome.item for outcome in results] == [0, 1, 2, 3]
    assert isinstance(results[0].error, ZeroDivisionError)
    assert [outcome.result for outcome in results] == [None, 1, 0, 0]


def test_in_order_raises_the_first_error():
    def work(item: int) -> int:
        if item >= 500:
            raise KeyError(item)
        return item

    results = in_order(work, range(1000), threads=2)
    assert [next(results) for _ in range(500)] == list(range(500))
    with pytest.raises(KeyError, match="500"):
        next(results)


@pytest.mark.parametrize("threads", [1, 3])
def test_items_are_taken_no_further_ahead_than_twice_the_threads(threads):
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    for handed_out, _ in enumerate(in_order(lambda number: number, items(), threads)):
        assert len(taken) - handed_out <= READ_AHEAD * threads


def test_items_that_have_not_begun_are_dropped_if_the_caller_leaves():
    begun, may_end = [], threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number > 3:
            may_end.wait(60)
        return number

    results = in_order(work, range(10_000), threads=2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    results.close()
    may_end.set()
    assert max(begun) <= 3 + READ_AHEAD * 2


@given(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 80)))
def test_indices_are_evenly_spread(count, at_most):
    indices = evenly_spread(count, at_most)
    assert len(indices) == min(count, count if at_most is None else at_most)
    gaps = np.diff([*indices, count]) if indices else np.array([0])
    assert gaps.max() - gaps.min() <= 1
    assert indices == sorted(set(indices))
    assert not indices or indices[0] == 0
