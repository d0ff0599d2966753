"""The loop: steps, hooks at their cadence, and a clean stop between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

Losses = Mapping[str, Any]  # of the steps of one call, in order: arrays (count,) by name


class Hook(NamedTuple):
    """`action(step, losses)` after every `every_steps`-th step, and after the last one; None: after every call.

    `losses` are those of the latest call. Hooks of one step run in their order. `when_stopped`: also after a step that
    was the last only because a stop was asked for.
    """

    every_steps: int | None
    action: Callable[[int, Losses], None]
    when_stopped: bool = False


def run(
    advance: Callable[[int], Losses],
    hooks: Sequence[Hook],
    *,
    first_step: int = 0,
    last_step: int,
    steps_per_execution: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Calls `advance(count)`, which does so many steps, until `last_step`; returns the number of the last step done.

    No call goes beyond a step after which a hook is due. A stop asked for during a call comes after it and its due
    hooks. `should_stop` is asked once a call.
    """
    step = first_step
    cadences = [hook.every_steps for hook in hooks if hook.every_steps]
    while step < last_step:
        count = min(steps_per_execution, last_step - step, *(cadence - step % cadence for cadence in cadences))
        losses = advance(count)
        step += count
        due = [hook for hook in hooks if step == last_step or not step % (hook.every_steps or 1)]
        for hook in due:
            hook.action(step, losses)
        if should_stop() and step < last_step:
            for hook in hooks:
                if hook.when_stopped and hook not in due:
                    hook.action(step, losses)
            break
    return step


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yields `should_stop`, true once Ctrl-C or SIGTERM came; a second Ctrl-C interrupts at once.

    Outside the main thread, where Python allows no signal handlers, it stays false.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    def ask(number: int, _frame: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
