"""The loop: batches through the step, hooks at their cadence, and a clean stop between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

Losses = Mapping[str, Any]  # scalar tensors by name


class Hook(NamedTuple):
    """`action(step, losses)` after every `every_steps`-th step and after the last one, with that step's losses.

    Hooks of one step run in their order.
    """

    every_steps: int
    action: Callable[[int, Losses], None]


def run(
    step_function: Callable[[Any], Losses],
    batches: Iterable[Any],
    hooks: Sequence[Hook],
    *,
    first_step: int = 0,
    last_step: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Runs `step_function` on each batch, steps counted from `first_step`; returns the number of the last step done.

    `last_step` is the number that the last batch's step will have, where nothing stops it.

    A stop asked for during a step comes after that step and its due hooks.
    """
    step = first_step
    losses: Losses = {}
    for batch in batches:
        losses = step_function(batch)
        step += 1
        for hook in hooks:
            if step % hook.every_steps == 0 or step == last_step:
                hook.action(step, losses)
        if should_stop():
            break
    if first_step < step != last_step:
        for hook in hooks:
            if step % hook.every_steps:
                hook.action(step, losses)
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
