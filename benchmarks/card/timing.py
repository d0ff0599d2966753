"""Times calls for a bounded time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

WARM_UP, LEAST, MOST = 3, 3, 200


def timed(call: Callable[[], object], seconds: float) -> dict[str, float]:
    """Median, smallest and largest time of a call, s, and their number, after three that do not count."""
    for _ in range(WARM_UP):
        call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < LEAST or (len(times) < MOST and time.perf_counter() - began < seconds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {"step_s": statistics.median(times), "least_s": min(times), "most_s": max(times), "steps": len(times)}
