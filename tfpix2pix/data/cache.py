"""Keeps values in memory that are read more than once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

Value = TypeVar("Value")


class Cache:
    """Keeps values by key until `room_mb` is full, then adds none. Safe in threads.

    Values are never evicted: every epoch reads everything once, so an evicted value would be the next one needed.
    """

    def __init__(self, room_mb: int) -> None:
        self._kept: dict[Hashable, object] = {}
        self._room_bytes = room_mb * 2**20
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value], size_bytes: Callable[[Value], int]) -> Value:
        """Returns the value of `key`, and calls `make` if it is not in the cache."""
        if key in self._kept:
            return self._kept[key]
        value = make()
        with self._lock:
            size = size_bytes(value)
            if size <= self._room_bytes and key not in self._kept:
                self._room_bytes -= size
                self._kept[key] = value
        return value
