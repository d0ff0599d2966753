"""How long a training step takes, measured before a run begins: so a limit in minutes becomes a number of steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

WARM_UP_CALLS = 3  # the first compiles the step; batches were read ahead meanwhile
LEAST_CALLS = 3
MOST_S = 10.0
MOST_SHARE = 0.05  # of the minutes


def measure_pace(
    advance: Callable[[int], Any],
    *,
    minutes: float,
    steps_per_call: int = 1,
    agree: Callable[[bool], bool] = lambda wish: wish,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measures how long a step takes, s: the median over calls, after three that do not count.

    It measures for 10 s, or for 5 % of `minutes` if that is less, and for three calls at least.

    Args:
        advance: does so many steps and returns when they are done.
        minutes: of the training to come.
        steps_per_call: steps in a call, as in the training to come.
        agree: whether any worker wishes to end; all ask after the same calls (`Devices.agree`).
        clock: seconds, from any origin.
    """
    for _ in range(WARM_UP_CALLS):
        advance(steps_per_call)
    enough_s = min(MOST_S, MOST_SHARE * 60 * minutes)
    calls_s: list[float] = []
    began_s = clock()
    while len(calls_s) < LEAST_CALLS or not agree(clock() - began_s >= enough_s):
        call_began_s = clock()
        advance(steps_per_call)
        calls_s.append(clock() - call_began_s)
    return statistics.median(calls_s) / steps_per_call
