"""The loop: which hook when, how many steps a call, and where it stops. No TensorFlow needed."""

import os
import signal

import pytest

from tfpix2pix.training import loop


def run(steps, *cadences, first_step=0, stop_at=None, steps_per_execution=1, when_stopped=()):
    """(last step, (cadence, step) of every hook's call, steps of every call)."""
    calls, counts = [], []

    def advance(count):
        counts.append(count)
        return {"loss": list(range(count))}

    hooks = [
        loop.Hook(cadence, lambda step, losses, c=cadence: calls.append((c, step)), cadence in when_stopped)
        for cadence in cadences
    ]
    last = loop.run(
        advance, hooks, first_step=first_step, last_step=first_step + steps, steps_per_execution=steps_per_execution,
        should_stop=lambda: stop_at is not None and sum(counts) + first_step >= stop_at,
    )  # fmt: skip
    return last, calls, counts


def test_hooks_run_at_their_cadence_and_at_the_end():
    last, calls, counts = run(7, 1, 3)
    assert last == 7
    assert counts == [1] * 7
    assert [step for cadence, step in calls if cadence == 1] == [1, 2, 3, 4, 5, 6, 7]
    assert [step for cadence, step in calls if cadence == 3] == [3, 6, 7]


def test_cadence_counts_from_zero_after_a_resume():
    last, calls, _ = run(4, 3, first_step=4)
    assert last == 8
    assert [step for _, step in calls] == [6, 8]


def test_a_call_of_many_steps_ends_where_a_hook_is_due():
    last, calls, counts = run(11, None, 4, 6, steps_per_execution=3)
    assert (last, counts) == (11, [3, 1, 2, 2, 3])
    assert [step for cadence, step in calls if cadence is None] == [3, 4, 6, 8, 11]
    assert [step for cadence, step in calls if cadence == 4] == [4, 8, 11]


def steps_of_early_hook(every, early, *, last_step, first_step=0, steps_per_execution=1):
    """Steps after which a hook with early steps is called, and steps of every call."""
    calls, counts = [], []
    hook = loop.Hook(every, lambda step, losses: calls.append(step), early_steps=early)
    loop.run(
        lambda count: counts.append(count) or {}, [hook], first_step=first_step, last_step=last_step,
        steps_per_execution=steps_per_execution,
    )  # fmt: skip
    return calls, counts


@pytest.mark.parametrize(("every", "expected"), [
    (1000, [50, 100, 200, 400, 1000, 2000, 2100]),
    (400, [50, 100, 200, 400, 800, 1200, 1600, 2000, 2100]),
    (90, [50, *range(90, 2100, 90), 2100]),
    (20, [*range(20, 2101, 20)]),
])  # fmt: skip
def test_early_steps_come_before_the_cadence_and_never_within_it(every, expected):
    assert steps_of_early_hook(every, (50, 100, 200, 400), last_step=2100)[0] == expected


@pytest.mark.parametrize("first_step", [0, 49, 50, 120, 400, 1000])
def test_early_steps_are_those_of_the_run_wherever_it_is_resumed(first_step):
    whole = [50, 100, 200, 400, 1000, 1500]
    resumed, _ = steps_of_early_hook(1000, (50, 100, 200, 400), first_step=first_step, last_step=1500)
    assert resumed == [step for step in whole if step > first_step]


def test_a_call_of_many_steps_ends_at_an_early_step_that_is_due():
    assert steps_of_early_hook(8, (5,), last_step=10, steps_per_execution=4) == ([5, 8, 10], [4, 1, 3, 2])
    assert steps_of_early_hook(4, (5,), last_step=8, steps_per_execution=4) == ([4, 8], [4, 4])


def test_a_stop_comes_after_the_step_with_its_hooks_and_those_for_stops():
    last, calls, counts = run(9, 1, 4, 5, stop_at=3, when_stopped=(5,))
    assert (last, len(counts)) == (3, 3)
    assert calls[-2:] == [(1, 3), (5, 3)]  # and not that of 4 steps: an interruption leaves no trace in the log


def test_a_stop_at_a_due_step_runs_a_hook_once():
    _, calls, _ = run(9, 3, stop_at=3, when_stopped=(3,))
    assert calls == [(3, 3)]


def test_a_stop_at_the_last_step_is_an_end():
    assert run(3, 3, stop_at=3, when_stopped=(3,)) == (3, [(3, 3)], [1, 1, 1])


def test_no_steps_no_hooks():
    assert run(0, 1, first_step=5) == (5, [], [])


def test_whether_to_stop_is_asked_once_a_call():
    """Workers agree on it together, so each must ask as often as the others."""
    calls = []
    loop.run(lambda count: {}, [loop.Hook(4, lambda *_: None)], last_step=8, steps_per_execution=3,
             should_stop=lambda: calls.append(1) is not None)  # fmt: skip
    assert len(calls) == 4


@pytest.mark.parametrize("number", loop.STOPPING)
def test_signals_ask_for_a_stop(number):
    before = signal.signal(number, signal.SIG_DFL)  # whatever started the tests may ignore it, as nohup does
    try:
        with loop.stop_on_signals() as should_stop:
            assert not should_stop()
            os.kill(os.getpid(), number)
            assert should_stop()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(loop.HANG_UP is None, reason="Windows has no SIGHUP")
def test_nohup_still_ignores_a_closed_terminal():
    before = signal.signal(loop.HANG_UP, signal.SIG_IGN)
    try:
        with loop.stop_on_signals() as should_stop:
            os.kill(os.getpid(), loop.HANG_UP)
            assert not should_stop()
        assert signal.getsignal(loop.HANG_UP) == signal.SIG_IGN
    finally:
        signal.signal(loop.HANG_UP, before)


def test_a_second_interrupt_does_not_wait():
    with loop.stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
