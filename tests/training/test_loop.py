"""The loop: which hook when, and where it stops. No TensorFlow needed."""

import os
import signal

import pytest

from tfpix2pix.training import loop


def run(steps, *cadences, first_step=0, stop_at=None):
    calls, done = [], []

    def step_function(batch):
        done.append(batch)
        return {"loss": batch}

    hooks = [loop.Hook(c, lambda step, losses, c=c: calls.append((c, step, losses["loss"]))) for c in cadences]
    last = loop.run(
        step_function, range(first_step + 1, first_step + steps + 1), hooks, first_step=first_step,
        should_stop=lambda: stop_at is not None and len(done) + first_step >= stop_at,
    )  # fmt: skip
    return last, calls, done


def test_hooks_run_at_their_cadence_and_at_the_end():
    last, calls, _ = run(7, 1, 3)
    assert last == 7
    assert [step for cadence, step, _ in calls if cadence == 1] == [1, 2, 3, 4, 5, 6, 7]
    assert [step for cadence, step, _ in calls if cadence == 3] == [3, 6, 7]
    assert all(step == loss for _, step, loss in calls)


def test_cadence_counts_from_zero_after_a_resume():
    last, calls, _ = run(4, 3, first_step=4)
    assert last == 8
    assert [step for _, step, _ in calls] == [6, 8]


def test_a_stop_comes_after_the_step_with_its_hooks():
    last, calls, done = run(9, 1, 5, stop_at=3)
    assert (last, done) == (3, [1, 2, 3])
    assert (5, 3, 3) in calls


def test_no_batches_no_hooks():
    assert run(0, 1, first_step=5) == (5, [], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_for_a_stop(number):
    before = signal.getsignal(number)
    with loop.stop_on_signals() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), number)
        assert should_stop()
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait():
    with loop.stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
