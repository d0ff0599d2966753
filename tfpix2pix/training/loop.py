"""Runs the loop: steps, hooks at their cadence, and a clean stop between two steps."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has no such signal
STOPPING = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANG_UP)))
Losses = Mapping[str, Any]  # name -> array (count,), a value for each step of a call


class Hook(NamedTuple):
    """Calls `action(step, losses)` after every `every_steps`-th step and after the last; None: after every call.

    `losses` are those of the latest call. The hooks of a step run in their order. `when_stopped`: also after the step
    at which the loop was stopped. `early_steps`: also after those of these steps that come before `every_steps`.
    """

    every_steps: int | None
    action: Callable[[int, Losses], None]
    when_stopped: bool = False
    early_steps: tuple[int, ...] = ()

    def next_due(self, step: int) -> int:
        """Returns the first step after `step` after which the hook is due."""
        every = self.every_steps or 1
        early = (due for due in self.early_steps if step < due < every)
        return min(early, default=step + every - step % every)


def run(
    advance: Callable[[int], Losses],
    hooks: Sequence[Hook],
    *,
    first_step: int = 0,
    last_step: int,
    steps_per_execution: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Calls `advance(count)`, which does `count` steps, until `last_step`. Returns the last step that was done.

    No call goes beyond a step after which a hook is due. `should_stop` is called after every call and its hooks.
    """
    step = first_step
    while step < last_step:
        count = min(
            steps_per_execution, last_step - step, *(hook.next_due(step) - step for hook in hooks if hook.every_steps)
        )
        losses = advance(count)
        step += count
        due = [hook for hook in hooks if step == last_step or hook.next_due(step - 1) == step]
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
    """Yields `should_stop`, which returns True after Ctrl-C, SIGTERM or a closed terminal (SIGHUP).

    A second Ctrl-C interrupts at once. A signal that is ignored, as `nohup` ignores SIGHUP, stays ignored. Outside the
    main thread, in which Python allows no signal handlers, `should_stop` always returns False.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    def request_stop(number: int, _frame: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == HANG_UP:
            _to_nowhere(terminals)
        stop.set()

    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]  # once closed, it is not one
    caught = [number for number in STOPPING if number != HANG_UP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, request_stop) for number in caught}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _to_nowhere(descriptors: Sequence[int]) -> None:
    """Discards what is written to these descriptors from now on. Writing to a closed terminal would raise an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
