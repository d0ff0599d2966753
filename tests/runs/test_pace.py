"""How long a step takes: by a clock that the test turns, so that no number depends on the machine."""

import itertools

import pytest

from tfpix2pix.runs.steps import LEAST_CALLS, WARM_UP_CALLS, measure_pace
from tfpix2pix.training.settings import TrainingConfig


class Machine:
    """Does steps on its own clock; the calls in turn take `calls_s`, the last of them for ever."""

    def __init__(self, *calls_s: float) -> None:
        self.now_s, self.counts = 100.0, []
        self.calls_s = itertools.chain(calls_s, itertools.repeat(calls_s[-1]))

    def advance(self, count: int) -> None:
        self.counts.append(count)
        self.now_s += next(self.calls_s)

    def pace(self, **options) -> float:
        return measure_pace(self.advance, clock=lambda: self.now_s, **{"minutes": 60, **options})


def test_what_compiles_does_not_count():
    machine = Machine(90.0, 3.0, 2.0, 0.5)
    assert machine.pace() == 0.5


def test_the_median_of_the_calls_is_taken():
    machine = Machine(*[1.0] * WARM_UP_CALLS, 1.0, 7.0, 1.5, 2.0)
    assert machine.pace() == 1.75
    assert len(machine.counts) == WARM_UP_CALLS + 4


@pytest.mark.parametrize(
    ("minutes", "call_s", "calls"),
    [
        (60, 0.5, 20),  # 10 s
        (60, 0.25, 40),
        (1, 0.25, 12),  # 3 s are 5 % of a minute
        (1, 8.0, LEAST_CALLS),
        (0.001, 0.5, LEAST_CALLS),
    ],
)
def test_it_measures_for_ten_seconds_or_five_percent_but_three_calls_at_least(minutes, call_s, calls):
    machine = Machine(call_s)
    assert machine.pace(minutes=minutes) == call_s
    assert len(machine.counts) == WARM_UP_CALLS + calls


def test_a_call_of_many_steps_is_divided_by_them():
    machine = Machine(0.5)
    assert machine.pace(steps_per_call=20) == 0.025
    assert set(machine.counts) == {20}


def test_all_workers_do_the_same_number_of_calls():
    """A worker whose own time is up goes on while the others do not wish to end, and ends when one of them does."""
    slow, wishes = Machine(5.0), []

    def agree(wish):
        wishes.append(wish)
        return len(wishes) == 6

    assert slow.pace(agree=agree) == 5.0
    assert len(slow.counts) == WARM_UP_CALLS + LEAST_CALLS + 5
    assert wishes == [True] * 6


@pytest.mark.parametrize(
    ("steps", "minutes", "seconds_per_step", "expected"),
    [
        (80_000, 10, 0.25, 2400),
        (80_000, 10, 0.256, 2343),  # 2343.75
        (1000, 10, 0.25, 1000),  # an upper bound
        (80_000, 0.001, 3.0, 1),  # one at least
        (80_000, None, 0.25, 80_000),
        (80_000, 10, None, 80_000),
    ],
)
def test_steps_that_fit_in_the_minutes(steps, minutes, seconds_per_step, expected):
    spec = TrainingConfig(steps=steps, minutes=minutes, seconds_per_step=seconds_per_step).within_minutes()
    assert spec.steps == expected
    assert spec.within_minutes() == spec
