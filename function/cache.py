"""The answers of late, by the ids of the text: what differs only in case or spaces hits too."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock


class Cache:
    """At most `size` values; the one unused for longest goes first. Safe between threads."""

    def __init__(self, size: int):
        self._size = size
        self._values: OrderedDict[tuple[int, ...], list[float]] = OrderedDict()
        self._lock = Lock()

    def get(self, ids: tuple[int, ...]) -> list[float] | None:
        with self._lock:
            if ids in self._values:
                self._values.move_to_end(ids)
            return self._values.get(ids)

    def put(self, ids: tuple[int, ...], value: list[float]) -> None:
        with self._lock:
            self._values[ids] = value
            self._values.move_to_end(ids)
            if len(self._values) > self._size:
                self._values.popitem(last=False)
